"""What time does: leases run out. Called every few seconds by the jobs process; safe to run anywhere, at once.

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

    def sweep(self) -> int:
        """End every hold whose lease ran out; how many there were."""
        with self.store.begin() as tx:
            lost = tx.list_lost_assignments()
        for record in lost:
            self.conclude.give_back(record.id, f"worker {record.worker} was not heard of any more")
        return len(lost)
