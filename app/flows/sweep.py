"""What time does: leases run out, records grow old. Called every few seconds by the jobs process; safe to run
anywhere, at once.

Knows nothing of clocks but the database's.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from app.core.run import Run, RunState, Step, advance
from app.flows.conclude import Conclude
from app.flows.held import archive_key
from app.flows.ports import Artifacts, Store
from app.flows.schedule import SYSTEM, schedule

NOTICE: Final = timedelta(days=1)
"""How long before the end of a waiting plan its check says so."""

WORKERS_KEPT: Final = timedelta(days=7)
"""How long a worker that is not heard of any more stays on the list: pods have a new name each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The use case of the `sweep` job."""

    store: Store
    conclude: Conclude
    artifacts: Artifacts
    decisions_kept_days: int
    plans_kept_days: int
    """How long a plan waits for a person before it is discarded."""

    def sweep(self) -> int:
        """End every hold whose lease ran out, discard plans that nobody decided about, let go of old decisions, and
        make check runs anew that are about to be called stale; how many holds there were."""
        with self.store.begin() as tx:
            lost = tx.list_lost_assignments()
            tx.sweep_decisions(kept_days=self.decisions_kept_days)
            tx.forget_unseen_workers(WORKERS_KEPT)
            tx.renew_checks()
            waiting = tx.list_expiring(kept_days=self.plans_kept_days)
        for run in waiting:
            self._expire(run)
        for record in lost:
            self.conclude.give_back(record.id, f"worker {record.worker} was not heard of any more")
        return len(lost)

    def _expire(self, waiting: Run) -> None:
        """Announce that a waiting plan will be discarded, at least a day before; or discard it, and its archive."""
        with self.store.begin() as tx:
            tx.lock_stack(waiting.stack_id)
            run, now = tx.get_run(waiting.id), tx.now()
            if run.state is not RunState.UNCONFIRMED or run.plan_number != waiting.plan_number:
                return  # somebody was quicker
            if run.expires_at is None:
                kept = run.updated_at + timedelta(days=self.plans_kept_days)
                tx.announce_expiry(run.id, max(kept, now + NOTICE))
                return
            if run.expires_at > now:
                return
            cause = f"expired: nobody decided within {self.plans_kept_days} days"
            tx.change_run(
                run.id,
                lambda found: advance(replace(found, decided_by=""), Step.EXPIRE, by=SYSTEM, at=now, cause=cause),
            )
            schedule(tx, tx.lock_stack(run.stack_id))
        if run.plan is not None:
            self.artifacts.delete(archive_key(run.id, run.plan))
