"""What time does: leases run out, plans expire. Called every few seconds by the jobs process; safe to run anywhere, at
once.

Knows nothing of clocks but the database's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final

from app.core import words
from app.core.errors import RetryableError, TracksideError
from app.core.run import Run, Step, advance
from app.flows.conclude import Conclude
from app.flows.held import archive_key
from app.flows.ports import Artifacts, Store
from app.flows.schedule import SYSTEM, schedule

NOTICE: Final = timedelta(days=1)
"""How long before the end of a waiting plan its check says so."""

MAX_UNANSWERED: Final = 10
"""How often something outside may not answer before the rest is left to the next sweep."""
WORKERS_KEPT: Final = timedelta(days=7)
"""How long a worker that is not heard of any more stays on the list: pods have a new name each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The use case of the `sweep` job."""

    store: Store
    conclude: Conclude
    artifacts: Artifacts
    plans_kept_days: int
    """How long a plan waits for a person before it is discarded."""

    def sweep(self) -> int:
        """End every hold whose lease ran out, discard plans that nobody decided about, and make check runs anew that
        are about to be called stale; how many holds there were.

        Raises: the first trouble, once everything was tried: what cannot be done for one keeps no other waiting.
        """
        with self.store.begin() as tx:
            lost = tx.list_lost_assignments()
            waiting = tx.list_expiring(kept_days=self.plans_kept_days)
        deeds: list[Callable[[], object]] = [
            partial(self.conclude.give_back, record.id, f"worker {record.worker} was not heard of any more")
            for record in lost
        ]
        deeds += [partial(self._expire, run) for run in waiting]
        deeds.append(self._renew)
        do_all(deeds)
        return len(lost)

    def _renew(self) -> None:
        """Forget workers that are gone, and want the check runs anew that have worked for too long."""
        with self.store.begin() as tx:
            tx.forget_unseen_workers(WORKERS_KEPT)
            tx.renew_checks()

    def _expire(self, waiting: Run) -> None:
        """Announce that a waiting plan will be discarded, at least a day before; or discard it, and its archive. A
        preview that waits for reviews has the same time."""
        with self.store.begin() as tx:
            tx.lock_stack(waiting.stack_id)
            run, now = tx.get_run(waiting.id), tx.now()
            if run.state is not waiting.state or run.plan_number != waiting.plan_number:
                return  # somebody was quicker
            if run.expires_at is None:
                kept = run.updated_at + timedelta(days=self.plans_kept_days)
                tx.announce_expiry(run.id, max(kept, now + NOTICE))
                return
            if run.expires_at > now:
                return
            cause = words.expired(run, self.plans_kept_days)
            tx.change_run(
                run.id,
                lambda found: advance(replace(found, decided_by=""), Step.EXPIRE, by=SYSTEM, at=now, cause=cause),
            )
            schedule(tx, tx.lock_stack(run.stack_id))
        if run.plan is not None:
            self.artifacts.delete(archive_key(run.id, run.plan))


def do_all(deeds: Iterable[Callable[[], object]]) -> None:
    """Do each, whatever becomes of the others. Raises: the first trouble, at the end."""
    first: TracksideError | None = None
    unanswered = 0
    for deed in deeds:
        try:
            deed()
        except TracksideError as error:
            first = first or error
            unanswered += isinstance(error, RetryableError)
        if unanswered >= MAX_UNANSWERED:
            break
    if first is not None:
        raise first
