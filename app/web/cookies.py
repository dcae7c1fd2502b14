"""The two cookies of the pages, and where a form came from: what a browser keeps for us, and what it says of itself.

On https the names begin with `__Host-`, so that no other host, path or unencrypted answer can set them.
Source: https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from app.core.names import Secret
from app.core.visitor import LIFE, LOGIN_WITHIN

MAX_COOKIE: Final = 100
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Cookies:
    """Those of one installation."""

    is_https: bool

    def session(self, request: Request) -> str:
        """What the browser shows as its session; empty: nothing usable."""
        return self._read(request, "trackside")

    def login(self, request: Request) -> str:
        """What the browser was given when it went to GitHub; empty: nothing usable."""
        return self._read(request, "trackside-login")

    def begin_session(self, response: Response, token: Secret) -> None:
        """Have the browser keep its session, and forget what it went to GitHub with."""
        self._keep(response, "trackside", token, int(LIFE.total_seconds()))
        self._forget(response, "trackside-login")

    def begin_login(self, response: Response, browser: Secret) -> None:
        """Have the browser keep what it has to come back with."""
        self._keep(response, "trackside-login", browser, int(LOGIN_WITHIN.total_seconds()))

    def end_session(self, response: Response) -> None:
        """Have the browser forget its session."""
        self._forget(response, "trackside")

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self.is_https else name

    def _read(self, request: Request, name: str) -> str:
        found = request.cookies.get(self._name(name), "")
        return found if len(found) <= MAX_COOKIE and found.isascii() else ""

    def _keep(self, response: Response, name: str, value: Secret, max_age: int) -> None:
        response.set_cookie(
            self._name(name),
            value.reveal(),
            max_age=max_age,
            path="/",
            secure=self.is_https,
            httponly=True,
            samesite="lax",
        )

    def _forget(self, response: Response, name: str) -> None:
        response.delete_cookie(self._name(name), path="/", secure=self.is_https, httponly=True, samesite="lax")


def is_own(headers: Headers, public_url: str) -> bool:
    """True when the browser says that a page of ours sent the form. Every browser of today says one of the two."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        return False
    return site in (None, "same-origin") and (origin is None or _origin(origin) == _origin(public_url))


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an address; None for what is none, as `null`."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, (parts.hostname or ""), port) if parts.hostname else None
