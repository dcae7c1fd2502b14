"""Who we are, for everyone: the issuer's document, the keys of identity tokens and those of attestations.

Clouds and auditors have no login here, so these are open whoever may see the pages. They hold public keys alone.
"""

from collections.abc import Mapping
from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.identity import ATTESTATION_KEYS, JWKS, OPENID_CONFIGURATION, discovery_document
from app.core.signing import Purpose
from app.web.answers import encoded
from app.web.doors import Doors

MAX_AGE_S: Final = 300
"""How long others may keep what they read: shorter than a retired key stays."""


class WellKnown:
    """The three documents of one process."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._threads = CapacityLimiter(2)

    def routes(self) -> list[Route]:
        """Everything under /.well-known."""
        return [
            Route(OPENID_CONFIGURATION, self.configuration),
            Route(JWKS, self.token_keys),
            Route(ATTESTATION_KEYS, self.attestation_keys),
        ]

    async def configuration(self, _request: Request) -> Response:
        """200 with what an OpenID Connect verifier has to know."""
        return _cached(discovery_document(self._doors.public_url))

    async def token_keys(self, _request: Request) -> Response:
        """200 with the keys of identity tokens."""
        return await self._keys(Purpose.OIDC)

    async def attestation_keys(self, _request: Request) -> Response:
        """200 with the keys of attestations."""
        return await self._keys(Purpose.ATTESTATION)

    async def _keys(self, purpose: Purpose) -> Response:
        return _cached(await to_thread.run_sync(self._doors.key_set, purpose, limiter=self._threads))


def _cached(document: Mapping[str, object]) -> Response:
    headers = {"cache-control": f"public, max-age={MAX_AGE_S}", "access-control-allow-origin": "*"}
    return Response(encoded(document).body, headers=headers, media_type="application/json")
