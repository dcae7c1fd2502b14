"""What a plan of a part leaves undone of the whole plan: change by change, and as a count.

Pure. The count is kept with the plan when it is handed in, so that lists of runs say it without reading any plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.choice import Targeting
from app.core.plan import Change, Kind, PlanSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """How many changes of the whole plan are still to be done once its part is; two bounds, since a plan may have more
    changes than it lists."""

    least: int
    most: int

    @property
    def words(self) -> str:
        """`one change`, `3 changes`, `3 to 7 changes`, `up to 7 changes`."""
        if self.least == self.most:
            return "one change" if self.most == 1 else f"{self.most:,} changes"
        return f"{self.least:,} to {self.most:,} changes" if self.least else f"up to {self.most:,} changes"


def pending(whole: PlanSummary, applied: PlanSummary) -> tuple[Change, ...]:
    """The changes of the whole plan that the applied part of it did not have, with the whole plan's numbers."""
    done = {(change.kind, change.address) for change in applied.changes}
    return tuple(change for change in whole.changes if (change.kind, change.address) not in done)


def left_by(
    targeting: Targeting, whole: PlanSummary, part: PlanSummary | None, *, has_changes: bool
) -> tuple[Change, ...]:
    """The listed changes of the whole plan that its part does not have; of a part that is not kept, none is known."""
    if has_changes:
        return pending(whole, part) if part is not None else ()
    left: Sequence[Change] = targeting.split(whole.changes)[1]  # what was chosen was planned, and needs nothing
    return (*left, *(change for change in whole.changes if change.kind is Kind.OUTPUT))


def rest_of(targeting: Targeting, whole: PlanSummary, part: PlanSummary, *, has_changes: bool) -> Rest:
    """How much of the whole plan its part leaves undone. What the part does not list may be among what is left."""
    left = len(left_by(targeting, whole, part, has_changes=has_changes))
    return Rest(least=max(left - part.changes_left_out, 0), most=left + whole.changes_left_out)
