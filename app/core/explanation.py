"""What is known about why a commit did or did not run: decisions in short, and with the run that came of each.

Values that the store hands to the flow that explains; `report_summary` and `words_why` put them into words.
"""

from dataclasses import dataclass

from app.core.decision import Decision, EventKind, Verdict
from app.core.names import StackId
from app.core.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortDecision:
    """A decision without its input: thousands of them stand on one commit."""

    stack_id: StackId
    stack_name: str
    ref: str
    event: EventKind
    verdict: Verdict
    reason: str
    note: str

    @property
    def words(self) -> str:
        """Reason and note as one text; hostile."""
        return "; ".join(part for part in (self.reason, self.note) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A decision, and the run that came of it (or stood there already)."""

    decision: Decision
    run: Run | None
