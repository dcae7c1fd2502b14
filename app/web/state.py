"""/state/<stack>: managed state for Terraform's http backend: GET, POST, DELETE, LOCK and UNLOCK, Basic credentials.

Source: Terraform's documentation of the http backend, and its client: a GET may answer 200, 204 or 404; a refused LOCK
carries the holder's lock info; the lock's id comes as ?ID= with a POST, in the body with LOCK and UNLOCK.
"""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.errors import LeaseLost
from app.core.managed import (
    StateCaller,
    StateDone,
    StateFound,
    StateLockHeld,
    StateMissing,
    StateQuarantined,
    StateReadOnly,
)
from app.core.names import AssignmentId, Secret, StackId
from app.web.answers import JSON, nothing, problem
from app.web.body import BodyRefused, read_body
from app.web.doors import Doors, StateDoor
from app.web.ulid import is_ulid

METHODS: Final = ("GET", "POST", "DELETE", "LOCK", "UNLOCK")
MAX_STATE_BYTES: Final = 256 * 1024 * 1024
MAX_LOCK_INFO_BYTES: Final = 16 * 1024
STATES_AT_ONCE: Final = 4
"""Bodies of states that are held at once; the next one waits before it is read."""
MAX_CREDENTIALS_CHARS: Final = 1024

_LOCK_ID: Final = re.compile(r"[0-9A-Za-z._:-]{1,128}")
_UNKNOWN: Final = "checking the credentials: no such assignment, or not its password"
_T = TypeVar("_T")


class _LockInfo(msgspec.Struct):
    """What we need of Terraform's lock info; the rest is passed on as it came."""

    ID: str


class StateApi:
    """The route of one process."""

    def __init__(self, doors: Doors) -> None:
        self._state: StateDoor = doors.state
        self._calls = CapacityLimiter(doors.database_connections)
        self._bodies = asyncio.Semaphore(STATES_AT_ONCE)
        self._handlers = {
            "GET": self._read,
            "POST": self._write,
            "DELETE": self._delete,
            "LOCK": self._lock,
            "UNLOCK": self._unlock,
        }

    def routes(self) -> list[Route]:
        """Everything under /state."""
        return [Route("/{stack_id}", self.handle, methods=METHODS)]

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        handler = self._handlers.get(request.method)
        if handler is None:
            return problem(405, "this address takes " + ", ".join(METHODS), {"allow": ", ".join(METHODS)})
        caller = credentials(request)
        if caller is None:
            return problem(401, _UNKNOWN, {"www-authenticate": 'Basic realm="state"'})
        lock_id = request.query_params.get("ID", "")
        if lock_id and not _LOCK_ID.fullmatch(lock_id):
            return problem(400, "reading the query: ID is not a lock's id")
        try:
            return await handler(request, caller, lock_id)
        except LeaseLost as error:
            return problem(403, str(error))

    async def _read(self, _request: Request, caller: StateCaller, _lock_id: str) -> Response:
        match await self._threaded(self._state.read, caller):
            case StateFound(data):
                return Response(data, media_type=JSON)
            case StateMissing():
                return nothing()

    async def _write(self, request: Request, caller: StateCaller, lock_id: str) -> Response:
        await self._threaded(self._state.authorise, caller)
        async with self._bodies:
            body = await read_body(request.scope, request.receive, max_bytes=MAX_STATE_BYTES, within_s=300)
            if isinstance(body, BodyRefused):
                return problem(body.status, body.error)
            complaint = await self._threaded(complain, body, request.headers.get("content-md5", ""))
            if complaint:
                return problem(400, f"reading the state: {complaint}")
            return answer(await self._threaded(self._state.write, caller, lock_id, body))

    async def _delete(self, _request: Request, caller: StateCaller, lock_id: str) -> Response:
        return answer(await self._threaded(self._state.delete, caller, lock_id))

    async def _lock(self, request: Request, caller: StateCaller, _lock_id: str) -> Response:
        body = await read_body(request.scope, request.receive, max_bytes=MAX_LOCK_INFO_BYTES)
        if isinstance(body, BodyRefused):
            return problem(body.status, body.error)
        lock_id = named_lock(body)
        if lock_id is None:
            return problem(400, "reading the lock info: it is not a JSON object with an ID")
        return answer(await self._threaded(self._state.lock, caller, lock_id, body))

    async def _unlock(self, request: Request, caller: StateCaller, lock_id: str) -> Response:
        body = await read_body(request.scope, request.receive, max_bytes=MAX_LOCK_INFO_BYTES)
        if isinstance(body, BodyRefused):
            return problem(body.status, body.error)
        named = named_lock(body) if body else lock_id
        if named is None:
            return problem(400, "reading the lock info: it is not a JSON object with an ID")
        return answer(await self._threaded(self._state.unlock, caller, named))

    async def _threaded(self, call: Callable[..., _T], *arguments: Any) -> _T:
        return await to_thread.run_sync(call, *arguments, limiter=self._calls)


def answer(result: StateDone | StateLockHeld | StateQuarantined | StateReadOnly) -> Response:
    """The response for what became of a change."""
    match result:
        case StateDone():
            return Response(b"", 200)
        case StateLockHeld(b""):
            return problem(409, "changing the state: it is not locked by this lock")
        case StateLockHeld(info):
            return Response(info, 423, media_type=JSON)
        case StateQuarantined(reason):
            return problem(409, reason)
        case StateReadOnly(reason):
            return problem(403, reason)


def credentials(request: Request) -> StateCaller | None:
    """Stack, assignment and password of a request; None when they cannot be any."""
    header = request.headers.get("authorization", "")
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic" or len(encoded) > MAX_CREDENTIALS_CHARS:
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    stack_id: str = request.path_params["stack_id"]
    if not (colon and password and is_ulid(name) and is_ulid(stack_id)):
        return None
    return StateCaller(stack_id=StackId(stack_id), assignment_id=AssignmentId(name), password=Secret(password))


def named_lock(info: bytes) -> str | None:
    """The id that Terraform's lock info names; None when it is not such a document."""
    try:
        lock_id = msgspec.json.decode(info, type=_LockInfo).ID
    except (ValueError, RecursionError):
        return None
    return lock_id if _LOCK_ID.fullmatch(lock_id) else None


def complain(body: bytes, md5: str) -> str:
    """What is wrong with the bytes of a state; empty when nothing is."""
    if md5 and md5 != base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode():
        return "it does not match its Content-MD5"
    try:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return "it is not a JSON object"
    return ""
