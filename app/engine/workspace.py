"""The folder in which one run works: at one path that is the same on every worker, private, fresh, and gone afterwards.

A saved plan can be applied at the path where it was made and nowhere else, so the root depends on the user id alone:
never on the temporary folder of an environment. Knows nothing of what is put into it.
"""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from app.core.errors import BrokenError, UserError
from app.engine.isolation import WORKSPACE

ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
HELD: Final = "held"
"""The file of a workspace that is locked for as long as somebody works there."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """One run's folder, and where each thing is in it. A context manager: left, it is closed."""

    path: Path
    is_isolated: bool = False
    """True when commands see it at another place, which is the same for every run and worker."""

    @property
    def place(self) -> str:
        """Where commands see it: what a plan made here is bound to."""
        return str(WORKSPACE) if self.is_isolated else str(self.path)

    @property
    def run_id(self) -> str:
        """ULID of the run: the folder's name."""
        return self.path.name

    @property
    def source(self) -> Path:
        """The checkout; empty after `open`."""
        return self.path / "source"

    @property
    def data_dir(self) -> Path:
        """TF_DATA_DIR: outside of the checkout, so that a committed `.terraform` link leads nowhere."""
        return self.path / "data"

    @property
    def plan_file(self) -> Path:
        """The saved plan; not there before the engine wrote it."""
        return self.path / "plan.tfplan"

    @property
    def tmp(self) -> Path:
        """TMPDIR of the children; not part of the archive."""
        return self.path / "tmp"

    @property
    def home(self) -> Path:
        """HOME of the children; not part of the archive."""
        return self.path / "home"

    def close(self) -> None:
        """Remove the folder and all that is in it, read-only or not; a second call finds nothing to do.

        Raises: BrokenError when something of it cannot be removed.
        """
        remove_tree(self.path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Somebody works in the folder for as long, or until its process is gone: what is held is nobody's leftover.

        Raises: OSError when it cannot be marked so.
        """
        new = self.path / f"{HELD}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            new.rename(self.path / HELD)  # by this name there is never one that only begins to be held
            yield
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WorkspaceRoot:
    """Where the workspaces are. Without a root: /tmp/trackside-<uid>/runs."""

    def __init__(self, root: Path | None = None) -> None:
        # Fixed on purpose: the same for every worker of a user, whatever its TMPDIR says; its owner is verified below.
        self.path = root or Path(f"/tmp/trackside-{os.geteuid()}/runs")  # noqa: S108 - see above
        self._is_default = root is None

    def open(self, run_id: str, *, is_isolated: bool = False) -> Workspace:
        """A fresh workspace of the run: whatever was at its path is removed. Folders are 0700.

        Raises: BrokenError when run_id is no ULID or the folder cannot be made; UserError when the root belongs to
        somebody else or is a link.
        """
        if ULID.fullmatch(run_id) is None:
            raise BrokenError(f"opening workspace {run_id!r}: not the id of a run")
        if self._is_default:
            _claim_folder(self.path.parent)
        _claim_folder(self.path)
        workspace = Workspace(self.path / run_id, is_isolated)
        workspace.close()
        try:
            with root_lock(self.path, fcntl.LOCK_SH):
                workspace.path.mkdir(mode=0o700)
            for folder in (workspace.source, workspace.data_dir, workspace.tmp, workspace.home):
                folder.mkdir(mode=0o700)
        except OSError as error:
            raise BrokenError(f"opening workspace {workspace.path}: {error.strerror}") from error
        return workspace


@contextmanager
def root_lock(folder: Path, how: int) -> Iterator[None]:
    """The folder of workspaces is locked: LOCK_SH by who begins one in it, LOCK_EX by who takes one away."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a folder and all that is in it, however deep; folders without write permission are given it first; a link
    is removed.

    Raises: BrokenError when something of it cannot be removed.
    """
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        with _opened(path) as folder:
            _empty(folder)
        path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise BrokenError(f"removing {path}: {error.strerror}: {error.filename}") from error


def _empty(top: int) -> None:
    """Remove what is in a folder. What is nested is lifted to its top first, so that neither a stack of calls, nor a
    path, nor the number of open files grows with the depth that a run has made."""
    mark, waiting, lifted = secrets.token_hex(8), _without_files(top), 0
    while waiting:
        name = waiting.pop()
        with _opened(name, top) as folder:
            for child in _without_files(folder):
                with _opened(child, folder):  # to move a folder is to write in it
                    lifted += 1
                    new = f"{mark}-{lifted}"
                os.rename(child, new, src_dir_fd=folder, dst_dir_fd=top)
                waiting.append(new)
        os.rmdir(name, dir_fd=top)


def _without_files(folder: int) -> list[str]:
    """Remove a folder's files and links; the names of the folders in it."""
    with os.scandir(folder) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_folder in entries:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in entries if is_folder]


@contextmanager
def _opened(path: Path | str, beside: int | None = None) -> Iterator[int]:
    """A folder, to be read and written; never what a link in its place leads to."""
    folder = _open_folder(path, beside)
    try:
        yield folder
    finally:
        os.close(folder)


def _open_folder(path: Path | str, beside: int | None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        folder = os.open(path, flags, dir_fd=beside)
    except PermissionError:
        handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=beside)
        try:
            os.chmod(f"/proc/self/fd/{handle}", stat.S_IRWXU)
        finally:
            os.close(handle)
        folder = os.open(path, flags, dir_fd=beside)
    if os.fstat(folder).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(folder, stat.S_IRWXU)
    return folder


def _claim_folder(path: Path) -> None:
    """Make the folder, or take it as it is: a real one, ours, closed to others."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise UserError(f"opening workspaces in {path}: it is a link or a file, not a folder")
        if found.st_uid != os.geteuid():
            raise UserError(f"opening workspaces in {path}: it belongs to user {found.st_uid}, not to {os.geteuid()}")
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise UserError(f"opening workspaces in {path}: {error.strerror}") from error
