"""A disk that is full: the artifacts' while something is stored, a worker's while it fetches, plans or packs.

The run fails with a sentence that names the disk, nothing is applied that nobody confirmed, half a file never counts,
nothing stays stuck; and once there is room the next run goes through. The disks are small ones in memory, which root
alone may mount; runs are not isolated, since what counts the applies is outside of them.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.core.run import Run, RunState
from app.sandbox import Repo
from tests.driver import SHARED, World, open_world, wait_until

DISK_MB = 16
STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app%s}\n"
CODE = """
resource "terraform_data" "line" {
  triggers_replace = [%d]
  provisioner "local-exec" { command = "echo %d >> '%s'" }
}
"""
FULL = "no space left"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A folder on a disk of its own, of DISK_MB; skips where none may be mounted."""
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    options = f"size={DISK_MB}m,mode=0700"
    if os.geteuid() != 0:
        pytest.skip("SKIPPED: a full disk is tried on one of its own, which root alone may mount")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"SKIPPED: no disk can be mounted here, so that a full one is not tried: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Callable[[], None]:
    """Take all room of the disk that the folder is on; what gives it back."""
    filler = folder / ".filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
        except OSError:
            pass
    return filler.unlink


class Stack:
    """One stack whose resource writes a line each time it is applied, and pushes to it."""

    def __init__(self, world: World, *, more: str = "") -> None:
        self.world, self.pushes = world, 0
        self.file = world.root / SHARED / "lines"
        self.file.touch()
        self.file.chmod(0o666)
        self.file.parent.chmod(0o777)
        self.repo: Repo = world.repository({".trackside/stacks.yml": STACKS % more})

    def push(self, more: str = "") -> str:
        """The next number; the SHA."""
        self.pushes += 1
        files: dict[str, str | None] = {"app/main.tf": CODE % (self.pushes, self.pushes, self.file)}
        if more:
            files[".trackside/stacks.yml"] = STACKS % more
        return self.world.push(self.repo, files, f"Number {self.pushes}")

    @property
    def lines(self) -> list[str]:
        """What was applied, in order."""
        return self.file.read_text().split()

    def expect_failed(self) -> Run:
        """The newest run, ended by the disk, which its reason and its check name."""
        run = self.world.expect_state(RunState.FAILED)
        assert FULL in run.reason.lower(), run.reason
        check = self.repo.check_run(run.head_sha, "deploy/app")
        assert check is not None
        assert check.conclusion == "failure"
        self.require_nothing_stuck()
        return run

    def require_nothing_stuck(self) -> None:
        """No assignment, no lock, no hold."""
        assert self.world.sql("SELECT id FROM assignments WHERE ended_at IS NULL") == []
        assert self.world.sql("SELECT stack_id FROM state_locks") == []
        assert self.world.sql("SELECT id FROM stacks WHERE hold_reason <> ''") == []

    def expect_next_goes_through(self, more: str = "") -> None:
        """Another push, confirmed and applied once."""
        sha = self.push(more)
        self.world.expect_check(self.repo, sha, "deploy/app", "action_required")
        self.world.comment_on_commit(self.repo, sha, "/trackside confirm")
        self.world.expect_state(RunState.FINISHED)
        assert self.lines.count(str(self.pushes)) == 1
        self.require_nothing_stuck()


@pytest.fixture
def artifacts(tmp_path: Path) -> Iterator[Path]:
    """A small disk for artifacts."""
    folder = tmp_path / "small"
    with small_disk(folder):
        yield folder


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A small disk for a worker's workspaces."""
    folder = tmp_path / "runs"
    with small_disk(folder):
        yield folder


def stored(folder: Path) -> list[Path]:
    """Every file of the artifacts, also one that is half written."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".filler"]


def test_a_plan_whose_workspace_finds_no_room_fails_and_is_never_confirmed(
    tmp_path: Path, database_url: str, artifacts: Path
) -> None:
    """Nothing of it is kept, and nothing of it applied; with room the next one goes through."""
    with open_world(tmp_path, database_url, ISOLATION="none", ARTIFACT_URL=f"file://{artifacts}") as world:
        stack, make_room = Stack(world), fill(artifacts)
        stack.push()
        stack.expect_failed()
        assert stored(artifacts) == []
        assert stack.lines == []
        make_room()
        stack.expect_next_goes_through()


def test_a_state_that_finds_no_room_is_kept_by_the_worker(tmp_path: Path, database_url: str, artifacts: Path) -> None:
    """What was confirmed is applied once, its state is on the worker's disk, and nothing is stuck."""
    with open_world(tmp_path, database_url, ISOLATION="none", ARTIFACT_URL=f"file://{artifacts}") as world:
        stack = Stack(world)
        sha = stack.push()
        world.expect_check(stack.repo, sha, "deploy/app", "action_required")
        make_room = fill(artifacts)
        world.comment_on_commit(stack.repo, sha, "/trackside confirm")
        run = stack.expect_failed()
        assert stack.lines == ["1"]
        (kept,) = tmp_path.rglob(f"errored/{run.id}.tfstate")
        assert b"terraform_data" in kept.read_bytes()
        assert world.sql("SELECT id FROM state_versions") == []
        make_room()
        stack.expect_next_goes_through()
        assert stack.lines == ["1", "2"]


def test_a_worker_without_room_for_a_workspace_gives_the_run_back(
    tmp_path: Path, database_url: str, runs: Path
) -> None:
    """It says which disk; once there is room the same run goes on by itself."""
    with open_world(tmp_path, database_url, ISOLATION="none") as world:
        stack, make_room = Stack(world), fill(runs)
        sha = stack.push()
        world.wait_carried_out()
        asked = "SELECT cause FROM run_steps WHERE cause ILIKE '%no space left on the disk of worker%'"
        wait_until(lambda: bool(world.sql(asked)), "the run was given back")
        make_room()
        world.expect_check(stack.repo, sha, "deploy/app", "action_required")
        world.comment_on_commit(stack.repo, sha, "/trackside confirm")
        world.expect_state(RunState.FINISHED)
        assert stack.lines == ["1"]


def test_a_worker_without_room_to_check_out_says_so(tmp_path: Path, database_url: str, runs: Path) -> None:
    """Its disk is named, not git's trouble with it; with the large file gone the next one goes through."""
    with open_world(tmp_path, database_url, ISOLATION="none") as world:
        stack = Stack(world)
        world.push(stack.repo, {"large": "x" * (DISK_MB + 2) * 1024 * 1024, "app/main.tf": "# none yet"}, "Large")
        run = stack.expect_failed()
        assert "worker" in run.reason
        world.push(stack.repo, {"large": None}, "Small again")
        world.settle()
        stack.expect_next_goes_through()


@pytest.mark.parametrize(
    ("hooks", "what"),
    [
        ('{before_plan: ["cat /dev/zero > fill || true"]}', "the plan file"),
        ('{after_plan: ["head -c 9000000 /dev/urandom > fill"]}', "the archive"),
    ],
)
def test_a_worker_whose_disk_fills_up_while_it_works_says_so(
    tmp_path: Path, database_url: str, runs: Path, hooks: str, what: str
) -> None:
    """While it plans, and while it packs: nothing waits to be confirmed, and the workspace is gone afterwards."""
    with open_world(tmp_path, database_url, ISOLATION="none") as world:
        stack = Stack(world, more=f", hooks: {hooks}")
        stack.push()
        stack.expect_failed()
        assert stack.lines == [], what
        stack.expect_next_goes_through(more=", hooks: {}")
        assert list(runs.iterdir()) == []
