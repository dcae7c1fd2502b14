"""Runs that end badly: the commit says why, nothing is lost, and the stack is free for the next one."""

from app.core.run import RunState
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
BROKEN_APPLY = """
resource "terraform_data" "kept" { input = "kept" }
resource "terraform_data" "web" {
  depends_on = [terraform_data.kept]
  provisioner "local-exec" { command = "echo the disk is full >&2; exit 1" }
}
"""


def test_a_failing_plan_says_the_diagnostic_on_the_commit_and_holds_nobody_up(world: World) -> None:
    """The reason is Terraform's own; nothing was applied; the push that mends it is planned at once."""
    repo = world.repository()
    broken = 'resource "terraform_data" "web" { input = var.missing }\n'
    first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": broken}, "Broken")
    check = world.expect_check(repo, first, "deploy/app", "failure")
    assert check.title == "plan failed"
    assert "Reference to undeclared input variable" in (check.summary or "")
    assert "main.tf" in (check.summary or "")
    assert repo.buttons(check) == ["Retry"]
    assert [(one["path"], one["start_line"], one["annotation_level"]) for one in check.annotations] == [
        ("app/main.tf", 1, "failure")
    ]
    assert repo.deployments() == []

    second = world.push(repo, {"app/main.tf": ONE}, "Mended")
    world.expect_check(repo, second, "deploy/app", "action_required")
    assert [run.state for run in world.runs()] == [RunState.FAILED, RunState.UNCONFIRMED]
    assert world.sql("SELECT count(*) FROM state_locks") == [(0,)], "a lock ends with its assignment"


def test_a_failing_apply_keeps_the_state_of_what_was_done(world: World) -> None:
    """Check and deployment fail with the provisioner's words; the next plan starts from what the state records."""
    repo = world.repository()
    first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": BROKEN_APPLY}, "Breaks at apply")
    plan = world.expect_check(repo, first, "deploy/app", "action_required")
    world.press(plan, "Confirm")
    failed = world.expect_check(repo, first, "deploy/app", "failure")
    assert failed.id != plan.id
    assert failed.title == "apply failed"
    assert "local-exec provisioner error" in (failed.summary or "")
    run = world.expect_state(RunState.FAILED)
    assert run.is_outcome_unknown is False
    assert "the disk is full" in world.log(run)
    (deployment,) = repo.deployments(first)
    assert deployment.state == "failure"
    ((versions,),) = world.sql("SELECT count(*) FROM state_versions WHERE NOT is_quarantined")
    assert isinstance(versions, int)
    assert versions > 0
    assert world.sql("SELECT count(*) FROM state_locks") == [(0,)]

    second = world.push(repo, {"app/main.tf": BROKEN_APPLY.replace("exit 1", "exit 0")}, "Mended")
    mended = world.expect_check(repo, second, "deploy/app", "action_required")
    assert mended.title == "±1 · waiting for confirmation", "what was made stays, what failed half way is replaced"
    world.press(mended, "Confirm")
    world.expect_check(repo, second, "deploy/app", "success")


def test_a_version_that_no_engine_here_satisfies_fails_before_anything_runs(world: World) -> None:
    """`version:` is a promise: the run fails with what is asked for and what there is."""
    repo = world.repository()
    stacks = f'{STACKS}    version: "< 1.0"\n'
    sha = world.push(repo, {".trackside/stacks.yml": stacks, "app/main.tf": ONE}, "An old engine")
    check = world.expect_check(repo, sha, "deploy/app", "failure")
    assert "< 1.0" in (check.summary or "")
    assert "terraform" in (check.summary or "")
    assert world.the_run().plan is None
