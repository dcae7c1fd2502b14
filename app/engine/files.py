"""Reads and writes single files where foreign code has been: a link is never followed, a pipe never waited for.

Knows nothing of what is in them. What stands at a path in a workspace may be anything by now.
"""

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.core.errors import UserError

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_CHILD_HAD_NO_ROOM: Final = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
"""git's and the engines' words for it."""


def is_disk_full(error: BaseException | None) -> bool:
    """True when a full disk of this machine is what an exception, or one that it was made from, is about."""
    while error is not None:
        is_systems = isinstance(error, OSError) and error.errno in _NO_ROOM
        if is_systems or _CHILD_HAD_NO_ROOM.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def read_plain(path: Path, *, max_bytes: int) -> bytes:
    """What a plain file holds.

    Raises: FileNotFoundError when nothing is there; UserError when it is no plain file, or larger.
    """
    descriptor = open_plain(path)
    with open(descriptor, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UserError(f"reading {path.name}: it is larger than {max_bytes} bytes")
    return data


def open_plain(path: Path) -> int:
    """A descriptor that reads a plain file. Raises: as read_plain."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"reading {path.name}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"reading {path.name}: it is no plain file")
    return descriptor


def write_new(path: Path, text: str) -> None:
    """A new file with that text in the place of whatever was there: a link is replaced, not followed.

    Raises: UserError when a folder stands there, or it cannot be written.
    """
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"writing {path.name}: {error.strerror}") from error
