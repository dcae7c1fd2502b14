"""Trouble on demand: requests that fail, limits that run out. State that a test or a curious person sets, no patching.

Asked by the API's door before and after each request.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from app.sandbox.clock import Clock

CUT: Final = 0
"""The status of an answer that never comes."""
HOURLY_LIMIT: Final = 5000
WINDOW_S: Final = 3600


@dataclass(slots=True)
class _Failure:
    method: str
    path: re.Pattern[str]
    status: int
    times: int
    after_work: bool


@dataclass(slots=True)
class Trouble:
    """Failures waiting to happen to API requests."""

    clock: Clock
    _failures: list[_Failure] = field(default_factory=list)
    down_until: datetime | None = None
    secondary_left: int = 0
    retry_after_s: int = 60

    def fail_next(
        self, method: str, path_regex: str, status: int = 502, times: int = 1, *, after_work: bool = False
    ) -> None:
        """Answer the next matching requests with `status`. `after_work`: the work is done, only its answer is lost.
        Status CUT: there is no answer, the connection ends.

        `path_regex` is searched in the path below the API's root; method `*` is any.
        """
        self._failures.append(_Failure(method.upper(), re.compile(path_regex), status, times, after_work))

    def hit_secondary_limit(self, times: int = 1, *, retry_after_s: int = 60) -> None:
        """Answer the next content-creating requests with GitHub's secondary rate limit (403 and Retry-After)."""
        self.secondary_left, self.retry_after_s = times, retry_after_s

    def go_down(self, for_s: float) -> None:
        """Answer every API request with 503 until so much time has passed by the sandbox's clock."""
        self.down_until = self.clock.now() + timedelta(seconds=for_s)

    @property
    def is_down(self) -> bool:
        """True while no request is served."""
        return self.down_until is not None and self.clock.now() < self.down_until

    def clear(self) -> None:
        """Take all waiting trouble back."""
        self._failures.clear()
        self.down_until = None
        self.secondary_left = 0

    def take_secondary(self, method: str) -> bool:
        """True when this request runs into the secondary limit; uses it up once."""
        if self.secondary_left < 1 or method == "GET":
            return False
        self.secondary_left -= 1
        return True

    def take_failure(self, method: str, path: str) -> tuple[int, bool] | None:
        """Status and `after_work` of the failure that this request runs into, which is used up once."""
        for failure in self._failures:
            if failure.method in ("*", method) and failure.path.search(path):
                failure.times -= 1
                if failure.times < 1:
                    self._failures.remove(failure)
                return failure.status, failure.after_work
        return None


@dataclass(slots=True)
class RateWindow:
    """One caller's hourly budget."""

    limit: int
    remaining: int
    reset_at: int


class RateLimits:
    """Hourly budgets by caller (`installation-7`, `app`, `user-alice`, `none`)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, RateWindow] = {}
        self._start = HOURLY_LIMIT

    def window(self, caller: str) -> RateWindow:
        """The caller's present window; a new full one when the old has passed."""
        now = int(self._clock.now().timestamp())
        found = self._windows.get(caller)
        if found is None or found.reset_at <= now:
            remaining = self._start if found is None else HOURLY_LIMIT
            found = self._windows[caller] = RateWindow(HOURLY_LIMIT, remaining, now + WINDOW_S)
        return found

    def set_remaining(self, remaining: int) -> None:
        """Leave every caller, also later ones, with that many requests until their window ends."""
        self._start = remaining
        for window in self._windows.values():
            window.remaining = remaining

    def spend(self, caller: str) -> bool:
        """Count one request; False when none was left."""
        window = self.window(caller)
        if window.remaining < 1:
            return False
        window.remaining -= 1
        return True
