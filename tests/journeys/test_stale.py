"""A plan whose state moved can no longer be applied: it says so while it waits, at the latest when it is applied."""

import hashlib

from app.core.names import Digest
from app.core.record import StateVersion
from app.core.run import RunState
from app.core.statepoint import NO_STATE, Obstacle, StatePoint
from app.flows.schedule import tell_state_moved
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
CODE = 'resource "terraform_data" "web" {{ input = "{value}" }}\n'


def move_state(world: World) -> StatePoint:
    """Another version of the stack's managed state becomes the current one, whoever wrote it; where it is now."""
    run = world.runs()[-1]
    with world.plane.store.begin() as tx:
        tx.lock_stack(run.stack_id)
        before = tx.find_state(run.stack_id)
        point = StatePoint(serial=before.serial + 1 if before else 1, lineage=before.lineage if before else "new")
        version = tx.new_id()
        tx.add_state_version(
            StateVersion(
                id=version,
                stack_id=run.stack_id,
                serial=point.serial,
                lineage=point.lineage,
                digest=Digest(hashlib.sha256(b"").hexdigest()),
                size_bytes=0,
                artifact_key=f"state/{version}",
                assignment_id=None,
                is_quarantined=False,
                created_at=tx.now(),
            )
        )
        tell_state_moved(tx, run.stack_id)
    return point


def test_a_waiting_plan_whose_managed_state_moved_offers_a_replan_instead_of_a_confirm(world: World) -> None:
    """Button, comment and command line are refused with the reason; a plan from the state as it is can be applied."""
    repo = world.repository()
    first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(value=1)}, "One")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    run = world.expect_state(RunState.FINISHED)
    assert run.plan is not None
    assert run.plan.state == NO_STATE, "the first plan is made from nothing"
    number, sha = world.land(repo, {"app/main.tf": CODE.format(value=2)}, "Two")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    waiting = world.runs()[-1]
    assert waiting.plan is not None
    assert world.sql("SELECT serial, lineage FROM state_versions ORDER BY seq DESC LIMIT 1") == [
        (waiting.plan.state.serial, waiting.plan.state.lineage) if waiting.plan.state else ()
    ]
    assert repo.buttons(check) == ["Confirm", "Discard", "Replan"]

    move_state(world)

    stale = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert stale.id == check.id
    assert stale.title == "~1 · the state moved since"
    assert repo.buttons(stale) == ["Discard", "Replan"]
    assert "can no longer be applied. `/trackside replan app` makes another plan" in (stale.summary or "")
    assert "so it can no longer be applied" in world.page(f"/runs/{waiting.id}")
    repo.press_raw(stale, f"c{waiting.plan.digest[:16]}", by="alice")
    world.comment(repo, number, "/trackside confirm app")
    told = world.operate("confirm", waiting.id)
    world.settle()
    refused = "the state of `app` moved since plan 1 was made, so it can no longer be applied"
    assert told.returncode == 1
    for words in (told.stdout, world.remarks(repo, sha)[-1], world.replies(repo, number)[-1]):
        assert refused in words
    assert world.runs()[-1].state is RunState.UNCONFIRMED
    assert [row[0] for row in world.sql("SELECT count(*) FROM confirmations")] == [1]


def test_a_plan_made_from_nothing_is_stale_once_there_is_a_state(world: World) -> None:
    """The engine compares serials then, and so does the check."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(value=1)}, "One")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    move_state(world)
    assert world.expect_check(repo, sha, "deploy/app", "action_required").title == "+1 · the state moved since"


def test_an_external_state_that_moved_is_said_by_the_engine_and_told_in_its_own_words(unboxed: World) -> None:
    """Nothing was applied, the state lock is free, and the next push plans from the state as it is."""
    world = unboxed
    backend = f'terraform {{\n  backend "local" {{ path = "{world.root}/state" }}\n}}\n'
    repo = world.repository()
    code = backend + CODE.format(value=1)
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": code}, "One")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    world.apply_by_hand(code)
    world.press(check, "Confirm")
    failed = world.expect_check(repo, sha, "deploy/app", "failure")
    assert failed.title == "apply refused: the saved plan is stale"
    said = failed.summary or ""
    assert "Another write moved the stack's state between this plan and its apply, so the engine refused it." in said
    assert "Nothing was applied." in said
    assert "Part of the plan may have been applied" not in said
    assert world.runs()[-1].obstacle is Obstacle.STALE

    after = world.push(repo, {"app/main.tf": code.replace('"1"', '"2"')}, "Two")
    again = world.expect_check(repo, after, "deploy/app", "action_required")
    assert again.title == "~1 · waiting for confirmation"
