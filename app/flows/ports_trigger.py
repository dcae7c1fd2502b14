"""What flows ask of a transaction about what runs when a run has ended."""

from collections.abc import Sequence
from typing import Protocol

from app.core.names import RepositoryId, RunId
from app.core.notice import StateChange
from app.core.run import Run
from app.core.stack import Stack
from app.core.trigger import Member, Triggered


class TriggerRows(Protocol):
    """Runs whose trigger policies are to be asked, and workflows."""

    def is_to_trigger(self, run_id: RunId) -> bool:
        """True while the trigger policies of a run that has ended are still to be asked."""
        ...

    def take_triggering(self, run_id: RunId) -> bool:
        """From now on they were asked; false when somebody else has done it. Call it with every stack locked that may
        get a run."""
        ...

    def save_triggered(self, run: Run, told: Sequence[Triggered]) -> None:
        """Keep what was made of it, in the transaction that took it; the run's report is wanted again."""
        ...

    def list_history(self, run_id: RunId) -> list[StateChange]:
        """Every change of a run's state, oldest first; bounded."""
        ...

    def list_workflow(self, first: RunId) -> list[Member]:
        """The first run of a workflow and every run that trigger policies made of it, oldest first (at most one more
        than MAX_WORKFLOW)."""
        ...

    def lock_workflow(self, first: RunId) -> None:
        """Lock the first run's row: what the workflow is cannot change by asking meanwhile."""
        ...

    def find_deployment(self, stack: Stack) -> Run | None:
        """The run that deploys the stack's head and knows where the commit came from: one that an event made before one
        that was ordered, then the newest; None: no run of the stack does."""
        ...

    def list_queued_runs(self, repository_ids: Sequence[RepositoryId]) -> list[Run]:
        """Queued runs of those repositories, oldest first; bounded."""
        ...
