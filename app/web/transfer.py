"""Archives through HTTP, both ways, a mebibyte at a time: between an event loop that streams and a store that blocks.

Nothing is ever whole in memory; back pressure is the thread that waits for the next piece.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Final

import anyio
from anyio import CapacityLimiter, from_thread, to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Send

PIECE_BYTES: Final = 1024 * 1024
PIECE_WITHIN_S: Final = 60.0
"""An upload that brings no whole piece in that time is given up."""


class UploadBrokenError(Exception):
    """An upload that must not be kept; raised out of the iterator so that the store drops what it has."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Upload:
    """A request's body as a blocking iterator, for a thread that anyio started.

    Raises: UploadBrokenError from its `next` when the body is too large, too slow, or breaks off.
    """

    def __init__(self, stream: AsyncIterator[bytes], *, max_bytes: int) -> None:
        self._stream, self._max_bytes = stream, max_bytes
        self._size, self._is_over = 0, False

    def __iter__(self) -> "Upload":
        return self

    def __next__(self) -> bytes:
        piece = b"" if self._is_over else from_thread.run(self._gather)
        if not piece:
            raise StopIteration
        return piece

    async def _gather(self) -> bytes:
        pieces = bytearray()
        try:
            async with asyncio.timeout(PIECE_WITHIN_S):
                while len(pieces) < PIECE_BYTES and not self._is_over:
                    piece = await anext(self._stream, None)
                    self._is_over = piece is None
                    pieces += piece or b""
        except ClientDisconnect as error:
            raise UploadBrokenError(400, "taking the archive: the connection broke off") from error
        except TimeoutError as error:
            raise UploadBrokenError(408, f"taking the archive: nothing came for {PIECE_WITHIN_S:g} s") from error
        self._size += len(pieces)
        if self._size > self._max_bytes:
            raise UploadBrokenError(413, f"taking the archive: it is larger than {self._max_bytes} bytes")
        return bytes(pieces)


class Download(StreamingResponse):
    """A stored file as a response; closed at its end, also when the other side goes away."""

    def __init__(self, file: BinaryIO, manager: AbstractContextManager[BinaryIO], limiter: CapacityLimiter) -> None:
        self._file, self._manager, self._limiter = file, manager, limiter
        super().__init__(self._pieces(), media_type="application/octet-stream")

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await to_thread.run_sync(self._file.read, PIECE_BYTES, limiter=self._limiter):
            yield piece

    async def stream_response(self, send: Send) -> None:
        """Send it all, then close the file."""
        try:
            await super().stream_response(send)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._manager.__exit__, None, None, None, limiter=self._limiter)
