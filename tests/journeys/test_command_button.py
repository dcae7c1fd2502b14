"""Clicks that must not do what they say: by the wrong person, too late, on an older plan, twice at once."""

from app.core.run import RunState
from tests.driver import World

FILES = {
    ".trackside/stacks.yml": "version: 1\nstacks:\n  - name: app\n    project_root: app\n",
    "app/main.tf": 'resource "terraform_data" "web" { input = "one" }\n',
}
GATED = """
resource "terraform_data" "web" {{
  provisioner "local-exec" {{ command = "cat '{gate}'" }}
}}
"""
"""Applying waits until somebody writes to the gate."""


def test_a_click_without_permission_changes_nothing_and_is_answered_and_written_down(world: World) -> None:
    """The sender of a click is no proof of power: GitHub is asked, the refusal names what is missing and who could."""
    repo = world.repository()
    _, sha = world.land(repo, FILES, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")

    for label in ("Confirm", "Discard", "Replan"):
        world.press(plan, label, by="bob")

    run = world.expect_state(RunState.UNCONFIRMED)
    assert run.decided_by == ""
    said = world.remarks(repo, sha)
    assert sorted(words.split(". ")[0] for words in said) == [
        "`bob` pressed confirm",
        "`bob` pressed discard",
        "`bob` pressed replan",
    ]
    assert all("`acme/infra`" in words or "acme/infra" in words for words in said)
    assert any("confirm needs write" in words for words in said)
    rows = world.sql("SELECT actor, source, command, is_allowed FROM audit ORDER BY command")
    assert rows == [("bob", "button", f"{verb} {run.id}", False) for verb in ("confirm", "discard", "replan")]
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]
    assert world.delivery("check_run")[1].startswith(("replan: refused", "confirm: refused", "discard: refused"))
    assert repo.buttons(plan) == ["Confirm", "Discard", "Replan"], "whoever may press them still can"


def test_a_click_that_shows_an_older_plan_confirms_nothing(world: World) -> None:
    """A confirmation is for the plan on the clicked page: after a replan it is refused, the new plan still waits."""
    repo = world.repository()
    _, sha = world.land(repo, FILES, "First stack")
    first = world.expect_check(repo, sha, "deploy/app", "action_required")
    shown = first.actions[0]["identifier"]
    world.press(first, "Replan")
    run = world.expect_state(RunState.UNCONFIRMED)
    assert run.plan is not None
    assert run.plan.number == 2

    repo.press_raw(first, shown, by="alice")

    run = world.expect_state(RunState.UNCONFIRMED)
    assert run.confirmed_digest is None
    (words,) = world.remarks(repo, sha)
    assert "has changed since that button was shown" in words
    assert "`/trackside confirm app`" in words, "the way on"
    second = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert second.id != first.id
    assert repo.buttons(first) == []
    world.press(second, "Confirm")
    world.expect_state(RunState.FINISHED)


def test_one_click_sent_twice_at_once_confirms_once_and_later_clicks_find_it_decided(world: World) -> None:
    """A double click, and a click from a page that is open since before, apply nothing a second time."""
    repo, gate = world.repository(), world.make_gate()
    _, sha = world.land(repo, FILES | {"app/main.tf": GATED.format(gate=gate)}, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    confirm, discard = (action["identifier"] for action in plan.actions[:2])

    world.github.post.hold()
    for identifier in (confirm, confirm, discard):
        repo.press_raw(plan, identifier, by="alice")
    world.github.post.release()
    world.wait_carried_out()
    gate.write_text("go on")

    world.expect_state(RunState.FINISHED)
    assert world.sql("SELECT command ~ 'confirm', is_allowed FROM audit ORDER BY id") == [
        (True, True),
        (True, False),
        (False, False),
    ]
    again, late = world.remarks(repo, sha)
    assert "was confirmed already by `alice`" in again
    assert "A confirmed run cannot be stopped" in late
    repo.press_raw(plan, confirm, by="alice")
    world.expect_state(RunState.FINISHED)
    assert "was applied already" in world.remarks(repo, sha)[-1]
    assert world.sql("SELECT count(*) FROM confirmations") == [(1,)]
    assert world.sql("SELECT count(*) FROM run_steps WHERE step = 'apply'") == [(1,)]


def test_a_click_on_a_discarded_run_and_one_of_no_button_of_ours_do_nothing(world: World) -> None:
    """What was turned down stays turned down; a click that names nothing of ours is kept as ignored."""
    repo = world.repository()
    _, sha = world.land(repo, FILES, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    confirm = plan.actions[0]["identifier"]
    world.press(plan, "Discard")
    world.expect_state(RunState.DISCARDED)

    repo.press_raw(plan, confirm, by="alice")
    world.settle()
    (words,) = world.remarks(repo, sha)
    assert "was discarded already by `alice`" in words
    assert "What it takes now: `/trackside retry app`" in words
    repo.press_raw(plan, "launch-it", by="alice")
    world.expect_state(RunState.DISCARDED)
    assert world.delivery("check_run") == ("ignored", "button 'launch-it' is not one of ours")
    assert len(world.remarks(repo, sha)) == 1
