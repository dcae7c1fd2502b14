"""A world for workers: a control plane that is a real HTTP server and keeps real state, and a real git repository."""

import base64
import json
import os
import select
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from app.core.names import Secret
from app.core.protocol import Assignment, ClaimRequest, Phase, PlanReport, ResultReport, StateAccess
from app.engine.child import Patience
from app.engine.git import Mirror
from app.engine.isolation import Isolation, Kind, Wanted, find_isolation, try_out
from app.engine.tools import find_engine
from app.vault.stream import stream_cipher
from app.worker.config import WorkerConfig
from app.worker.loop import Worker

POOL_TOKEN = "pool-token-0123456789"
RUN = "01JABCDEFGHJKMNPQRSTVWXYZ0"
KEY = base64.b64encode(bytes(range(32))).decode()
WAIT_S = 30.0


@dataclass
class Book:
    """What the control plane knows and what it answers: scripted by a test, read by it afterwards."""

    claims: deque[Assignment] = field(default_factory=deque)
    logs: dict[str, bytearray] = field(default_factory=dict)
    stages: list[tuple[str, str]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    """What heartbeats said, in their order."""
    plans: list[PlanReport] = field(default_factory=list)
    applies: list[str] = field(default_factory=list)
    results: list[ResultReport] = field(default_factory=list)
    archive: bytes = b""
    state: bytes = b""
    state_lock: bytes = b""
    requests: list[str] = field(default_factory=list)
    asked: list[ClaimRequest] = field(default_factory=list)
    """Every claim."""
    next: str = "archive"
    apply_environment: dict[str, str] | None = None
    stop: bool = False
    oidc_token: str = ""
    lease_s: float = 30.0
    refuse: dict[str, int] = field(default_factory=dict)
    """Name of a call to the status with which it is refused from now on."""
    refuse_state_writes: bool = False
    dripping: Event | None = None
    """Until it is set, the answer to a heartbeat comes byte by byte."""
    store_url: str = ""
    """Where archives are brought and fetched; empty: through the control plane."""
    store_headers: dict[str, str] = field(default_factory=dict)
    on_first_stage: StateAccess | None = None
    changed: Condition = field(default_factory=Condition)

    @property
    def log(self) -> str:
        return "".join(part.decode() for part in self.logs.values())

    def wait(self, what: Callable[[], object]) -> None:
        """Until it is so."""
        with self.changed:
            assert self.changed.wait_for(what, WAIT_S), f"never happened; the log so far:\n{self.log}\n{self.results}"

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        *_, owner, name = path.split("/")
        if name in self.refuse:
            return self.refuse[name], b'{"error":"refused by the test"}'
        if name == "claim":
            self.asked.append(msgspec.json.decode(body, type=ClaimRequest))
            return (200, msgspec.json.encode(self.claims.popleft())) if self.claims else (204, b"")
        if name == "archive":
            self.archive = body if method == "PUT" else self.archive
            return (204, b"") if method == "PUT" else (200, self.archive)
        if name == "log":
            log, offset = self.logs.setdefault(owner, bytearray()), int(query["offset"])
            log[offset : offset + len(body)] = body
            return 204, b""
        return getattr(self, f"_{name}")(body)  # type: ignore[no-any-return] # one of the methods below

    def _heartbeat(self, body: bytes) -> tuple[int, bytes]:
        beat = json.loads(body)
        self.done.append(beat["done"])
        token = self.oidc_token if beat["wants_token"] else ""
        return 200, json.dumps({"lease_s": self.lease_s, "stop": self.stop, "oidc_token": token}).encode()

    def _stage(self, body: bytes) -> tuple[int, bytes]:
        report = json.loads(body)
        self.stages.append((report["stage"], report["state_mode"]))
        if report["stage"] == "initializing" and self.on_first_stage is not None:
            return 200, msgspec.json.encode({"state": self.on_first_stage})
        return 204, b""

    def _transfer(self, _body: bytes) -> tuple[int, bytes]:
        return 200, json.dumps({"url": self.store_url, "headers": self.store_headers}).encode()

    def _plan(self, body: bytes) -> tuple[int, bytes]:
        self.plans.append(msgspec.json.decode(body, type=PlanReport))
        return 200, json.dumps({"next": self.next, "environment": self.apply_environment}).encode()

    def _apply(self, body: bytes) -> tuple[int, bytes]:
        self.applies.append(json.loads(body)["digest"])
        return 200, b"{}"

    def _result(self, body: bytes) -> tuple[int, bytes]:
        self.results.append(msgspec.json.decode(body, type=ResultReport))
        return 204, b""

    def state_call(self, method: str, body: bytes) -> tuple[int, bytes]:
        """An http state backend. Source: https://developer.hashicorp.com/terraform/language/backend/http"""
        if method == "GET":
            return (200, self.state) if self.state else (404, b"")
        if method == "LOCK":
            if self.state_lock:
                return 423, self.state_lock
            self.state_lock = body
        elif method == "UNLOCK":
            self.state_lock = b""
        elif method == "POST" and self.refuse_state_writes:
            return 400, b""
        elif method == "POST":
            self.state = body
        return 200, b""


class _Handler(BaseHTTPRequestHandler):
    book: Book

    def _any(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self.book.changed:
            self.book.requests.append(f"{self.command} {parts.path}")
            if parts.path.startswith("/state/"):
                wanted = "Basic " + base64.b64encode(b"run:state-password-123").decode()
                is_known = self.headers["authorization"] == wanted
                status, answer = self.book.state_call(self.command, body) if is_known else (401, b"")
            else:
                token = POOL_TOKEN if parts.path.endswith("/claim") else "assignment-token-123"
                is_known = self.headers["authorization"] == f"Bearer {token}"
                status, answer = (
                    self.book.answer(self.command, parts.path, query, body) if is_known else (401, b'{"error":"who?"}')
                )
            self.book.changed.notify_all()
        drips = self.book.dripping if parts.path.endswith("/heartbeat") else None
        self.send_response(status)
        if drips is None:
            self.send_header("content-length", str(len(answer)))
        self.end_headers()
        while drips is not None and not drips.wait(0.02):
            self.wfile.write(b" ")  # before a JSON document it means nothing
        self.wfile.write(answer)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    do_GET = do_POST = do_PUT = do_DELETE = do_LOCK = do_UNLOCK = _any  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Repository:
    """A real git repository with one branch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "uploadpack.allowFilter", "true")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")

    def git(self, *words: str) -> str:
        who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.path.parent), **who}
        done = subprocess.run(["git", *words], cwd=self.path, env=env, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "change")
        return self.git("rev-parse", "HEAD")


class World:
    """Everything a test needs; workers started in it have ended when it is left."""

    def __init__(self, folder: Path, url: str, book: Book) -> None:
        self.folder, self.url, self.book = folder, url, book
        self.isolation: Wanted = "none"
        """Of the workers that it starts. Outside of a box a plan can reach a test's folder."""
        self.readable: tuple[Path, ...] = ()
        """What of the machine its boxes show."""
        self.kind: Kind | None = None
        """Of their boxes; None: the one that a worker chooses here."""
        self.repository = Repository(folder / "repository")
        self.engine = find_engine("terraform", search_path=os.environ["PATH"])
        self._running: list[tuple[Event, Thread]] = []

    def config(self, name: str = "worker-1", **more: Any) -> WorkerConfig:
        settings: dict[str, Any] = {
            "control_url": self.url,
            "token": Secret(POOL_TOKEN),
            "pool": "default",
            "name": name,
            "mirror_root": self.folder / "mirrors",
            "work_root": self.folder / "runs",
            "search_path": os.environ["PATH"],
            "poll_s": 0.2,
            "patience": Patience(0.6, 0.3),
        }
        return WorkerConfig(**(settings | more))

    def start(
        self, name: str = "worker-1", *, isolation: Wanted | None = None, found: Isolation | None = None, **more: Any
    ) -> Event:
        """A worker in a thread; set the event to shut it down. `isolation`, `found`: other than the world's."""
        stop = Event()
        mirror = Mirror(self.folder / "mirrors", allow_file=True)
        wanted = isolation or self.isolation
        found = found or (of_kind(self.kind) if self.kind and wanted == "bubblewrap" else isolated(wanted))
        worker = Worker(
            self.config(name, isolation=replace(found, readable=self.readable), **more), stream_cipher, mirror=mirror
        )
        thread = Thread(target=worker.run, args=(stop,))
        thread.start()
        self._running.append((stop, thread))
        return stop

    def end(self) -> None:
        """Shut every worker down and wait for it."""
        for stop, _ in self._running:
            stop.set()
        for _, thread in self._running:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        self._running.clear()

    def assign(self, sha: str, **more: Any) -> Assignment:
        """Put an assignment up for the next claim."""
        fields: dict[str, Any] = {
            "id": "01JASSXGNMENT0000000000001",
            "token": "assignment-token-123",
            "fencing": 1,
            "lease_s": self.book.lease_s,
            "phase": Phase.PLAN,
            "run_id": RUN,
            "run_type": "tracked",
            "stack_id": "01JSTACK000000000000000000",
            "stack_name": "network",
            "clone_url": f"file://{self.repository.path}",
            "clone_token": "",
            "repository_id": 7,
            "sha": sha,
            "project_root": "",
            "tool": "terraform",
            "version": "",
            "workspace": "default",
            "state_mode": "managed",
            "state": self.state_access(),
            "data_key": KEY,
            "archive_context": {"run": RUN, "sha": sha},
        }
        assignment = Assignment(**(fields | more))
        self.book.claims.append(assignment)
        return assignment

    def assign_apply(self, sha: str, **more: Any) -> Assignment:
        """Put the apply of the newest plan up for the next claim."""
        plan = self.book.plans[-1]
        fields = {"id": "01JASSXGNMENT0000000000002", "fencing": 2, "plan_digest": plan.digest, "engine": plan.engine}
        return self.assign(sha, phase=Phase.APPLY, **(fields | more))

    def state_access(self, **more: Any) -> StateAccess:
        fields = {"username": "run", "password": "state-password-123"}
        return StateAccess(address=f"{self.url}/state/S", **(fields | more))

    def result(self, number: int = 1) -> ResultReport:
        """The result of that assignment, once it is there."""
        self.book.wait(lambda: len(self.book.results) >= number)
        return self.book.results[number - 1]


@cache
def isolated(wanted: Wanted) -> Isolation:
    """What this machine can do, tried out once."""
    return find_isolation(wanted, search_path=os.environ["PATH"])


def of_kind(kind: Kind) -> Isolation:
    """Boxes of that kind, or a loud skip where they do not work."""
    made = replace(isolated("bubblewrap"), kind=kind, is_nested_forbidden=kind is Kind.USER_NAMESPACE)
    why_not = try_out(made) if kind is not isolated("bubblewrap").kind else ""
    if why_not:
        pytest.skip(f"NOT TESTED, no boxes of kind {kind.value}: {why_not}")
    return made


def boxes() -> pytest.MarkDecorator:
    """Skips, loudly, where bubblewrap is not there or does not work."""
    found = isolated("auto")
    return pytest.mark.skipif(not found.is_on, reason=f"NOT TESTED, no isolation: {found.why_not}")


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z"


def await_gone(pid: int) -> None:
    """The process ends: waited for on its own descriptor, not by sleeping."""
    if _is_gone(pid):
        return
    descriptor = os.pidfd_open(pid)
    try:
        assert select.select([descriptor], [], [], WAIT_S)[0], f"process {pid} lives"
    finally:
        os.close(descriptor)


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """A world in a folder; its workers and its server have ended when it is left."""
    book = Book()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"book": book}))
    server.daemon_threads = True
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    serving.start()
    world = World(folder, f"http://127.0.0.1:{server.server_port}", book)
    try:
        yield world
    finally:
        world.end()
        server.shutdown()
        server.server_close()
        serving.join()
