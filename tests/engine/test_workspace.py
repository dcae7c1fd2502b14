"""Workspaces on the real file system."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from app.core.errors import BrokenError, UserError
from app.engine.workspace import WorkspaceRoot, remove_tree

RUN = "01JZ0000000000000000000RAN"


def test_a_workspace_is_fresh_and_private(tmp_path: Path) -> None:
    root = WorkspaceRoot(tmp_path / "runs")
    old = root.open(RUN)
    (old.source / "left-over.tf").write_text("from before")
    old.plan_file.touch()
    fresh = root.open(RUN)
    assert fresh.path == tmp_path / "runs" / RUN
    assert fresh.run_id == RUN
    assert {path.name for path in fresh.path.rglob("*")} == {"source", "data", "tmp", "home"}
    assert not fresh.plan_file.exists()
    for folder in (tmp_path / "runs", fresh.path, fresh.source, fresh.data_dir, fresh.tmp, fresh.home):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_root_the_path_depends_on_the_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert WorkspaceRoot().path == Path(f"/tmp/trackside-{os.geteuid()}/runs")
    with WorkspaceRoot().open(RUN) as workspace:
        assert stat.S_IMODE(workspace.path.parent.parent.stat().st_mode) == 0o700


def test_closing_removes_what_is_read_only_and_no_further_than_links(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    workspace = WorkspaceRoot(tmp_path / "runs").open(RUN)
    deep = workspace.source / "modules/deep"
    deep.mkdir(parents=True)
    (deep / "file").touch(mode=0o400)
    (workspace.source / "link").symlink_to(tmp_path / "precious")
    deep.chmod(0o500)
    deep.parent.chmod(0o000)
    workspace.close()
    workspace.close()
    assert list((tmp_path / "runs").iterdir()) == []
    assert (tmp_path / "precious/file").exists()


def test_a_link_where_a_workspace_should_be_is_removed_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / RUN).symlink_to(tmp_path / "precious")
    WorkspaceRoot(tmp_path / "runs").open(RUN)
    assert (tmp_path / "precious/file").exists()
    assert not (tmp_path / "runs" / RUN).is_symlink()


def test_a_root_that_others_could_enter_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs").chmod(0o777)
    WorkspaceRoot(tmp_path / "runs").open(RUN)
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o700


def test_a_root_that_is_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(UserError, match=f"opening workspaces in .*/{name}: "):
            WorkspaceRoot(tmp_path / name).open(RUN)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_root_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    os.chown(tmp_path / "runs", 12345, 12345)
    with pytest.raises(UserError, match="belongs to user 12345, not to 0"):
        WorkspaceRoot(tmp_path / "runs").open(RUN)


@pytest.mark.parametrize("run_id", ["", "..", "../x", "a/b", RUN.lower(), RUN + "0", "8" + RUN[1:], RUN + "\n", "RUN"])
def test_a_run_id_is_a_ulid(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(BrokenError, match="not the id of a run"):
        WorkspaceRoot(tmp_path).open(run_id)


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
    (tmp_path / "file").touch()
    remove_tree(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def nest(folder: Path, depth: int) -> None:
    """Folders within each other, with a file in the last, deeper than any path can say."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=here)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def test_no_depth_keeps_a_workspace_from_being_removed(tmp_path: Path) -> None:
    workspace = WorkspaceRoot(tmp_path / "runs").open(RUN)
    nest(workspace.tmp, 1_200)
    before = len(os.listdir("/proc/self/fd"))
    try:
        workspace.close()
        assert not workspace.path.exists()
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "runs"], check=True)  # pytest would not get rid of it
    assert len(os.listdir("/proc/self/fd")) == before
