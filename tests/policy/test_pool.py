"""The pool's children: how many, what becomes of them, and what a question sees of it."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest

from app.core.contract import PolicyType
from app.core.errors import UserError
from app.policy.pool import OpaPool
from tests.policy.asked import failed, told, written

SAYS_N = written('message contains sprintf("%v", [input.n])\ntrack if input.n > 2')


def test_no_child_is_started_before_the_first_question() -> None:
    with OpaPool(2) as pool:
        assert pool.backend.pids == ()
        told(pool, SAYS_N, {"n": 1})
        assert len(pool.backend.pids) == 1


def test_threads_get_their_own_answers_from_two_children() -> None:
    with OpaPool(2) as pool, ThreadPoolExecutor(8) as threads:
        said = list(threads.map(lambda n: told(pool, SAYS_N, {"n": n}).rules["message"], range(60)))
        assert said == [[str(n)] for n in range(60)]
        assert len(pool.backend.pids) == 2


def test_a_killed_child_is_replaced_for_the_next_question() -> None:
    with OpaPool(1) as pool:
        told(pool, SAYS_N, {"n": 3})
        child = psutil.Process(pool.backend.pids[0])
        child.kill()
        child.wait(5)
        assert told(pool, SAYS_N, {"n": 3}).rules["track"] is True


def test_a_child_that_dies_while_asked_is_a_crash_and_is_never_asked_again_for_it() -> None:
    endless = written("track if count([1 | numbers.range(1, 9000)[_]; numbers.range(1, 9000)[_]]) > 0")
    with OpaPool(1) as pool:
        told(pool, SAYS_N, {"n": 3})
        pid = pool.backend.pids[0]
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        said = failed(pool, endless)
        assert said.kind == "crash"
        assert "signal 9" in said.message
        assert told(pool, SAYS_N, {"n": 3}).rules["track"] is True


def test_a_child_left_in_the_middle_of_an_answer_is_asked_nothing_more() -> None:
    """The answer that nobody waited for is not the next question's."""
    with OpaPool(1, timeouts_s={PolicyType.PUSH: 1e7}) as pool:  # longer than the system can wait: no wait begins
        with pytest.raises(OverflowError):
            pool.evaluate(SAYS_N, {"n": 1})
        assert pool.backend.pids == ()


def test_children_are_gone_when_the_pool_is_closed() -> None:
    with OpaPool(1) as pool:
        told(pool, SAYS_N, {"n": 3})
        pid = pool.backend.pids[0]
    assert not psutil.pid_exists(pid)
    with pytest.raises(UserError, match="was closed"):
        pool.evaluate(SAYS_N, {"n": 3})


def test_a_child_ends_with_its_parent_even_in_the_middle_of_an_evaluation() -> None:
    script = (
        "import threading, time, sys\n"
        "from app.policy.pool import OpaPool\n"
        "from app.core.contract import PolicyText, PolicyType\n"
        "text = 'package spacelift\\ntrack if count([1 | numbers.range(1, 9000)[_]; numbers.range(1, 9000)[_]]) > 0'\n"
        "pool = OpaPool(1)\n"
        "ask = lambda: pool.evaluate(PolicyText(name='p', type=PolicyType.PUSH, path='p', text=text), {})\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        "while not pool.backend.pids: time.sleep(0.01)\n"
        "print(pool.backend.pids[0], flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    child.wait(5)


def test_without_the_engine_a_question_names_both_ways_out(tmp_path: Path) -> None:
    script = (
        "from app.policy.pool import OpaPool\n"
        "from app.core.contract import PolicyText, PolicyType\n"
        "try: OpaPool(1).evaluate(PolicyText(name='p', type=PolicyType.PUSH, path='p', text='package spacelift'), {})\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    (tmp_path / "msgspec").symlink_to(Path(msgspec.__file__).parent)  # all that the room needs, and nothing else
    env = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == "UserError no policy engine: install requirements-opa.lock, or set OPA_URL"
