"""What flows ask of a transaction about drift."""

from typing import Protocol

from app.core.drift import DriftResult, DriftTurn
from app.core.names import StackId
from app.core.run import Run


class DriftRows(Protocol):
    """When stacks are due, and what a comparison stands on."""

    def list_due_drift(self, *, limit: int) -> list[StackId]:
        """Stacks whose moment has come, those that wait longest first; none that is detached, or whose repository the
        App may not ask about."""
        ...

    def find_drift_turn(self, stack_id: StackId) -> DriftTurn:
        """Where the stack's schedule stands; an empty one for a stack that never had any."""
        ...

    def save_drift_turn(self, stack_id: StackId, turn: DriftTurn) -> None:
        """Note where the schedule stands. Call it with the stack locked."""
        ...

    def find_settled(self, stack_id: StackId) -> Run | None:
        """The state-changing run that ended last and left the stack as its plan said, or None."""
        ...

    def find_newest_unrelated(self, stack_id: StackId) -> Run | None:
        """The newest state-changing run that got anywhere and was not made because of drift, or None."""
        ...

    def count_drift_failures(self, stack_id: StackId) -> int:
        """How many runs that drift made have failed since a tracked run of the stack ended well."""
        ...

    def count_drift(self, result: DriftResult) -> None:
        """Add one to what the metric counts."""
        ...
