"""Small responses: JSON of the protocol's shapes, problems, and constants that cost nothing to send.

Every body with a 4xx or 5xx status is a Problem. Nothing here decides anything.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Message, Send

from app.core.protocol import Problem

JSON: Final = "application/json"
_encode: Final = msgspec.json.Encoder().encode


def encoded(value: object, status: int = 200) -> Response:
    """The value as JSON: a struct of the protocol, or plain data."""
    return Response(_encode(value), status, media_type=JSON)


def problem(status: int, error: str, headers: Mapping[str, str] | None = None) -> Response:
    """A Problem with that status; the text is for whoever called."""
    return Response(_encode(Problem(error=error)), status, headers, JSON)


def nothing() -> Response:
    """204."""
    return Response(status_code=204)


class Constant:
    """An answer that is made once and sent many times."""

    __slots__ = ("_body", "_start", "status")

    def __init__(self, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        body = _encode(content)
        lines = {"content-type": JSON, "content-length": str(len(body)), "x-content-type-options": "nosniff"}
        raw = [(name.encode(), value.encode()) for name, value in {**lines, **(headers or {})}.items()]
        self.status = status
        self._start: Message = {"type": "http.response.start", "status": status, "headers": raw}
        self._body: Message = {"type": "http.response.body", "body": body}

    async def send(self, send: Send) -> None:
        """Send it."""
        await send(self._start)
        await send(self._body)
