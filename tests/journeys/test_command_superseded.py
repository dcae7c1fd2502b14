"""Two pushes in a row: the second waits and says for what; the first is superseded and says so."""

from app.core.run import RunState, RunType
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
CODE = 'resource "terraform_data" "web" {{ input = "{value}" }}\n'


def test_the_second_of_two_pushes_waits_in_queued_and_says_for_what(world: World) -> None:
    """Its check names the run before, and what makes way for it; it is planned once that run was discarded."""
    repo = world.repository()
    number, first = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(value=1)}, "One")
    before = world.expect_check(repo, first, "deploy/app", "action_required")
    older = world.the_run()
    later, second = world.land(repo, {"app/main.tf": CODE.format(value=2)}, "Two")

    waiting = world.expect_check(repo, second, "deploy/app", None)
    assert world.runs()[-1].state is RunState.QUEUED
    assert waiting.status == "queued"
    assert waiting.title == f"queued: waits for run {older.id} (waiting for confirmation) of the commit {first[:7]}"
    assert f"`/trackside discard {older.id}` turns it down" in (waiting.summary or "")
    assert f"`/trackside confirm {older.id} --even-if-superseded` applies it" in (waiting.summary or "")
    passed = world.expect_check(repo, first, "deploy/app", "action_required")
    assert passed.id == before.id
    assert "superseded" in (passed.title or "")
    assert repo.buttons(passed) == ["Discard", "Replan"], "a superseded plan is not confirmed by a button"

    repo.press_raw(passed, f"c{older.plan.digest[:16]}" if older.plan else "", by="alice")
    world.comment(repo, number, "/trackside confirm")
    world.settle()
    for words in (world.remarks(repo, first)[0], world.replies(repo, number)[0]):
        assert f"a newer commit of `app` has arrived since `{first[:7]}`" in words
        assert f"`/trackside confirm {older.id} --even-if-superseded` applies this older plan all the same" in words
    assert world.runs()[0].state is RunState.UNCONFIRMED

    world.comment(repo, later, f"/trackside discard {older.id}")
    world.expect_state(RunState.UNCONFIRMED)
    assert world.runs()[0].state is RunState.DISCARDED
    world.expect_check(repo, first, "deploy/app", "neutral")
    world.press(world.expect_check(repo, second, "deploy/app", "action_required"), "Confirm")
    world.expect_state(RunState.FINISHED)


def test_a_superseded_plan_is_applied_when_a_person_insists_and_the_next_one_starts_from_its_state(
    world: World,
) -> None:
    """`--even-if-superseded` is written to the audit and the history; the queued run is released by the apply."""
    repo = world.repository()
    number, first = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(value=1)}, "One")
    world.expect_check(repo, first, "deploy/app", "action_required")
    older = world.the_run()
    _, second = world.land(repo, {"app/main.tf": CODE.format(value=2)}, "Two")
    world.expect_check(repo, second, "deploy/app", None)

    world.comment(repo, number, f"/trackside confirm {older.id} --even-if-superseded")

    check = world.expect_check(repo, second, "deploy/app", "action_required")
    assert check.title == "~1 · waiting for confirmation", "the older plan's apply is where this one starts"
    tracked = [run for run in world.runs() if run.type is RunType.TRACKED]
    assert [run.state for run in tracked] == [RunState.FINISHED, RunState.UNCONFIRMED]
    world.expect_check(repo, first, "deploy/app", "success")
    assert world.sql("SELECT cause FROM run_steps WHERE step = 'confirm'") == [("even if superseded",)]
    forced = f"confirm {older.id} --even-if-superseded"
    assert world.sql("SELECT source, command, is_allowed FROM audit") == [("comment", forced, True)]
