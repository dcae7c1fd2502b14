"""What people say of a plan: approvals and rejections, and what approval policies make of them.

Values only. A review belongs to one plan, and to where the run was: another plan asks anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from app.core.contract import Evaluated, PolicyFailed, PolicyType
from app.core.contract_plan import failure_of, flags_of, lines_of, texts
from app.core.flags import FlagTurns
from app.core.names import RunId
from app.core.ruling import MAX_MESSAGE, MAX_MESSAGES, Approval, ApprovalRuling
from app.core.run import RunState
from app.core.stack import PolicySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReview:
    """One person's word about a plan."""

    run_id: RunId
    plan_number: int
    state: RunState
    """Where the run was."""
    author: str
    """Login; on the server, who was logged in there."""
    is_approval: bool
    note: str
    """Hostile text."""
    at: datetime
    role: str = ""
    """GitHub's `role_name` of the author, at that moment."""
    teams: tuple[str, ...] = ()
    """Teams of the owner that the author was in, by slug; as far as some policy looks at teams."""
    source: str = ""
    """`comment`, `cli`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewAnswer:
    """What a stack's approval policies said of one plan and its reviews."""

    rulings: tuple[ApprovalRuling, ...] = ()
    flags: FlagTurns = field(default_factory=FlagTurns)


def newest(reviews: Iterable[PlanReview]) -> list[PlanReview]:
    """The newest word of each person, of reviews that come oldest first."""
    found: dict[str, PlanReview] = {}
    for review in reviews:
        found.pop(review.author.lower(), None)
        found[review.author.lower()] = review
    return list(found.values())


def current(reviews: Iterable[PlanReview], *, plan_number: int, state: RunState) -> list[PlanReview]:
    """The newest word of each person about that plan."""
    return newest(one for one in reviews if one.plan_number == plan_number and one.state is state)


def rule_reviews(
    told: Sequence[tuple[PolicySpec, Evaluated | PolicyFailed]], reviews: Sequence[PlanReview]
) -> ReviewAnswer:
    """What the evaluations of several approval policies come to, in their order; `reviews` are the current ones."""
    approved = tuple(one.author for one in reviews if one.is_approval)
    rejected = tuple(one.author for one in reviews if not one.is_approval)
    rulings = (
        msgspec.structs.replace(_ruling(spec, said), approved_by=approved, rejected_by=rejected) for spec, said in told
    )
    return ReviewAnswer(rulings=tuple(rulings), flags=flags_of(told))


def _ruling(spec: PolicySpec, said: Evaluated | PolicyFailed) -> ApprovalRuling:
    """A rejection counts before an approval; what failed is undecided."""
    failure = failure_of(PolicyType.APPROVAL, said)
    decision, rule = Approval.UNDECIDED, ""
    if isinstance(said, Evaluated) and not failure:
        if said.rules["reject"]:
            decision, rule = Approval.REJECTED, "reject"
        elif said.rules["approve"]:
            decision, rule = Approval.APPROVED, "approve"
    notes = texts(said.rules[f"{rule}_with_note"]) if isinstance(said, Evaluated) and rule else ()
    return ApprovalRuling(
        name=spec.name,
        digest=spec.digest,
        path=spec.path,
        failure=failure,
        decision=decision,
        notes=tuple(note[:MAX_MESSAGE] for note in notes[:MAX_MESSAGES]),
        lines=lines_of(said, rule) if isinstance(said, Evaluated) and rule else (),
    )
