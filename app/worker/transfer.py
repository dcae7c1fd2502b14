"""An archive's way to and from an object store, by the one address that the control plane gave: bounded, not followed.

Knows no control plane. The address is a permission: no text of an error holds it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import BinaryIO, Final
from urllib.parse import urlsplit

import httpx

from app.core.errors import BrokenError, RetryableError
from app.core.protocol import MAX_ARCHIVE_BYTES, TransferAnswer

CHUNK_BYTES: Final = 1024 * 1024
SILENCE_S: Final = 60.0
WHOLE_S: Final = 3600.0
"""An archive takes at most so long, however lively it drips."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_HEADERS: Final = 20
_ALLOWED: Final = ("content-length", "if-none-match")
_ALLOWED_START: Final = "x-amz-"
_GONE: Final = frozenset({401, 403, 404, 412})
"""Ran out, or somebody else's bytes are there: a fresh address may do."""


def upload(client: httpx.Client, offer: TransferAnswer, path: Path) -> None:
    """Store the file. Raises: RetryableError when it did not arrive; BrokenError for a wrong address."""
    headers = {"content-length": str(path.stat().st_size), **offer.headers}
    _send(client, "PUT", TransferAnswer(url=offer.url, headers=headers), content=chunks_of(path))


def download(client: httpx.Client, offer: TransferAnswer, out: BinaryIO) -> None:
    """Write what is stored. Raises: as `upload`."""
    _send(client, "GET", offer, into=out)


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _send(
    client: httpx.Client,
    method: str,
    offer: TransferAnswer,
    *,
    content: Iterator[bytes] | None = None,
    into: BinaryIO | None = None,
) -> None:
    host = checked_host(offer.url)
    action = f"{'bringing the archive to' if method == 'PUT' else 'fetching the archive from'} {host}"
    until = monotonic() + WHOLE_S
    try:
        with client.stream(
            method,
            offer.url,
            content=None if content is None else _until(content, until, action),
            headers=_checked(offer.headers),
            timeout=SILENCE_S,
            follow_redirects=False,
        ) as answer:
            if answer.status_code != httpx.codes.OK:
                raise _refused(action, answer.status_code)
            if into is not None:
                _receive(answer, into, until, action)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RetryableError(f"{action}: {type(error).__name__}") from None  # its text may hold the address


def checked_host(url: str) -> str:
    """The host of an address that may be used: https, or http on this machine. Raises: BrokenError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    if not host or not is_safe or parts.username is not None:
        raise BrokenError(f"using the address of an archive at {host[:100]!r}: it is not https, nor on this machine")
    return host


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name in headers:
        if name.lower() not in _ALLOWED and not name.lower().startswith(_ALLOWED_START):
            raise BrokenError(f"using the address of an archive: header {name[:50]!r} is none of a store's")
    if len(headers) > _MAX_HEADERS:
        raise BrokenError("using the address of an archive: too many headers")
    return dict(headers)


def _refused(action: str, status: int) -> RetryableError | BrokenError:
    if status in _GONE or status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return RetryableError(f"{action}: the store answers {status}")
    return BrokenError(f"{action}: the store answers {status}")


def _until(content: Iterator[bytes], until: float, action: str) -> Iterator[bytes]:
    for chunk in content:
        if monotonic() > until:
            raise RetryableError(f"{action}: no end after {WHOLE_S:g} s")
        yield chunk


def _receive(answer: httpx.Response, into: BinaryIO, until: float, action: str) -> None:
    size, told = 0, answer.headers.get("content-length", "")
    for chunk in _until(answer.iter_raw(CHUNK_BYTES), until, action):
        size += len(chunk)
        if size > MAX_ARCHIVE_BYTES:
            raise BrokenError(f"{action}: more than {MAX_ARCHIVE_BYTES} bytes")
        into.write(chunk)
    if told != str(size):
        raise RetryableError(f"{action}: it broke off after {size} bytes")
