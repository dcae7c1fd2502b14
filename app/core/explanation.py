"""What is known about why a commit did or did not run: decisions in short, and with the run that came of each.

Values that the store hands to the flow that explains; `report_summary` and `words_why` put them into words.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.decision import Decision, EventKind, Verdict
from app.core.names import Sha, StackId
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """An event as it was decided: what all stacks were asked about it."""

    event: EventKind
    action: str
    ref: str
    head_sha: Sha
    pull_number: int | None
    document: Mapping[str, object]
    """The part of the push policy's input that is not about one stack; long lists of files are cut, and counted."""
    note: str

    @property
    def is_whole(self) -> bool:
        """False when files were left out of the record: what it would mean now cannot be told."""
        push, pull = self.document.get("push"), self.document.get("pull_request")
        return all(_is_whole(part, key) for part, key in ((push, "affected_files"), (pull, "diff")))

    @property
    def is_everything(self) -> bool:
        """True when what changed was not known, so that everything counted as changed."""
        return "everything counts as changed" in self.note

    @property
    def words(self) -> str:
        """`push to main`, `tag v1`, `pull request 7, synchronize`."""
        if self.event is EventKind.TAG:
            return f"tag {self.ref.removeprefix('refs/tags/')}"
        if self.event is EventKind.PUSH:
            return f"push to {self.ref.removeprefix('refs/heads/')}"
        number = f" {self.pull_number}" if self.pull_number is not None else ""
        action = f", {self.action.replace('_', ' ')}" if self.action else ""
        return f"{self.event.value.replace('_', ' ')}{number}{action}"


def _is_whole(part: object, key: str) -> bool:
    if not isinstance(part, dict):
        return True
    kept, count = part.get(key), part.get(f"{key}_count")
    return not isinstance(kept, list) or not isinstance(count, int) or len(kept) == count
