"""Who keeps a stack's state is settled by its first run, not changed by accident, and only an apply writes it."""

import fcntl
import json

import pytest

from app.core.errors import LeaseLost
from app.core.managed import StateCaller, StateDone, StateFound, StateMissing, StateQuarantined, StateReadOnly
from app.core.names import AssignmentId, Secret, StackId
from app.core.plan import PlanSummary
from app.core.protocol import Assignment, Next, Outcome, PlanReport, ResultReport, Stage, StageReport
from app.core.run import RunState
from app.core.statepoint import Obstacle
from tests.driver import World, wait_until

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
HOLDER = {"ID": "6f0d1e2c-0000-4000-8000-000000000001", "Operation": "OperationTypeApply", "Who": "carol@laptop"}
ONE = 'resource "terraform_data" "web" { input = "one" }\n'


def test_a_configuration_with_a_backend_keeps_its_own_state_and_cannot_lose_it_by_a_commit(unboxed: World) -> None:
    """The backend's file holds the state, ours none; without the backend the next commit fails before it plans."""
    world = unboxed
    repo = world.repository()
    kept = world.root / "elsewhere" / "app.tfstate"
    backend = f'terraform {{\n  backend "local" {{ path = "{kept}" }}\n}}\n'
    files = {".trackside/stacks.yml": STACKS, "app/main.tf": ONE, "app/backend.tf": backend}
    first = world.push(repo, files, "With a backend")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")
    assert [one["name"] for one in json.loads(kept.read_text())["resources"]] == ["web"]
    assert world.sql("SELECT state_mode FROM stacks") == [("external",)]
    assert world.sql("SELECT count(*) FROM state_versions") == [(0,)]

    second = world.push(repo, {"app/backend.tf": None}, "Without it")
    check = world.expect_check(repo, second, "deploy/app", "failure")
    assert "state mode changed" in (check.summary or "")
    assert "set `state:` of stack app" in (check.summary or "")
    assert world.expect_state(RunState.FAILED).plan is None
    assert world.sql("SELECT state_mode FROM stacks") == [("external",)]

    said = STACKS.replace("app}", "app, state: managed}")
    third = world.push(repo, {".trackside/stacks.yml": said, "app/main.tf": f"{ONE}# moved\n"}, "Said so")
    meant = world.expect_check(repo, third, "deploy/app", "action_required")
    assert meant.title == "+1 · waiting for confirmation", "the managed state is empty, and a person sees that first"
    assert world.sql("SELECT state_mode FROM stacks") == [("managed",)]


def test_managed_state_cannot_be_lost_by_a_commit_that_brings_a_backend(world: World) -> None:
    """A backend block in a stack whose state is managed here is refused before anything is planned."""
    repo = world.repository()
    first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": ONE}, "Managed")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")
    assert world.sql("SELECT state_mode FROM stacks") == [("managed",)]

    stray = 'terraform {\n  backend "local" {}\n}\n'
    second = world.push(repo, {"app/backend.tf": stray}, "A backend")
    check = world.expect_check(repo, second, "deploy/app", "failure")
    assert "the stack's state is managed, and this commit asks for external" in (check.summary or "")

    third = world.push(repo, {"app/backend.tf": None}, "Taken back")
    world.expect_check(repo, third, "deploy/app", "success")
    assert world.expect_state(RunState.FINISHED).plan is not None


def test_a_state_that_somebody_else_holds_is_waited_for(unboxed: World) -> None:
    """The plan goes on when the lock is given back; a lock without an id cannot be waited for: it says whose it is."""
    world = unboxed
    repo = world.repository()
    kept = world.root / "app.tfstate"
    note = world.root / ".app.tfstate.lock.info"
    note.write_text(json.dumps(HOLDER))
    backend = f'terraform {{\n  backend "local" {{ path = "{kept}" }}\n}}\n'
    with kept.open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": f"{ONE}{backend}"}, "Locked")
        wait_until(lambda: any("state lock" in world.log(run) for run in world.runs()), "the plan waits for the lock")
        assert world.the_run().state is RunState.PLANNING
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Discard")

    note.write_text(json.dumps(HOLDER | {"ID": ""}))
    with kept.open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        second = world.push(repo, {"app/main.tf": f"{ONE}{backend}# again\n"}, "Locked again")
        check = world.expect_check(repo, second, "deploy/app", "failure")
    assert check.title == "plan failed: the state is locked"
    assert "Somebody else held the lock of the stack's state" in (check.summary or "")
    assert world.runs()[-1].obstacle is Obstacle.LOCKED
    assert "Error acquiring the state lock" in (check.summary or "")
    assert "carol@laptop" in (check.summary or "")


def caller_of(held: Assignment) -> StateCaller:
    """The assignment's credentials for its stack's state."""
    assert held.state is not None
    return StateCaller(
        stack_id=StackId(held.stack_id),
        assignment_id=AssignmentId(held.state.username),
        password=Secret(held.state.password),
    )


def test_a_state_is_written_from_the_moment_that_its_apply_has_begun_and_not_before(world: World) -> None:
    """A worker that plans reads and locks; a plan that it lost without having applied leaves nothing to adopt; what it
    writes after it applied is kept apart."""
    settings = "app, state: managed, autodeploy: true, worker_pool: elsewhere}"
    world.repository({".trackside/stacks.yml": STACKS.replace("app}", settings), "app/main.tf": ONE})
    world.wait_carried_out()
    state, work = world.plane.doors.state, world.plane.doors.work
    lost, data = world.take("elsewhere"), json.dumps({"version": 4, "serial": 1, "lineage": "one"}).encode()
    work.report_result(AssignmentId(lost.id), lost.token, ResultReport(fencing=lost.fencing, outcome=Outcome.RETURNED))
    held = world.take("elsewhere")
    planner, hold = caller_of(held), AssignmentId(held.id)

    for stage in Stage:
        report = StageReport(fencing=held.fencing, stage=stage, state_mode="managed")
        work.stage(hold, held.token, report)
        assert isinstance(state.read(planner), StateMissing)
        assert state.lock(planner, "lock-1", b"{}") == StateDone()
        refused = state.write(planner, "lock-1", data)
        assert isinstance(refused, StateReadOnly)
        assert "`trackside state mv|rm`" in refused.reason
        assert state.unlock(planner, "lock-1") == StateDone()
    assert isinstance(state.write(caller_of(lost), "", data), StateReadOnly)
    assert world.sql("SELECT count(*) FROM state_versions") == [(0,)]

    plan = PlanReport(
        fencing=held.fencing, digest="a" * 64, engine="terraform 1.11.4", has_changes=True, summary=PlanSummary()
    )
    assert work.report_plan(hold, held.token, plan).next is Next.APPLY
    assert state.write(planner, "", data) == StateDone()
    assert state.read(planner) == StateFound(data)
    work.report_result(hold, held.token, ResultReport(fencing=held.fencing, outcome=Outcome.APPLIED))
    assert isinstance(state.write(planner, "", data), StateQuarantined)
    with pytest.raises(LeaseLost):
        state.read(planner)
    kept = world.sql("SELECT is_quarantined FROM state_versions ORDER BY seq")
    assert kept == [(False,), (True,)]
