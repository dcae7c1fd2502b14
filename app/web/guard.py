"""What stands around every door but the webhook's: security headers, an access line, and errors turned into statuses.

The line holds method, path, status and time; never a query, a header or a body. A traceback goes to the log alone.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import LeaseLost, NoRoomError, NotAuthorised, RetryableError, UserError
from app.web.answers import problem
from app.web.metrics import Metrics

MAX_PATH_CHARS: Final = 2000


def content_policy(forms: str) -> str:
    """What a page may load, which is nothing from elsewhere and no script; and where its forms go."""
    return (
        f"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action {forms}; "
        "frame-ancestors 'none'"
    )


HEADERS: Final = {
    "content-security-policy": content_policy("'none'"),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_RAW: Final = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_NO_STORE: Final = (b"cache-control", b"no-store")

_log = structlog.get_logger("web")

ErrorAnswer = Callable[[int, str], Response]
"""Makes the response for a status and a text that may be shown."""


def refusal(error: Exception) -> tuple[int, str] | None:
    """Status and text for an error that the doors raise by contract; None for one that nobody foresaw."""
    match error:
        case NotAuthorised():
            return 401, "checking the token: no such assignment, or not its token"
        case LeaseLost():
            return 409, str(error)
        case NoRoomError():
            return 424, str(error)  # not 507: engines and workers try again after every 5xx, and tell none of it
        case UserError():
            return 422, str(error)
        case RetryableError():
            return 503, "this cannot be answered now; ask again later"
        case HTTPException():
            return error.status_code, error.detail
        case _:
            return None


class Guard:
    """Middleware around one group of doors, named for metrics and log."""

    def __init__(
        self, app: ASGIApp, *, door: str, metrics: Metrics, answer: ErrorAnswer = problem, is_chatty: bool = False
    ) -> None:
        self._app, self._door, self._answer = app, door, answer
        self._counter = metrics.requests
        self._say = _log.debug if is_chatty else _log.info

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_ours(message["headers"])}
            await send(message)

        try:
            await self._serve(scope, receive, sending)
        except Exception as error:  # the one place where what nobody expected becomes an answer
            response = self._turn(error, scope, is_started=status > 0)
            await response(scope, receive, sending)
        finally:
            self._note(scope, status, started)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(scope["path"]) > MAX_PATH_CHARS:
            await self._answer(414, "reading the address: it is too long")(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _turn(self, error: Exception, scope: Scope, *, is_started: bool) -> Response:
        """The response for an error. Raises: the error itself when half of another response is out already."""
        if is_started:
            raise error
        known = refusal(error)
        if known is None:
            _log.error("request broke", door=self._door, method=scope["method"], path=_path(scope), exc_info=error)
            return self._answer(500, "something broke here; the log of the web process says what")
        response = self._answer(*known)
        if isinstance(error, RetryableError):
            _log.warning("request postponed", door=self._door, path=_path(scope), error=str(error))
            response.headers["retry-after"] = str(round(error.retry_after_s or 5))
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    def _note(self, scope: Scope, status: int, started: float) -> None:
        self._counter.labels(self._door, str(status)).inc()
        say = _log.info if status >= 400 else self._say
        elapsed_ms = round((time.monotonic() - started) * 1000, 1)
        say("request", door=self._door, method=scope["method"], path=_path(scope), status=status, elapsed_ms=elapsed_ms)


def _path(scope: Scope) -> str:
    return str(scope["path"])[:200]


def _with_ours(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in headers}
    ours = [pair for pair in _RAW if pair[0] not in names]
    return [*headers, *ours] if b"cache-control" in names else [*headers, *ours, _NO_STORE]
