"""Who looks at the pages: what a session remembers of a person, for how long, and where a page may lead back to.

Pure values: a session is kept by `flows.visit`, made by `flows.login`, and names one account of GitHub.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from app.core.names import RepositoryId
from app.core.permit import may_read
from app.core.stack import Permission

IDLE: Final = timedelta(hours=12)
"""A session that is not used for so long is over."""
LIFE: Final = timedelta(days=7)
"""So is one that began so long ago, however much it is used."""
LOGIN_WITHIN: Final = timedelta(minutes=10)
"""From the way to GitHub to the way back; GitHub's code lives no longer either."""
SEEN_FOR: Final = timedelta(minutes=5)
"""How long GitHub's word on what a person may read is believed. For acting it is asked each time."""
MAX_SEEN: Final = 2_000
"""Repositories that one session remembers."""
MAX_MESSAGE: Final = 4_000
_ULID: Final = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_OURS: Final = re.compile(
    rf"/(?:stacks/{_ULID}|runs/{_ULID}(?:/(?:log|attestation|changes(?:\?page=[0-9]{{1,5}})?))?)?"
)
HOME: Final = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person, as GitHub knows them."""

    id: int
    """Stays when the login changes."""
    login: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What GitHub said of a person on one repository."""

    permission: Permission
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What became of a command that was given on a page; shown once, on that page."""

    path: str
    text: str
    """Markdown of ours."""
    is_refusal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is remembered of one browser's login; sealed at rest."""

    account: Account
    csrf: str
    """What a form of ours has to bring back."""
    seen: Mapping[RepositoryId, Seen] = field(default_factory=dict)
    """By GitHub's number of the repository."""
    message: Message | None = None

    def find_seen(self, repository_id: RepositoryId, now: datetime) -> Permission | None:
        """What GitHub said lately of the person there; None: it has to be asked."""
        found = self.seen.get(repository_id)
        is_fresh = found is not None and timedelta(0) <= now - found.at < SEEN_FOR
        return found.permission if found is not None and is_fresh else None

    def with_seen(self, news: Mapping[RepositoryId, Permission], now: datetime) -> "Session":
        """The session with what GitHub says now; what is too old to be believed goes."""
        kept = {key: one for key, one in self.seen.items() if key not in news and now - one.at < SEEN_FOR}
        fresh = {key: Seen(permission=permission, at=now) for key, permission in news.items()}
        return replace(self, seen=dict([*kept.items(), *fresh.items()][-MAX_SEEN:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A person with their session."""

    key: str
    """SHA-256 of what their browser holds."""
    session: Session

    @property
    def login(self) -> str:
        """Their login on GitHub."""
        return self.session.account.login


class LoginProblem(StrEnum):
    """Why nobody was logged in."""

    DENIED = "denied"
    """The person said no on GitHub."""
    OVER = "over"
    """Begun too long ago, used already, or in another browser: no such login is under way."""
    CODE = "code"
    """GitHub does not take the code that came back."""
    CALLBACK = "callback"
    """GitHub's App names other callback URLs."""
    SECRET = "secret"  # noqa: S105 - a word, no secret
    """GitHub does not take the App's client id or secret."""
    EMAIL = "email"
    """GitHub wants the person's mail address verified first."""
    MACHINE = "machine"
    """The account is no person's."""
    OTHER = "other"
    """Anything else that GitHub says."""


GITHUB_PROBLEMS: Final = {
    "access_denied": LoginProblem.DENIED,
    "redirect_uri_mismatch": LoginProblem.CALLBACK,
    "bad_verification_code": LoginProblem.CODE,
    "incorrect_client_credentials": LoginProblem.SECRET,
    "unverified_user_email": LoginProblem.EMAIL,
}
"""GitHub's words for them.
Source: https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-authorization-request-errors and
its neighbour on errors of access token requests."""


def problem_of(error: str) -> LoginProblem:
    """What GitHub's word for an error means."""
    return GITHUB_PROBLEMS.get(error, LoginProblem.OTHER)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused:
    """Nobody was logged in, and why."""

    problem: LoginProblem
    said: str = ""
    """GitHub's own word for it; hostile text."""
    back: str = HOME
    """Where the person wanted to go."""


def way_back(text: str) -> str:
    """The path, when it is that of a page of ours; else the first page. Nothing else is ever led to."""
    return text if _OURS.fullmatch(text) else HOME


def may_see(permission: Permission | None, *, is_veiled: bool) -> bool:
    """Whether somebody of whom GitHub says that sees a stack and its runs; None: GitHub said nothing."""
    return permission is not None and may_read(permission, is_veiled=is_veiled)
