"""Hooks of stacks.yml: they run on the worker, are told about the run, and are part of what a confirmation binds."""

from app.core.run import RunState
from tests.driver import World

STACKS = """
version: 1
stacks:
  - name: app
    project_root: app
    labels: [prod, "${web} %{if 🚀"]
    autodeploy: true
    environment: {ro_ROLE: reader, wo_ROLE: writer, wo_ONLY_APPLY: "yes"}
    hooks:
      before_init:
        - ./prepare.sh
        - export BUILD=seven
      after_apply:
        - echo "told $(terraform output -raw told)"
        - echo "label $(terraform output -raw label)"
      before_apply:
        - echo "apply as $ROLE, only $ONLY_APPLY, build $BUILD, $TF_VAR_trackside_run_state"
      after_run:
        - echo "$TF_VAR_spacelift_stack_id of $TF_VAR_trackside_account_name ended as $TF_VAR_trackside_final_run_state"
"""
WAITING = """
version: 1
stacks:
  - {name: app, project_root: app, hooks: {before_apply: [%s]}}
"""
AUTODEPLOY = "version: 1\nstacks:\n  - {name: app, project_root: app, autodeploy: true%s}\n"
CODE = """
variable "trackside_commit_sha" {}
variable "trackside_run_trigger" {}
variable "spacelift_stack_labels" {}
variable "spacelift_stack_labels_list" { type = list(string) }
output "told" { value = "${var.trackside_commit_sha} ${var.trackside_run_trigger} ${var.spacelift_stack_labels}" }
output "label" { value = var.spacelift_stack_labels_list[1] }
"""
PREPARE = '#!/bin/sh\necho \'resource "terraform_data" "made" {}\' >made.tf\necho "prepared as $ROLE"\n'


def test_hooks_of_a_stack_run_from_the_first_to_the_last(world: World) -> None:
    """A script of the repository prepares the plan, the apply has its own variables, the last word is told the end."""
    repo = world.repository()
    files = {".trackside/stacks.yml": STACKS, "app/main.tf": CODE, "app/prepare.sh": PREPARE}
    sha = world.push(repo, files, "First", executable=("app/prepare.sh",))
    run = world.expect_state(RunState.FINISHED)
    check = world.expect_check(repo, sha, "deploy/app", "success")
    assert "terraform_data.made" in (check.text or "") + (check.summary or "")
    log = world.log(run)
    assert "\nprepared as reader\n" in log
    assert "\napply as writer, only yes, build seven, applying\n" in log
    owner, _, name = repo.full_name.partition("/")
    assert f"\n{owner}/{name}/app of {owner} ended as finished\n" in log
    assert f"\ntold {sha} push prod,${{web}} %{{if 🚀\n" in log
    assert "\nlabel ${web} %{if 🚀\n" in log


def test_a_hook_before_the_plan_cannot_move_the_state(world: World) -> None:
    """Only a confirmed plan changes it: the run fails, and says what is there instead; the state is as it was."""
    one, two = (f'resource "terraform_data" "{name}" {{}}\n' for name in ("one", "two"))
    repo = world.repository({".trackside/stacks.yml": AUTODEPLOY % "", "app/main.tf": one})
    world.expect_state(RunState.FINISHED)
    moves = AUTODEPLOY % ", hooks: {before_plan: [terraform state mv terraform_data.one terraform_data.two]}"
    sha = world.push(repo, {".trackside/stacks.yml": moves, "app/main.tf": two}, "Moved by a hook")
    check = world.expect_check(repo, sha, "deploy/app", "failure")
    assert "only an apply does, and none has begun" in (check.summary or "")
    assert "`trackside state mv|rm`" in world.log(world.runs()[-1])
    assert world.sql("SELECT serial, is_quarantined FROM state_versions") == [(1, False)]
    assert world.sql("SELECT count(*) FROM state_locks") == [(0,)]

    block = "moved {\n  from = terraform_data.one\n  to = terraform_data.two\n}\n"
    world.push(repo, {".trackside/stacks.yml": AUTODEPLOY % "", "app/main.tf": two + block}, "Moved by a block")
    world.expect_state(RunState.FINISHED)
    assert world.sql("SELECT max(serial) FROM state_versions") == [(2,)]


def test_other_hooks_are_another_stack_to_a_confirmation(world: World) -> None:
    """What was confirmed is not applied with hooks that nobody saw."""
    repo = world.repository()
    code = 'resource "terraform_data" "web" {}\n'
    sha = world.push(repo, {".trackside/stacks.yml": WAITING % '"echo one"', "app/main.tf": code}, "First")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    confirm = plan.actions[0]["identifier"]
    world.push(repo, {".trackside/stacks.yml": WAITING % '"echo two"'}, "Another hook")
    stale = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert stale.title == "+1 · its settings changed since"
    repo.press_raw(stale, confirm, by="alice")
    world.settle()
    assert world.runs()[0].state is RunState.UNCONFIRMED
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]
