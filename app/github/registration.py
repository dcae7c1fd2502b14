"""The App as GitHub knows it: its owner and account, where it is installed, what was delivered to it.

Asked with the App's own JWT, by doors that check the set-up and look for missed events.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec

from app.core.event import Repository
from app.core.names import DeliveryId, InstallationId, RepositoryId
from app.github.api import Ask, read_answer
from app.github.caller import Caller
from app.github.shapes import Login, Number, RefText, RepositoryName, Word

PAGE: Final = 100
MAX_PAGES: Final = 100
"""10,000 installations."""
MAX_CURSOR_CHARS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AppIdentity:
    """Who the App is."""

    owner: str
    """Login of the account that owns it; an enterprise's slug."""
    slug: str
    permissions: dict[str, str]
    """What the App asks for; an installation may have granted less."""
    events: tuple[str, ...]
    client_id: str = ""
    """By which people log in; empty: GitHub did not say."""

    @property
    def bot(self) -> str:
        """The login under which the App writes."""
        return f"{self.slug}[bot]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The App on one account."""

    id: InstallationId
    account: str
    permissions: dict[str, str]
    """What was granted."""
    events: tuple[str, ...]
    is_suspended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One attempt to deliver an event; attempts of one event share the GUID."""

    id: int
    """What `redeliver` takes."""
    guid: DeliveryId
    event: str
    delivered_at: datetime
    status_code: int
    """Our answer; 0 when there was none."""

    @property
    def is_ok(self) -> bool:
        """True when we took it."""
        return 200 <= self.status_code < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where the App's deliveries go."""

    url: str
    """Empty: nowhere."""
    content_type: str
    """`json` or `form`."""
    is_verified: bool
    """True when GitHub verifies the receiver's certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """A page of the delivery log."""

    attempts: tuple[DeliveryAttempt, ...]
    """Newest first."""
    cursor: str
    """Where the next page is; empty at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What an installation reaches."""

    repositories: tuple[Repository, ...]
    """A hundred at most, as GitHub orders them."""
    total: int


class _Account(msgspec.Struct, frozen=True):
    login: Login | None = None
    slug: Word | None = None

    def name(self) -> str:
        return self.login or self.slug or ""


class _App(msgspec.Struct, frozen=True):
    slug: Annotated[str, msgspec.Meta(max_length=100)]
    owner: _Account | None = None
    permissions: dict[str, str] | None = None
    events: list[str] | None = None
    client_id: Annotated[str, msgspec.Meta(max_length=100)] = ""


class _Installation(msgspec.Struct, frozen=True):
    id: Number
    account: _Account | None = None
    permissions: dict[str, str] | None = None
    events: list[str] | None = None
    suspended_at: str | None = None


class _Delivery(msgspec.Struct, frozen=True):
    id: Number
    guid: Word
    event: Word
    delivered_at: Annotated[datetime, msgspec.Meta(tz=True)]
    status_code: int | None = None


class _Webhook(msgspec.Struct, frozen=True):
    url: Annotated[str, msgspec.Meta(max_length=2048)] | None = None
    content_type: Word | None = None
    insecure_ssl: str | int | float | None = None


class _Owner(msgspec.Struct, frozen=True):
    login: Login


class _Repository(msgspec.Struct, frozen=True):
    id: Number
    name: RepositoryName
    owner: _Owner
    default_branch: RefText
    private: bool


class _Repositories(msgspec.Struct, frozen=True):
    total_count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    repositories: Annotated[list[_Repository], msgspec.Meta(max_length=PAGE)]


_Deliveries = Annotated[list[_Delivery], msgspec.Meta(max_length=PAGE)]


def find_identity(caller: Caller) -> AppIdentity:
    """Who the App is. Raises: RetryableError (UnauthorisedError) when GitHub does not take its key for the App's."""
    ask = Ask(doing="asking GitHub for the App", method="GET", route="/app")
    app = read_answer(ask, caller.as_app(ask), _App)
    return AppIdentity(
        owner=app.owner.name() if app.owner else "",
        slug=app.slug,
        permissions=dict(app.permissions or {}),
        events=tuple(app.events or ()),
        client_id=app.client_id,
    )


def list_installations(caller: Caller) -> list[Installation]:
    """Where the App is installed, by id."""
    ask = Ask(
        doing="listing the App's installations",
        method="GET",
        route="/app/installations",
        query={"per_page": PAGE, "page": 1},
    )
    found = [
        Installation(
            id=InstallationId(one.id),
            account=one.account.name() if one.account else "",
            permissions=dict(one.permissions or {}),
            events=tuple(one.events or ()),
            is_suspended=one.suspended_at is not None,
        )
        for answer in _pages(caller, ask)
        for one in read_answer(ask, answer, list[_Installation])
    ]
    return sorted(found, key=lambda one: one.id)


def list_repositories(caller: Caller, installation_id: InstallationId) -> Reach:
    """What an installation reaches: the first hundred repositories, and how many there are.

    Source: https://docs.github.com/rest/apps/installations#list-repositories-accessible-to-the-app-installation
    """
    ask = Ask(
        doing=f"listing the repositories of installation {installation_id}",
        method="GET",
        route="/installation/repositories",
        query={"per_page": PAGE},
    )
    found = read_answer(ask, caller.as_owner(installation_id, ask), _Repositories)
    repositories = tuple(
        Repository(
            id=RepositoryId(one.id),
            owner=one.owner.login,
            name=one.name,
            default_branch=one.default_branch,
            is_private=one.private,
            installation_id=installation_id,
        )
        for one in found.repositories
    )
    return Reach(repositories=repositories, total=found.total_count)


def read_deliveries(caller: Caller, cursor: str) -> DeliveryPage:
    """A page of the attempts to deliver, newest first, as far back as GitHub's log goes (3 days; 7 on a server).

    Of the link to the next page only the cursor is taken: the address stays ours. GitHub's filter for failures is not
    used: it leaves out attempts that nobody answered.
    """
    ask = Ask(
        doing="listing the App's deliveries",
        method="GET",
        route="/app/hook/deliveries",
        query={"per_page": PAGE} | ({"cursor": cursor} if cursor else {}),
    )
    answer = caller.as_app(ask)
    attempts = read_answer(ask, answer, _Deliveries)
    return DeliveryPage(attempts=tuple(_attempt(one) for one in attempts), cursor=_next(answer, "cursor"))


def find_webhook(caller: Caller) -> Webhook:
    """Where the App's deliveries go.

    Source: https://docs.github.com/rest/apps/webhooks#get-a-webhook-configuration-for-an-app
    """
    ask = Ask(doing="asking GitHub for the App's webhook", method="GET", route="/app/hook/config")
    found = read_answer(ask, caller.as_app(ask), _Webhook)
    return Webhook(
        url=found.url or "",
        content_type=found.content_type or "form",
        is_verified=str(found.insecure_ssl or "0") in ("0", "0.0"),
    )


def redeliver(caller: Caller, attempt_id: int) -> None:
    """Have GitHub send it again, under the same GUID."""
    ask = Ask(
        doing=f"asking for delivery {attempt_id} again",
        method="POST",
        route="/app/hook/deliveries/{delivery}/attempts",
        values={"delivery": str(attempt_id)},
    )
    caller.as_app(ask)


def _attempt(one: _Delivery) -> DeliveryAttempt:
    return DeliveryAttempt(
        id=one.id,
        guid=DeliveryId(one.guid),
        event=one.event,
        delivered_at=one.delivered_at,
        status_code=one.status_code or 0,
    )


def _pages(caller: Caller, ask: Ask) -> Iterator[httpx.Response]:
    """Each page in turn. Of the link to the next one only the number is taken: the address stays ours."""
    for _ in range(MAX_PAGES):
        answer = caller.as_app(ask)
        yield answer
        page = _next(answer, "page")
        if not page:
            return
        ask = replace(ask, query={**ask.query, "page": page})


def _next(answer: httpx.Response, key: str) -> str:
    """What the link to the next page says under that key; empty at the end."""
    following = answer.links.get("next", {}).get("url", "")
    return parse_qs(urlsplit(following).query).get(key, [""])[0][:MAX_CURSOR_CHARS]
