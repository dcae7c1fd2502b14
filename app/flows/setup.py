"""The set-up in the browser: a code opens it for one browser, the manifest goes to GitHub, the App's credentials come
back and are kept sealed.

Every step is a transaction on the one row that says how far it is, so that any number of web processes may answer.
GitHub is asked outside of it.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Protocol

from app.core import words_setup as words
from app.core.appform import Need
from app.core.appmanifest import (
    UNKNOWN_VERSION,
    Addresses,
    address_problem,
    is_github,
    is_organisation,
    left_out,
    manifest,
    registration_url,
)
from app.core.errors import RetryableError, UserError
from app.core.names import Secret
from app.core.record import AuditLine
from app.core.setup import PAUSE, AppCredentials, SettingUp, Tried, fresh, opened, sent, tried

CODE_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
MAX_GIVEN_CHARS: Final = 200
"""Of whatever a browser sends as code, session or state; longer ones match nothing."""


class SetupRows(Protocol):
    """What the set-up asks of a transaction."""

    def now(self) -> datetime: ...
    def lock_setup(self) -> SettingUp | None: ...
    def save_setup(self, setting_up: SettingUp) -> None: ...
    def end_setup(self) -> None: ...
    def add_app(self, app: AppCredentials) -> bool: ...
    def find_app_slug(self) -> str | None: ...
    def forget_app(self) -> str | None: ...
    def add_audit(self, line: AuditLine) -> None: ...


class SetupStore(Protocol):
    """Where it is kept."""

    def begin(self) -> AbstractContextManager[SetupRows]: ...


class Tokens(Protocol):
    """What makes codes, and compares them."""

    def new_code(self) -> Secret: ...
    def new_token(self) -> Secret: ...
    def hash_token(self, token: str) -> str: ...
    def is_token(self, token: str, token_hash: str) -> bool: ...


class AppMaker(Protocol):
    """GitHub, asked as nobody."""

    def ask_version(self) -> tuple[int, int] | None: ...
    def convert(self, code: str) -> AppCredentials: ...


class Stage(Enum):
    """How far the set-up is, for one browser."""

    CLOSED = "closed"
    """It has to give the code."""
    BEGUN = "begun"
    """It gave the code."""
    DONE = "done"
    """There is an App: the process that has none is about to start with it."""


@dataclass(frozen=True, slots=True)
class Denied:
    """It does not go on: the status of the page that says why."""

    status: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The manifest, on its way to GitHub."""

    manifest: dict[str, Any]
    url: str
    """Where it is posted to."""
    account: str
    """The organisation; empty: the person's own account."""
    without: tuple[Need, ...]
    """What this Enterprise Server lacks."""
    remark: str
    session: Secret | None = field(repr=False)
    """For the browser that typed the code; None: it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """The use case."""

    store: SetupStore
    tokens: Tokens
    github: AppMaker
    addresses: Addresses
    announce: Callable[[str], None]
    """Told the line that invites whoever runs the process."""

    @property
    def problem(self) -> str:
        """Why these addresses can make no App; empty when they can."""
        return address_problem(self.addresses)

    def begin(self) -> None:
        """Announce a new code; one before it, and a browser that goes on with it, are void.

        Where these addresses can make no App, that is announced instead.
        """
        if self.problem:
            self.announce(words.blocked(self.problem))
            return
        code = self.tokens.new_code()
        with self.store.begin() as tx:
            tx.save_setup(fresh(self.tokens.hash_token(code.reveal()), tx.now()))
        self.announce(words.invitation(self.addresses.public_url, code.reveal()))

    def stage(self, session: str) -> Stage:
        """How far the set-up is for that browser."""
        with self.store.begin() as tx:
            if tx.find_app_slug() is not None:
                return Stage.DONE
            return Stage.BEGUN if self._is_browser(tx.lock_setup(), session, tx.now()) else Stage.CLOSED

    def send(self, *, code: str, session: str, organisation: str | None) -> Sending | Denied:
        """The manifest for GitHub, once the code is right or the browser has begun already. `organisation`: None when
        no account was chosen; empty: the person's own."""
        if self.problem:
            return Denied(422, self.problem)
        if organisation is None or (organisation and not is_organisation(organisation)):
            return Denied(422, words.NO_ACCOUNT)
        token, state = self._enter(code, session), self.tokens.new_token()
        if isinstance(token, Denied):
            return token
        version, remark = self._version()
        with self.store.begin() as tx:
            setting_up = tx.lock_setup()
            if setting_up is None or not self._is_browser(setting_up, token.reveal() if token else session, tx.now()):
                return Denied(403, words.NO_SESSION)
            tx.save_setup(sent(setting_up, self.tokens.hash_token(state.reveal())))
        without = left_out(version)
        return Sending(
            manifest=manifest(self.addresses.public_url, without),
            url=registration_url(self.addresses.server_url, organisation, state.reveal()),
            account=organisation,
            without=without,
            remark=remark,
            session=token,
        )

    def finish(self, *, session: str, code: str, state: str) -> AppCredentials | Denied:
        """Take the App's credentials from GitHub, and keep them. The state is good once."""
        with self.store.begin() as tx:
            setting_up = tx.lock_setup()
            if not self._is_browser(setting_up, session, tx.now()) or setting_up is None:
                return Denied(403, words.NO_SESSION)
            if not self.tokens.is_token(state[:MAX_GIVEN_CHARS], setting_up.state_hash):
                return Denied(403, words.WRONG_STATE)
            if CODE_FORM.fullmatch(code) is None:
                return Denied(422, words.NO_GITHUB_CODE)
            tx.save_setup(sent(setting_up, ""))
        try:
            app = self.github.convert(code)
        except RetryableError as error:
            self._give_back(setting_up)
            return Denied(503, words.code_postponed(str(error)))
        except UserError as error:
            return Denied(422, words.code_refused(str(error)))
        try:
            return self._keep(app)
        except RetryableError as error:
            return Denied(503, words.not_kept(app, str(error)))

    def _give_back(self, setting_up: SettingUp) -> None:
        """The state is good once more, unless another attempt, or another code, has begun meanwhile."""
        with self.store.begin() as tx:
            if tx.lock_setup() == sent(setting_up, ""):
                tx.save_setup(setting_up)

    def _keep(self, app: AppCredentials) -> AppCredentials | Denied:
        with self.store.begin() as tx:
            if not tx.add_app(app):
                return Denied(404, "")
            tx.end_setup()
            tx.add_audit(_line(tx.now(), "set-up", "page", f"setup {app.slug} of {app.owner}"))
        return app

    def _enter(self, code: str, session: str) -> Secret | Denied | None:
        """The session of a browser that typed the right code; None for one that has a session."""
        with self.store.begin() as tx:
            setting_up, now = tx.lock_setup(), tx.now()
            if self._is_browser(setting_up, session, now):
                return None
            if setting_up is None or not code:
                return Denied(422, words.NO_CODE)
            is_right = self.tokens.is_token(code.strip().lower()[:MAX_GIVEN_CHARS], setting_up.code_hash)
            setting_up, result = tried(setting_up, now, is_right=is_right)
            token, announced = None, None
            match result:
                case Tried.RIGHT:
                    token = self.tokens.new_token()
                    setting_up = opened(setting_up, self.tokens.hash_token(token.reveal()), now)
                case Tried.SPENT:
                    announced = self.tokens.new_code()
                    code_hash = self.tokens.hash_token(announced.reveal())
                    setting_up = fresh(code_hash, now, paused_until=now + PAUSE)
                case Tried.WRONG | Tried.LATE | Tried.USED | Tried.PAUSED:
                    pass
            tx.save_setup(setting_up)
        if announced is not None:
            self.announce(words.invitation(self.addresses.public_url, announced.reveal()))
        if token is None:
            return Denied(429 if result in (Tried.PAUSED, Tried.SPENT) else 403, words.of_code(result))
        return token

    def _version(self) -> tuple[tuple[int, int] | None, str]:
        """GitHub's version, and what is to be said of it."""
        if is_github(self.addresses.server_url):
            return None, ""
        version = self.github.ask_version()
        return version, words.VERSION_UNKNOWN if version == UNKNOWN_VERSION else ""

    def _is_browser(self, setting_up: SettingUp | None, session: str, now: datetime) -> bool:
        return (
            setting_up is not None
            and setting_up.has_session(now)
            and self.tokens.is_token(session[:MAX_GIVEN_CHARS], setting_up.session_hash)
        )


def forget(store: SetupStore, actor: str) -> str | None:
    """Delete the App's credentials, which is written to the audit log; its slug, or None when there were none."""
    with store.begin() as tx:
        slug = tx.forget_app()
        tx.end_setup()
        if slug is not None:
            tx.add_audit(_line(tx.now(), actor, "cli", f"setup --reset {slug}"))
    return slug


def _line(at: datetime, actor: str, source: str, command: str) -> AuditLine:
    return AuditLine(
        at=at,
        actor=actor,
        source=source,
        command=command,
        run_id=None,
        repository_id=None,
        is_allowed=True,
        reason="",
    )
