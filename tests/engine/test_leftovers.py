"""What killed workers left is removed, and nothing that somebody works in or that is nowhere else."""

import os
from pathlib import Path

import pytest

from app.core.errors import BrokenError
from app.engine.leftovers import Leftovers, remove_leftovers
from app.engine.workspace import Workspace, WorkspaceRoot

RUN = "01JZ0000000000000000000RAN"
OTHER = "01JZ0000000000000000000RVN"


@pytest.fixture
def root(tmp_path: Path) -> WorkspaceRoot:
    return WorkspaceRoot(tmp_path / "runs")


def killed(root: WorkspaceRoot, run: str) -> Workspace:
    """A workspace as a worker leaves it that is killed: with everything in it, and not locked any more."""
    workspace = root.open(run)
    with workspace.held():
        workspace.plan_file.write_text("in clear")
    return workspace


def test_what_nobody_holds_is_removed(root: WorkspaceRoot) -> None:
    killed(root, RUN)
    other = root.open(OTHER)
    with other.held():
        assert remove_leftovers(root.path) == Leftovers(removed=[RUN])
        assert other.source.is_dir()
    assert os.listdir(root.path) == [OTHER]


def test_a_workspace_that_was_never_held_is_left(root: WorkspaceRoot) -> None:
    """Its worker is about to hold it, or is of a version that did not, and still works in it."""
    root.open(RUN)
    assert remove_leftovers(root.path) == Leftovers()
    assert os.listdir(root.path) == [RUN]


def test_a_state_that_nobody_saved_stays_and_is_told(root: WorkspaceRoot) -> None:
    workspace, other = killed(root, RUN), killed(root, OTHER)
    (workspace.source / "live/network").mkdir(parents=True)
    state = workspace.source / "live/network/errored.tfstate"
    state.write_text("{}")
    (other.source / "errored.tfstate").symlink_to(state)
    assert remove_leftovers(root.path) == Leftovers(removed=[OTHER], states=[state])
    assert workspace.plan_file.exists()


def test_one_that_was_killed_while_it_removed_is_finished_by_the_next(root: WorkspaceRoot) -> None:
    killed(root, RUN).path.rename(root.path / f"gone-{RUN}")
    killed(root, RUN)
    assert remove_leftovers(root.path) == Leftovers(removed=[RUN])
    assert os.listdir(root.path) == []


def test_nothing_is_followed_or_waited_for(root: WorkspaceRoot, tmp_path: Path) -> None:
    precious = killed(WorkspaceRoot(tmp_path / "precious"), RUN).path
    (root.open(OTHER).path / "held").symlink_to(precious / "held")
    (root.path / RUN).symlink_to(precious)
    (root.path / f"gone-{RUN}").symlink_to(precious)
    os.mkfifo(root.path / "mine")
    assert remove_leftovers(root.path) == Leftovers()
    assert (precious / "plan.tfplan").exists()
    assert sorted(os.listdir(root.path)) == sorted([OTHER, RUN, "mine"])


def test_where_no_run_has_been_there_is_nothing(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "nowhere") == Leftovers()
    (tmp_path / "file").touch()
    with pytest.raises(BrokenError, match=r"looking for leftovers in .*/file: Not a directory"):
        remove_leftovers(tmp_path / "file")
