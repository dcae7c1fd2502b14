"""kill -9 of the worker: what was planning is planned again, what was applying is never applied a second time."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.core.run import LOST_COSTS, RunState
from tests.driver import Processes, World, open_processes, strike, wait_until

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
SLOW = """
locals { many = sum(flatten([for a in range(200) : [for b in range(200) : a * b]])) }
resource "terraform_data" "web" { input = local.many }
"""
"""Planning this takes a second of thought, time enough to catch the engine at it."""
APPENDS = """
resource "terraform_data" "web" {{
  provisioner "local-exec" {{ command = "env > '{file}.env'; echo $$ >> '{file}'; exec sleep 300" }}
}}
"""
"""Applying this leaves a line outside, and does not end by itself."""


@pytest.fixture
def machine(tmp_path: Path, database_url: str) -> Iterator[tuple[World, Processes]]:
    """Trackside as processes, with the shortest lease."""
    with open_processes(tmp_path, database_url, LEASE_S="5", ISOLATION="none") as made:
        yield made


def test_a_run_whose_worker_is_killed_while_planning_is_planned_again(machine: tuple[World, Processes]) -> None:
    """The lost worker's engine ends with it, the run goes back, another worker plans it, and its check says so once."""
    world, processes = machine
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": SLOW}, "First stack")
    engine = stopped_engine(world, "plan")
    assert world.the_run().state is RunState.PLANNING

    processes.kill("worker")

    wait_until(lambda: not is_running(engine), "the engine of the dead worker is gone")
    run = world.wait_for(RunState.UNCONFIRMED)
    assert (run.attempts, run.fencing) == (LOST_COSTS, 2)
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert len(repo.check_runs(sha, latest=False)) == 1
    lost = world.sql("SELECT before, after, cause FROM run_steps WHERE step = 'lose'")
    assert len(lost) == 1
    assert lost[0][:2] == ("planning", "ready")
    assert "was not heard of any more" in str(lost[0][2])
    world.press(plan, "Confirm")
    world.expect_state(RunState.FINISHED)


def test_an_apply_whose_worker_is_killed_is_never_started_again(machine: tuple[World, Processes]) -> None:
    """Its outcome is unknown, the check says so, the stack is on hold, and only a person's word sets it free."""
    world, processes = machine
    repo, file = world.repository(), world.root / "applied"
    code = APPENDS.format(file=file)
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": code}, "First stack")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), "the apply has begun")
    command = int(file.read_text())

    processes.kill("worker")

    run = world.wait_for(RunState.FAILED)
    assert run.is_outcome_unknown
    assert not is_running(command), "what the engine had started ended with it"
    check = world.expect_check(repo, sha, "deploy/app", "failure")
    assert check.title == "outcome unknown: the worker was lost while applying"
    ((stack_id,),) = world.sql("SELECT id FROM stacks")
    assert "The stack is on hold" in (check.summary or "")
    assert "`/trackside unlock app` takes the hold away" in (check.summary or "")

    late = write_state(dict(line.split("=", 1) for line in Path(f"{file}.env").read_text().splitlines() if "=" in line))
    assert late.is_client_error, "what comes from the dead is not the state"
    ((version,),) = world.sql("SELECT id FROM state_versions WHERE is_quarantined")
    again = world.expect_check(repo, sha, "deploy/app", "failure")
    assert again.id == check.id
    assert f"still wrote is kept apart, and is not the stack's current one: `{version}`" in (again.summary or "")
    assert str(version) in world.page(f"/runs/{run.id}")
    assert [one.state for one in repo.deployments(sha)] == ["failure"]

    mended = {"app/main.tf": 'resource "terraform_data" "web" {}\n'}
    second = world.push(repo, mended, "Nothing that hangs")
    waiting = world.expect_check(repo, second, "deploy/app", None)
    assert waiting.title == "queued: the stack is on hold"
    unlocked = world.operate("unlock", str(stack_id))
    assert (unlocked.returncode, unlocked.stderr) == (0, "")
    hold = f"the hold (the outcome of run {run.id} is unknown)"
    assert unlocked.stdout == f"`app` is free again: {hold} was taken away.\n"
    wait_until(lambda: "on hold" not in (check.summary or ""), "the failed run's check says so, too")

    world.wait_for(RunState.UNCONFIRMED)
    world.press(world.expect_check(repo, second, "deploy/app", "action_required"), "Confirm")
    world.wait_for(RunState.FINISHED)
    assert len(file.read_text().splitlines()) == 1, "applied once, whatever happened"
    assert world.sql(f"SELECT count(*) FROM run_steps WHERE run_id = '{run.id}' AND step = 'apply'") == [(1,)]  # noqa: S608
    assert world.sql("SELECT command, is_allowed FROM audit ORDER BY id")[1] == ("unlock app", True)


def engines(world: World, word: str) -> list[int]:
    """The engine's processes of the newest run that were given that word."""
    run, found = world.runs()[-1:], []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            is_ours = bool(run) and run[0].id in os.readlink(folder / "cwd")
        except OSError:
            continue
        if is_ours and argv[0].endswith((b"terraform", b"tofu")) and word.encode() in argv:
            found.append(int(folder.name))
    return found


def stopped_engine(world: World, word: str) -> int:
    """The engine's process of the newest run, stopped while it does that: it neither goes on nor ends by itself."""
    met: list[int] = []

    def is_met() -> bool:
        met[:] = strike(engines(world, word), signal.SIGSTOP)
        return bool(met)

    wait_until(is_met, f"the engine does {word}")
    (engine,) = met
    return engine


def is_running(pid: int) -> bool:
    """True for a process that has not ended; one that waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def write_state(environment: dict[str, str]) -> httpx.Response:
    """What a lost engine that still lives would do: write the state with the credentials that it was given."""
    who = (environment["TF_HTTP_USERNAME"], environment["TF_HTTP_PASSWORD"])
    state = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": 1,
        "lineage": "late",
        "outputs": {},
        "resources": [],
    }
    return httpx.post(environment["TF_HTTP_ADDRESS"], json=state, auth=who, trust_env=False)
