"""A worker's life against a control plane over HTTP: real git, real terraform, real state, archives between workers."""

import base64
import io
import json
import os
import resource
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from app.core.names import Secret
from app.core.protocol import Outcome
from app.core.statepoint import NO_STATE
from app.engine.archive import pack, restore
from app.engine.workspace import WorkspaceRoot
from app.vault.stream import stream_cipher
from tests.worker.world import KEY, RUN, World, isolated

PLAIN = 'resource "terraform_data" "one" { input = "hello" }\noutput "said" { value = terraform_data.one.output }\n'


def test_a_plan_made_by_one_worker_is_applied_by_another(world: World) -> None:
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start("worker-1")
    world.assign(sha)
    assert world.result(1).outcome is Outcome.PLANNED
    world.end()
    plan = world.book.plans[0]
    assert (plan.engine, plan.has_changes) == (world.engine.label, True)
    assert [change.address for change in plan.summary.changes] == ["terraform_data.one", "said"]
    assert [(one.address, one.path, one.start_line) for one in plan.summary.blocks] == [
        ("terraform_data.one", "main.tf", 1),
        ("output.said", "main.tf", 2),
    ]
    assert world.book.stages == [("initializing", "managed"), ("planning", "")]
    assert not list((world.folder / "runs").iterdir())

    world.start("worker-2")
    world.assign_apply(sha)
    result = world.result(2)
    assert (result.outcome, result.reason) == (Outcome.APPLIED, "")
    assert [(output.name, output.value) for output in result.outputs] == [("said", '"hello"')]
    assert world.book.applies == [plan.digest]
    assert len(json.loads(world.book.state)["resources"]) == 1
    assert not world.book.state_lock
    for header in ("fetch", "init", "plan", "store", "restore", "apply"):
        assert f"── {header} ──\n" in world.book.log
    assert "terraform_data.one: Creation complete" in world.book.log


def test_autodeploy_applies_on_the_same_worker_without_an_archive(world: World) -> None:
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}))
    assert world.result().outcome is Outcome.APPLIED
    assert world.book.archive == b""
    assert world.book.applies == []


def test_a_plan_without_changes_needs_nothing_more(world: World) -> None:
    world.book.next = "done"
    world.start()
    world.assign(world.repository.commit({"main.tf": "locals { a = 1 }\n"}))
    world.book.wait(lambda: world.book.plans)
    world.end()
    assert not world.book.plans[0].has_changes
    assert world.book.results == []
    assert "planned: no changes" in world.book.log


def test_a_first_run_says_who_keeps_the_state_and_gets_credentials(world: World) -> None:
    world.book.on_first_stage = world.state_access()
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}), state_mode="", state=None)
    assert world.result().outcome is Outcome.PLANNED
    assert world.book.stages[0] == ("initializing", "managed")


def test_external_state_is_left_to_the_configuration(world: World) -> None:
    backend = f'terraform {{\n  backend "local" {{ path = "{world.folder}/outside.tfstate" }}\n}}\n'
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": backend + PLAIN}), state_mode="", state=None)
    assert world.result().outcome is Outcome.APPLIED
    assert world.book.stages[0] == ("initializing", "external")
    assert (world.folder / "outside.tfstate").is_file()


def test_a_commit_that_lost_its_backend_never_plans(world: World) -> None:
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}), state_mode="external", state=None)
    result = world.result()
    assert result.outcome is Outcome.FAILED
    assert "state mode changed: set `state:`" in result.reason
    assert world.book.plans == []


def test_proposed_runs_read_the_state_and_take_no_lock(world: World) -> None:
    world.book.next = "done"
    world.start()
    state = world.state_access(is_read_only=True)
    world.assign(world.repository.commit({"main.tf": PLAIN}), run_type="proposed", state=state)
    world.book.wait(lambda: world.book.plans)
    assert not [request for request in world.book.requests if request.startswith("LOCK")]


def test_targets_reach_the_plan_and_the_report_says_so_with_where_the_state_was(world: World) -> None:
    world.start()
    sha = world.repository.commit({"main.tf": PLAIN + 'resource "terraform_data" "two" {}\n'})
    world.assign(sha, targets=("terraform_data.two",))
    assert world.result().outcome is Outcome.PLANNED
    (plan,) = world.book.plans
    assert plan.is_targeted
    assert plan.state == NO_STATE
    assert [change.address for change in plan.summary.changes] == ["terraform_data.two"]


def test_a_failing_plan_says_what_where_and_which_command(world: World) -> None:
    text = 'variable "day" { default = 5 }\nresource "terraform_data" "one" {\n  lifecycle {\n    precondition {\n'
    text += '      condition     = var.day != 5\n      error_message = "Never on a Friday."\n    }\n  }\n}\n'
    world.start()
    world.assign(world.repository.commit({"infra/main.tf": text}), project_root="infra")
    result = world.result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("terraform plan exited 1: Resource precondition failed (main.tf:5")
    assert "Never on a Friday." in result.reason
    assert world.book.plans == []


def test_a_failing_init_quotes_the_engines_error(world: World) -> None:
    world.start()
    world.assign(world.repository.commit({"main.tf": 'module "m" {\n  source = "./gone"\n}\n'}))
    reason = world.result().reason
    assert reason.startswith("terraform init exited 1: Unreadable module directory")


def test_a_failing_apply_says_so_and_its_state_is_saved(world: World) -> None:
    text = PLAIN + 'resource "terraform_data" "two" {\n  provisioner "local-exec" { command = "exit 7" }\n}\n'
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": text}))
    result = world.result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("terraform apply exited 1: local-exec provisioner error (main.tf:4")
    assert {part["name"] for part in json.loads(world.book.state)["resources"]} == {"one", "two"}


def test_a_project_root_through_a_link_out_of_the_commit_is_refused(world: World) -> None:
    world.repository.path.joinpath("out").symlink_to("/etc")
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}), project_root="out")
    assert world.result().reason == "preparing stack network: project root 'out': leads out of the repository"


def test_a_version_that_the_worker_does_not_have_names_all_three(world: World) -> None:
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}), version="~> 0.11")
    reason = world.result().reason
    assert all(word in reason for word in ("network", "~> 0.11", world.engine.label))


def test_a_commit_that_is_gone_fails_with_words(world: World) -> None:
    world.repository.commit({"main.tf": PLAIN})
    world.start()
    world.assign("1" * 40)
    result = world.result()
    assert result.outcome is Outcome.FAILED
    assert "1" * 40 in result.reason


def test_secrets_are_in_no_log_no_reason_and_no_report(world: World) -> None:
    secret = "s3cr3t-v4lue&<more>"
    text = 'variable "password" { type = string }\nresource "terraform_data" "leak" {\n  input = var.password\n'
    text += '  provisioner "local-exec" {\n    command = "printf %s \\"$PW\\" | base64; echo $PW; exit 1"\n'
    text += "    environment = { PW = var.password }\n  }\n}\n"
    world.book.next = "apply"
    world.start()
    environment = {"TF_VAR_password": secret}
    world.assign(world.repository.commit({"main.tf": text}), environment=environment, secret_names=("TF_VAR_password",))
    result = world.result()
    assert result.outcome is Outcome.FAILED
    said = world.book.log + result.reason + msgspec.json.encode(world.book.plans[0].summary).decode()
    assert "***" in said
    for form in (secret, "s3cr3t", "czNjcjN0LXY0bHVl", "state-password-123"):
        assert form not in said


def test_the_environment_is_made_from_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS_OWN", "not-for-plans")
    text = 'resource "terraform_data" "env" {\n  provisioner "local-exec" { command = "env | cut -d= -f1 | sort" }\n}\n'
    world.book.next = "apply"
    world.start()
    sha = world.repository.commit({"main.tf": text})
    world.assign(sha, environment={"TF_VAR_region": "eu"}, clone_token="t0ken-clone")
    assert world.result().outcome is Outcome.APPLIED
    names = {line.split("(local-exec): ")[1] for line in world.book.log.splitlines() if "(local-exec): " in line}
    assert "TF_VAR_region" in names
    assert not names & {"WORKERS_OWN", "GIT_CONFIG_VALUE_0", "TF_LOG", "TF_CLI_ARGS"}


def test_an_apply_that_is_refused_never_starts_the_engine(world: World) -> None:
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start()
    world.assign(sha)
    world.result(1)
    world.book.refuse["apply"] = 409
    world.assign_apply(sha)
    world.book.wait(lambda: any(request.endswith("2/apply") for request in world.book.requests))
    world.end()
    assert world.book.state == b""
    assert "── apply ──" not in world.book.log
    assert len(world.book.results) == 1


def test_another_plan_than_the_confirmed_one_is_never_applied(world: World) -> None:
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start()
    world.assign(sha)
    world.result(1)
    world.assign_apply(sha, plan_digest="0" * 64)
    result = world.result(2)
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("the stored workspace is not this plan's: opening plan 00000000")
    assert result.reason.endswith("nothing was applied; plan again")
    assert world.book.applies == []


def test_a_plan_file_that_is_not_the_confirmed_one_never_applies_whatever_its_archive_says(world: World) -> None:
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start()
    world.assign(sha)
    world.result(1)
    context = {"run": RUN, "sha": sha, "plan": world.book.plans[0].digest}
    workspace = WorkspaceRoot(world.folder / "runs").open(RUN)
    restore(workspace, io.BytesIO(world.book.archive), cipher=stream_cipher(Secret(KEY), context))
    repacked = io.BytesIO()
    pack(workspace, repacked, cipher=stream_cipher(Secret(KEY), context | {"plan": "0" * 64}), max_bytes=10**9)
    workspace.close()
    world.book.archive = repacked.getvalue()
    world.assign_apply(sha, plan_digest="0" * 64)
    assert world.result(2).reason.startswith("the stored plan is not the confirmed one")
    assert world.book.applies == []


def test_another_engine_than_the_one_that_planned_never_applies(world: World) -> None:
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start()
    world.assign(sha)
    world.result(1)
    world.assign_apply(sha, engine="terraform 1.0.0")
    assert "made with terraform 1.0.0 and this worker has" in world.result(2).reason
    assert world.book.applies == []


def test_a_damaged_archive_fails_and_applies_nothing(world: World) -> None:
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start()
    world.assign(sha)
    world.result(1)
    middle = len(world.book.archive) // 2
    whole = world.book.archive
    wrong = {
        "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "cut": whole[:-1],
        "empty": b"",
        "longer": whole + b"x",
    }
    for number, (name, archive) in enumerate(wrong.items(), start=2):
        world.book.archive = archive
        world.assign_apply(sha, id=f"01JASSXGNMENT000000000000{number}", fencing=number)
        result = world.result(number)
        assert result.outcome is Outcome.FAILED, name
        assert result.reason.startswith("the stored workspace is not this plan's"), name
    assert world.book.applies == []


def test_what_this_worker_cannot_write_is_not_told_as_another_plans_archive(world: World) -> None:
    sha = world.repository.commit({"main.tf": PLAIN, "large.txt": "x" * 3_000_000})
    world.start()
    world.assign(sha)
    world.result(1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        world.assign_apply(sha)
        reason = world.result(2).reason
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert reason == "restore workspace on worker worker-1: the worker's own log says what happened"


def test_an_archive_of_another_run_commit_plan_or_key_never_applies(world: World) -> None:
    """Swapped and replayed ones open for nobody: what an archive is, is part of what it is sealed with."""
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start()
    world.assign(sha)
    world.result(1)
    other_key = base64.b64encode(bytes(range(1, 33))).decode()
    others: list[dict[str, Any]] = [
        {"archive_context": {"run": RUN, "sha": "f" * 40}},
        {"archive_context": {"run": "01JABCDEFGHJKMNPQRSTVWXYZ1", "sha": sha}},
        {"plan_digest": "f" * 64},
        {"data_key": other_key},
    ]
    for number, other in enumerate(others, start=2):
        world.assign_apply(sha, id=f"01JASSXGNMENT000000000000{number}", fencing=number, **other)
        result = world.result(number)
        assert result.outcome is Outcome.FAILED
        assert result.reason.startswith("the stored workspace is not this plan's"), other
        assert other_key not in result.reason
    assert world.book.applies == []


def test_a_lost_answer_is_asked_for_again(world: World) -> None:
    world.book.refuse["stage"] = 503
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}))
    world.book.wait(lambda: sum(request.endswith("/stage") for request in world.book.requests) >= 2)
    del world.book.refuse["stage"]
    assert world.result().outcome is Outcome.PLANNED


def test_a_state_that_could_not_be_saved_is_kept(world: World, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = f'resource "terraform_data" "one" {{\n  provisioner "local-exec" {{ command = "cat {tmp_path}/pipe" }}\n}}\n'
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": text}))
    with open(tmp_path / "pipe", "w"):  # opened once the provisioner reads it
        world.book.refuse_state_writes = True
    result = world.result()
    assert result.outcome is Outcome.FAILED
    kept = tmp_path / "errored" / f"{RUN}.tfstate"
    assert f"errored.tfstate is kept on worker worker-1 in {kept}" in result.reason
    assert json.loads(kept.read_bytes())["resources"]
    assert kept.stat().st_mode & 0o077 == 0


def test_a_state_that_cannot_be_kept_elsewhere_stays_in_its_workspace(world: World, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = f'resource "terraform_data" "one" {{\n  provisioner "local-exec" {{ command = "cat {tmp_path}/pipe" }}\n}}\n'
    (tmp_path / "errored").write_text("in the way")
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": text}))
    with open(tmp_path / "pipe", "w"):  # opened once the provisioner reads it
        world.book.refuse_state_writes = True
    result = world.result()
    world.end()
    left = world.folder / "runs" / RUN / "source/errored.tfstate"
    assert result.outcome is Outcome.FAILED
    assert f"it is left on worker worker-1 in {left}" in result.reason
    assert json.loads(left.read_bytes())["resources"]


def test_outputs_that_cannot_be_read_do_not_make_an_apply_a_failure(world: World, tmp_path: Path) -> None:
    odd = tmp_path / "terraform"
    odd.write_text(f'#!/bin/sh\n[ "$1" != output ] || exec echo "[]"\nexec {world.engine.argv[0]} "$@"\n')
    odd.chmod(0o700)
    world.book.next = "apply"
    world.start(terraform_bin=str(odd))
    world.assign(world.repository.commit({"main.tf": PLAIN}))
    assert (world.result().outcome, world.result().reason) == (Outcome.APPLIED, "")
    assert "applied, but its outputs could not be read: reading the outputs" in world.book.log


def test_a_worker_says_at_its_start_what_keeps_runs_apart(world: World) -> None:
    with capture_logs() as told:
        world.start().set()
        world.end()
        found = isolated("auto")
        world.start("worker-2", isolation="auto").set()
        world.end()
    said = [line for line in told if "isolated" in line["event"].lower()]
    assert (said[0]["event"], said[0]["log_level"], said[0]["reason"]) == (
        "runs are NOT isolated",
        "warning",
        "ISOLATION=none",
    )
    assert said[1].get("by", said[1].get("reason")) == (found.summary if found.is_on else found.why_not)


WARNS = """\
variable "password" { default = "correct-horse-battery" }
resource "terraform_data" "one" { input = "x" }
check "health" {
  assert {
    condition     = terraform_data.one.input == "y"
    error_message = "With ${var.password} it is not healthy."
  }
}
"""


def test_what_the_engine_warns_of_is_reported_with_its_place_and_without_secrets(world: World) -> None:
    world.book.next = "done"
    world.start()
    secret = {"TF_VAR_password": "staple-battery-horse"}
    sha = world.repository.commit({"infra/main.tf": WARNS})
    world.assign(sha, project_root="infra", environment=secret, secret_names=("TF_VAR_password",))
    world.book.wait(lambda: world.book.plans)
    (remark,) = world.book.plans[0].summary.remarks
    assert (remark.summary, remark.path, remark.line) == ("Check block assertion failed", "infra/main.tf", 5)
    assert "it is not healthy" in remark.detail
    assert "staple" not in remark.detail
    assert not remark.is_error


def test_what_a_plan_failed_by_is_reported_with_its_place(world: World) -> None:
    world.start()
    sha = world.repository.commit({"infra/main.tf": 'resource "terraform_data" "x" {\n  input = var.gone\n}\n'})
    world.assign(sha, project_root="infra")
    result = world.result()
    assert result.outcome is Outcome.FAILED
    (remark,) = result.remarks
    assert (remark.is_error, remark.path, remark.line) == (True, "infra/main.tf", 2)
    assert remark.summary == "Reference to undeclared input variable"
