"""GitHub before there is an App: its version, and the credentials that it hands out once for a manifest's code.

Asked without credentials: the code is one.
Source: https://docs.github.com/rest/apps/apps#create-a-github-app-from-a-manifest
"""

from typing import Annotated, Final

import msgspec

from app.core.appmanifest import UNKNOWN_VERSION, server_version
from app.core.errors import RetryableError, TracksideError, UserError
from app.core.names import Secret
from app.core.setup import AppCredentials
from app.github.api import Api, Ask, Clock, read_answer
from app.github.config import AppConfig
from app.github.shapes import Login, Word

NOBODY: Final = Secret("")


class _Owner(msgspec.Struct, frozen=True):
    login: Login | None = None
    slug: Word | None = None


class _Made(msgspec.Struct, frozen=True):
    """No wider than `app.settings` is: what is stored of it is read from there by every process, at its start."""

    id: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    slug: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\A[A-Za-z0-9_-]+\Z")]
    owner: _Owner
    client_id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]{1,100}\Z")]
    client_secret: Annotated[str, msgspec.Meta(min_length=16, max_length=200)]
    webhook_secret: Annotated[str, msgspec.Meta(min_length=16, max_length=500)]
    pem: Annotated[str, msgspec.Meta(max_length=20_000, pattern=r"\A-----BEGIN [A-Z ]*PRIVATE KEY-----\n")]
    html_url: Annotated[str, msgspec.Meta(max_length=2048)] | None = None


class _Meta(msgspec.Struct, frozen=True):
    installed_version: Word | None = None


class GitHubSetup:
    """One GitHub, asked as nobody. `close` it at the end."""

    def __init__(self, *, api_url: str, server_url: str, api_version: str, now: Clock) -> None:
        self._server_url = server_url.rstrip("/")
        config = AppConfig(
            app_id=0, private_key=NOBODY, api_url=api_url, server_url=server_url, api_version=api_version
        )
        self._api = Api(config, now=now)

    def close(self) -> None:
        """Close the connections."""
        self._api.shut()

    def ask_version(self) -> tuple[int, int] | None:
        """Major and minor of an Enterprise Server, UNKNOWN_VERSION for one that does not tell without a login; None for
        github.com, and whatever is of no version as it is.

        Source: https://docs.github.com/enterprise-server/rest/meta/meta#get-github-enterprise-server-meta-information
        """
        ask = Ask(doing="asking GitHub for its version", method="GET", route="/meta")
        try:
            told = read_answer(ask, self._api.send(ask, NOBODY), _Meta)
        except TracksideError:
            return UNKNOWN_VERSION
        return (server_version(told.installed_version) or UNKNOWN_VERSION) if told.installed_version else None

    def convert(self, code: str) -> AppCredentials:
        """The App that was made of a manifest. GitHub answers once for each code, within an hour.

        Raises: UserError when it does not; RetryableError when nobody answers: the code may still be good.
        """
        ask = Ask(
            doing="asking GitHub for the App's credentials",
            method="POST",
            route="/app-manifests/{code}/conversions",
            values={"code": code},
        )
        answer = self._api.send(ask, NOBODY)
        try:
            made = read_answer(ask, answer, _Made)
        except RetryableError:  # whose text says what the answer held
            raise UserError(f"{ask.doing}: its answer is not that of an App with a webhook and a key") from None
        page = made.html_url or ""
        return AppCredentials(
            app_id=made.id,
            slug=made.slug,
            owner=made.owner.login or made.owner.slug or "",
            client_id=made.client_id,
            client_secret=Secret(made.client_secret),
            webhook_secret=Secret(made.webhook_secret),
            private_key=Secret(made.pem),
            html_url=page if page.startswith(f"{self._server_url}/") else "",
            server_url=self._server_url,
        )
