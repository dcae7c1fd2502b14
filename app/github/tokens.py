"""The App's tokens: the JWT that proves the App; installation tokens, minted by ourselves, cached, narrowed, revoked.

githubkit's own credentials are not used: it picks them by matching paths, and a repository's names occur in paths.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Annotated, Any, Final

import jwt
import msgspec

from app.core.errors import BrokenError, RetryableError
from app.core.event import Repository
from app.core.names import InstallationId, Secret
from app.core.organisation import EVERY
from app.github.api import Api, Ask, Clock, read_answer
from app.github.config import AppConfig
from app.github.refusals import UnauthorisedError

BACKDATED: Final = timedelta(seconds=60)
JWT_LIFE: Final = timedelta(seconds=540)
"""With the backdating 10 minutes, the longest that GitHub accepts.

Source: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
"""
MARGIN: Final = timedelta(minutes=5)
"""A token is not handed out for the last minutes of its hour."""
MAX_HELD: Final = 1000
WAIT_FOR_FLIGHT_S: Final = 60.0


class _TokenAnswer(msgspec.Struct, frozen=True):
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]

    def __repr__(self) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class Held:
    """An installation token and the end of its life."""

    token: Secret
    expires_at: datetime


class AppKey:
    """Signs as the App. The key is parsed once, at the first use: that takes longer than thirty signatures."""

    def __init__(self, config: AppConfig, now: Clock) -> None:
        self._app_id, self._pem, self._now = config.app_id, config.private_key, now
        self._key: Any = None

    def sign(self) -> Secret:
        """A fresh JWT. Raises: BrokenError when the configured key is none."""
        now = self._now()
        claims = {
            "iss": str(self._app_id),
            "iat": int((now - BACKDATED).timestamp()),
            "exp": int((now + JWT_LIFE).timestamp()),
        }
        try:
            if self._key is None:
                self._key = jwt.get_algorithm_by_name("RS256").prepare_key(self._pem.reveal())
            return Secret(jwt.encode(claims, self._key, algorithm="RS256"))
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise BrokenError(
                f"signing as App {self._app_id}: the private key is not an RSA key in PEM form"
            ) from error


class Tokens:
    """Installation tokens: one flight per installation mints for all who wait. Thread-safe."""

    def __init__(self, api: Api, key: AppKey, now: Clock) -> None:
        self._api, self._key, self._now = api, key, now
        self._lock = Lock()
        self._held: dict[InstallationId, Held] = {}
        self._flights: dict[InstallationId, Future[Secret]] = {}

    def get(self, installation_id: InstallationId) -> Secret:
        """The installation's token, good for five minutes at least. Raises: as `mint`."""
        with self._lock:
            held = self._held.get(installation_id)
            if held is not None and self._now() < held.expires_at - MARGIN:
                return held.token
            flight = self._flights.get(installation_id)
            is_pilot = flight is None
            if flight is None:
                flight = self._flights[installation_id] = Future()
        if is_pilot:
            self._fly(installation_id, flight)
        try:
            return flight.result(WAIT_FOR_FLIGHT_S)
        except FutureTimeout as error:
            raise RetryableError(f"minting a token for installation {installation_id}: no end") from error

    def drop(self, installation_id: InstallationId, token: Secret) -> None:
        """Forget a token that GitHub refused, unless another took its place already."""
        with self._lock:
            held = self._held.get(installation_id)
            if held is not None and held.token == token:
                del self._held[installation_id]

    def mint_for_clone(self, repository: Repository, modules: Sequence[str] = ()) -> Secret:
        """A fresh token that reads the contents of one repository, and of `modules` of its owner (`*`: of all that the
        installation has), and can nothing else; never cached."""
        narrowed: dict[str, object] = {"permissions": {"contents": "read"}}
        if EVERY not in modules:
            narrowed["repository_ids"] = [repository.id]
        if modules and EVERY not in modules:
            narrowed["repositories"] = list(modules)
        return self.mint(repository.installation_id, narrowed).token

    def mint(self, installation_id: InstallationId, narrowed: Mapping[str, object] | None = None) -> Held:
        """A fresh installation token, as wide as the installation unless narrowed.

        Raises: RetryableError; UserError when the installation is gone, suspended, or lacks what is asked.
        """
        ask = Ask(
            doing=f"minting a token for installation {installation_id}",
            method="POST",
            route="/app/installations/{installation}/access_tokens",
            values={"installation": str(installation_id)},
            body=narrowed or {},
        )
        answer = read_answer(ask, self._api.send(ask, self._key.sign()), _TokenAnswer)
        return Held(Secret(answer.token), answer.expires_at)

    def revoke(self, token: Secret) -> None:
        """End a token's life. One that has ended already is no error."""
        ask = Ask(doing="revoking a token", method="DELETE", route="/installation/token")
        try:
            self._api.send(ask, token)
        except UnauthorisedError:
            return

    def _fly(self, installation_id: InstallationId, flight: "Future[Secret]") -> None:
        try:
            held = self.mint(installation_id)
        except BaseException as error:
            with self._lock:
                del self._flights[installation_id]
            flight.set_exception(error)
            return
        with self._lock:
            if len(self._held) >= MAX_HELD:
                self._held.clear()
            self._held[installation_id] = held
            del self._flights[installation_id]
        flight.set_result(held.token)
