"""The worker protocol over HTTP: what a worker asks the control plane, and how often it asks again.

Knows the wire and nothing of what is done with it. The pool's token claims; everything after that carries the
assignment's own token and fencing number, and a 409 means that another assignment took its place.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO, Final, TypeVar

import httpx
import msgspec
import stamina

from app.core.errors import BrokenError, LeaseLost, RetryableError, UserError
from app.core.names import Secret
from app.core.protocol import (
    MAX_ARCHIVE_BYTES,
    MAX_BODY_BYTES,
    MAX_DONE,
    ApplyRequest,
    Assignment,
    ClaimRequest,
    Heartbeat,
    HeartbeatAnswer,
    PlanAnswer,
    PlanReport,
    Problem,
    ResultReport,
    StageAnswer,
    StageReport,
    TransferAnswer,
    TransferRequest,
)
from app.worker.transfer import chunks_of, download, upload

RETRY_FOR_S: Final = 90.0
_TIMEOUT_S: Final = 20.0
JUDGED_WITHIN_S: Final = 330.0
"""How long the answer to a plan may take: policies judge it, each within its own time, all within five minutes."""
_CHUNK_BYTES: Final = 1024 * 1024
_MAX_PROBLEM_CHARS: Final = 500
_JSON: Final = {"content-type": "application/json"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request."""

    path: str
    token: Secret = field(repr=False)
    method: str = "POST"
    body: bytes | Callable[[], Iterator[bytes]] = b""
    headers: dict[str, str] = field(default_factory=lambda: dict(_JSON))
    timeout_s: float = _TIMEOUT_S
    lost_by: frozenset[int] = frozenset({401, 409, 410})
    """Which statuses say that the hold is over: its token died with it, or another assignment exists."""


@dataclass(frozen=True, slots=True)
class Drained:
    """A claim's answer: no run for this worker, until a person says otherwise."""

    reason: str


class Refused(UserError):
    """The control plane says no."""

    def __init__(self, text: str, *, status: int, why: str) -> None:
        super().__init__(text)
        self.status, self.why = status, why


class ControlPlane:
    """The control plane, as a worker sees it. One for all slots; close it at the end."""

    def __init__(self, url: str, pool_token: Secret) -> None:
        self._url, self._pool_token = url.rstrip("/") + "/worker/v1", pool_token
        self._client = httpx.Client(trust_env=False, follow_redirects=False, timeout=_TIMEOUT_S)
        self._lock, self._users, self._is_closing = Lock(), 0, False

    @property
    def http(self) -> httpx.Client:
        """What follows no redirect and reads no proxy from the environment: for archives' addresses, too."""
        return self._client

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Until the block ends, `close` closes nothing: it is done then."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                is_last = self._is_closing and not self._users
            if is_last:
                self._client.close()

    def close(self) -> None:
        """Close the connections, or leave that to whoever keeps them open last."""
        with self._lock:
            self._is_closing = True
            is_last = not self._users
        if is_last:
            self._client.close()

    def claim(self, request: ClaimRequest) -> Assignment | Drained | None:
        """The next assignment; None when there was none in time. Not repeated: a lost answer is a lost lease.

        Raises: RetryableError, UserError, BrokenError.
        """
        call = _Call(
            path="/claim",
            token=self._pool_token,
            body=msgspec.json.encode(request),
            timeout_s=request.wait_s + _TIMEOUT_S,
            lost_by=frozenset(),
        )
        try:
            answer = self.send(call)
        except Refused as error:
            if error.status == httpx.codes.LOCKED:
                return Drained(error.why)
            raise
        return _decode(answer, Assignment) if answer else None

    def send(self, call: _Call, *, into: BinaryIO | None = None) -> bytes:
        """The body of a 2xx answer; with `into` it is written there.

        Raises: LeaseLost when the hold is over; RetryableError when there was no answer, or 429 or 5xx; UserError for
        any other no, in the control plane's words; BrokenError for an answer that cannot be read.
        """
        headers = {**call.headers, "authorization": f"Bearer {call.token.reveal()}"}
        content = call.body if isinstance(call.body, bytes) else call.body()
        action = f"asking the control plane: {call.method} {call.path.partition('?')[0]}"
        try:
            with self._client.stream(
                call.method, self._url + call.path, content=content, headers=headers, timeout=call.timeout_s
            ) as answer:
                limit = MAX_ARCHIVE_BYTES if into is not None and answer.is_success else MAX_BODY_BYTES
                body = _read(answer, limit, into if answer.is_success else None)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RetryableError(f"{action}: {type(error).__name__}: {error}") from error
        if answer.is_success:
            return body
        why = _problem(body)
        text = f"{action}: {answer.status_code} {why}".strip()
        if answer.status_code in call.lost_by:
            raise LeaseLost(text)
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            raise RetryableError(text)
        raise Refused(text, status=answer.status_code, why=why)


class Hold:
    """One assignment's calls. Each is repeated until the control plane answers, for a while, or the hold is lost."""

    def __init__(self, plane: ControlPlane, assignment: Assignment) -> None:
        self.fencing, self.lease_s = assignment.fencing, assignment.lease_s
        self.heartbeat_s = assignment.heartbeat_s
        self.lost = Event()
        """Set when nothing more may be written."""
        self.done = 0
        """How many resources the engine has dealt with in its present command; heartbeats say it."""
        self._plane, self._token = plane, Secret(assignment.token)
        self._path = f"/assignments/{assignment.id}"

    def heartbeat(self, *, timeout_s: float, wants_token: bool = False) -> HeartbeatAnswer:
        """The renewed lease, with a new identity token if wanted. Not repeated: the next heartbeat does that."""
        done = min(self.done, MAX_DONE)
        body = msgspec.json.encode(Heartbeat(fencing=self.fencing, wants_token=wants_token, done=done))
        call = _Call(path=f"{self._path}/heartbeat", token=self._token, body=body, timeout_s=timeout_s)
        return _decode(self._guarded(call), HeartbeatAnswer)

    def stage(self, report: StageReport) -> StageAnswer:
        """Say where the run is; brings state credentials on a first run that turned out to be managed."""
        answer = self._post("stage", report)
        return _decode(answer, StageAnswer) if answer else StageAnswer()

    def plan(self, report: PlanReport) -> PlanAnswer:
        """Hand in the plan; the answer says what is next."""
        return _decode(self._post("plan", report, timeout_s=JUDGED_WITHIN_S), PlanAnswer)

    def request_apply(self, *, digest: str, engine: str) -> None:
        """Return only after the control plane committed `applying`.

        Raises: LeaseLost when it did not: nothing may start then.
        """
        self._post("apply", ApplyRequest(fencing=self.fencing, digest=digest, engine=engine))

    def result(self, report: ResultReport) -> None:
        """End the assignment."""
        self._post("result", report)

    def log(self, data: bytes, *, offset: int) -> None:
        """Add to the log at a byte offset. Not repeated: the shipper does that."""
        path = f"{self._path}/log?fencing={self.fencing}&offset={offset}"
        headers = {"content-type": "text/plain; charset=utf-8"}
        self._guarded(_Call(path=path, token=self._token, body=data, headers=headers))

    def put_archive(self, path: Path, *, sha256: str) -> None:
        """Store the workspace's archive, at the address that the control plane gives, or through itself."""
        size = path.stat().st_size
        asked = TransferRequest(fencing=self.fencing, is_upload=True, size_bytes=size, sha256=sha256)
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}

        def put() -> None:
            offer = self._offer(asked)
            if offer.url:
                upload(self._plane.http, offer, path)
            else:
                self._guarded(self._archive("PUT", lambda: chunks_of(path), headers))

        self._again(put)

    def get_archive(self, out: BinaryIO) -> None:
        """Write the archive of the run's workspace."""
        asked = TransferRequest(fencing=self.fencing, is_upload=False)

        def get() -> None:
            out.seek(0)
            out.truncate()
            offer = self._offer(asked)
            if offer.url:
                download(self._plane.http, offer, out)
            else:
                self._guarded(self._archive("GET", b"", {}), into=out)

        self._again(get)

    def _offer(self, asked: TransferRequest) -> TransferAnswer:
        body = msgspec.json.encode(asked)
        return _decode(
            self._guarded(_Call(path=f"{self._path}/transfer", token=self._token, body=body)), TransferAnswer
        )

    def _archive(self, method: str, body: bytes | Callable[[], Iterator[bytes]], headers: dict[str, str]) -> _Call:
        path = f"{self._path}/archive?fencing={self.fencing}"
        return _Call(path=path, token=self._token, method=method, body=body, headers=headers, timeout_s=120)

    def _post(self, name: str, report: msgspec.Struct, *, timeout_s: float = _TIMEOUT_S) -> bytes:
        body = msgspec.json.encode(report)
        if len(body) > MAX_BODY_BYTES:
            raise BrokenError(f"reporting {name}: {len(body)} bytes are more than the protocol takes")
        return self._repeated(_Call(path=f"{self._path}/{name}", token=self._token, body=body, timeout_s=timeout_s))

    def _repeated(self, call: _Call) -> bytes:
        return self._again(lambda: self._guarded(call))

    def _again(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, for RETRY_FOR_S and as long as the hold lasts; each time anew."""

        def is_worth_it(error: Exception) -> bool:
            return isinstance(error, RetryableError) and not self.lost.is_set()

        for attempt in stamina.retry_context(on=is_worth_it, attempts=None, timeout=RETRY_FOR_S):
            with attempt:
                return ask()
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _guarded(self, call: _Call, *, into: BinaryIO | None = None) -> bytes:
        """One call, unless the hold is lost already; a 409 makes it so."""
        if self.lost.is_set():
            raise LeaseLost(f"{call.method} {self._path}: the hold is lost")
        try:
            return self._plane.send(call, into=into)
        except LeaseLost:
            self.lost.set()
            raise


def _read(answer: httpx.Response, limit: int, into: BinaryIO | None) -> bytes:
    kept, size = bytearray(), 0
    for chunk in answer.iter_bytes(_CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise BrokenError(f"reading the control plane's answer: more than {limit} bytes")
        if into is None:
            kept += chunk
        else:
            into.write(chunk)
    return bytes(kept)


def _decode(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BrokenError(f"reading the control plane's answer: {error}") from error


def _problem(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Problem).error[:_MAX_PROBLEM_CHARS]
    except (msgspec.DecodeError, UnicodeError):
        return ""
