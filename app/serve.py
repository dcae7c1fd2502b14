"""One process tree: `trackside serve` starts the database, web, jobs and one worker, and starts again what dies.

The worker's environment is built from nothing: it gets an address and a token, never the database or the App's key.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from app.core.errors import TracksideError, UserError
from app.engine.guard import GUARD
from app.settings import Ground, is_loopback, load_worker_settings, names_app
from app.store.embedded import EmbeddedPostgres
from app.store.migrations import migrate
from app.wiring_app import find_settings

log = structlog.get_logger("serve")

GRACE_S = 30.0
WORKER_END_S = 60.0
"""What a worker needs after its own grace (WORKER_GRACE_S) to interrupt an apply and to say how it ended. A second
signal ends this process, and all of its parts die with it."""
BACKOFF_S = 1.0
ANSWER_S = 20.0
"""How long the worker waits for the web process to listen: a first claim that nobody hears costs it a pause."""
WORKER_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "TERRAFORM_BIN",
    "TOFU_BIN",
    "TOOLS_DIR",
    "TOOLS_MIRROR",
    "TOFU_MIRROR",
    "TOFU_INDEX",
    "TOOLS_KEYRING",
    "TOOLS_UNSIGNED",
    "PROVIDERS_MIRROR",
    "LOG_LEVEL",
    "WORKER_CONCURRENCY",
    "WORKER_NAME",
    "WORKER_GRACE_S",
    "ISOLATION",
    "ISOLATION_READABLE",
    "INIT_TIMEOUT_S",
    "PLAN_TIMEOUT_S",
    "APPLY_TIMEOUT_S",
    "HOOK_TIMEOUT_S",
    "RUN_TIMEOUT_S",
    "SILENCE_TIMEOUT_S",
    "MAX_OUTPUT_MB",
    "MAX_MEMORY_MB",
    "MAX_PROCESSES",
    "MAX_WORKSPACE_MB",
    "SSL_CERT_FILE",
)
"""What a worker may see of this process's environment."""


@dataclass(slots=True)
class Part:
    """One child of the tree."""

    name: str
    env: Mapping[str, str]
    log_file: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0

    def start(self) -> None:
        """Start it, in a group of its own that dies with this process."""
        argv = [sys.executable, "-m", "app.cli", self.name]
        with open(self.log_file or os.devnull, "ab") as log_file:
            output = log_file if self.log_file else None
            self.process = subprocess.Popen(  # noqa: S603 - an argument vector, never a shell
                argv, env=dict(self.env), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self.started_at = time.monotonic()
        GUARD.watch(self.process.pid)
        log.info("started", part=self.name, pid=self.process.pid)

    def has_ended(self) -> bool:
        """True when it is not there (any more)."""
        return self.process is None or self.process.poll() is not None

    def end(self, grace_s: float) -> None:
        """Ask it to end, wait, then make it."""
        if self.process is None:
            return
        if not self.has_ended():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        GUARD.release(self.process.pid)
        log.info("ended", part=self.name, code=self.process.returncode)


@dataclass(slots=True)
class Tree:
    """Database, web, jobs, worker."""

    settings: Ground
    environ: Mapping[str, str]
    log_file: Path | None = None
    """Where the parts log; None: with this process."""
    parts: list[Part] = field(default_factory=list)
    worker_grace_s: float = 0.0
    """How long the worker waits for an apply; read with its settings."""
    url: str = ""
    """The database."""
    is_set_up: bool = False
    """There is an App: in the environment, or set up in the browser."""

    def run(self, stop: threading.Event) -> None:
        """Start everything, keep it alive until `stop`, end it in order. Raises: UserError when it cannot start."""
        check_host(self.settings.host)
        check_port(self.settings.host, self.settings.port)
        postgres = None if self.settings.database_url else EmbeddedPostgres(self.settings.data_dir)
        self.url = postgres.start() if postgres else self.settings.database_url.reveal()
        try:
            migrate(self.url)
            self.is_set_up = names_app(self.environ) or find_settings(self.environ, self.url) is not None
            self._make_parts(self.url)
            self._start(stop)
            log.info("serving", url=self.settings.public_url, port=self.settings.port)
            self._watch(stop)
        finally:
            for part in reversed(self.parts):
                part.end(self.worker_grace_s + WORKER_END_S if part.name == "worker" else GRACE_S)
            if postgres:
                postgres.stop()

    def _start(self, stop: threading.Event) -> None:
        for part in self.parts:
            if part.name == "worker":
                if not self._has_app():
                    return
                self._wait_for_web(stop)
            if stop.is_set():
                return
            part.start()

    def _has_app(self) -> bool:
        """False until somebody has set the App up in the browser: before that, a worker would only ask in vain."""
        if not self.is_set_up:
            with contextlib.suppress(TracksideError):  # the web process says what it is
                self.is_set_up = find_settings(self.environ, self.url) is not None
        return self.is_set_up

    def _wait_for_web(self, stop: threading.Event) -> None:
        """Return when the web process listens, has ended, or takes too long: whatever then is, the worker copes."""
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end and not self.parts[0].has_ended() and not stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.settings.port), timeout=1):
                return
            stop.wait(0.02)

    def _make_parts(self, url: str) -> None:
        token = self._worker_token()
        tokens = self.environ.get("WORKER_TOKENS", "")
        if not self.settings.worker_tokens.get("default"):
            tokens = ",".join(filter(None, (tokens, f"default={token}")))
        control = {**self.environ, "DATABASE_URL": url, "WORKER_TOKENS": tokens}
        worker = {name: self.environ[name] for name in WORKER_VARIABLES if name in self.environ} | {
            "CONTROL_URL": f"http://127.0.0.1:{self.settings.port}",
            "WORKER_TOKEN": token,
            "WORKER_POOL": "default",
            "DATA_DIR": str(self.settings.data_dir.resolve()),
        }
        self.worker_grace_s = load_worker_settings(worker).worker_grace_s
        # In the order in which they start; they end the other way round.
        envs = {"web": control, "jobs": control, "worker": worker}
        self.parts = [Part(name, env, self.log_file) for name, env in envs.items()]

    def _worker_token(self) -> str:
        known = self.settings.worker_tokens.get("default")
        return known[0].reveal() if known else secrets.token_urlsafe(32)

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(0.5):
            for part in self.parts:
                if part.name == "worker" and not self._has_app():
                    continue
                if part.process is None:  # the App has come
                    part.start()
                if part.has_ended() and time.monotonic() - part.started_at > BACKOFF_S:
                    code = part.process.returncode if part.process else None
                    log.warning("ended and is started again", part=part.name, code=code)
                    if part.process:
                        GUARD.release(part.process.pid)
                    part.start()


def check_folder(folder: Path) -> None:
    """Make the data folder, for its owner alone. Raises: UserError when it cannot be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError("not writable")
    except OSError as error:
        way_out = "set DATA_DIR to one that this user may write"
        raise UserError(f"making the data folder {folder}: {error}; {way_out}") from error


def check_host(host: str) -> None:
    """Raises: UserError when the tree's own worker could not reach the web process over loopback."""
    if host not in ("0.0.0.0", "::") and not is_loopback(host):  # noqa: S104 - compared, not bound
        raise UserError(
            f"starting with HOST={host}: `serve` runs a worker that reaches the web process over loopback; "
            "set HOST to 127.0.0.1 or 0.0.0.0, or start `web`, `jobs` and `worker` apart"
        )


def check_port(host: str, port: int) -> None:
    """Raises: UserError when the web process could not listen there.

    Asked before anything is started: a worker would otherwise show its token to whatever listens there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        usable = [_probe(*each) for each in found]
        if not any(usable):
            raise OSError("this machine has no such kind of address")
    except (OSError, UnicodeError) as error:
        way_out = "set HOST and PORT to an address of this machine that nothing else listens on"
        why = error.strerror if isinstance(error, OSError) else None
        raise UserError(f"listening on {host[:80]}:{port}: {why or error}; {way_out}") from error


def _probe(family: int, kind: int, protocol: int, _name: str, address: Any) -> bool:
    """True for an address that can be listened on; False for a family that this machine does not have, which the web
    process passes over. Raises: OSError when something else listens there."""
    try:
        probe = socket.socket(family, kind, protocol)
    except OSError:
        return False
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
    return True
