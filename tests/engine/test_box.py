"""What a box shows of the machine: an engine that is a script of this installation runs in it too."""

import os
import sys
from pathlib import Path

import pytest

from app.engine.box import Box, engine_files
from app.engine.child import Command, Control, Ended, Patience, run_child
from app.engine.limits import MIB, Limits, folder_bytes
from app.engine.stream import Lines
from tests.worker.world import boxes, isolated


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name in ("source", "data", "home", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


@boxes()
def test_the_interpreter_of_a_virtual_environment_runs_in_a_box(workspace: Path) -> None:
    """As the try-out engine does: `python -I -S shim.py library.so`."""
    script = workspace.parent / "shim.py"
    script.write_text("import ctypes, json, sys\nprint('python in a box', *sys.argv[1:])\n")
    argv, tools = engine_files([sys.executable, "-I", "-S", str(script), "init"])
    box = Box(isolation=isolated("auto"), workspace=workspace, tools=tools)
    box.adopt(*(workspace / name for name in ("source", "data", "home", "tmp")))
    said: list[str] = []
    command = Command(argv=argv, env={"PATH": os.defpath}, cwd=workspace / "source", box=box)
    ended = run_child(command, control=Control(), sinks=(Lines(said.append), Lines(said.append)))
    assert (ended, said) == (Ended(0), ["python in a box init"])
    script.unlink()


@boxes()
@pytest.mark.parametrize(("line", "ended"), [("exit 3", Ended(3)), ("kill -9 $$", Ended(-9)), ("exit 255", Ended(255))])
def test_how_a_command_ended_is_told_through_its_box(workspace: Path, line: str, ended: Ended) -> None:
    box = Box(isolation=isolated("auto"), workspace=workspace)
    box.adopt(workspace / "source")
    command = Command(argv=["/bin/sh", "-c", line], env={"PATH": os.defpath}, cwd=workspace / "source", box=box)
    assert run_child(command, control=Control(), sinks=(Lines(print), Lines(print))) == ended


def test_what_has_to_be_tried_is_tried_when_the_time_is_over(workspace: Path) -> None:
    control = Control(Patience(0.2, 0.2), Limits(run_s=0.001))
    late = Command(argv=["/bin/sleep", "600"], env={"PATH": os.defpath}, cwd=workspace)
    assert run_child(late, control=control, sinks=(Lines(print), Lines(print))).excess
    said: list[str] = []
    argv = ["/bin/sh", "-c", "sleep 0.5; echo saved"]
    command = Command(argv=argv, env={"PATH": os.defpath}, cwd=workspace, is_bound=False)
    assert run_child(command, control=control, sinks=(Lines(said.append), Lines(print))) == Ended(0)
    assert said == ["saved"]


def test_a_folders_size_counts_a_file_once_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 1000)
    os.link(tmp_path / "a" / "one", tmp_path / "two")
    (tmp_path / "up").symlink_to("/")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(MIB)
    size = folder_bytes(tmp_path, enough=10 * MIB)
    assert MIB + 1000 <= size < MIB + 1100
