"""A stack's hooks: the repository's own shell around init, plan and apply, and after the run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.protocol import Outcome
from tests.worker.world import World, await_gone, boxes, open_world

PLAIN = 'resource "terraform_data" "one" { input = "hello" }\n'
TELLS = 'variable "word" { default = "none" }\noutput "said" { value = "${var.word}" }\n' + PLAIN


@pytest.fixture(params=["none", pytest.param("bubblewrap", marks=boxes())])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Whatever keeps a worker's runs apart from its machine: their hooks are the same."""
    with open_world(tmp_path) as made:
        made.isolation = request.param
        yield made


def test_hooks_run_around_each_phase_in_their_order_in_the_project_root(world: World) -> None:
    world.book.next = "apply"
    moments = ("before_init", "after_init", "before_plan", "after_plan", "before_apply", "after_apply", "after_run")
    hooks = {moment: (f"echo {moment} in ${{PWD##*/}}",) for moment in moments}
    world.start()
    world.assign(world.repository.commit({"infra/main.tf": PLAIN}), project_root="infra", hooks=hooks)
    assert world.result().outcome is Outcome.APPLIED
    said = [line for line in world.book.log.splitlines() if line.endswith(" in infra")]
    assert said == [f"{moment} in infra" for moment in moments]
    places = [world.book.log.index(f"── {title} ──") for title in ("before_plan 1 of 1", "plan", "after_plan 1 of 1")]
    assert places == sorted(places)


def test_a_script_of_the_repository_runs_and_what_it_makes_is_planned(world: World) -> None:
    script = '#!/bin/sh\necho \'resource "terraform_data" "made" {}\' >made.tf\n'
    world.repository.commit({"infra/main.tf": PLAIN, "infra/prepare.sh": script})
    world.repository.git("update-index", "--chmod=+x", "infra/prepare.sh")
    world.repository.git("commit", "-qm", "executable")
    world.start()
    sha = world.repository.git("rev-parse", "HEAD")
    world.assign(sha, project_root="infra", hooks={"before_init": ("./prepare.sh",)})
    assert world.result().outcome is Outcome.PLANNED
    assert "terraform_data.made" in {change.address for change in world.book.plans[0].summary.changes}


def test_what_a_hook_exports_is_there_for_all_that_follows_on_the_worker(world: World) -> None:
    world.book.next = "apply"
    hooks = {
        "before_init": ("export TF_VAR_word='two\nlines'; QUIET=1", "export PATH=$PATH:/made/up"),
        "before_apply": ('test "$TF_VAR_word" = "two\nlines"; test -z "${QUIET-}"; echo "path ends $PATH"',),
    }
    world.start()
    world.assign(world.repository.commit({"main.tf": TELLS}), hooks=hooks)
    result = world.result()
    assert (result.outcome, result.reason) == (Outcome.APPLIED, "")
    assert [output.value for output in result.outputs] == ['"two\\nlines"']
    assert ":/made/up\n" in world.book.log


def test_what_changes_the_engine_is_not_handed_on(world: World) -> None:
    world.start()
    line = "export TF_CLI_ARGS_plan=-destroy TF_VAR_word=fine"
    world.assign(world.repository.commit({"main.tf": TELLS}), hooks={"before_plan": (line,)})
    assert world.result().outcome is Outcome.PLANNED
    assert "exported, and not handed on: TF_CLI_ARGS_plan\n" in world.book.log
    assert {change.action.value for change in world.book.plans[0].summary.changes} == {"create"}


def test_a_before_hook_that_fails_prevents_its_phase_and_fails_the_run(world: World) -> None:
    world.start()
    hooks = {
        "before_plan": ("false; echo went on", "echo second"),
        "after_run": ("echo it $TF_VAR_trackside_run_state",),
    }
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks=hooks)
    result = world.result()
    assert (result.outcome, result.reason) == (
        Outcome.FAILED,
        "hook before_plan `false; echo went on` exited 1",
    )
    assert world.book.plans == []
    for absent in ("\nwent on\n", "\nsecond\n", "── plan ──"):
        assert absent not in world.book.log
    assert "\nit failed\n" in world.book.log


def test_no_after_hook_runs_when_its_phase_failed_but_after_run_does(world: World) -> None:
    world.start()
    hooks = {"after_plan": ("echo never",), "after_run": ("echo ended as $TF_VAR_spacelift_final_run_state", "false")}
    world.assign(world.repository.commit({"main.tf": "output {\n"}), hooks=hooks)
    assert world.result().outcome is Outcome.FAILED
    assert "\nnever\n" not in world.book.log
    assert "\nended as failed\n" in world.book.log
    assert "hook after_run `false` exited 1: the run has ended already, this changes nothing" in world.book.log


def test_a_hook_that_fails_before_the_apply_leaves_everything_as_it_was(world: World) -> None:
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"before_apply": ("exit 7",)})
    result = world.result()
    assert result.reason == "hook before_apply `exit 7` exited 7: nothing was applied"
    assert not world.book.state


def test_a_hook_that_changes_the_plan_file_ends_the_run(world: World) -> None:
    """Nothing but the confirmed plan is applied, whoever has had a hand on it."""
    world.book.next = "apply"
    world.start(isolation="none")
    line = 'printf x >>"$TF_DATA_DIR/../plan.tfplan"'
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"before_apply": (line,)})
    result = world.result()
    assert (result.outcome, result.reason) == (Outcome.FAILED, "a hook changed the plan file: nothing was applied")
    assert not world.book.state


def test_what_fails_after_the_apply_says_that_it_was_applied(world: World) -> None:
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"after_apply": ("exit 3",)})
    result = world.result()
    assert (result.outcome, result.reason) == (
        Outcome.FAILED,
        "applied, and then: hook after_apply `exit 3` exited 3",
    )
    assert world.book.state


def test_after_run_runs_before_a_run_without_changes_is_over(world: World) -> None:
    world.book.next = "done"
    world.start()
    hooks = {"after_run": ("echo ended as $TF_VAR_trackside_final_run_state",)}
    world.assign(world.repository.commit({"main.tf": "locals { a = 1 }\n"}), hooks=hooks)
    world.book.wait(lambda: world.book.plans)
    world.end()
    assert "\nended as finished\n" in world.book.log


def test_after_run_waits_for_the_end_of_a_run_that_waits_for_a_person(world: World) -> None:
    hooks = {"after_run": ("echo ended as $TF_VAR_trackside_final_run_state",)}
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start()
    world.assign(sha, hooks=hooks)
    assert world.result(1).outcome is Outcome.PLANNED
    assert "ended as" not in world.book.log.replace(hooks["after_run"][0], "")
    world.assign_apply(sha, hooks=hooks)
    assert world.result(2).outcome is Outcome.APPLIED
    assert world.book.log.count("\nended as finished\n") == 1


def test_after_run_runs_when_a_person_stopped_the_run(world: World) -> None:
    world.book.lease_s = 1.5
    world.start()
    hooks = {"before_init": ("exec sleep 600",), "after_run": ("echo ended as $TF_VAR_trackside_final_run_state",)}
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks=hooks)
    world.book.wait(lambda: "── before_init 1 of 1 ──" in world.book.log)
    world.book.stop = True
    result = world.result()
    assert (result.outcome, result.reason) == (Outcome.STOPPED, "stopped during before init")
    assert "\nended as stopped\n" in world.book.log


def test_the_variables_of_an_apply_take_the_place_of_the_plans(world: World) -> None:
    """`ro_` and `wo_` hold on the worker that plans and applies at once, also against what a hook exported."""
    world.book.next, world.book.apply_environment = "apply", {"ROLE": "writer", "BOTH": "x"}
    hooks = {
        "before_plan": ('test "$ROLE" = reader; export ROLE=reader-session KEPT=yes',),
        "before_apply": ('echo "apply as $ROLE, ${ONLY_PLAN-nothing}, $KEPT"',),
    }
    world.start()
    environment = {"ROLE": "reader", "ONLY_PLAN": "y", "BOTH": "x"}
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks=hooks, environment=environment)
    assert world.result().outcome is Outcome.APPLIED
    assert "\napply as writer, nothing, yes\n" in world.book.log


def test_a_hook_that_forks_and_hides_ends_with_its_line(world: World, tmp_path: Path) -> None:
    world.start()
    hide = "setsid sh -c 'echo $$ >pid.new && mv pid.new pid && exec sleep 600' >/dev/null 2>&1 &"
    line = f"{hide} while ! test -f pid; do :; done"
    find = "if grep -qs sleep /proc/$(cat pid)/cmdline; then echo it lives; else echo it is gone; fi"
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"before_init": (line, find)})
    assert world.result().outcome is Outcome.PLANNED
    assert "\nit is gone\n" in world.book.log


def test_secrets_that_a_hook_prints_are_masked(world: World) -> None:
    world.start()
    world.assign(
        world.repository.commit({"main.tf": PLAIN}),
        environment={"TOKEN": "very-secret-value"},
        secret_names=("TOKEN",),
        hooks={"before_init": ('echo "token $TOKEN"; echo "$TF_HTTP_PASSWORD"',)},
    )
    assert world.result().outcome is Outcome.PLANNED
    assert "token ***\n" in world.book.log
    assert "very-secret-value" not in world.book.log
    assert "state-password-123" not in world.book.log


def test_the_run_is_told_to_hooks_and_configuration_under_both_names(world: World) -> None:
    text = (
        'variable "trackside_run_id" {}\nvariable "spacelift_stack_id" {}\n'
        'output "who" { value = "${var.trackside_run_id} ${var.spacelift_stack_id}" }\n'
    )
    world.book.next = "apply"
    world.start()
    told = {"run_id": "R", "stack_id": "acme/infra/network", "not_declared": "x"}
    line = "echo state $TF_VAR_trackside_run_state in $TF_VAR_spacelift_workspace_root"
    world.assign(world.repository.commit({"main.tf": text}), variables=told, hooks={"before_plan": (line,)})
    result = world.result()
    assert [output.value for output in result.outputs] == ['"R acme/infra/network"']
    assert "\nstate planning in /" in world.book.log
    assert "not_declared" not in world.book.log, "Terraform says nothing of variables that nobody declared"


def test_each_step_has_a_section_with_its_duration_and_end(world: World) -> None:
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"before_init": ("true",)})
    assert world.result().outcome is Outcome.APPLIED
    ends = [line for line in world.book.log.splitlines() if line.startswith("── ") and " s" in line.partition(":")[2]]
    titles = [line.split(": ")[0].removeprefix("── ") for line in ends]
    assert titles == ["fetch", "before_init 1 of 1", "init", "plan", "show", "apply", "outputs"]
    assert [line.rpartition(" s")[2] for line in ends[1:]] == [f", exited {code} ──" for code in (0, 0, 2, 0, 0, 0)]


def test_kill_nine_of_a_lost_hook_reaches_what_it_started(world: World, tmp_path: Path) -> None:
    world.book.lease_s = 1.5
    world.start(isolation="none")
    line = f"echo $$ >{tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 600"
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"before_init": (line,)})
    world.book.wait((tmp_path / "pid").is_file)
    world.book.refuse["heartbeat"] = 409
    await_gone(int((tmp_path / "pid").read_text()))
    world.end()
    assert world.book.results == []
    assert os.listdir(world.folder / "runs") == []
