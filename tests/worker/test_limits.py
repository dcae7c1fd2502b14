"""What a run's commands may take: each bound ends them with a sentence, and an apply with its state saved."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.protocol import MAX_LOG_BYTES, Outcome
from app.engine.child import Patience
from app.engine.limits import MIB, Limits, folder_bytes, in_words
from app.engine.workspace import remove_tree
from tests.engine.test_workspace import nest
from tests.worker.world import World, boxes, open_world

PLAIN = 'resource "terraform_data" "one" { input = "hello" }\n'
SLOW = PLAIN + (
    'resource "terraform_data" "two" {\n  depends_on = [terraform_data.one]\n'
    '  provisioner "local-exec" { command = "sleep 600" }\n}\n'
)


@pytest.fixture(params=["none", pytest.param("bubblewrap", marks=boxes())])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Limits hold whatever keeps a worker's runs apart from its machine."""
    with open_world(tmp_path) as made:
        made.isolation = request.param
        yield made


def refused(world: World, line: str, limits: Limits) -> str:
    """The reason with which a run fails whose hook does that."""
    world.start(limits=limits)
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"before_init": (line,)})
    result = world.result()
    assert result.outcome is Outcome.FAILED
    return result.reason


def test_a_hook_that_takes_too_long_is_ended(world: World) -> None:
    assert refused(world, "sleep 600", Limits(hook_s=0.5)).endswith("was ended: it took longer than 0.5 s")


def test_a_command_that_says_nothing_for_too_long_is_ended(world: World) -> None:
    reason = refused(world, "echo begun; sleep 600", Limits(hook_s=60, silence_s=0.5))
    assert reason.endswith("was ended: it printed nothing for 0.5 s")


def test_all_commands_of_a_run_together_have_a_time(world: World) -> None:
    reason = refused(world, "while :; do echo on; sleep 0.1; done", Limits(run_s=1.5))
    assert reason.endswith("was ended: the run took longer than 1.5 s")


def test_a_command_that_ignores_its_interruption_is_killed(world: World) -> None:
    reason = refused(world, "trap '' INT; while :; do sleep 600; done", Limits(hook_s=0.5))
    assert reason.endswith("was ended: it took longer than 0.5 s")


def test_a_plan_that_takes_too_long_is_ended(world: World) -> None:
    world.start(limits=Limits(plan_s=1))
    hooks = {"before_plan": ("mkfifo pipe",)}
    world.assign(world.repository.commit({"main.tf": 'output "never" { value = file("pipe") }\n'}), hooks=hooks)
    assert world.result().reason.startswith("terraform plan was ended: it took longer than 1 s")


def test_an_apply_that_takes_too_long_is_interrupted_and_its_state_is_saved(world: World) -> None:
    """SIGINT reaches Terraform also inside its box: what it made until then is in the state, and the lock is free."""
    world.book.next = "apply"
    world.start(limits=Limits(apply_s=3), patience=Patience(20, 5))
    world.assign(world.repository.commit({"main.tf": SLOW}))
    result = world.result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("terraform apply was ended: it took longer than 3 s")
    made = {one["name"] for one in json.loads(world.book.state)["resources"] if one["instances"]}
    assert "one" in made
    assert not world.book.state_lock
    assert "errored.tfstate" not in result.reason
    assert "terraform_data.one: Creation complete" in world.book.log


def test_what_an_apply_made_is_saved_although_the_workspace_is_full(world: World) -> None:
    """The apply is interrupted; a state that it could not save is tried once more, by a command without limits."""
    world.book.next = "apply"
    world.start(limits=Limits(workspace_bytes=40 * MIB), patience=Patience(20, 5))
    command = "for n in 1 2 3; do truncate -s 20M big$n; done; touch full; sleep 600"
    full = f'resource "terraform_data" "two" {{\n  provisioner "local-exec" {{ command = "{command}" }}\n}}\n'
    world.book.refuse_state_writes = True
    world.assign(world.repository.commit({"main.tf": PLAIN + full}))
    world.book.wait(lambda: "── state push ──" in world.book.log)
    result = world.result()
    assert "terraform apply was ended: the workspace is larger than 40 MiB" in result.reason
    pushed = world.book.log.partition("── state push ──")[2]
    assert "was ended" not in pushed.partition("── state push:")[2].partition("\n")[0]
    assert "errored.tfstate is kept" in result.reason


def test_a_log_that_is_full_says_so_and_the_run_goes_on(world: World) -> None:
    world.start(limits=Limits(output_bytes=100 * MIB))
    line = f"yes {'x' * 999} | head -c 20000000"
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"before_init": (line,)})
    result = world.result()
    assert result.outcome is Outcome.PLANNED
    assert result.log_bytes_left_out > 3_000_000
    assert world.book.log.endswith("… the log has 16 MiB: what follows is left out …\n")
    assert MAX_LOG_BYTES - 2_000 < len(world.book.log.encode()) <= MAX_LOG_BYTES


def test_a_command_that_prints_without_end_is_ended(world: World) -> None:
    reason = refused(world, f"yes {'x' * 999}", Limits(output_bytes=30 * MIB))
    assert reason.endswith("was ended: it printed more than 30 MiB")


def test_a_process_that_takes_too_much_memory_fails(world: World) -> None:
    reason = refused(world, "awk 'BEGIN { s = \"xxxx\"; while (1) s = s s }'", Limits(memory_bytes=64 * MIB))
    assert reason.startswith("hook before_init `awk")


def test_processes_that_take_too_much_memory_together_are_ended(world: World) -> None:
    one = "(x=$(head -c 40000000 /dev/zero | tr '\\0' x); sleep 600; echo ${#x}) &"
    reason = refused(world, f"{one} {one} {one} {one} wait", Limits(memory_bytes=140 * MIB, hook_s=30))
    assert reason.endswith("was ended: it used more than 140 MiB of memory")


def test_more_processes_than_allowed_cannot_be(world: World) -> None:
    line = "n=0; while [ $n -lt 100 ]; do n=$((n + 1)); sleep 600 & done; wait"
    reason = refused(world, line, Limits(processes=60, hook_s=30))
    assert reason.endswith(("was ended: it started more than 60 processes", "exited 2")), reason


def test_a_workspace_of_two_gigabytes_is_refused(world: World) -> None:
    line = "for n in 1 2 3 4; do truncate -s 600M big$n; done; sleep 600"
    reason = refused(world, line, Limits(workspace_bytes=2000 * MIB, hook_s=30))
    assert reason.endswith("was ended: the workspace is larger than 2000 MiB")


def test_a_workspace_that_has_grown_too_large_goes_no_further(world: World) -> None:
    reason = refused(world, "for n in 1 2 3; do truncate -s 8M big$n; done", Limits(workspace_bytes=20 * MIB))
    assert reason.endswith(": the workspace is larger than 20 MiB")


def test_a_file_that_is_too_large_cannot_be_written(world: World) -> None:
    reason = refused(world, "head -c 30000000 /dev/zero >big", Limits(workspace_bytes=20 * MIB))
    named = "was ended by signal 25: one file was about to grow larger than the workspace may be"
    assert reason.endswith((named, "exited 1", "the workspace is larger than 20 MiB")), reason


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "0.5 s"), (60, "a minute"), (90, "90 s"), (420, "7 minutes"), (4200, "70 minutes")]
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_folder_too_deep_to_look_into_is_too_large(tmp_path: Path) -> None:
    """Else its files would count for nothing."""
    assert folder_bytes(tmp_path, enough=1000) == 0
    nest(tmp_path, 700)
    try:
        assert folder_bytes(tmp_path, enough=1000) > 1000
    finally:
        remove_tree(tmp_path / "deeper")
