"""Runs one command in a session of its own while its output is read, and ends it when asked: politely, or at once.

Knows nothing of terraform. A `Control` is shared by the thread that runs the commands of an assignment and the one that
learns that they must end; the commands' whole process group is what is signalled and swept.
"""

import json
import os
import secrets
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Final, Protocol

from app.core.errors import BrokenError
from app.engine.guard import GUARD
from app.engine.limits import Limits, Watch, group_members, processes, restrain

MARK: Final = "TRACKSIDE_COMMAND"
"""The variable by which what a command started is found, wherever it went."""
_SWEEPS: Final = 20
"""How often what starts others while it is ended is looked for."""
_GATE: Final = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")
"""Waits for a line before it becomes the command, so that the guard knows the group before anything can happen."""
_TICK_S: Final = 0.2
_POLL_S: Final = 0.002
_DRAIN_S: Final = 2.0
_READ_BYTES: Final = 65536
_BY_SIGNAL: Final = 128
"""What a box adds to the number of the signal that ended its command."""


class Sink(Protocol):
    """Takes what a stream brings."""

    def feed(self, data: bytes) -> None:
        """The next bytes."""

    def close(self) -> None:
        """The stream ended."""


class Wrapper(Protocol):
    """Puts a command into a process namespace of its own."""

    @property
    def is_own_user(self) -> bool:
        """True when the command runs as a user that has nothing else."""

    def wrap(self, argv: Sequence[str], cwd: Path, *, info_fd: int) -> list[str]:
        """The argument vector that runs it there; `{"child-pid": N}`, the namespace's first process, goes to the fd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is run, and where."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    """As this process sees it; a box shows it elsewhere."""
    box: Wrapper | None = None
    step: str = ""
    """Which time limit holds: init, plan, apply, hook; another: none of its own."""
    watched: Path | None = None
    """The folder whose size is bound."""
    is_bound: bool = True
    """False for what has to be tried whatever was used up: no limit holds."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    """Negative: the signal that ended it."""
    excess: str = ""
    """Which limit ended it, in words; empty when none did."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each rung of the ladder SIGINT, SIGINT, SIGKILL is given, and what follows it."""

    first_s: float = 30.0
    """After the first SIGINT: the engine stops what it does and saves its state."""
    second_s: float = 10.0
    """After the second: it stops at once."""
    empty_s: float = 20.0
    """After a box's command has ended: everything else inside ends too."""


class Control:
    """How the commands of one assignment are ended from another thread. Once stopped or killed, it stays so."""

    def __init__(self, patience: Patience | None = None, limits: Limits | None = None) -> None:
        self.patience, self.limits = patience or Patience(), limits or Limits()
        self.run_until = time.monotonic() + self.limits.run_s if self.limits.run_s else 0.0
        """When the time of all commands together is over, by the monotonic clock; 0: never."""
        self._lock = Lock()
        self._group: int | None = None
        self._is_boxed = False
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

    def attach(self, group: int, *, is_boxed: bool = False) -> None:
        """A command runs in this group; boxed, the group's leader only waits for it, and everything dies with that."""
        with self._lock:
            self._group, self._is_boxed = group, is_boxed
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
        """One SIGINT to the group, as a terminal's Ctrl-C sends it: but for a leader that would die of it."""
        with self._lock:
            if not self._is_boxed:
                self._signal(signal.SIGINT)
            elif self._group is not None:
                for pid in group_members(self._group):
                    _kill(pid, signal.SIGINT)

    def _signal(self, number: int) -> None:
        if self._group is not None:
            try:
                os.killpg(self._group, number)
            except (ProcessLookupError, PermissionError):
                return


@dataclass(slots=True)
class _Ladder:
    """Where a command that has to end is on the ladder."""

    control: Control
    watch: Watch
    excess: str = ""
    """Which limit it broke, in words."""
    rung: int = 0
    until: float = 0.0

    def climb(self) -> None:
        """Take the next rung when its time has come."""
        if not self.control.is_ending and not self.excess:
            self.excess = self.watch.excess()
        now = time.monotonic()
        if not (self.control.is_ending or self.excess) or now < self.until:
            return
        if self.rung < 2:
            self.control.interrupt()
            patience = self.control.patience
            self.until = now + (patience.first_s, patience.second_s)[self.rung]
            self.rung += 1
        else:
            self.control.sweep()
            self.until = now + 60.0


class _Namespace:
    """A sink for what the box says about itself; knows when everything inside has ended."""

    def __init__(self, empty_s: float) -> None:
        self._empty_s = empty_s
        self._said = bytearray()
        self._first: int | None = None

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._said += data[:_READ_BYTES]
        if self._first is None and b"}" in self._said:
            try:
                self._first = os.pidfd_open(int(json.loads(self._said)["child-pid"]))
            except (OSError, ValueError, KeyError, TypeError):
                return  # it has ended already

    def close(self) -> None:
        """Wait until nothing of it lives: its first process is gone after all others.

        Raises: BrokenError when it does not end: what lives there could still write where the worker reads.
        """
        if self._first is not None:
            ended, _, _ = select.select([self._first], [], [], self._empty_s)
            os.close(self._first)
            self._first = None
            if not ended:
                raise BrokenError(f"ending a command: its box still has processes after {self._empty_s:g} s")


def run_child(command: Command, *, control: Control, sinks: tuple[Sink, Sink]) -> Ended:
    """How the command ended, after its output went into the sinks.

    Shape: sinks for stdout and stderr; they are closed. A command that `control` ended may still exit 0: ask `control`.
    Raises: BrokenError when the command cannot be started.
    """
    if control.is_ending:
        return Ended(-signal.SIGKILL)
    namespace, mark = _Namespace(control.patience.empty_s), secrets.token_hex(8)
    child, told = _start(command, mark)
    try:
        control.attach(child.pid, is_boxed=command.box is not None)
        ladder = _Ladder(control, _guarded(child, command, control))
        _open_gate(child)
        _pump(child, ladder, {child.stdout: sinks[0], child.stderr: sinks[1], told: namespace})
    finally:
        control.detach()
        GUARD.release(child.pid)
        for stream in (child.stdin, child.stdout, child.stderr, told):
            if stream is not None:
                stream.close()
        code = child.wait()
        for sink in (*sinks, namespace):
            sink.close()
        if command.box is None:
            _end_marked(mark)
    if command.box is not None and _BY_SIGNAL < code <= _BY_SIGNAL + signal.NSIG:
        code = _BY_SIGNAL - code
    return Ended(code, ladder.excess)


def _guarded(child: "subprocess.Popen[bytes]", command: Command, control: Control) -> Watch:
    """What bounds the command, before it goes through its gate; from here on it ends with this process."""
    try:
        GUARD.watch(child.pid)
    except OSError as error:
        raise BrokenError(f"starting {command.argv[0]}: its guard: {error.strerror or error}") from error
    limits = control.limits if command.is_bound else Limits()
    restrain(child.pid, limits, is_own_user=command.box is not None and command.box.is_own_user)
    return Watch(
        limits=limits,
        step=command.step,
        leader=child.pid,
        folder=command.watched,
        run_until=control.run_until if command.is_bound else 0,
    )


def _start(command: Command, mark: str) -> tuple["subprocess.Popen[bytes]", IO[bytes] | None]:
    """The command behind its gate, and where its box says what it is."""
    argv, told, tell = list(command.argv), None, list[int]()
    if command.box is not None:
        read_end, write_end = os.pipe()
        told, tell = os.fdopen(read_end, "rb", buffering=0), [write_end]
        argv = command.box.wrap(argv, command.cwd, info_fd=write_end)
    try:
        child = subprocess.Popen(  # noqa: S603 - a fixed gate, an argument vector: nothing is pasted into shell text
            [*_GATE, *argv],
            env={**command.env, MARK: mark},
            cwd=command.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
            pass_fds=tell,
        )
    except OSError as error:
        if told is not None:
            told.close()
        raise BrokenError(f"starting {command.argv[0]}: {error.strerror or error}") from error
    finally:
        for descriptor in tell:
            os.close(descriptor)
    return child, told


def _open_gate(child: "subprocess.Popen[bytes]") -> None:
    try:
        if child.stdin is not None:
            child.stdin.write(b"go\n")
            child.stdin.close()
    except OSError:
        return  # killed before it began


def _pump(child: "subprocess.Popen[bytes]", ladder: _Ladder, streams: Mapping[IO[bytes] | None, Sink]) -> None:
    """Feed the sinks until the command has ended and its streams are empty."""
    gone_at = ended_at = 0.0
    with selectors.DefaultSelector() as selector:
        for stream, sink in streams.items():
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, sink)
        while not ended_at or (selector.get_map() and time.monotonic() < ended_at + _DRAIN_S):
            ready = selector.select(_TICK_S) if selector.get_map() else []
            for key, _ in ready:
                ladder.watch.hear(_read(selector, key))
            ladder.climb()
            if not gone_at and _has_ended(child, wait_s=0 if selector.get_map() else _POLL_S):
                gone_at = time.monotonic()
            # What it left in the background may still hand on its last words, and may never pause.
            if gone_at and not ended_at and (not ready or time.monotonic() >= gone_at + _DRAIN_S):
                ended_at = time.monotonic()
                ladder.control.sweep()  # a background child would keep the streams open


def _read(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> int:
    """How many bytes came, and went into their sink."""
    data = os.read(key.fd, _READ_BYTES)
    if data:
        key.data.feed(data)
    else:
        selector.unregister(key.fd)
    return len(data)


def _has_ended(child: "subprocess.Popen[bytes]", *, wait_s: float) -> bool:
    """True when the command's own process has ended; it is not reaped, so that its group cannot be another's."""
    if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
        return True
    time.sleep(wait_s)
    return False


def _end_marked(mark: str) -> None:
    """End what left the group and hides elsewhere, as far as it kept its environment: what a box does for all."""
    entry = f"{MARK}={mark}".encode()
    for _ in range(_SWEEPS):
        found = [pid for pid in processes() if entry in _environment(pid).split(b"\0")]
        for pid in found:
            _kill(pid, signal.SIGKILL)
        if not found:
            return


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
