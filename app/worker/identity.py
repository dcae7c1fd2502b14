"""The identity token of an assignment, as a file that its commands can read: written anew while the hold lives.

In the workspace's home folder, which no archive takes along, for this user alone. Knows nothing of what is in a token.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final

from app.core.protocol import OIDC_TOKEN_S

RENEW_AFTER_S: Final = OIDC_TOKEN_S / 3
"""Early enough that a control plane which is away for minutes costs no run its identity."""
_NAME: Final = "oidc-token"
_FRESH: Final = ".oidc-token"


class TokenFile:
    """The file of one assignment; there is none when the assignment brings no token."""

    def __init__(self, folder: Path, token: str, *, renew_after_s: float = RENEW_AFTER_S) -> None:
        self.path = folder / _NAME if token else None
        """Where it is; None: this assignment has no identity."""
        self.know: Callable[[str], None] = lambda _token: None
        """Told every new token before it is written: it must not leave by the log."""
        self._renew_after_s, self._lock = renew_after_s, Lock()
        self._since = monotonic()
        # Held open: commands may put a link in the folder's place, and nothing of ours follows it.
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC) if token else None
        if token:
            try:
                self.take(token)
            except OSError:
                self.close()
                raise

    @property
    def is_old(self) -> bool:
        """True when the next one should be asked for."""
        return self.path is not None and monotonic() - self._since >= self._renew_after_s

    def take(self, token: str) -> None:
        """Put a new token in the place of the one before: whoever reads sees one or the other, whole."""
        with self._lock:
            if self._folder is None:
                return
            self.know(token)
            with suppress(FileNotFoundError):
                os.unlink(_FRESH, dir_fd=self._folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(_FRESH, flags, 0o600, dir_fd=self._folder), "w") as file:
                self._adopt(file.fileno())
                file.write(token)
            os.replace(_FRESH, _NAME, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._since = monotonic()

    def _adopt(self, file: int) -> None:
        """Commands may run as another user than this worker: to whom the folder belongs, the token belongs."""
        if self._folder is not None and os.geteuid() == 0:
            owner = os.fstat(self._folder)
            os.fchown(file, owner.st_uid, owner.st_gid)

    def close(self) -> None:
        """Nothing is written any more."""
        with self._lock:
            if self._folder is not None:
                os.close(self._folder)
            self._folder = None
