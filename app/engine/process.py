"""One way to start a child process and wait for it: argument vector, environment from nothing, bounded time.

Knows nothing of git or terraform. Callers that stream or cancel use `start` (workers); short questions use `run`.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import BrokenError, RetryableError


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
) -> Completed:
    """Run a command to its end and return what it left, whatever its exit code.

    Raises: BrokenError when it cannot be started; RetryableError when it takes longer than timeout_s (it is killed).
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
            stdout, stderr = child.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise RetryableError(f"running {argv[0]}: no end after {timeout_s:g} s") from error
        finally:
            _end_group(child)
    return Completed(child.returncode, stdout, stderr)


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
