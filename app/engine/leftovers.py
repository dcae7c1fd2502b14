"""Removes what killed workers left behind: workspaces that nobody holds any more, with a plan file in clear in them.

Several workers of a machine share the folder. Knows no runs; a state that an apply could not save is never removed.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.core.errors import BrokenError, UserError
from app.engine.files import open_plain
from app.engine.terraform import ERRORED_STATE
from app.engine.workspace import HELD, ULID, remove_tree, root_lock

_GONE: Final = "gone-"
"""Begins the name of a workspace that is being removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What was found."""

    removed: list[str] = field(default_factory=list)
    """Ids of the runs whose workspaces are gone."""
    states: list[Path] = field(default_factory=list)
    """States that nobody saved; their workspaces stay."""
    stuck: list[str] = field(default_factory=list)
    """What could not be removed, and why."""


def remove_leftovers(root: Path) -> Leftovers:
    """Remove the workspaces below a root whose holders have ended.

    One that has never been held is left: its worker is about to hold it, or is of a version that did not.
    Raises: BrokenError when the root cannot be read.
    """
    found = Leftovers()
    try:
        names = sorted(os.listdir(root), key=lambda name: (not name.startswith(_GONE), name))
    except FileNotFoundError:
        return found
    except OSError as error:
        raise BrokenError(f"looking for leftovers in {root}: {error.strerror}") from error
    for name in names:
        try:
            if name.startswith(_GONE):
                remove_tree(root / name)  # of a worker that was killed here
            elif ULID.fullmatch(name) and not (root / name).is_symlink():
                _remove(root / name, found)
        except (OSError, BrokenError) as error:
            found.stuck.append(f"{name}: {error}")
    return found


def _remove(path: Path, found: Leftovers) -> None:
    try:
        held = open_plain(path / HELD)
    except (FileNotFoundError, UserError):
        return
    gone = path.with_name(_GONE + path.name)
    with open(held, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        state = _errored_state(path / "source")
        if state is not None:
            found.states.append(state)
            return
        with root_lock(path.parent, fcntl.LOCK_EX), suppress(FileNotFoundError):
            if not os.path.samestat(os.fstat(file.fileno()), (path / HELD).lstat()):
                return  # the run has come back meanwhile: this is another folder
            path.rename(gone)
    remove_tree(gone)
    found.removed.append(path.name)


def _errored_state(source: Path) -> Path | None:
    """A state that an apply could not save, wherever the stack's root is in the checkout."""
    for folder, _, names in os.walk(source):
        state = Path(folder, ERRORED_STATE)
        if ERRORED_STATE in names and state.is_file() and not state.is_symlink():
            return state
    return None
