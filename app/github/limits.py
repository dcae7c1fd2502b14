"""GitHub's own limits, as its answers tell of them: passed on to who keeps the budget, each piece of news once.

Source: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#checking-the-status-of-your-rate-limit
"""

import re
from collections.abc import Mapping
from threading import Lock
from typing import Final, Protocol

from app.core.budget import Lane, lane_to_spare
from app.core.names import InstallationId
from app.github.api import Clock
from app.github.refusals import MAX_WAIT_S, LimitedError

_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_MAX_TOLD: Final = 10_000


class LimitWatch(Protocol):
    """Who keeps the budget."""

    def refused(self, installation_id: InstallationId, wait_s: float, /) -> None:
        """GitHub takes nothing of the installation for so long."""
        ...

    def running_low(self, installation_id: InstallationId, lane: Lane, wait_s: float, /) -> None:
        """So little is left for so long that nothing of that lane, or below it, should be sent."""
        ...


class Limits:
    """Tells the watch, if there is one. Thread-safe."""

    def __init__(self, watch: LimitWatch | None, now: Clock) -> None:
        self._watch, self._now = watch, now
        self._lock = Lock()
        self._told: dict[tuple[InstallationId, Lane], int] = {}
        """Until which reset it was told that little is left."""

    def note_refusal(self, installation_id: InstallationId, error: LimitedError) -> None:
        """A request ran into a limit."""
        if self._watch is not None and error.retry_after_s is not None:
            self._watch.refused(installation_id, error.retry_after_s)

    def note_answer(self, installation_id: InstallationId, headers: Mapping[str, str]) -> None:
        """An answer says how much is left: little is told once for each reset."""
        if self._watch is None or headers.get("x-ratelimit-resource", "core") != "core":
            return
        found = [_number(headers.get(f"x-ratelimit-{name}")) for name in ("remaining", "limit", "reset")]
        remaining, limit, reset = found
        if remaining is None or limit is None or reset is None:
            return
        lane = lane_to_spare(remaining, limit)
        wait_s = min(reset - self._now().timestamp(), MAX_WAIT_S)
        if lane is not None and wait_s > 0 and self._is_news(installation_id, lane, reset):
            self._watch.running_low(installation_id, lane, wait_s)

    def _is_news(self, installation_id: InstallationId, lane: Lane, reset: int) -> bool:
        with self._lock:
            if self._told.get((installation_id, lane)) == reset:
                return False
            if len(self._told) >= _MAX_TOLD:
                self._told.clear()
            self._told[installation_id, lane] = reset
            return True


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None
