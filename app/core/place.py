"""Paths of files in a repository, as annotations name them: hostile text becomes a path inside it, or nothing.

Both planes ask it: the worker for what the engine wrote, the control plane for what a worker says.
"""

import posixpath
from typing import Final

MAX_PATH: Final = 500
MAX_LINE: Final = 1_000_000
_NOT_OURS: Final = frozenset({".git", ".terraform"})


def repository_path(*parts: str) -> str:
    """The parts as one path from the repository's root; empty when that leads outside, or to what no commit holds."""
    if any("\\" in part or "\x00" in part for part in parts):
        return ""
    path = posixpath.normpath(posixpath.join("", *parts))
    steps = path.split("/")
    is_inside = path not in (".", "") and not path.startswith("/") and steps[0] != ".."
    return path if is_inside and path.isprintable() and len(path) <= MAX_PATH and not _NOT_OURS & set(steps) else ""


def is_place(path: str, first: int, last: int) -> bool:
    """True for lines of a file that an annotation may name."""
    return bool(path) and repository_path(path) == path and 1 <= first <= last <= MAX_LINE
