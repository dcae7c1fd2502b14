"""What policies said of a plan, as it is kept with the plan: denials, warnings, and whether reviews are enough.

Values only. `contract_plan` and `contract_approval` make them of evaluations; a confirmation asks for them.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

MAX_MESSAGES: Final = 50
"""Messages of one policy that are kept; the rest is counted."""
MAX_MESSAGE: Final = 500
"""Characters of one message."""
MAX_LINES: Final = 10
"""Lines of a policy that are named."""


class Verdict(StrEnum):
    """What the plan policies of a stack say of one plan, together."""

    NONE = "none"
    """No plan policy was attached when the plan was made."""
    PASSED = "passed"
    WARNED = "warned"
    """A person must look at it."""
    DENIED = "denied"
    """It fails; also when a policy gave no answer."""


class Approval(StrEnum):
    """What the approval policies of a stack say of one plan, together, or one of them alone."""

    NONE = "none"
    """No approval policy was asked."""
    UNDECIDED = "undecided"
    """Reviews are missing; also when a policy gave no answer."""
    APPROVED = "approved"
    REJECTED = "rejected"


class Ruling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one policy said."""

    name: str
    digest: str
    """SHA-256 of the text that was asked."""
    path: str
    """Where it stands, for people."""
    failure: str = ""
    """Why it gave no answer; empty when it gave one."""

    @property
    def key(self) -> tuple[str, str]:
        """What was asked: another text is another policy."""
        return self.name, self.digest


class PlanRuling(Ruling, frozen=True, kw_only=True, omit_defaults=True):
    """What one plan policy said of the plan. Messages are the policy's words: hostile text."""

    denies: tuple[str, ...] = ()
    deny_lines: tuple[int, ...] = ()
    warns: tuple[str, ...] = ()
    warn_lines: tuple[int, ...] = ()
    left_out: int = 0
    """Messages beyond those that are kept."""

    @property
    def is_denial(self) -> bool:
        """True when the plan fails by it."""
        return bool(self.denies or self.failure)


class ApprovalRuling(Ruling, frozen=True, kw_only=True, omit_defaults=True):
    """What one approval policy said of the reviews of the plan."""

    decision: Approval
    notes: tuple[str, ...] = ()
    """What it said about that; hostile text."""
    lines: tuple[int, ...] = ()
    approved_by: tuple[str, ...] = ()
    """Who had approved this plan when it was asked."""
    rejected_by: tuple[str, ...] = ()


def verdict_of(rulings: Iterable[PlanRuling]) -> Verdict:
    """The rulings together: one denial denies."""
    told = list(rulings)
    if any(one.is_denial for one in told):
        return Verdict.DENIED
    if any(one.warns for one in told):
        return Verdict.WARNED
    return Verdict.PASSED if told else Verdict.NONE


def approval_of(rulings: Iterable[ApprovalRuling]) -> Approval:
    """The rulings together: one rejection rejects, and all have to approve."""
    told = [one.decision for one in rulings]
    if Approval.REJECTED in told:
        return Approval.REJECTED
    if not told:
        return Approval.NONE
    return Approval.APPROVED if all(one is Approval.APPROVED for one in told) else Approval.UNDECIDED


def place(path: str, lines: Iterable[int]) -> str:
    """`policies/cost.rego:12,20`; without lines the path alone."""
    named = ",".join(str(line) for line in sorted(set(lines))[:MAX_LINES])
    return f"{path}:{named}" if named else path
