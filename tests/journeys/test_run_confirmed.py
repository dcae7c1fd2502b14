"""A plan that a person confirms: by button, by comment on the merged pull request, by comment on the commit."""

import json

from app.core.plan import MASK
from app.core.run import RunState
from app.flows.publish_checks import COALESCE_APPLY_S
from tests.driver import World, wait_until

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
FIRST = """
variable "password" {
  default   = "correct horse battery staple"
  sensitive = true
}
resource "terraform_data" "web" { input = "one" }
output "address" { value = "app.example.org" }
output "password" {
  value     = var.password
  sensitive = true
}
"""


def test_a_confirmed_push_is_applied_as_it_was_planned_and_the_next_one_starts_from_its_state(world: World) -> None:
    """What was confirmed by button is applied and told as check run, deployment and audit; its state outlives it."""
    repo = world.repository()
    _, sha = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": FIRST}, "First stack")

    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert plan.title == "+1 · outputs +2 · waiting for confirmation"
    assert "`/trackside confirm app` applies exactly this plan" in (plan.summary or "").splitlines()[0]
    assert "**1. create** `terraform_data.web`" in (plan.text or "")
    assert "correct horse" not in f"{plan.summary}{plan.text}"
    assert repo.buttons(plan) == ["Confirm", "Discard", "Replan"]
    (waiting,) = repo.deployments(sha)
    assert (waiting.environment, waiting.task, waiting.state) == ("app", "trackside:app", "queued")

    world.press(plan, "Confirm")
    run = world.expect_state(RunState.FINISHED)
    assert run.plan is not None
    assert run.confirmed_digest == run.plan.digest
    applied = world.expect_check(repo, sha, "deploy/app", "success")
    assert applied.id != plan.id, "a completed check run is never reopened"
    assert applied.title == "applied: +1 · outputs +2"
    assert "Confirmed by `alice`" in (applied.summary or "")
    assert 'address = "app.example.org"' in (applied.text or "")
    assert f"password = {MASK}" in (applied.text or "")
    assert "correct horse" not in f"{applied.text}{world.log(run)}"
    (deployment,) = repo.deployments(sha)
    assert deployment.payload == {"run": run.id, "stack": "app", "tag": ""}
    states = [status.state for status in deployment.statuses]
    assert (states[0], states[-1]) == ("queued", "success")
    assert set(states) <= {"queued", "in_progress", "success"}
    assert world.sql("SELECT actor, source, command, is_allowed FROM audit") == [
        ("alice", "button", f"confirm {run.id}", True)
    ]
    assert world.sql("SELECT actor, plan_digest FROM confirmations") == [("alice", run.plan.digest)]
    assert "correct horse" not in json.dumps(world.sql("SELECT * FROM runs"), default=str)

    _, second = world.land(repo, {"app/main.tf": FIRST.replace('"one"', '"two"')}, "Second value")
    changed = world.expect_check(repo, second, "deploy/app", "action_required")
    assert changed.title == "~1 · waiting for confirmation", (
        "the state of the first apply is the start of the second plan"
    )
    world.press(changed, "Confirm")
    world.expect_check(repo, second, "deploy/app", "success")
    assert [one.state for one in repo.deployments()] == ["success", "inactive"]
    assert world.sql("SELECT DISTINCT is_quarantined FROM state_versions") == [(False,)]


def test_a_comment_confirms_as_a_button_does(world: World) -> None:
    """On the merged pull request it is answered by a reaction, on the commit by words."""
    repo = world.repository()
    number, sha = world.land(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": FIRST}, "First stack")
    world.expect_check(repo, sha, "deploy/app", "action_required")

    world.comment(repo, number, "Looks good.\n\n/trackside confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    (comment,) = [one for one in repo.comments(number) if not one.by_app]
    assert [reaction.content for reaction in repo.reactions(comment)][-1] == "+1"

    second = world.push(repo, {"app/main.tf": FIRST.replace('"one"', '"two"')}, "Straight to main")
    world.expect_check(repo, second, "deploy/app", "action_required")
    world.comment_on_commit(repo, second, "/trackside confirm app")
    world.expect_check(repo, second, "deploy/app", "success")
    said = repo.commit_comments(second)[-1]
    assert "Confirmed: plan 1 of `app`" in said.body
    assert world.sql("SELECT source, is_allowed FROM audit ORDER BY id") == [("comment", True), ("comment", True)]


def test_an_apply_that_ends_at_once_is_told_with_one_request(world: World) -> None:
    """The plan's check run loses its buttons, and the apply's is made completed: GitHub hears no more of it."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": FIRST}, "First stack")
    plan, before = world.expect_check(repo, sha, "deploy/app", "action_required"), len(world.github.requests)
    world.press(plan, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    told = [one.method for one in world.github.requests[before:] if "/check-runs" in one.path]
    ((took,),) = world.sql(
        "SELECT extract(epoch FROM max(at) - min(at)) FROM run_steps WHERE after IN ('confirmed', 'finished')"
    )
    is_at_once = float(str(took)) < COALESCE_APPLY_S / 2  # a busy machine may take its time
    assert told == ["PATCH", "POST"] if is_at_once else told in (["PATCH", "POST"], ["PATCH", "POST", "PATCH"])


def test_an_apply_that_takes_longer_is_shown_while_it_works(world: World) -> None:
    """Its own check run says that it applies, before the engine has ended."""
    repo, gate = world.repository(), world.make_gate()
    code = f"""
    resource "terraform_data" "web" {{
      provisioner "local-exec" {{ command = "read -r word < '{gate}'" }}
    }}
    """
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": code}, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    world.press(plan, "Confirm")

    def shown() -> list[str]:
        return [one.title or "" for one in repo.check_runs(sha, latest=False) if one.status == "in_progress"]

    wait_until(lambda: bool(shown()), "the apply is shown")
    said = shown()
    gate.write_text("go on\n")
    assert said == ["applying +1"]
    assert repo.buttons(plan) == []
    assert world.expect_check(repo, sha, "deploy/app", "success").title == "applied: +1"
