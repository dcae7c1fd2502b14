"""What flows ask of a transaction about workers, and of the reading side about all of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from app.core.names import AssignmentId
from app.core.workers import Drained, SeenWorker, WorkerFacts, WorkerHold


class WorkerRows(Protocol):
    """Workers: processes that claim."""

    def see_worker(self, facts: WorkerFacts) -> Drained | None:
        """Note that the worker is there, and what it says of itself; who drained it, if anybody did."""
        ...

    def lock_workers(self, name: str, pool: str = "") -> Sequence[SeenWorker]:
        """The workers of that name (of that pool), under their rows' locks, by pool."""
        ...

    def list_pools(self) -> Sequence[str]:
        """The pools of which a worker is known, or that are drained, by name."""
        ...

    def drain_worker(self, worker: WorkerFacts, by: str) -> None:
        """From now on it gets no new runs; with nobody named, it gets them again."""
        ...

    def drain_pool(self, pool: str, by: str) -> bool:
        """The same for a whole pool, and for workers that come later; False when it was so already."""
        ...

    def wake_pool(self, pool: str) -> None:
        """Have a waiting claim of the pool look again, once this is committed."""
        ...

    def lock_holds(self, worker: WorkerFacts) -> Sequence[WorkerHold]:
        """The runs that the worker has, its assignments locked, by run."""
        ...

    def count_holds(self, pool: str) -> int:
        """How many runs the workers of a pool have."""
        ...

    def disown_assignment(self, assignment_id: AssignmentId) -> None:
        """Its token opens nothing any more, so its lease is not renewed: the hold ends when that has run out."""
        ...

    def forget_worker(self, worker: WorkerFacts) -> None:
        """Delete its row; its next claim makes a new one, which is not drained."""
        ...

    def forget_unseen_workers(self, unseen: timedelta) -> int:
        """Delete workers that were not heard of for so long, but for those that a person drained; how many."""
        ...
