"""The governor: what an installation writes to GitHub stays within its budget, whoever sends it, in lanes.

Each write is counted before it is sent, in the installation's one row, so that all processes share it. What GitHub says
of its limits is written there too, and holds for all.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.core.budget import Lane, Wait, find_wait, pause, take
from app.core.errors import RetryableError
from app.core.event import Repository
from app.core.names import InstallationId
from app.flows.ports import Store, Transaction

MARGIN_S: Final = 0.5
"""Added to a wait: a look that comes a moment too early would only wait again."""


def spend(tx: Transaction, repository: Repository, lane: Lane) -> None:
    """Count one write that is about to be sent. Raises: RetryableError that says when there is room for it."""
    installation, at = repository.installation_id, tx.now()
    found = take(tx.lock_budget(installation), lane, at)
    if isinstance(found, Wait):
        whose = "the budget of its installation is spent" if found.is_ours else "GitHub asked for a pause"
        wait_s = (found.until - at).total_seconds() + MARGIN_S
        raise RetryableError(f"writing to {repository.full_name}: {whose}", retry_after_s=wait_s)
    tx.save_budget(installation, found)


def room_in_s(tx: Transaction, repository: Repository, lane: Lane) -> float:
    """Seconds until there is room for a write; 0: there is now."""
    at = tx.now()
    wait = find_wait(tx.find_budget(repository.installation_id), lane, at)
    return (wait.until - at).total_seconds() + MARGIN_S if wait is not None else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What GitHub says of its own limits, noted for every process."""

    store: Store

    def refused(self, installation_id: InstallationId, wait_s: float) -> None:
        """GitHub takes nothing of the installation for so long."""
        self._pause(installation_id, Lane.ANSWER, wait_s)

    def running_low(self, installation_id: InstallationId, lane: Lane, wait_s: float) -> None:
        """So little is left for so long that nothing of that lane, or below it, should be sent."""
        self._pause(installation_id, lane, wait_s)

    def _pause(self, installation_id: InstallationId, lane: Lane, wait_s: float) -> None:
        with self.store.begin() as tx:
            at = tx.now()
            told = pause(tx.lock_budget(installation_id), lane, at + timedelta(seconds=wait_s), at)
            tx.save_budget(installation_id, told)
