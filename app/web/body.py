"""Request bodies, bounded in size and time: what is too large is refused before it is held.

Values in, values out: a refused body is a BodyRefused, whoever asked turns it into an answer.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope

READ_WITHIN_S: Final = 60.0
"""A worker's or Terraform's body has to be there by then."""


@dataclass(frozen=True, slots=True)
class BodyRefused:
    """A body that was not taken: the status to answer with, and why."""

    status: int
    error: str


def declared_length(scope: Scope) -> int | None:
    """Content-Length; None when there is none or it is not a number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 19 else None
    return None


async def read_body(
    scope: Scope, receive: Receive, *, max_bytes: int, within_s: float = READ_WITHIN_S
) -> bytes | BodyRefused:
    """The whole body, or why it was refused: 413 too large, 408 too slow, 400 broken off."""
    length = declared_length(scope)
    if length is not None and length > max_bytes:
        return BodyRefused(413, f"reading the body: it has {length} bytes, at most {max_bytes} are taken")
    try:
        async with asyncio.timeout(within_s):
            return await _gather(receive, max_bytes)
    except TimeoutError:
        return BodyRefused(408, f"reading the body: no end after {within_s:g} s")


async def _gather(receive: Receive, max_bytes: int) -> bytes | BodyRefused:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return body if len(body) <= max_bytes else _too_large(max_bytes)
    pieces, size = bytearray(), 0
    while message["type"] == "http.request":
        piece = message.get("body", b"")
        size += len(piece)
        if size > max_bytes:
            return _too_large(max_bytes)
        pieces += piece
        if not message.get("more_body"):
            return bytes(pieces)
        message = await receive()
    return BodyRefused(400, "reading the body: the connection broke off")


def _too_large(max_bytes: int) -> BodyRefused:
    return BodyRefused(413, f"reading the body: it is larger than the {max_bytes} bytes that are taken")
