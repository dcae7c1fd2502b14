"""How many writes an installation may send to GitHub, and whose go first. Pure: moments in, a budget or a wait out.

GitHub limits what an App writes, and stops one that goes on. We stay below, so that an answer to a person always has
room; what GitHub says of its own limits counts more than what we count.
Source: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from app.core.names import InstallationId


class Lane(IntEnum):
    """Whose writes go first: what is said here leaves room for everything above it."""

    ANSWER = 0
    """A reply or a reaction to somebody who may write to the repository: a person waits for it."""
    CONCLUSION = 1
    """A check run or a deployment that is made, or that ends."""
    PROGRESS = 2
    """A check run that says how far its run is, what notification policies say, and answers to everybody else."""


ANSWERED_AT: Final = 10
"""The priority of a job that answers a person."""
LATER: Final = {Lane.ANSWER: -6, Lane.CONCLUSION: -7, Lane.PROGRESS: -10}
"""The priority of a job that comes again later, by its lane: below every job that is new."""


def again_priority(priority: int) -> int:
    """The priority of the next try of a job that had this one: answers to people stay ahead of all else."""
    return LATER[Lane.ANSWER if priority in (ANSWERED_AT, LATER[Lane.ANSWER]) else Lane.CONCLUSION]


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window and how many writes it takes, by the lane that asks."""

    length: timedelta
    most: tuple[int, int, int]
    """Shape: by lane; how many writes of any lane there may be for one of this lane to be added."""


WINDOWS: Final = (
    Window(timedelta(minutes=1), (60, 40, 20)),
    Window(timedelta(hours=1), (400, 360, 200)),
)
"""60 a minute and 400 an hour. 20 a minute and 40 an hour are kept for answers, as many again for conclusions."""
LONGEST: Final = max(window.length for window in WINDOWS)
LONGEST_PAUSE: Final = timedelta(hours=1)
"""GitHub counts by the hour: a longer pause is not believed."""
LOW: Final = ((0.02, Lane.CONCLUSION), (0.1, Lane.PROGRESS))
"""Which part of GitHub's own limit has to be left for a lane to go on, the lowest first. The rest is for what people
ask, and for questions."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an installation has written lately, and what GitHub has said."""

    taken: tuple[datetime, ...] = ()
    """When, oldest first; of the last hour."""
    not_before: tuple[datetime | None, datetime | None, datetime | None] = (None, None, None)
    """Shape: by lane; from when on GitHub takes such writes again."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No write of that lane now."""

    until: datetime
    is_ours: bool
    """True: our own budget is spent; False: GitHub's limit is reached, or nearly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """An installation and its budget at a moment."""

    installation_id: InstallationId
    account: str
    """Whose it is; empty: not known."""
    budget: Budget
    at: datetime

    @property
    def throttled(self) -> Wait | None:
        """Until when what it has to conclude waits; None: nothing does."""
        return find_wait(self.budget, Lane.CONCLUSION, self.at)

    @property
    def written(self) -> int:
        """How many writes there were in the last minute."""
        return sum(moment > self.at - timedelta(minutes=1) for moment in self.budget.taken)


def take(budget: Budget, lane: Lane, at: datetime) -> Budget | Wait:
    """The budget with one write more, or until when that has to wait."""
    wait = find_wait(budget, lane, at)
    if wait is not None:
        return wait
    fresh = tuple(moment for moment in budget.taken if moment > at - LONGEST)
    return replace(budget, taken=(*fresh, at))


def find_wait(budget: Budget, lane: Lane, at: datetime) -> Wait | None:
    """Until when a write of that lane has to wait; None: it need not."""
    until = max((end for window in WINDOWS if (end := _room_at(budget, window, lane, at)) is not None), default=at)
    told = budget.not_before[lane]
    if told is not None and told > max(at, until):
        return Wait(told, is_ours=False)
    return Wait(until, is_ours=True) if until > at else None


def pause(budget: Budget, lane: Lane, until: datetime, at: datetime) -> Budget:
    """The budget once GitHub has said that nothing of that lane, or below it, is taken before then."""
    end = min(until, at + LONGEST_PAUSE)
    later = [old if each < lane or (old is not None and old > end) else end for each, old in _by_lane(budget)]
    return replace(budget, not_before=(later[0], later[1], later[2]))


def lane_to_spare(remaining: int, limit: int) -> Lane | None:
    """From which lane on nothing should be sent any more, with so much left of GitHub's own limit; None: all may be."""
    return next((lane for part, lane in LOW if limit > 0 and remaining < limit * part), None)


def _by_lane(budget: Budget) -> list[tuple[Lane, datetime | None]]:
    return list(zip(Lane, budget.not_before, strict=True))


def _room_at(budget: Budget, window: Window, lane: Lane, at: datetime) -> datetime | None:
    """When enough writes have left the window; None when there is room now."""
    inside = [moment for moment in budget.taken if moment > at - window.length]
    most = window.most[lane]
    return inside[-most] + window.length if len(inside) >= most else None
