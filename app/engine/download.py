"""Gets files over HTTP for a worker: bounded in size and time, redirects looked at one by one, proxies from nowhere.

Knows nothing of what is fetched. Nothing is believed because of where it came from: callers hold it against checksums.
"""

import hashlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from app.core.errors import RetryableError, UserError

MAX_REDIRECTS: Final = 5
MAX_URL_CHARS: Final = 8_000
_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)


class NotThere(Exception):
    """The server says that there is no such file (404, 410); never leaves the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one download may take."""

    max_bytes: int
    timeout_s: float
    """For all of it, whatever the pace."""


def never() -> bool:
    """Nobody asks for the download to end."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloader:
    """Downloads for one purpose."""

    is_ending: Callable[[], bool] = never
    """Asked at every piece: a run that is stopped does not wait for a download."""

    def read(self, url: str, bounds: Bounds) -> bytes:
        """The body.

        Raises: NotThere; RetryableError when the server does not answer as it should; UserError when it is too large.
        """
        parts: list[bytes] = []
        self._get(url, bounds, parts.append)
        return b"".join(parts)

    def save(self, url: str, path: Path, bounds: Bounds) -> str:
        """The SHA-256 of the body, in hex, which is in the new file then; a part of it when this raises. As `read`."""
        digest = hashlib.sha256()
        try:
            with path.open("xb") as file:

                def take(data: bytes) -> None:
                    digest.update(data)
                    file.write(data)

                self._get(url, bounds, take)
        except OSError as error:
            raise RetryableError(f"writing {path.name}: {error.strerror}") from error
        return digest.hexdigest()

    def _get(self, url: str, bounds: Bounds, take: Callable[[bytes], object]) -> None:
        until = time.monotonic() + bounds.timeout_s
        try:
            with httpx.Client(trust_env=False, follow_redirects=False, timeout=_TIMEOUT, verify=_trust()) as client:
                for _ in range(MAX_REDIRECTS + 1):
                    target = self._follow(client, url, bounds.max_bytes, until, take)
                    if target is None:
                        return
                    url = target
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise RetryableError(f"downloading {shown(url)}: {type(error).__name__}: {str(error)[:300]}") from error
        raise RetryableError(f"downloading {shown(url)}: more than {MAX_REDIRECTS} redirects")

    def _follow(
        self, client: httpx.Client, url: str, max_bytes: int, until: float, take: Callable[[bytes], object]
    ) -> str | None:
        """Where it redirects to; None when the body was taken."""
        with client.stream("GET", url, headers={"accept-encoding": "identity"}) as answer:
            if answer.has_redirect_location:
                return _redirected(url, answer.headers["location"])
            if answer.status_code in (404, 410):
                raise NotThere(shown(url))
            if answer.status_code != 200:
                raise RetryableError(f"downloading {shown(url)}: HTTP {answer.status_code}")
            self._take(answer, url, max_bytes, until, take)
        return None

    def _take(
        self, answer: httpx.Response, url: str, max_bytes: int, until: float, take: Callable[[bytes], object]
    ) -> None:
        size = 0
        for data in answer.iter_raw(65_536):
            size += len(data)
            if size > max_bytes:
                raise UserError(f"downloading {shown(url)}: larger than {max_bytes} bytes")
            if self.is_ending():
                raise RetryableError(f"downloading {shown(url)}: the run ends")
            if time.monotonic() > until:
                raise RetryableError(f"downloading {shown(url)}: not here in time")
            take(data)


@cache
def _trust() -> ssl.SSLContext:
    """The public authorities, and those of this machine: a mirror inside a company has its own."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def shown(url: str) -> str:
    """An address for people: without what may be a credential (user, query), and cut."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:300]


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads: the same host with the same scheme, or any host by https."""
    target = urljoin(url, location)
    old, new = urlsplit(url), urlsplit(target)
    is_same = (old.scheme, old.netloc) == (new.scheme, new.netloc)
    if len(target) > MAX_URL_CHARS or not (is_same or new.scheme == "https"):
        raise RetryableError(
            f"downloading {shown(url)}: redirected to {shown(target)}, which is neither here nor https"
        )
    return target
