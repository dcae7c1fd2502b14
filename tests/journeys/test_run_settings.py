"""What a stack's settings do to its runs: autodeploy, SKIP_APPLYING, variables of one phase, deployments."""

from app.core.run import RunState
from tests.driver import World

ONE = 'resource "terraform_data" "web" { input = "one" }\n'
AUTODEPLOY = """
version: 1
stacks:
  - {name: app, project_root: app, autodeploy: true, github_environment: production}
  - {name: quiet, project_root: quiet, autodeploy: true, github_environment: false}
"""
SKIPPING = """
version: 1
stacks:
  - {name: app, project_root: app, environment: {SKIP_APPLYING: "true"}}
"""
PHASES = """
version: 1
stacks:
  - name: app
    project_root: app
    environment:
      PLAIN: both
      ro_TF_VAR_region: eu-west-1
      ro_ROLE: reader
      ro_ONLY_PLAN: "yes"
      wo_ROLE: writer
      wo_ONLY_APPLY: "yes"
"""
LOOKING = """
variable "region" { default = "nowhere" }
locals { environ = file("/proc/self/environ") }
resource "terraform_data" "web" {
  input = var.region
  provisioner "local-exec" {
    command = "echo role=$ROLE plain=$PLAIN plan=$ONLY_PLAN apply=$ONLY_APPLY"
  }
}
check "reader" {
  assert {
    condition     = !strcontains(local.environ, "ROLE=reader")
    error_message = "the engine is a reader"
  }
}
check "writer" {
  assert {
    condition     = !strcontains(local.environ, "ONLY_APPLY") && !strcontains(local.environ, "writer")
    error_message = "the engine is a writer"
  }
}
check "prefix" {
  assert {
    condition     = !strcontains(local.environ, "ro_") && !strcontains(local.environ, "wo_")
    error_message = "a prefix was not stripped"
  }
}
"""


def test_autodeploy_applies_without_a_person_and_says_so(world: World) -> None:
    """The stack's setting is the confirmation, on record like a person's; a stack may do without deployments."""
    repo = world.repository()
    files = {".trackside/stacks.yml": AUTODEPLOY, "app/main.tf": ONE, "quiet/main.tf": ONE}
    sha = world.push(repo, files, "First")
    for stack in ("app", "quiet"):
        check = world.expect_check(repo, sha, f"deploy/{stack}", "success")
        assert check.title == "applied: +1"
        assert "Confirmed by `autodeploy`" in (check.summary or "")
        run = world.the_run(stack)
        assert run.state is RunState.FINISHED
        assert run.plan is not None
        confirmed = (run.id, "autodeploy", run.plan.digest)
        assert confirmed in world.sql("SELECT run_id, actor, plan_digest FROM confirmations")
        audited = (run.id, "autodeploy", "autodeploy", "the stack has `autodeploy: true`")
        assert audited in world.sql("SELECT run_id, actor, source, reason FROM audit")
    assert world.sql("SELECT count(*) FROM run_steps WHERE after IN ('unconfirmed', 'confirmed')") == [(0,)]
    (deployment,) = repo.deployments(sha)
    assert (deployment.environment, deployment.state) == ("production", "success")
    assert deployment.production_environment is True
    assert deployment.payload["stack"] == "app"


def test_skip_applying_ends_with_the_plan(world: World) -> None:
    """Success without an apply, without a question, and the check says that it was planned only."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": SKIPPING, "app/main.tf": ONE}, "First")
    check = world.expect_check(repo, sha, "deploy/app", "success")
    assert check.title == "+1"
    assert "planned only" in (check.summary or "")
    assert "SKIP_APPLYING is set" in (check.summary or "")
    assert check.actions == []
    run = world.expect_state(RunState.FINISHED)
    assert run.confirmed_digest is None
    assert world.sql("SELECT count(*) FROM state_versions") == [(0,)]
    assert {deployment.state for deployment in repo.deployments()} <= {"inactive"}, "nothing was deployed"


def test_each_phase_gets_its_own_variables(world: World) -> None:
    """`ro_` reaches every phase but apply, `wo_` only apply, both without their prefix, and the rest reaches both."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": PHASES, "app/main.tf": LOOKING}, "First")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert "eu-west-1" in (plan.text or "")
    planned = world.log(world.the_run())
    assert "the engine is a reader" in planned
    assert "the engine is a writer" not in planned

    world.press(plan, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    applied = world.log(world.the_run()).removeprefix(planned)
    assert "the engine is a writer" in applied
    assert "the engine is a reader" not in applied
    assert "role=writer plain=both plan= apply=yes" in applied
    assert "a prefix was not stripped" not in planned + applied
