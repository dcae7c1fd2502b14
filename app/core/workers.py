"""Workers as the control plane knows them: what each says of itself, whether it is there, and whether it may take runs.

Values only. A worker is a process; its slots claim under `NAME/1`, `NAME/2`, …
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from app.core.names import AssignmentId, RunId
from app.core.run import RunState

GONE_AFTER: Final = timedelta(seconds=60)
"""How long an idle worker may be unseen: longer than the longest poll."""
MAX_LABEL_CHARS: Final = 80
MAX_ENGINES: Final = 20
MAX_SLOTS: Final = 1_000


class WorkerState(StrEnum):
    """What a worker is doing, in one word."""

    BUSY = "busy"
    """At least one of its slots has a run."""
    IDLE = "idle"
    """It waits for runs."""
    DRAINING = "draining"
    """It gets no new run, and has some under way."""
    DRAINED = "drained"
    """It gets no new run, and has none: it can be stopped."""
    GONE = "gone"
    """It was not heard of for a minute."""


def worker_of(claimer: str) -> str:
    """The worker's name of what a claim is made under: `host` of `host/2`."""
    name, slash, slot = claimer.rpartition("/")
    return name if slash and name and slot.isascii() and slot.isdigit() else claimer


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """What a worker says of itself with each claim."""

    pool: str
    """The one that its token belongs to."""
    name: str
    version: str = ""
    """Of Trackside; empty: it does not say."""
    protocol: int = 1
    engines: tuple[str, ...] = ()
    """What it can plan with: `terraform 1.11.4`."""
    slots: int = 1
    """How many runs at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHold:
    """A run that a worker has now."""

    assignment_id: AssignmentId
    run_id: RunId
    stack_name: str
    state: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """A claim's answer: this worker gets no run, however many wait."""

    pool: str
    name: str
    by: str
    """Who drained it."""
    is_pool: bool
    """True when the whole pool is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWorker:
    """A worker as it is known."""

    facts: WorkerFacts
    first_seen: datetime
    last_seen: datetime
    now: datetime
    """By the same clock: the database's."""
    drained_by: str = ""
    """Who drained it; empty: nobody."""
    pool_drained_by: str = ""
    """Who drained its pool; empty: nobody."""
    holds: tuple[WorkerHold, ...] = ()
    """The runs that it has, by id."""

    @property
    def is_gone(self) -> bool:
        """True when it was not heard of for a while."""
        return self.now - self.last_seen > GONE_AFTER

    @property
    def state(self) -> WorkerState:
        """In one word."""
        if self.is_gone:
            return WorkerState.GONE
        if self.drained_by or self.pool_drained_by:
            return WorkerState.DRAINING if self.holds else WorkerState.DRAINED
        return WorkerState.BUSY if self.holds else WorkerState.IDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolQueue:
    """What waits for the workers of a pool."""

    pool: str
    length: int
    oldest_wait_s: float
    """Since the oldest of them began to wait; 0 when none does."""
