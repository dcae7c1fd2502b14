"""How a worker is told to end: signals, its grace, and what becomes of an apply that it does not wait for."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.core.protocol import Outcome
from app.engine.git import Mirror
from app.vault.stream import stream_cipher
from app.worker.executor import INTERRUPTED
from app.worker.loop import Worker
from app.worker.shutdown import Shutdown
from tests.worker.world import POOL_TOKEN, World, await_gone

SLOW = """
resource "terraform_data" "first" {{}}
resource "terraform_data" "slow" {{
  depends_on = [terraform_data.first]
  provisioner "local-exec" {{ command = "echo $$ > {pid}; exec sleep 300" }}
}}
"""
"""Creates one thing, then works on another that does not end by itself."""


WORKER = """
import signal, sys, threading
from pathlib import Path
from app.core.names import Secret
from app.engine.git import Mirror
from app.vault.stream import stream_cipher
from app.worker.config import WorkerConfig
from app.worker.loop import Worker
from app.worker.shutdown import shutdown_on_signals

def signal_myself():
    if sys.stdin.readline():
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

url, folder, path, token = sys.argv[1:]
config = WorkerConfig(control_url=url, token=Secret(token), pool='default', name='w', poll_s=0.2,
    mirror_root=Path(folder, 'mirrors'), work_root=Path(folder, 'runs'), search_path=path)
shutdown = shutdown_on_signals()
threading.Thread(target=signal_myself, daemon=True).start()
mirror = Mirror(config.mirror_root, allow_file=True)
Worker(config, stream_cipher, mirror=mirror).run(shutdown.begun, hurry=shutdown.hurried)
"""
"""A worker as a process; a line on its standard input has a thread of it get SIGTERM, and not its main thread."""


def start(world: World, stop: threading.Event, hurry: threading.Event, grace_s: float) -> threading.Thread:
    """A worker that waits for an apply for so long."""
    mirror = Mirror(world.folder / "mirrors", allow_file=True)
    worker = Worker(world.config(grace_s=grace_s), stream_cipher, mirror=mirror)
    thread = threading.Thread(target=worker.run, args=(stop,), kwargs={"hurry": hurry})
    thread.start()
    return thread


def applying(world: World, folder: Path) -> int:
    """The process that the apply waits for, once it is there."""
    world.book.next = "apply"
    world.assign(world.repository.commit({"main.tf": SLOW.format(pid=folder / "pid")}))
    world.book.wait(lambda: (folder / "pid").exists() and (folder / "pid").read_text().endswith("\n"))
    return int((folder / "pid").read_text())


@pytest.mark.parametrize("why", ["the grace is over", "a person hurries it"])
def test_an_apply_that_is_not_waited_for_is_interrupted_and_says_what_was_saved(
    world: World, tmp_path: Path, why: str
) -> None:
    """The engine gets what Ctrl-C sends, writes its state, and the run fails with words: its outcome is known."""
    stop, hurry = threading.Event(), threading.Event()
    thread = start(world, stop, hurry, grace_s=0.2 if why == "the grace is over" else 600)
    pid = applying(world, tmp_path)
    stop.set()
    if why != "the grace is over":
        hurry.set()
    result = world.result()
    thread.join(30)
    assert not thread.is_alive()
    await_gone(pid)
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith(INTERRUPTED)
    assert "terraform apply" in result.reason
    assert b'"first"' in world.book.state, "what was done is in the state"
    assert world.book.state_lock == b""


def test_the_first_signal_finishes_the_second_hurries_the_third_is_the_end() -> None:
    shutdown = Shutdown()
    seen = [(shutdown.signal(), shutdown.begun.is_set(), shutdown.hurried.is_set()) for _ in range(3)]
    assert seen == [(True, True, False), (True, True, True), (False, True, True)]


def test_a_signal_that_another_thread_gets_ends_the_worker_too(world: World) -> None:
    """The kernel chooses who gets it: while an engine is started that is not always the thread that waits for it."""
    words = [sys.executable, "-c", WORKER, world.url, str(world.folder), os.environ["PATH"], POOL_TOKEN]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as worker:
        try:
            world.book.wait(lambda: len(world.book.asked) > 1)
            worker.communicate(b"now\n", timeout=30)
        finally:
            worker.kill()
    assert worker.returncode == 0


def test_a_process_that_is_told_twice_interrupts_and_ends_by_itself(world: World, tmp_path: Path) -> None:
    """With real signals: SIGTERM waits, the second one interrupts, the result is said, and the exit code is 0."""
    words = [sys.executable, "-c", WORKER, world.url, str(world.folder), os.environ["PATH"], POOL_TOKEN]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pid = applying(world, tmp_path)
        worker.send_signal(signal.SIGTERM)
        while "waits_for_applies=1" not in (line := worker.stdout.readline()):
            assert line, "the worker ended instead of waiting for the apply"
        assert world.book.results == []
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        await_gone(pid)
    assert [result.outcome for result in world.book.results] == [Outcome.FAILED]
