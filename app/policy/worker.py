"""One child process with OPA, from the parent's side: started, asked under a deadline, killed.

Knows frames and processes, nothing of policies. Not thread-safe: the pool gives a worker to one thread at a time.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

from app.core.errors import BrokenError
from app.policy.frames import HEAD, MAX_ANSWER_BYTES

START_TIMEOUT_S: Final = 30.0
"""A worker starts in some 50 ms; on a machine that swaps it may take long."""
_CHUNK: Final = 1 << 20
_MAX_HEAD_BYTES: Final = 1 << 16
_ROOT: Final = Path(__file__).resolve().parents[2]
_CODE: Final = "import sys; sys.path.insert(0, sys.argv[1]); from app.policy.child import main; main()"
_MEMORY_MARKS: Final = (b"out of memory", b"cannot allocate memory", b"stack exceeds", b"errno=12", b"MemoryError")


class Died(Exception):
    """The worker gave no answer and is gone. `kind`: timeout, memory or crash."""

    def __init__(self, kind: Literal["timeout", "memory", "crash"], message: str) -> None:
        super().__init__(message)
        self.kind: Literal["timeout", "memory", "crash"] = kind


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may take."""

    memory_bytes: int = 1 << 30
    """Of RLIMIT_DATA: RLIMIT_AS would kill innocent work, the library maps 1.8 GB at start."""


class Worker:
    """A child process. It starts at once; its first answer waits until it is ready."""

    def __init__(self, library: Path, limits: Limits) -> None:
        life, self._life = os.pipe()
        stderr, stderr_end = os.pipe()
        os.set_blocking(stderr_end, False)  # a dying child must not wait for a reader
        os.set_blocking(stderr, False)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-c",
                    _CODE,
                    str(_ROOT),
                    str(library),
                    str(life),
                    str(limits.memory_bytes),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr_end,
                env={},
                cwd="/",
                pass_fds=(life,),
                start_new_session=True,
                bufsize=0,
            )
        finally:
            os.close(life)
            os.close(stderr_end)
        self._stderr = stderr
        self._to, self._from = _descriptor(self._process.stdin), _descriptor(self._process.stdout)
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._buffer = bytearray()
        self.isolation: dict[str, str] = {}
        self.known: set[str] = set()
        """Keys of programs that were sent; the child may have dropped some."""
        self._is_ready = False

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """True while the child runs."""
        return self._process.poll() is None

    def ask(self, head: dict[str, object], body: bytes, timeout_s: float) -> tuple[dict[str, object], bytes]:
        """The child's answer. Raises: Died when there is none in time; the child is dead then."""
        with self._deadly(timeout_s):
            self.wait_until_ready()
            deadline = time.monotonic() + timeout_s
            encoded = msgspec.json.encode(head)
            self._write([HEAD.pack(len(encoded), len(body)) + encoded, body], deadline)
            return self._read(deadline)

    def next(self, timeout_s: float) -> tuple[dict[str, object], bytes]:
        """The child's next answer to what it was asked last. Raises: Died, as `ask`."""
        with self._deadly(timeout_s):
            return self._read(time.monotonic() + timeout_s)

    @contextmanager
    def _deadly(self, timeout_s: float) -> Iterator[None]:
        """What does not end in time, or breaks the pipe, is the child's end. Raises: Died."""
        try:
            yield
        except TimeoutError as error:
            self.kill()
            raise Died("timeout", f"no answer after {timeout_s:.3g} s") from error
        except OSError as error:
            raise self._post_mortem() from error

    def wait_until_ready(self) -> None:
        """Return when the child has loaded OPA. Raises: OSError when it never does."""
        if self._is_ready:
            return
        head, _ = self._read(time.monotonic() + START_TIMEOUT_S)
        isolation = head.get("isolation")
        if isinstance(isolation, dict):
            self.isolation = {str(key): str(value) for key, value in isolation.items()}
        self._is_ready = True

    def kill(self) -> None:
        """End the child and its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        for descriptor in (self._life, self._stderr):
            try:
                os.close(descriptor)
            except OSError:
                continue
        self._life = self._stderr = -1

    def _post_mortem(self) -> Died:
        """Why the child is gone, from its last words and its exit code."""
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        try:
            words = os.read(self._stderr, _MAX_HEAD_BYTES)
        except OSError:
            words = b""
        code = self._process.returncode
        self.kill()
        if any(mark in words for mark in _MEMORY_MARKS):
            return Died("memory", "more memory than a policy may use")
        if code == -24:  # SIGXCPU
            return Died("timeout", "more processor time than a policy may use")
        return Died("crash", f"the engine ended with {'signal' if code < 0 else 'code'} {abs(code)}")

    def _write(self, parts: Sequence[bytes], deadline: float) -> None:
        views = [memoryview(part) for part in parts if part]
        while views:
            try:
                written = os.writev(self._to, views)
            except BlockingIOError:
                self._wait(self._to, select.POLLOUT, deadline)
                continue
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if views:
                views[0] = views[0][written:]

    def _read(self, deadline: float) -> tuple[dict[str, object], bytes]:
        head_bytes, body_bytes = HEAD.unpack(self._take(HEAD.size, deadline))
        if head_bytes > _MAX_HEAD_BYTES or body_bytes > MAX_ANSWER_BYTES:
            raise ConnectionError("an answer out of bounds")
        head = msgspec.json.decode(self._take(head_bytes, deadline), type=dict[str, object])
        return head, self._take(body_bytes, deadline)

    def _take(self, count: int, deadline: float) -> bytes:
        """The next bytes of the child's answers; as much as is there is read at once."""
        while len(self._buffer) < count:
            self._wait(self._from, select.POLLIN, deadline)
            try:
                part = os.read(self._from, _CHUNK)
            except BlockingIOError:
                continue
            if not part:
                raise ConnectionError("the worker is gone")
            self._buffer += part
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError


def _descriptor(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise BrokenError("starting a policy worker: no pipe")
    return pipe.fileno()
