"""Kills the process groups of children when the process that started them is gone, however it went (kill -9 too).

One small process beside a worker, in a session of its own, holding the read end of a pipe: the pipe's end is the
worker's end. Without it an apply would go on without a lease. Run as a script it is that process.
"""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from threading import Lock
from typing import BinaryIO, Final


class Guard:
    """The worker's side: which groups die with this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._groups: set[int] = set()
        self._pipe: BinaryIO | None = None
        self._owner = 0

    def watch(self, group: int) -> None:
        """From here on the group dies with this process."""
        with self._lock:
            if self._owner != os.getpid():
                self._groups, self._pipe = set(), None  # a fork watches its own children alone
            self._groups.add(group)
            self._tell(f"+{group}\n")

    def release(self, group: int) -> None:
        """The group has ended. A guard that cannot be started watches nothing that would have to be told."""
        with self._lock:
            self._groups.discard(group)
            with suppress(OSError):
                self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        if self._pipe is not None:
            try:
                self._pipe.write(line.encode())
                return
            except OSError:
                self._pipe = None  # somebody killed it: a new one is told everything
        self._pipe, self._owner = self._start(), os.getpid()
        self._pipe.write("".join(f"+{group}\n" for group in self._groups).encode())

    @staticmethod
    def _start() -> BinaryIO:
        """A new guard process; unbuffered, so that a line is sent when it is written."""
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as stdin, ExitStack() as failed:
            failed.callback(os.close, write_end)
            subprocess.Popen(  # noqa: S603 - this very file, with this very interpreter
                [sys.executable, "-I", "-S", __file__],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            ).returncode = 0  # never waited for: it ends after us
            failed.pop_all()
        return open(write_end, "wb", buffering=0)


GUARD: Final = Guard()
"""The one of this process; its child is started when the first group is watched."""


def main() -> None:
    """Read `+GROUP` and `-GROUP` lines until the pipe ends, then kill every group that is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):
            (groups.add if line.startswith(b"+") else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue


if __name__ == "__main__":
    main()
