"""Who keeps a stack's state is settled by its first run, and no commit changes that by accident."""

import fcntl
import json

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
