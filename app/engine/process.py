"""One way to start a child process and wait for it: argument vector, environment from nothing, bounded time.

Knows nothing of git or terraform. What streams, or is ended from elsewhere, is run by `app.engine.child`.
"""

import contextlib
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from app.core.errors import BrokenError, RetryableError, UserError

MAX_OUTPUT_BYTES: Final = 256 * 1024 * 1024
"""What a child may print."""
_KEPT_ERROR_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Completed:
    """What a child process left: exit code, both streams as bytes."""

    code: int
    stdout: bytes
    stderr: bytes

    def error_text(self, limit: int = 2000) -> str:
        """The last part of stderr as text, for an error message; not redacted."""
        return self.stderr.decode("utf-8", "replace").strip()[-limit:]


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout_s: float = 60,
    max_bytes: int = MAX_OUTPUT_BYTES,
) -> Completed:
    """Run a command to its end and return what it left, whatever its exit code; of stderr the end.

    Raises: BrokenError when it cannot be started; RetryableError when it takes longer than timeout_s, UserError when it
    prints more than max_bytes (it is killed).
    """
    try:
        child = subprocess.Popen(  # noqa: S603 - an argument vector, never a shell
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise BrokenError(f"starting {argv[0]}: {error.strerror or error}") from error
    with child:
        try:
            stdout, stderr = _talk(child, stdin, time.monotonic() + timeout_s, max_bytes)
        except TimeoutError as error:
            raise RetryableError(f"running {argv[0]}: no end after {timeout_s:g} s") from error
        except _TooMuch as error:
            raise UserError(f"running {argv[0]}: it printed more than {max_bytes // 1024 // 1024} MiB") from error
        finally:
            _end_group(child)
    return Completed(child.returncode, stdout, stderr)


class _TooMuch(Exception):
    """A child prints more than it may."""


def _talk(child: "subprocess.Popen[bytes]", said: bytes, until: float, max_bytes: int) -> tuple[bytes, bytes]:
    """Both streams, once the child has ended. Raises: TimeoutError, _TooMuch."""
    kept, rest = {child.stdout: bytearray(), child.stderr: bytearray()}, memoryview(said)
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, kept[stream])
        if child.stdin is not None:
            selector.register(child.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready and time.monotonic() >= until:
                raise TimeoutError
            for key, _ in ready:
                if key.data is None:
                    rest = rest[_written(key.fd, rest) :]
                    is_over = not rest
                else:
                    is_over = not _read(key.fd, key.data)
                if is_over:
                    selector.unregister(key.fileobj)
                    cast(IO[bytes], key.fileobj).close()
            if len(kept[child.stdout]) > max_bytes:
                raise _TooMuch
            del kept[child.stderr][:-_KEPT_ERROR_BYTES]
    try:
        child.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    return bytes(kept[child.stdout]), bytes(kept[child.stderr])


def _read(descriptor: int, into: bytearray) -> int:
    data = os.read(descriptor, _READ_BYTES)
    into += data
    return len(data)


def _written(descriptor: int, rest: memoryview) -> int:
    """How much of it went; all of it when nobody reads."""
    try:
        return os.write(descriptor, rest[: select.PIPE_BUF])  # so much never blocks once it is said to be ready
    except BrokenPipeError:
        return len(rest)


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill whatever is left of the child's process group: helpers of git outlive it otherwise."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def base_env(home: Path) -> dict[str, str]:
    """The least environment that git and terraform need: a search path, a home of our own, a plain locale.

    Shape: variable name to value; nothing of the parent's environment but PATH goes in.
    """
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}
