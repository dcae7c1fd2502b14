"""Logging in with GitHub: there and back again. What is under way is kept for ten minutes, once, and for one browser.

The person's token is used for the one question who they are, inside the github room, and kept nowhere.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec

from app.core.errors import BrokenError
from app.core.names import Secret
from app.core.visitor import LoginProblem, LoginRefused, problem_of, way_back
from app.flows.ports import Sealer, Store
from app.flows.ports_visitors import LoginGitHub
from app.flows.visit import MAX_TOKEN, Visits

MAX_UNDER_WAY: Final = 10_000
"""Logins that are under way at once. The oldest make room: whoever begins them by the thousand neither fills the disk
nor keeps everybody else out."""
MAX_ERROR: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The way to GitHub."""

    url: str
    browser: Secret
    """What the browser shows when it comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameBack:
    """What a browser brings from GitHub; all of it from outside."""

    state: str
    code: str
    error: str
    browser: str
    """What it was given when it went."""
    session: str
    """The session that it had before, which ends with the new one's beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A session has begun."""

    token: Secret
    back: str
    """Where the person wanted to go: a path of ours."""


class _UnderWay(msgspec.Struct, frozen=True):
    verifier: str
    back: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The use cases."""

    store: Store
    github: LoginGitHub
    sealer: Sealer
    visits: Visits
    callback_url: str

    def begin(self, back: str) -> Begun:
        """The way to GitHub, and what the browser needs for its way back to that path of ours."""
        state, browser, verifier = (self.sealer.new_token() for _ in range(3))
        key = self.sealer.hash_token(state.reveal())
        kept = _UnderWay(verifier.reveal(), way_back(back))
        with self.store.begin() as tx:
            sealed = self.sealer.seal(msgspec.json.encode(kept), _context(key))
            tx.add_login(key, browser=self.sealer.hash_token(browser.reveal()), sealed=sealed)
            tx.trim_logins(keep=MAX_UNDER_WAY)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.reveal().encode()).digest()).decode().rstrip("=")
        url = self.github.login_url(state=state.reveal(), challenge=challenge, redirect_uri=self.callback_url)
        return Begun(url=url, browser=browser)

    def complete(self, came: CameBack) -> LoggedIn | LoginRefused:
        """A session for whoever came back, or why there is none. Raises: RetryableError when GitHub does not answer."""
        under_way = self._take(came)
        if under_way is None:
            return LoginRefused(problem=LoginProblem.OVER)
        if came.error:
            return LoginRefused(problem=problem_of(came.error), said=came.error[:MAX_ERROR], back=under_way.back)
        who = self.github.identify(code=came.code, verifier=Secret(under_way.verifier), redirect_uri=self.callback_url)
        if isinstance(who, LoginRefused):
            return LoginRefused(problem=who.problem, said=who.said, back=under_way.back)
        self.visits.end(came.session)
        return LoggedIn(token=self.visits.begin(who), back=under_way.back)

    def _take(self, came: CameBack) -> _UnderWay | None:
        """The login that it comes back from, once; None for any other browser."""
        if not 0 < len(came.state) <= MAX_TOKEN or not 0 < len(came.browser) <= MAX_TOKEN:
            return None
        key = self.sealer.hash_token(came.state)
        with self.store.begin() as tx:
            found = tx.take_login(key)
        if found is None or not self.sealer.is_token(came.browser, found[0]):
            return None
        try:
            return msgspec.json.decode(self.sealer.open(found[1], _context(key)), type=_UnderWay)
        except (BrokenError, msgspec.DecodeError):  # begun under other keys, or by another release
            return None


def _context(key: str) -> dict[str, str]:
    return {"column": "logins.sealed", "id": key}
