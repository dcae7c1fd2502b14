"""How far the set-up in the browser is, and what a code that somebody typed does to it. Pure: hashes and times alone.

A code opens the set-up for one browser; five wrong ones make it void. Whoever has the browser's session may send the
manifest, and comes back from GitHub with the state that was given along.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from app.core.names import Secret

LIFE: Final = timedelta(hours=1)
"""Of a code, of the browser's session, and of the state; GitHub's own code lives as long."""
MAX_WRONG: Final = 5
PAUSE: Final = timedelta(seconds=30)
"""After MAX_WRONG wrong codes, none is looked at for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCredentials:
    """The App that GitHub made, as it answered once and never again."""

    app_id: int
    slug: str
    owner: str
    """Login of the account that owns it."""
    client_id: str
    client_secret: Secret = field(repr=False)
    webhook_secret: Secret = field(repr=False)
    private_key: Secret = field(repr=False)
    html_url: str
    """Its page on GitHub; empty when the answer named another place."""
    server_url: str
    """The GitHub that it is on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingUp:
    """One set-up under way. Of code, session and state only hashes are kept; an empty one matches nothing."""

    code_hash: str
    code_expires_at: datetime
    wrong: int = 0
    paused_until: datetime | None = None
    session_hash: str = ""
    session_expires_at: datetime | None = None
    state_hash: str = ""

    def has_session(self, now: datetime) -> bool:
        """True while a browser may go on."""
        return bool(self.session_hash) and self.session_expires_at is not None and now < self.session_expires_at


class Tried(Enum):
    """What a typed code was."""

    RIGHT = "right"
    WRONG = "wrong"
    LATE = "late"
    """Right or wrong: the code that there was has expired."""
    USED = "used"
    """A browser has the set-up already, or had it."""
    PAUSED = "paused"
    """Not looked at: too many wrong ones a moment ago."""
    SPENT = "spent"
    """Wrong once too often: the code is void."""


def fresh(code_hash: str, now: datetime, *, paused_until: datetime | None = None) -> SettingUp:
    """A set-up that waits for its code."""
    return SettingUp(code_hash=code_hash, code_expires_at=now + LIFE, paused_until=paused_until)


def tried(setting_up: SettingUp, now: datetime, *, is_right: bool) -> tuple[SettingUp, Tried]:
    """The set-up after somebody typed a code, and what that code was."""
    if setting_up.paused_until is not None and now < setting_up.paused_until:
        return setting_up, Tried.PAUSED
    if not setting_up.code_hash:
        return setting_up, Tried.USED
    if now >= setting_up.code_expires_at:
        return setting_up, Tried.LATE
    if is_right:
        return replace(setting_up, code_hash="", wrong=0), Tried.RIGHT
    if setting_up.wrong + 1 >= MAX_WRONG:
        return replace(setting_up, code_hash="", wrong=0), Tried.SPENT
    return replace(setting_up, wrong=setting_up.wrong + 1), Tried.WRONG


def opened(setting_up: SettingUp, session_hash: str, now: datetime) -> SettingUp:
    """The set-up in one browser's hands."""
    return replace(setting_up, session_hash=session_hash, session_expires_at=now + LIFE)


def sent(setting_up: SettingUp, state_hash: str) -> SettingUp:
    """The set-up whose manifest goes to GitHub with that state; a state before it is void."""
    return replace(setting_up, state_hash=state_hash)
