"""One lock for one thing in a folder that several workers of a machine share, held by flock: it dies with its process.

Knows nothing of what is done under it.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.core.errors import BrokenError, RetryableError
from app.engine.download import never

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_PAUSE_S: Final = 0.05


@contextmanager
def folder_lock(folder: Path, name: str, *, timeout_s: float, is_ending: Callable[[], bool] = never) -> Iterator[None]:
    """Alone with that name in that folder, among all processes and threads of this machine.

    Raises: RetryableError when somebody else has it for too long; BrokenError when the folder cannot be used.
    """
    if _NAME.fullmatch(name) is None:
        raise BrokenError(f"locking {name[:100]!r} in {folder}: not a name")
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(folder / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BrokenError(f"locking {name} in {folder}: {error.strerror}") from error
    try:
        _wait(descriptor, f"locking {name} in {folder}", time.monotonic() + timeout_s, is_ending)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, action: str, until: float, is_ending: Callable[[], bool]) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > until or is_ending():
                raise RetryableError(f"{action}: another worker has it still") from error
        time.sleep(_PAUSE_S)
