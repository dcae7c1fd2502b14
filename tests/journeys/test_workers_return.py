"""A worker comes back from the dead: paused for longer than its lease, it finds its runs gone, and changes nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.core.run import LOST_COSTS, RunState
from tests.driver import POOL_TOKEN, Processes, World, open_processes, wait_until
from tests.journeys.test_chaos_worker import APPENDS, SLOW, STACKS, is_running, stopped_engine


@pytest.fixture
def machine(tmp_path: Path, database_url: str) -> Iterator[tuple[World, Processes]]:
    """Trackside as processes, with the shortest lease."""
    with open_processes(tmp_path, database_url, LEASE_S="5", ISOLATION="none") as made:
        yield made


@contextmanager
def another_worker(world: World) -> Iterator[None]:
    """A second worker process beside the one of the tree, as a person starts it; ended with the block."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(world.root),
        "CONTROL_URL": world.url,
        "WORKER_TOKEN": POOL_TOKEN,
        "DATA_DIR": str(world.root / "another"),
        "ISOLATION": "none",
    }
    words = [sys.executable, "-m", "app.cli", "worker", "--name", "another", "--pool", "default", "--concurrency", "2"]
    with (world.root / "another.log").open("wb") as log:
        process = subprocess.Popen(words, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def spoken(world: World) -> str:
    """What the parts of the tree logged."""
    return (world.root / "log").read_text("utf-8", "replace")


def test_a_paused_worker_finds_that_another_has_planned(machine: tuple[World, Processes]) -> None:
    """Its engine is killed before it can say anything; plan, log and check stay those of who took over; and it works
    again afterwards."""
    world, processes = machine
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": SLOW}, "First stack")
    engine = stopped_engine(world, "plan")
    worker = processes.pid("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        with another_worker(world):
            run = world.expect_state(RunState.UNCONFIRMED)
            assert (run.attempts, run.fencing) == (LOST_COSTS, 2)
            ((who,),) = world.sql("SELECT worker FROM assignments WHERE fencing = 2")
            assert str(who).startswith("another/")
            before = (run.plan, world.log(run), world.sql("SELECT count(*) FROM run_steps"))

            os.kill(worker, signal.SIGCONT)
            wait_until(lambda: not is_running(engine), "the engine of the paused worker is gone")
            wait_until(lambda: "ending the work of a lost assignment" in spoken(world), "the worker knows")
            run = world.expect_state(RunState.UNCONFIRMED)
            assert (run.plan, world.log(run), world.sql("SELECT count(*) FROM run_steps")) == before
    finally:
        os.kill(worker, signal.SIGCONT)
    assert processes.pid("worker") == worker, "it was not started again"
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    world.expect_state(RunState.FINISHED)


def test_a_paused_worker_finds_that_its_apply_was_given_up(machine: tuple[World, Processes]) -> None:
    """What it had started is killed at once; the outcome stays unknown, whatever it has to say, and the hold stays."""
    world, processes = machine
    repo, file = world.repository(), world.root / "applied"
    code = APPENDS.format(file=file)
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": code}, "First stack")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), "the apply has begun")
    command, worker = int(file.read_text()), processes.pid("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        run = world.wait_for(RunState.FAILED)
        assert run.is_outcome_unknown
        assert is_running(command), "a paused worker ends nothing"
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_until(lambda: not is_running(command), "what its engine had started is gone")
    wait_until(lambda: "ending the work of a lost assignment" in spoken(world), "the worker knows")
    check = world.expect_check(repo, sha, "deploy/app", "failure")
    assert check.title == "outcome unknown: the worker was lost while applying"
    assert world.the_run() == run
    assert world.sql("SELECT count(*) FROM stacks WHERE hold_reason <> ''") == [(1,)]
    assert world.sql("SELECT count(*) FROM state_versions WHERE NOT is_quarantined") == [(0,)]
    assert len(file.read_text().splitlines()) == 1
