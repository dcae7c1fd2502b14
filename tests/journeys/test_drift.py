"""Drift on a schedule, from a state that somebody changed by hand to the run that takes it back."""

import json

from typer.testing import CliRunner

from app.cli import app
from app.core.run import Run, RunState, RunType, Trigger
from app.sandbox import Repo
from tests.driver import World, wait_until

# On leap days: no moment comes by itself while a test runs.
STACKS = """\
version: 1
stacks:
  - name: app
    project_root: app
    state: managed
    drift: {schedule: "0 6 29 2 *", timezone: Europe/Berlin, reconcile: true}
"""
CODE = 'resource "terraform_data" "web" { input = "one" }\n'
DUE = "UPDATE drift_turns SET due_at = clock_timestamp() - interval '1 second' RETURNING due_at"


def typed(world: World, *words: str) -> str:
    """What a command on the server prints."""
    done = CliRunner().invoke(app, words, env=world.environ)
    assert done.exit_code == 0, f"{done.exception} {done.output}"
    return done.stdout


def change_by_hand(world: World, stack: str) -> None:
    """Somebody changes what exists: for a provider without a world of its own, that is its state."""
    state = json.loads(typed(world, "state", "pull", stack))
    attributes = state["resources"][0]["instances"][0]["attributes"]
    attributes["input"]["value"] = attributes["output"]["value"] = "moved"
    state["serial"] += 1
    changed = world.root / "changed.tfstate"
    changed.write_text(json.dumps(state))
    typed(world, "state", "push", stack, str(changed))


def let_it_be_six(world: World) -> list[Run]:
    """The stack's moment comes; what ran for it, once that is over."""
    before = len(world.runs())
    world.sql(DUE)
    wait_until(lambda: len(world.runs()) > before, "the stack is compared")
    world.settle()
    return world.runs()[before:]


def checks(repo: Repo, sha: str, name: str) -> list[tuple[str, str | None]]:
    """Title and conclusion of every check run of that name, oldest first."""
    found = sorted((one for one in repo.check_runs(sha, latest=False) if one.name == name), key=lambda one: one.id)
    return [(one.title or "", one.conclusion) for one in found]


def test_what_somebody_changed_is_found_on_schedule_and_taken_back_once_it_is_confirmed(world: World) -> None:
    """A clean comparison says nothing on GitHub; one that finds drift does, and makes a run that waits as any other;
    once that is applied, no check and no page says any more that there is drift."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE}, "First stacks")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    stack = world.expect_state(RunState.FINISHED).stack_id

    (clean,) = let_it_be_six(world)
    assert (clean.type, clean.trigger, clean.state) == (RunType.DRIFT, Trigger.DRIFT, RunState.FINISHED)
    assert checks(repo, sha, "drift/app") == [], "nothing was found, and nothing is said"
    assert "no drift 20" in typed(world, "stacks")

    change_by_hand(world, stack)
    found, back = let_it_be_six(world)
    assert found.type is RunType.DRIFT
    assert (back.type, back.trigger, back.state) == (RunType.TRACKED, Trigger.DRIFT, RunState.UNCONFIRMED)
    assert checks(repo, sha, "drift/app") == [("drift: ~1", "neutral")]
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert f"Made by the stack's drift schedule: it takes back the drift that run {found.id} found." in (
        check.summary or ""
    )
    assert "drift found 20" in world.page("/")
    assert "1 resource</a>" in world.page(f"/stacks/{stack}")

    world.press(check, "Confirm")
    assert world.expect_state(RunState.FINISHED).id == back.id
    assert (
        json.loads(typed(world, "state", "pull", stack))["resources"][0]["instances"][0]["attributes"]["input"]["value"]
        == "one"
    )
    assert checks(repo, sha, "drift/app") == [("drift: over", "success")]
    assert "drift found" not in world.page("/")

    (after,) = let_it_be_six(world)
    assert after.plan is not None
    assert not after.plan.has_changes
    assert [title for title, _ in checks(repo, sha, "drift/app")][-1] == "no drift"
    assert 'trackside_drift_runs_total{result="clean"} 2.0' in world.page("/metrics")
    assert 'trackside_drift_runs_total{result="found"} 1.0' in world.page("/metrics")
