"""What people and approval policies said of plans, inside a transaction.

Knows nothing of what follows from it.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from app.core.errors import BrokenError
from app.core.names import RunId
from app.core.review import PlanReview
from app.core.ruling import ApprovalRuling
from app.core.run import RunState
from app.store.rows import approval_values
from app.store.schema import plans, reviews
from app.store.wire import Wire, safe_json, safe_text

MAX_REVIEWS: Final = 1_000


class ReviewWrites(Wire):
    """Transaction methods about reviews."""

    def add_review(self, review: PlanReview) -> None:
        """Keep a person's word, for ever. Raises: BrokenError when the run does not wait with that plan."""
        values = {
            "run_id": review.run_id,
            "plan_number": review.plan_number,
            "state": review.state.value,
            "author": safe_text(review.author),
            "is_approval": review.is_approval,
            "note": safe_text(review.note),
            "role": safe_text(review.role),
            "teams": safe_json(review.teams),
            "source": safe_text(review.source),
            "at": review.at,
        }
        self._execute(insert(reviews).values(values))

    def list_reviews(self, run_id: RunId) -> list[PlanReview]:
        """The newest word of each person about each plan of a run, oldest first (the newest MAX_REVIEWS): nobody pushes
        another's word out by saying theirs again and again."""
        each = (reviews.c.plan_number, reviews.c.state, func.lower(reviews.c.author))
        mine = select(reviews).where(reviews.c.run_id == run_id).ext(distinct_on(*each))
        newest = mine.order_by(*each, reviews.c.id.desc()).subquery()
        rows = self._all(select(newest).order_by(newest.c.id.desc()).limit(MAX_REVIEWS))
        return [
            PlanReview(
                run_id=RunId(row.run_id),
                plan_number=row.plan_number,
                state=RunState(row.state),
                author=row.author,
                is_approval=row.is_approval,
                note=row.note,
                at=row.at,
                role=row.role,
                teams=tuple(row.teams),
                source=row.source,
            )
            for row in reversed(rows)
        ]

    def count_reviews(self, run_id: RunId) -> int:
        """How many there ever were of a run."""
        return int(self._scalar(select(func.count()).select_from(reviews).where(reviews.c.run_id == run_id)))

    def save_approvals(self, run_id: RunId, plan_number: int, approvals: Sequence[ApprovalRuling]) -> None:
        """Keep what the approval policies said last of a plan. Raises: BrokenError when the run has no such plan."""
        mine = (plans.c.run_id == run_id) & (plans.c.number == plan_number)
        if self._execute(update(plans).where(mine).values(approval_values(approvals))).rowcount != 1:
            raise BrokenError(f"saving what was said of plan {plan_number} of run {run_id}: there is none")
