"""What a worker's machine has besides engines: git, git-lfs, room on its disks.

Knows the machine, nothing of runs.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from app.core.errors import TracksideError
from app.engine.process import base_env, run

LEAST_GIT: Final = (2, 31)
_TIMEOUT_S: Final = 10.0
_NUMBERS: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")


def find_version(program: str, *, search_path: str = os.defpath) -> str:
    """The first line that `program --version` prints; empty when there is none on the search path, or it fails."""
    path = shutil.which(program, path=search_path)
    if path is None:
        return ""
    try:
        with tempfile.TemporaryDirectory(prefix="trackside-look-") as home:
            done = run([path, "--version"], env={**base_env(Path(home)), "PATH": search_path}, timeout_s=_TIMEOUT_S)
    except (TracksideError, OSError):
        return ""
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return lines[0][:100] if done.code == 0 and lines else ""


def is_git_recent(version: str) -> bool:
    """True when git's own words name a version that is new enough."""
    found = _NUMBERS.search(version)
    return found is not None and (int(found[1]), int(found[2])) >= LEAST_GIT


def free_bytes(folder: Path) -> tuple[Path, int]:
    """The nearest folder above that is there, and how much an unprivileged user may still write in it."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return there, shutil.disk_usage(there).free
