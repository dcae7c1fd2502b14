"""The one way over the wire that all calls share: one connection pool, bounded answers, bounded time.

httpx builds a pool and a TLS context for each client, githubkit a client for each call; so the transport outlives both.
"""

import time
from collections.abc import Iterator
from typing import Final

import httpx

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""A hundred check runs with full texts are 13 MB."""
MAX_ANSWER_S: Final = 30.0
"""From the request to the last byte: a timeout alone ends silence, not a trickle."""
MAX_CONNECTIONS: Final = 40
KEEPALIVE_S: Final = 30.0


class AnswerTooLargeError(httpx.TransportError):
    """The answer is larger than any that is asked for."""


class SharedTransport(httpx.BaseTransport):
    """Lends one connection pool to every client; a client's end leaves it open, `shut` closes it."""

    def __init__(self, inner: httpx.BaseTransport | None = None) -> None:
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_S)
        self._inner = inner or httpx.HTTPTransport(retries=1, limits=limits, trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, with its bytes counted as they are read."""
        ends_at = time.monotonic() + MAX_ANSWER_S
        answer = self._inner.handle_request(request)
        if isinstance(answer.stream, httpx.SyncByteStream):
            answer.stream = _Bounded(answer.stream, request, ends_at)
        return answer

    def close(self) -> None:
        """Nothing: a client that ends must not take the pool along."""

    def shut(self) -> None:
        """Close the pool."""
        self._inner.close()


class _Bounded(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, request: httpx.Request, ends_at: float) -> None:
        self._inner, self._request, self._ends_at = inner, request, ends_at

    def __iter__(self) -> Iterator[bytes]:
        size_bytes = 0
        for chunk in self._inner:
            size_bytes += len(chunk)
            if size_bytes > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError(f"more than {MAX_ANSWER_BYTES} bytes", request=self._request)
            if time.monotonic() > self._ends_at:
                raise httpx.ReadTimeout(f"no end after {MAX_ANSWER_S:g} s", request=self._request)
            yield chunk

    def close(self) -> None:
        self._inner.close()
