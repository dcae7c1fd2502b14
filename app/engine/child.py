"""Runs one command in a session of its own while its output is read, and ends it when asked: politely, or at once.

Knows nothing of terraform. A `Control` is shared by the thread that runs the commands of an assignment and the one that
learns that they must end; the commands' whole process group is what is signalled and swept.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from app.core.errors import BrokenError
from app.engine.guard import GUARD

_GATE: Final = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")
"""Waits for a line before it becomes the command, so that the guard knows the group before anything can happen."""
_TICK_S: Final = 0.2
_POLL_S: Final = 0.002
_DRAIN_S: Final = 2.0
_READ_BYTES: Final = 65536


class Sink(Protocol):
    """Takes what a stream brings."""

    def feed(self, data: bytes) -> None:
        """The next bytes."""

    def close(self) -> None:
        """The stream ended."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each rung of the ladder SIGINT, SIGINT, SIGKILL is given."""

    first_s: float = 30.0
    """After the first SIGINT: the engine stops what it does and saves its state."""
    second_s: float = 10.0
    """After the second: it stops at once."""


class Control:
    """How the commands of one assignment are ended from another thread. Once stopped or killed, it stays so."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._lock = Lock()
        self._group: int | None = None
        self._is_stopping = False
        self._is_killed = False

    @property
    def is_ending(self) -> bool:
        """True once it was stopped or killed: no further command starts."""
        return self._is_stopping or self._is_killed

    @property
    def is_killed(self) -> bool:
        """True once it was killed."""
        return self._is_killed

    def stop(self) -> None:
        """End the running command by the ladder; the thread that runs it climbs it."""
        self._is_stopping = True

    def kill(self) -> None:
        """End the running command's whole group now."""
        with self._lock:
            self._is_killed = True
            self._signal(signal.SIGKILL)

    def attach(self, group: int) -> None:
        """A command runs in this group."""
        with self._lock:
            self._group = group
            if self._is_killed:
                self._signal(signal.SIGKILL)

    def sweep(self) -> None:
        """SIGKILL to whatever lives in the group."""
        with self._lock:
            self._signal(signal.SIGKILL)

    def detach(self) -> None:
        """The command ended: what it left behind in its group ends too. Called before it is reaped."""
        with self._lock:
            self._signal(signal.SIGKILL)
            self._group = None

    def interrupt(self) -> None:
        """One SIGINT to the group, as a terminal's Ctrl-C sends it."""
        with self._lock:
            self._signal(signal.SIGINT)

    def _signal(self, number: int) -> None:
        if self._group is not None:
            try:
                os.killpg(self._group, number)
            except (ProcessLookupError, PermissionError):
                return


@dataclass(slots=True)
class _Ladder:
    """Where a stopping command is on the ladder."""

    control: Control
    rung: int = 0
    until: float = 0.0

    def climb(self) -> None:
        """Take the next rung when its time has come."""
        now = time.monotonic()
        if not self.control.is_ending or now < self.until:
            return
        if self.rung < 2:
            self.control.interrupt()
            patience = self.control.patience
            self.until = now + (patience.first_s, patience.second_s)[self.rung]
            self.rung += 1
        else:
            self.control.sweep()
            self.until = now + 60.0


def run_child(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, control: Control, sinks: tuple[Sink, Sink]
) -> int:
    """The command's exit code (negative: the signal that ended it), after its output went into the sinks.

    Shape: sinks for stdout and stderr; they are closed. A command that `control` ended may still exit 0: ask `control`.
    Raises: BrokenError when the command cannot be started.
    """
    if control.is_ending:
        return -signal.SIGKILL
    child = _start(argv, env, cwd)
    control.attach(child.pid)
    GUARD.watch(child.pid)
    try:
        _open_gate(child)
        _pump(child, control, sinks)
    finally:
        control.detach()
        GUARD.release(child.pid)
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
        code = child.wait()
        for sink in sinks:
            sink.close()
    return code


def _start(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - a fixed gate, an argument vector: nothing is pasted into shell text
            [*_GATE, *argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise BrokenError(f"starting {argv[0]}: {error.strerror or error}") from error


def _open_gate(child: subprocess.Popen[bytes]) -> None:
    try:
        if child.stdin is not None:
            child.stdin.write(b"go\n")
            child.stdin.close()
    except OSError:
        return  # killed before it began


def _pump(child: subprocess.Popen[bytes], control: Control, sinks: tuple[Sink, Sink]) -> None:
    """Feed the sinks until the command has ended and its streams are empty."""
    ladder, ended_at = _Ladder(control), 0.0
    with selectors.DefaultSelector() as selector:
        for stream, sink in zip((child.stdout, child.stderr), sinks, strict=True):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, sink)
        while not ended_at or (selector.get_map() and time.monotonic() < ended_at + _DRAIN_S):
            ready = selector.select(_TICK_S) if selector.get_map() else []
            for key, _ in ready:
                _read(selector, key)
            ladder.climb()
            if not ready and not ended_at and _has_ended(child, wait_s=0 if selector.get_map() else _POLL_S):
                ended_at = time.monotonic()
                control.sweep()  # a background child would keep the streams open


def _read(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    data = os.read(key.fd, _READ_BYTES)
    if data:
        key.data.feed(data)
    else:
        selector.unregister(key.fd)


def _has_ended(child: subprocess.Popen[bytes], *, wait_s: float) -> bool:
    """True when the command's own process has ended; it is not reaped, so that its group cannot be another's."""
    if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
        return True
    time.sleep(wait_s)
    return False
