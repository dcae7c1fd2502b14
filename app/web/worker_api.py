"""/worker/v1: what workers ask and tell, exactly as app.core.protocol says. Form here, meaning behind the door.

A claim is authorised by a pool's token, everything else by the assignment's own. Bodies are bounded before they are
read, and large ones are read from authorised workers alone.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core import protocol, words_workers
from app.core.names import AssignmentId
from app.core.plan import Delta
from app.core.protocol import (
    ApplyRequest,
    ClaimRequest,
    Heartbeat,
    PlanReport,
    ResultReport,
    StageReport,
    TransferRequest,
)
from app.core.run import StepRefused
from app.core.workers import MAX_ENGINES, MAX_LABEL_CHARS, MAX_SLOTS, Drained
from app.web.access import bearer_token, is_token
from app.web.answers import encoded, nothing, problem
from app.web.body import BodyRefused, declared_length, read_body
from app.web.doors import Doors
from app.web.metrics import Metrics
from app.web.transfer import Download, Upload, UploadBrokenError
from app.web.ulid import is_ulid
from app.web.waiting import WaitingRoom
from app.web.worker_openapi import worker_openapi_text

SMALL_BYTES: Final = protocol.MAX_SMALL_BODY_BYTES
"""Bodies up to here are read before the token is looked up; larger ones only for who has one."""
MAX_REASON_CHARS: Final = 4000
MAX_WAITING_WORKERS: Final = 5000
ARCHIVES_AT_ONCE: Final = 16
PLANS_AT_ONCE: Final = 8
"""Plans that are taken in at once: policies may think for a while, and heartbeats must not wait behind them."""
MAX_NUMBER: Final = 2**53
LOCKED: Final = 423
ASK_AGAIN_S: Final = 5
"""When a worker that is drained asks again: how soon `resume` is felt."""
NO_POOL: Final = (
    "checking the token: it belongs to no worker pool; "
    "when it was replaced in WORKER_TOKENS, the worker needs the new one"
)

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ENGINE: Final = re.compile(r"[a-z]{1,20} [0-9A-Za-z.+-]{1,60}")
_STATE_MODES: Final = ("", "managed", "external")

Handler = Callable[[Request], Awaitable[Response]]
_T = TypeVar("_T")


class WorkerApi:
    """The routes of one process."""

    def __init__(self, doors: Doors, metrics: Metrics) -> None:
        self._room = WaitingRoom()
        self._doors, self._work, self._claims = doors, doors.work, metrics.claims
        self._calls = CapacityLimiter(doors.database_connections)
        self._archives = CapacityLimiter(ARCHIVES_AT_ONCE)
        self._plans = CapacityLimiter(PLANS_AT_ONCE)
        self._openapi = worker_openapi_text()

    def routes(self) -> list[Route]:
        """Everything under /worker/v1."""
        work, at = self._work, "/assignments/{assignment_id}"
        large = protocol.MAX_BODY_BYTES
        return [
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/claim", self.claim, methods=["POST"]),
            Route(f"{at}/heartbeat", self._call(Heartbeat, work.heartbeat, SMALL_BYTES), methods=["POST"]),
            Route(f"{at}/stage", self._call(StageReport, work.stage, SMALL_BYTES), methods=["POST"]),
            Route(f"{at}/plan", self._call(PlanReport, work.report_plan, large), methods=["POST"]),
            Route(f"{at}/apply", self._call(ApplyRequest, self._begin_apply, SMALL_BYTES), methods=["POST"]),
            Route(f"{at}/result", self._call(ResultReport, work.report_result, large), methods=["POST"]),
            Route(f"{at}/log", self.log, methods=["POST"]),
            Route(f"{at}/transfer", self._call(TransferRequest, work.offer_archive, SMALL_BYTES), methods=["POST"]),
            Route(f"{at}/archive", self.put_archive, methods=["PUT"]),
            Route(f"{at}/archive", self.get_archive, methods=["GET"]),
        ]

    async def openapi(self, _request: Request) -> Response:
        """200 with the protocol's description, for everyone."""
        headers = {"cache-control": "public, max-age=3600", "access-control-allow-origin": "*"}
        return Response(self._openapi, headers=headers, media_type="application/json")

    def wake(self, pool: str) -> None:
        """There may be work in that pool; an empty name means any. Call it in the event loop."""
        if not pool or pool in self._doors.pool_tokens:
            self._room.wake(pool)

    async def claim(self, request: Request) -> Response:
        """200 with an Assignment, 204 after waiting, or 423 at once for a worker that is drained."""
        pool = self._pool(bearer_token(request.scope))
        if pool is None:
            return problem(401, NO_POOL)
        asked = await self._message(request, ClaimRequest, SMALL_BYTES)
        if isinstance(asked, Response):
            return asked
        if asked.pool not in ("", pool):
            return problem(403, words_workers.wrong_pool(asked.pool, pool))
        if self._room.size >= MAX_WAITING_WORKERS:
            return problem(503, "waiting for work: too many workers wait already", {"retry-after": "10"})
        return await self._wait_for_work(request, pool, asked)

    async def _wait_for_work(self, request: Request, pool: str, asked: ClaimRequest) -> Response:
        clock = asyncio.get_running_loop().time
        until = clock() + min(max(asked.wait_s, 0.0), protocol.MAX_WAIT_S)
        while True:
            news = self._room.news(pool)
            found = await self._threaded(self._work.claim, pool, asked)
            if isinstance(found, Drained):
                self._claims.labels("drained").inc()
                self._room.wake(pool)  # it may have been woken for a run that it must not have
                return problem(LOCKED, words_workers.drained(found), {"retry-after": str(ASK_AGAIN_S)})
            if found is not None:
                self._claims.labels("given").inc()
                self._room.wake(pool)
                return encoded(found)
            left = until - clock()
            is_time = left > 0 and await self._room.wait(pool, news, timeout_s=left)
            if await request.is_disconnected():
                self._room.wake(pool)
                return nothing()
            if not is_time:
                self._claims.labels("nothing").inc()
                return nothing()

    def _pool(self, token: str) -> str | None:
        """The pool of a token; every live token is compared, so that time tells nothing."""
        found = None
        for pool, live in self._doors.pool_tokens.items():
            for expected in live:
                if is_token(token, expected):
                    found = pool
        return found

    def _begin_apply(self, assignment_id: AssignmentId, token: str, asked: ApplyRequest, /) -> dict[str, str]:
        self._work.begin_apply(assignment_id, token, asked)
        return {}

    def _call(self, shape: type[_T], method: Callable[[AssignmentId, str, _T], object], max_bytes: int) -> Handler:
        """The handler of one JSON call: 200 with what the method gives, 204 when that is None."""

        async def handle(request: Request) -> Response:
            message = await self._of_assignment(request, shape, max_bytes)
            if isinstance(message, Response):
                return message
            limiter = self._plans if isinstance(message, PlanReport) else self._calls
            arguments = (_assignment_id(request), bearer_token(request.scope), message)
            try:
                answer = await to_thread.run_sync(method, *arguments, limiter=limiter)
            except StepRefused as error:  # out of its order, or said of another plan after the engine was told to apply
                return problem(409, str(error))
            return nothing() if answer is None else encoded(answer)

        return handle

    async def log(self, request: Request) -> Response:
        """204 once the chunk is kept."""
        fencing, offset = _number(request, "fencing"), _number(request, "offset")
        if fencing is None or offset is None:
            return problem(400, "reading the query: fencing and offset must be whole numbers")
        denied = await self._deny(request)
        if denied is not None:
            return denied
        data = await read_body(request.scope, request.receive, max_bytes=protocol.MAX_LOG_CHUNK_BYTES)
        if isinstance(data, BodyRefused):
            return problem(data.status, data.error)
        token = bearer_token(request.scope)
        await self._threaded(self._work.add_log, _assignment_id(request), token, fencing, offset, data)
        return nothing()

    async def put_archive(self, request: Request) -> Response:
        """204 once the whole archive is stored; nothing is kept of a broken one."""
        fencing = _number(request, "fencing")
        if fencing is None:
            return problem(400, "reading the query: fencing must be a whole number")
        length = declared_length(request.scope)
        if length is not None and length > protocol.MAX_ARCHIVE_BYTES:
            return problem(413, f"taking the archive: it is larger than {protocol.MAX_ARCHIVE_BYTES} bytes")
        denied = await self._deny(request, is_large=True)
        if denied is not None:
            return denied
        upload = Upload(request.stream(), max_bytes=protocol.MAX_ARCHIVE_BYTES)
        token = bearer_token(request.scope)
        put = partial(self._work.put_archive, _assignment_id(request), token, fencing, upload)
        try:
            await to_thread.run_sync(put, limiter=self._archives)
        except UploadBrokenError as error:
            return problem(error.status, str(error))
        return nothing()

    async def get_archive(self, request: Request) -> Response:
        """200 with the archive, streamed."""
        fencing = _number(request, "fencing")
        if fencing is None:
            return problem(400, "reading the query: fencing must be a whole number")
        token = bearer_token(request.scope)
        manager = await self._threaded(self._work.open_archive, _assignment_id(request), token, fencing)
        file = await to_thread.run_sync(manager.__enter__, limiter=self._archives)
        return Download(file, manager, self._archives)

    async def _of_assignment(self, request: Request, shape: type[_T], max_bytes: int) -> _T | Response:
        length = declared_length(request.scope)
        denied = await self._deny(request, is_large=length is None or length > SMALL_BYTES)
        return denied if denied is not None else await self._message(request, shape, max_bytes)

    async def _deny(self, request: Request, *, is_large: bool = False) -> Response | None:
        """401 for what cannot be an assignment's token; a large body's is looked up before the body is read."""
        assignment_id, token = _assignment_id(request), bearer_token(request.scope)
        if not token or not is_ulid(assignment_id):
            return problem(401, "checking the token: no such assignment, or not its token")
        if is_large:
            await self._threaded(self._work.authorise, assignment_id, token)
        return None

    async def _message(self, request: Request, shape: type[_T], max_bytes: int) -> _T | Response:
        """The body as that shape, checked; or the Problem to answer with."""
        body = await read_body(request.scope, request.receive, max_bytes=max_bytes)
        if isinstance(body, BodyRefused):
            return problem(body.status, body.error)
        try:
            message = msgspec.json.decode(body, type=shape)
        except (ValueError, RecursionError) as error:
            return problem(400, f"reading the body: {str(error)[:300]}")
        complaint = complain(message)
        if complaint:
            return problem(400, f"reading the body: {complaint}")
        if isinstance(message, ResultReport):
            return msgspec.structs.replace(message, reason=readable(message.reason))
        return message

    async def _threaded(self, call: Callable[..., _T], *arguments: Any) -> _T:
        return await to_thread.run_sync(call, *arguments, limiter=self._calls)


def complain(message: object) -> str:
    """What is wrong with a decoded message beyond its types; empty when nothing is."""
    match message:
        case ClaimRequest():
            if message.protocol != protocol.VERSION:
                return (
                    f"protocol is {message.protocol}, this control plane speaks {protocol.VERSION}: "
                    "run worker and control plane from the same release"
                )
            if not (0 < len(message.worker) <= 200 and message.worker.isprintable()):
                return "worker must be 1 to 200 printable characters"
            return _complain_facts(message)
        case StageReport() if message.state_mode not in _STATE_MODES:
            return "state_mode must be managed, external or empty"
        case PlanReport() | ApplyRequest() if not _DIGEST.fullmatch(message.digest):
            return "digest must be a SHA-256 in hex"
        case PlanReport() | ApplyRequest() if not _ENGINE.fullmatch(message.engine):
            return "engine must be a name and a version: terraform 1.11.4"
        case PlanReport() if not all(0 <= number < MAX_NUMBER for number in _numbers(message.summary.delta)):
            return "what the plan counts is out of bounds"
        case TransferRequest() if message.is_upload and not _DIGEST.fullmatch(message.sha256):
            return "sha256 must be a SHA-256 in hex"
        case TransferRequest() if not 0 <= message.size_bytes <= protocol.MAX_ARCHIVE_BYTES:
            return f"size_bytes must be at most {protocol.MAX_ARCHIVE_BYTES}"
        case _:
            pass
    fencing = getattr(message, "fencing", 0)
    left_out = getattr(message, "log_bytes_left_out", 0)
    return "" if 0 <= fencing < MAX_NUMBER and 0 <= left_out < MAX_NUMBER else "a number is out of bounds"


def _numbers(delta: Delta) -> Iterator[int]:
    """Everything that a delta counts."""
    for counts in (delta.resources, delta.outputs):
        yield from msgspec.structs.astuple(counts)


def _complain_facts(message: ClaimRequest) -> str:
    labels = (message.pool, message.version, *message.engines)
    if len(message.engines) > MAX_ENGINES or not all(
        len(one) <= MAX_LABEL_CHARS and one.isprintable() for one in labels
    ):
        return (
            f"pool, version and at most {MAX_ENGINES} engines must be printable, {MAX_LABEL_CHARS} characters at most"
        )
    if not 0 < message.slots <= MAX_SLOTS:
        return f"slots must be 1 to {MAX_SLOTS}"
    return "" if math.isfinite(message.wait_s) else "wait_s must be a number of seconds"


def readable(text: str) -> str:
    """A reason without the one character that no database takes, at most MAX_REASON_CHARS.

    Cut, not refused: a result that is turned away would leave an apply with an unknown outcome.
    """
    text = text.replace("\x00", "")
    return text if len(text) <= MAX_REASON_CHARS else text[: MAX_REASON_CHARS - 1] + "…"


def _assignment_id(request: Request) -> AssignmentId:
    return AssignmentId(request.path_params["assignment_id"])


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
