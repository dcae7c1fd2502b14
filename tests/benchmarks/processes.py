"""Child processes of a measurement: servers that listen on a port of this machine, and a client that loads them.

Every child is in a group of its own and is gone when its block ends.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_S = 30.0


def answers(port: int) -> bool:
    """True when somebody listens on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def child_env(more: Mapping[str, str]) -> dict[str, str]:
    """Where programs are found, and what is given. Nothing else of this process's environment."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | dict(more)


class Server:
    """A child that listens on a port."""

    def __init__(self, module: Sequence[str], env: Mapping[str, str], *, port: int, log_file: Path) -> None:
        self.port, self._log_file, self._name = port, log_file, " ".join(module)
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *module],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def wait(self) -> None:
        """Return once it answers. Raises: AssertionError with the end of its log."""
        end, pause = time.monotonic() + START_S, threading.Event()
        while time.monotonic() < end and self._process.poll() is None:
            if answers(self.port):
                return
            pause.wait(0.05)
        raise AssertionError(f"starting {self._name}: {self._log_file.read_text('utf-8', 'replace')[-2000:]}")

    def kill(self) -> None:
        """kill -9, whatever it is doing."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end; make it after a while."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running(module: Sequence[str], env: Mapping[str, str], *, port: int, log_file: Path) -> Iterator[Server]:
    """A server for the time of the block, once it answers."""
    server = Server(module, env, port=port, log_file=log_file)
    try:
        server.wait()
        yield server
    finally:
        server.stop()
