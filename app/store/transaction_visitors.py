"""Sessions and logins inside a transaction: they come sealed and leave sealed; times are the database's."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import and_, delete, func, insert, select, text, update

from app.core.visitor import IDLE, LIFE, LOGIN_WITHIN
from app.store.schema import logins, sessions
from app.store.wire import Wire

USED_EVERY: Final = timedelta(minutes=1)
"""How exactly it is noted when a session was used: a page is no reason to write each time."""
_SWEEP: Final = text("""
WITH old AS (
    DELETE FROM sessions WHERE key IN (
        SELECT key FROM sessions WHERE used_at <= clock_timestamp() - :idle OR created_at <= clock_timestamp() - :life
        LIMIT :limit
    ) RETURNING key
)
SELECT count(*) FROM old
""")
_TRIM_LOGINS: Final = text("""
WITH old AS (
    DELETE FROM logins WHERE key IN (
        SELECT key FROM logins ORDER BY created_at DESC, key OFFSET :keep FOR UPDATE SKIP LOCKED
    ) RETURNING key
)
SELECT count(*) FROM old
""")
_SWEEP_LOGINS: Final = text("""
WITH old AS (
    DELETE FROM logins WHERE key IN (
        SELECT key FROM logins WHERE created_at <= clock_timestamp() - :within ORDER BY created_at LIMIT :limit
    ) RETURNING key
)
SELECT count(*) FROM old
""")


class VisitorWrites(Wire):
    """Transaction methods about people who look at the pages."""

    def add_login(self, key: str, *, browser: str, sealed: bytes) -> None:
        """Keep a login that is under way."""
        self._execute(insert(logins).values(key=key, browser=browser, sealed=sealed))

    def take_login(self, key: str) -> tuple[str, bytes] | None:
        """The browser's hash and what was kept of a login begun within its time; it is gone by that. Else None."""
        taken = delete(logins).where(logins.c.key == key)
        is_fresh = _is_since(logins.c.created_at, LOGIN_WITHIN).label("is_fresh")
        row = self._first(taken.returning(logins.c.browser, logins.c.sealed, is_fresh))
        return (row.browser, bytes(row.sealed)) if row is not None and row.is_fresh else None

    def trim_logins(self, *, keep: int) -> int:
        """Let go of the oldest logins, until `keep` are left; how many."""
        return int(self._scalar(_TRIM_LOGINS.bindparams(keep=keep)))

    def add_session(self, key: str, sealed: bytes) -> None:
        """Keep a session, which begins now."""
        self._execute(insert(sessions).values(key=key, sealed=sealed))

    def find_session(self, key: str, *, for_change: bool = False) -> bytes | None:
        """What was kept of a session that is not over, or None; that it is used is noted. `for_change`: nobody else
        changes it until the transaction ends."""
        is_noted = _is_since(sessions.c.used_at, USED_EVERY).label("is_noted")
        wanted = select(sessions.c.sealed, is_noted).where(sessions.c.key == key, _LIVES)
        row = self._first(wanted.with_for_update() if for_change else wanted)
        if row is None:
            return None
        if not row.is_noted:
            self._execute(update(sessions).where(sessions.c.key == key).values(used_at=func.clock_timestamp()))
        return bytes(row.sealed)

    def save_session(self, key: str, sealed: bytes) -> None:
        """Replace what is kept of a session; one that has ended stays ended."""
        self._execute(update(sessions).where(sessions.c.key == key).values(sealed=sealed))

    def delete_session(self, key: str) -> None:
        """End a session, if there is one."""
        self._execute(delete(sessions).where(sessions.c.key == key))

    def sweep_sessions(self, *, limit: int) -> int:
        """Let go of up to `limit` sessions that are over; how many."""
        return int(self._scalar(_SWEEP.bindparams(idle=IDLE, life=LIFE, limit=limit)))

    def sweep_logins(self, *, limit: int) -> int:
        """Let go of up to `limit` logins that are over; how many."""
        return int(self._scalar(_SWEEP_LOGINS.bindparams(within=LOGIN_WITHIN, limit=limit)))


def _is_since(moment: Any, ago: timedelta) -> Any:
    return moment > func.clock_timestamp() - ago


_LIVES: Final = and_(_is_since(sessions.c.used_at, IDLE), _is_since(sessions.c.created_at, LIFE))
