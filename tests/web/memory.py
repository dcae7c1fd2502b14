"""The doors' other side, in memory: small and honest implementations of the Protocols, and the app served on loopback.

Each keeps what the real one promises (a GUID once, a fencing number checked, a lock held once), so that a test of the
web room says something about the web room.
"""

import asyncio
import hashlib
import hmac
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import httpx
import uvicorn
from starlette.applications import Starlette

from app.core.errors import LeaseLost, NotAuthorised, RetryableError
from app.core.managed import (
    StateCaller,
    StateDone,
    StateFound,
    StateLockHeld,
    StateLocking,
    StateMissing,
    StateQuarantined,
    StateReadOnly,
    StateWrite,
)
from app.core.names import AssignmentId, DeliveryId, RunId, Secret, StackId
from app.core.protocol import (
    ApplyRequest,
    Assignment,
    ClaimRequest,
    Heartbeat,
    HeartbeatAnswer,
    Next,
    Phase,
    PlanAnswer,
    PlanReport,
    ResultReport,
    StageAnswer,
    StageReport,
    TransferAnswer,
    TransferRequest,
)
from app.core.record import DeliveryOutcome, LogChunk, NewDelivery
from app.core.run import RunState
from app.core.workers import Drained
from app.web.app import make_app
from app.web.doors import Doors, Gauge, Overview, Reading, RunDetail, StackDetail

SECRET = "a webhook secret of some length"
PREVIOUS = "the webhook secret before that one"
POOL_TOKEN = "pool-token-of-the-default-pool"
OTHER_TOKEN = "pool-token-of-the-other-pool"
STACK = "01JD0000000000000000000001"
ASSIGNMENT = "01JD00000000000000000000A1"
TOKEN = "assignment-token"


def signed(body: bytes, secret: str = SECRET) -> str:
    """GitHub's signature of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def delivery(body: bytes, *, guid: str = "5b0e3f3c-0001", event: str = "push", **headers: str) -> dict[str, str]:
    """The headers of a delivery, signed; others may be added or, as an empty text, left out."""
    made = {
        "content-type": "application/json",
        "x-github-delivery": guid,
        "x-github-event": event,
        "x-hub-signature-256": signed(body),
    }
    made |= {name.replace("_", "-"): value for name, value in headers.items()}
    return {name: value for name, value in made.items() if value}


@dataclass
class Deliveries:
    """What was stored, by GUID."""

    rows: dict[str, tuple[str, bytes, DeliveryOutcome, str]] = field(default_factory=dict)
    trouble: Exception | None = None

    def __call__(self, batch: Sequence[NewDelivery], /) -> frozenset[DeliveryId]:
        if self.trouble is not None:
            raise self.trouble
        new = [one for one in batch if one.guid not in self.rows]
        self.rows.update({one.guid: (one.event, one.body, one.outcome, one.reason) for one in new})
        return frozenset(one.guid for one in new)


@dataclass
class Work:
    """One assignment's work, and a list of what may be claimed."""

    waiting: list[str] = field(default_factory=list)
    looks: int = 0
    drained: dict[str, Drained] = field(default_factory=dict)
    """By the worker's name."""
    fencing: int = 1
    said: list[tuple[str, object]] = field(default_factory=list)
    log: dict[int, bytes] = field(default_factory=dict)
    archive: bytes | None = None
    pieces: list[int] = field(default_factory=list)
    trouble: Exception | None = None
    closed: threading.Event = field(default_factory=threading.Event)
    looked: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def claim(self, pool: str, request: ClaimRequest) -> Assignment | Drained | None:
        with self.lock:
            self.looks += 1
            self.looked.set()
            if request.worker in self.drained:
                return self.drained[request.worker]
            if pool not in self.waiting:
                return None
            self.waiting.remove(pool)
        self.said.append(("claim", request))
        return Assignment(
            id=ASSIGNMENT,
            token=TOKEN,
            fencing=self.fencing,
            lease_s=30,
            phase=Phase.PLAN,
            run_id="01JD00000000000000000000R1",
            run_type="tracked",
            stack_id=STACK,
            stack_name="network",
            clone_url="https://github.example.org/acme/infra.git",
            clone_token="clone",
            repository_id=1,
            sha="a" * 40,
            project_root="",
            tool="terraform",
            version="",
            workspace="default",
        )

    def authorise(self, assignment_id: AssignmentId, token: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        if (assignment_id, token) != (ASSIGNMENT, TOKEN):
            raise NotAuthorised("no such assignment, or not its token")

    def _guard(self, assignment_id: AssignmentId, token: str, fencing: int) -> None:
        self.authorise(assignment_id, token)
        if fencing != self.fencing:
            raise LeaseLost(f"assignment {assignment_id} is over: another one holds the run")

    def heartbeat(self, assignment_id: AssignmentId, token: str, beat: Heartbeat) -> HeartbeatAnswer:
        self._guard(assignment_id, token, beat.fencing)
        return HeartbeatAnswer(lease_s=30, stop=True)

    def stage(self, assignment_id: AssignmentId, token: str, report: StageReport) -> StageAnswer:
        self._guard(assignment_id, token, report.fencing)
        self.said.append(("stage", report))
        return StageAnswer()

    def add_log(self, assignment_id: AssignmentId, token: str, fencing: int, offset: int, data: bytes) -> None:
        self._guard(assignment_id, token, fencing)
        self.log.setdefault(offset, data)

    def report_plan(self, assignment_id: AssignmentId, token: str, report: PlanReport) -> PlanAnswer:
        self._guard(assignment_id, token, report.fencing)
        self.said.append(("plan", report))
        return PlanAnswer(next=Next.ARCHIVE)

    def begin_apply(self, assignment_id: AssignmentId, token: str, request: ApplyRequest) -> None:
        self._guard(assignment_id, token, request.fencing)
        self.said.append(("apply", request))

    def report_result(self, assignment_id: AssignmentId, token: str, report: ResultReport) -> None:
        self._guard(assignment_id, token, report.fencing)
        self.said.append(("result", report))

    def offer_archive(self, assignment_id: AssignmentId, token: str, asked: TransferRequest) -> TransferAnswer:
        self._guard(assignment_id, token, asked.fencing)
        return TransferAnswer(url=f"https://store/{asked.size_bytes}", headers={"if-none-match": "*"})

    def put_archive(self, assignment_id: AssignmentId, token: str, fencing: int, chunks: Iterator[bytes]) -> None:
        self._guard(assignment_id, token, fencing)
        digest = hashlib.sha256()
        for chunk in chunks:
            self.pieces.append(len(chunk))
            digest.update(chunk)
        self.archive = digest.digest()

    def open_archive(self, assignment_id: AssignmentId, token: str, fencing: int) -> AbstractContextManager[BinaryIO]:
        self._guard(assignment_id, token, fencing)

        @contextmanager
        def opened() -> Iterator[BinaryIO]:
            try:
                yield io.BytesIO(b"archive" * 1_000_000)
            finally:
                self.closed.set()

        return opened()


@dataclass
class States:
    """One stack's state, its lock, and credentials that can be over or read-only."""

    data: bytes | None = None
    lock_info: bytes = b""
    lock_id: str = ""
    kept_apart: list[bytes] = field(default_factory=list)
    is_over: bool = False
    is_read_only: bool = False

    def authorise(self, caller: StateCaller) -> None:
        if (caller.stack_id, caller.assignment_id, caller.password.reveal()) != (STACK, ASSIGNMENT, "state-password"):
            raise NotAuthorised("no such state, or not its credentials")

    def read(self, caller: StateCaller) -> StateFound | StateMissing:
        self._check(caller)
        return StateMissing() if self.data is None else StateFound(self.data)

    def write(self, caller: StateCaller, lock_id: str, data: bytes) -> StateWrite:
        self.authorise(caller)
        if self.is_over:
            self.kept_apart.append(data)
            return StateQuarantined("assignment is over: the state was kept apart")
        if self.is_read_only:
            return StateReadOnly("only read")
        if lock_id != self.lock_id:
            return StateLockHeld(self.lock_info)
        self.data = data
        return StateDone()

    def lock(self, caller: StateCaller, lock_id: str, info: bytes) -> StateLocking:
        self._check(caller)
        if self.is_read_only:
            return StateReadOnly("only read")
        if self.lock_id not in ("", lock_id):
            return StateLockHeld(self.lock_info)
        self.lock_id, self.lock_info = lock_id, info
        return StateDone()

    def unlock(self, caller: StateCaller, lock_id: str) -> StateLocking:
        self._check(caller)
        if lock_id not in ("", self.lock_id):
            return StateLockHeld(self.lock_info)
        self.lock_id, self.lock_info = "", b""
        return StateDone()

    def delete(self, caller: StateCaller, lock_id: str) -> StateWrite:
        self._check(caller)
        self.data = None
        return StateDone()

    def _check(self, caller: StateCaller) -> None:
        self.authorise(caller)
        if self.is_over:
            raise LeaseLost("assignment is over")


@dataclass
class Shelf:
    """What pages read."""

    runs: dict[str, RunDetail] = field(default_factory=dict)
    stacks: dict[str, StackDetail] = field(default_factory=dict)
    logs: dict[str, list[LogChunk]] = field(default_factory=dict)
    trouble: Exception | None = None

    def overview(self, *, runs: int = 50) -> Overview:
        if self.trouble is not None:
            raise self.trouble
        recent = tuple(one.run for one in self.runs.values())[:runs]
        waiting = tuple(run for run in recent if run.state is RunState.UNCONFIRMED)
        told = tuple(one.throttled for one in self.runs.values() if one.throttled is not None)
        return Overview(stacks=tuple(self.stacks.values()), runs=recent, waiting=waiting, throttled=told)

    def find_run(self, run_id: RunId) -> RunDetail | None:
        return self.runs.get(run_id)

    def find_stack(self, stack_id: StackId) -> StackDetail | None:
        return self.stacks.get(stack_id)

    def read_log(self, run_id: RunId) -> Iterator[LogChunk]:
        return iter(self.logs.get(run_id, []))

    def read_log_end(self, run_id: RunId, *, limit: int) -> tuple[bytes, int]:
        whole = b"".join(chunk.text for chunk in self.read_log(run_id))
        return whole[-limit:], max(len(whole) - limit, 0)


@dataclass
class Signal:
    """Calls back whoever subscribed."""

    subscribers: list[Callable[[str], None]] = field(default_factory=list)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def tell(self, pool: str) -> None:
        for callback in list(self.subscribers):
            callback(pool)


@dataclass
class World:
    """All of it, and the app over it."""

    deliveries: Deliveries = field(default_factory=Deliveries)
    work: Work = field(default_factory=Work)
    states: States = field(default_factory=States)
    shelf: Shelf = field(default_factory=Shelf)
    reading: Reading | None = None
    """Read instead of the shelf."""
    signal: Signal = field(default_factory=Signal)
    wrong: dict[str, str] = field(default_factory=lambda: {"database": "", "migrations": "", "artifacts": ""})
    settings: dict[str, Any] = field(default_factory=dict)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def doors(self) -> Doors:
        """The doors, with this test's settings."""
        given: dict[str, Any] = {
            "webhook_secrets": (Secret(SECRET), Secret(PREVIOUS)),
            "pool_tokens": {"default": (Secret(POOL_TOKEN),), "other": (Secret(OTHER_TOKEN),)},
            "public_url": "http://localhost:8000",
            "github_server_url": "https://github.example.org",
            "database_connections": 4,
        }
        return Doors(
            record_deliveries=self.deliveries,
            work=self.work,
            work_signal=self.signal,
            state=self.states,
            reading=self.reading or self.shelf,
            readiness=lambda: self.wrong,
            gauges=self.gauges,
            stacks_schema={"title": "stacks.yml"},
            organisation_schema={"title": "organisation"},
            **(given | self.settings),
        )

    def gauges(self) -> list[Gauge]:
        """Two gauges, one with a label."""
        return [
            Gauge(name="runs", meaning="Runs by state.", label="state", values={"queued": 2, 'od"d': 1}),
            Gauge(name="oldest_pending_delivery_seconds", meaning="Age.", values={"": 1.5}),
        ]

    def app(self) -> Starlette:
        """A fresh app."""
        return make_app(self.doors())

    def client(self, *, peer: str = "127.0.0.1", host: str = "localhost:8000") -> "Client":
        """A client of a fresh app whose requests come from that peer."""
        return Client(self.app(), self.runner, peer, host)


class Client:
    """Requests to an app without a network; all of a world's in one event loop."""

    def __init__(self, app: Starlette, runner: asyncio.Runner, peer: str, host: str) -> None:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(peer, 4711))
        self._client = httpx.AsyncClient(transport=transport, base_url=f"http://{host}")
        self._runner = runner

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request, to its answer."""
        return self._runner.run(self._client.request(method, path, **request))

    def keep(self, name: str, value: str) -> None:
        """A cookie that the browser has from now on."""
        self._client.cookies.set(name, value)

    def base(self, url: str) -> None:
        """Where the browser is, from now on."""
        self._client.base_url = httpx.URL(url)

    def get(self, path: str, **request: Any) -> httpx.Response:
        """GET."""
        return self.send("GET", path, **request)

    def post(self, path: str, **request: Any) -> httpx.Response:
        """POST."""
        return self.send("POST", path, **request)

    def put(self, path: str, **request: Any) -> httpx.Response:
        """PUT."""
        return self.send("PUT", path, **request)


@contextmanager
def served(app: Starlette, *, http: str = "httptools") -> Iterator[str]:
    """The app on a loopback port, served by uvicorn in a thread; its address."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=http, log_config=None, access_log=False, proxy_headers=False, lifespan="on")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # older releases of uvicorn ask
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def basic(name: str = ASSIGNMENT, password: str = "state-password") -> tuple[str, str]:
    """Credentials of a state."""
    return name, password


def as_json(value: object) -> bytes:
    """JSON as bytes."""
    return json.dumps(value).encode()


BROKEN = RetryableError("storing a delivery: the database does not answer")
