"""A worker that lies: what it says is held against what its assignment was for, and what was committed before."""

import pytest

from app.core.errors import LeaseLost
from app.core.names import AssignmentId
from app.core.plan import Counts, Delta, PlanSummary
from app.core.protocol import (
    Assignment,
    ClaimRequest,
    Next,
    Outcome,
    Output,
    Phase,
    PlanReport,
    ResultReport,
    Stage,
    StageReport,
)
from app.core.run import RunState
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app, worker_pool: mine}\n"
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": 'resource "terraform_data" "web" { input = "one" }\n'}
CHANGES = PlanSummary(delta=Delta(resources=Counts(create=1)))


def claimed(world: World) -> Assignment:
    """The next assignment of the pool, in the test's hands."""
    held = world.plane.doors.work.claim("mine", ClaimRequest(worker="tester"))
    assert isinstance(held, Assignment)
    return held


def says(world: World, held: Assignment, outcome: Outcome) -> None:
    """Report how it ended."""
    report = ResultReport(
        fencing=held.fencing,
        outcome=outcome,
        outputs=(Output(name="url", value='"https://evil.test"'),),
        archive_size_bytes=len(b"workspace"),
    )
    world.plane.doors.work.report_result(AssignmentId(held.id), held.token, report)


def begins_to_plan(world: World, held: Assignment) -> None:
    """Report both stages."""
    for stage in Stage:
        report = StageReport(fencing=held.fencing, stage=stage, state_mode="managed")
        world.plane.doors.work.stage(AssignmentId(held.id), held.token, report)


def plans(world: World, held: Assignment) -> None:
    """Hand in a plan with changes."""
    report = PlanReport(
        fencing=held.fencing, digest="a" * 64, engine="terraform 1.11.4", has_changes=True, summary=CHANGES
    )
    answer = world.plane.doors.work.report_plan(AssignmentId(held.id), held.token, report)
    assert answer.next is Next.ARCHIVE


def stores(world: World, held: Assignment) -> None:
    """Bring the workspace."""
    world.plane.doors.work.put_archive(AssignmentId(held.id), held.token, held.fencing, iter([b"workspace"]))


def test_nothing_is_applied_that_was_not_begun(world: World) -> None:
    """`applied` out of a plan, or before `applying` was committed, is refused: the run stays where it is, and nothing
    that the worker calls its outputs is kept."""
    repo = world.repository(FILES)
    world.wait_carried_out()
    held = claimed(world)
    begins_to_plan(world, held)

    with pytest.raises(LeaseLost, match="is planning: nothing of it was to be applied"):
        says(world, held, Outcome.APPLIED)
    assert world.the_run().state is RunState.PLANNING

    plans(world, held)
    stores(world, held)
    says(world, held, Outcome.PLANNED)
    world.press(world.expect_check(repo, repo.sha("main"), "deploy/app", "action_required"), "Confirm")
    world.wait_carried_out()
    held = claimed(world)
    assert held.phase is Phase.APPLY
    with pytest.raises(LeaseLost, match="is preparing_apply: nothing of it was to be applied"):
        says(world, held, Outcome.APPLIED)
    assert world.the_run().state is RunState.PREPARING_APPLY
    assert world.sql("SELECT sealed_outputs FROM runs") == [(None,)]
    assert world.sql("SELECT count(*) FROM attestations") == [(0,)]
    says(world, held, Outcome.FAILED)
    world.settle()


def test_the_plan_of_a_worker_that_is_gone_is_nobody_else_s(world: World) -> None:
    """A plan counts for the assignment that made it: settings may have changed since."""
    world.repository(FILES)
    world.wait_carried_out()
    first = claimed(world)
    begins_to_plan(world, first)
    plans(world, first)
    says(world, first, Outcome.RETURNED)
    second = claimed(world)
    assert (second.run_id, second.fencing) == (first.run_id, first.fencing + 1)
    begins_to_plan(world, second)

    with pytest.raises(LeaseLost, match="has handed in no plan"):
        stores(world, second)
    with pytest.raises(LeaseLost, match="has handed in no plan"):
        says(world, second, Outcome.PLANNED)
    with pytest.raises(LeaseLost, match="is over"):
        stores(world, first)
    assert world.the_run().state is RunState.PLANNING

    plans(world, second)
    stores(world, second)
    says(world, second, Outcome.PLANNED)
    world.expect_state(RunState.UNCONFIRMED)
