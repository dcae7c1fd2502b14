"""Who may come to the pages and the metrics at all, whoever they are: by default only a browser on the machine itself.

Closed by default: whatever smells of a proxy counts as not being here, since behind one every peer is loopback.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from app.core.names import Secret
from app.settings import PagesAccess, is_loopback

FORWARDED: Final = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})
"""Headers that a proxy adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The rule of one process."""

    pages: PagesAccess
    public_url: str
    metrics_token: Secret = field(repr=False)

    def may_come(self, scope: Scope) -> bool:
        """True for everyone when open, or when people log in; else for a peer on this machine, while PUBLIC_URL is on
        it too.

        The last rule is for proxies on the same machine that add no header: an installation that is reached under a
        public name has one, or a tunnel.
        """
        return self.pages != "loopback" or self._is_here(scope)

    @property
    def reads_all(self) -> bool:
        """True when whoever may come may read everything: nobody has to say who they are for that."""
        return self.pages != "login"

    def may_read_metrics(self, scope: Scope) -> bool:
        """True with the token; without one configured, for a peer on this machine by the same rule."""
        if self.metrics_token:
            return bearer(scope, self.metrics_token)
        return self._is_here(scope)

    def _is_here(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        peer = scope.get("client")
        return (
            peer is not None
            and is_loopback(peer[0])
            and FORWARDED.isdisjoint(headers)
            and is_loopback(host_of(headers.get(b"host", b"")))
            and is_loopback(urlsplit(self.public_url).hostname or "")
        )


def host_of(value: bytes) -> str:
    """The host of a Host header without its port: a name that resolves to us from a foreign page is not loopback."""
    try:
        return urlsplit("//" + value.decode("ascii")).hostname or ""
    except ValueError:
        return ""


def bearer_token(scope: Scope) -> str:
    """What came as `Authorization: Bearer`, at most 512 characters; empty when nothing usable did."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.partition(b" ")
            if kind.lower() == b"bearer" and len(token) <= 512 and token.isascii():
                return str(token.decode("ascii").strip())
    return ""


def bearer(scope: Scope, expected: Secret) -> bool:
    """True when the bearer token is the expected one; compared in constant time."""
    return is_token(bearer_token(scope), expected)


def is_token(token: str, expected: Secret) -> bool:
    """True when both are the same and not empty; compared in constant time."""
    return bool(expected) and hmac.compare_digest(token.encode(), expected.reveal().encode())
