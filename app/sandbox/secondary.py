"""GitHub's secondary limits: how much one caller may write in a minute and in an hour, and how many points it has.

Enforced unless they are switched off. Whether a check run counts as content is not documented: here it does.
Source: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

from app.sandbox.clock import Clock

MINUTE_S: Final = 60
HOUR_S: Final = 3600
POINTS: Final = {"GET": 1, "HEAD": 1}
"""What a request costs; a write costs WRITE."""
WRITE: Final = 5


@dataclass(slots=True)
class Secondary:
    """What callers have done lately. `is_on` is the switch; the limits can be moved."""

    clock: Clock
    is_on: bool = True
    writes_a_minute: int = 80
    writes_an_hour: int = 500
    points_a_minute: int = 900
    refused: int = 0
    """How many requests ran into one of them."""
    _writes: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _points: dict[str, deque[tuple[float, int]]] = field(default_factory=lambda: defaultdict(deque))

    def spend(self, caller: str, method: str) -> int:
        """Count a request; 0, or after how many seconds the caller should come back instead."""
        now, cost = self.clock.now().timestamp(), POINTS.get(method, WRITE)
        writes, points = self._writes[caller], self._points[caller]
        while writes and writes[0] <= now - HOUR_S:
            writes.popleft()
        while points and points[0][0] <= now - MINUTE_S:
            points.popleft()
        wait_s = max(self._wait_to_write(writes, now) if cost == WRITE else 0, self._wait_for_points(points, cost, now))
        if self.is_on and wait_s:
            self.refused += 1
            return wait_s
        points.append((now, cost))
        if cost == WRITE:
            writes.append(now)
        return 0

    def most_writes(self, caller: str, length_s: int = MINUTE_S) -> int:
        """The most that a caller wrote within so many seconds, of the last hour."""
        moments = list(self._writes[caller])
        return max((sum(one <= each < one + length_s for each in moments) for one in moments), default=0)

    def _wait_to_write(self, writes: "deque[float]", now: float) -> int:
        waits = [0]
        for most, length_s in ((self.writes_a_minute, MINUTE_S), (self.writes_an_hour, HOUR_S)):
            inside = [moment for moment in writes if moment > now - length_s]
            if len(inside) >= most:
                waits.append(int(inside[-most] + length_s - now) + 1)
        return max(waits)

    def _wait_for_points(self, points: "deque[tuple[float, int]]", cost: int, now: float) -> int:
        if sum(spent for _, spent in points) + cost <= self.points_a_minute:
            return 0
        return int(points[0][0] + MINUTE_S - now) + 1
