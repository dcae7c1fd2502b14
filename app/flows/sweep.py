"""What time does: leases run out, records grow old. Called every few seconds by the jobs process; safe to run
anywhere, at once.

Knows nothing of clocks but the database's.
"""

from dataclasses import dataclass

from app.flows.conclude import Conclude
from app.flows.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The use case of the `sweep` job."""

    store: Store
    conclude: Conclude
    decisions_kept_days: int

    def sweep(self) -> int:
        """End every hold whose lease ran out, and let go of old decisions; how many holds there were."""
        with self.store.begin() as tx:
            lost = tx.list_lost_assignments()
            tx.sweep_decisions(kept_days=self.decisions_kept_days)
        for record in lost:
            self.conclude.give_back(record.id, f"worker {record.worker} was not heard of any more")
        return len(lost)
