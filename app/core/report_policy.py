"""What policies said of a plan, in its check run and on its page: denials first, warnings, and where reviews stand.

Markdown; the policies' own words are code. A denial says file and line of the rule that made it.
"""

from collections.abc import Sequence
from typing import Final

from app.core.command import Verb
from app.core.markdown import code, size_bytes
from app.core.report_offer import command
from app.core.ruling import Approval, ApprovalRuling, PlanRuling, place
from app.core.runview import RunView
from app.core.words_policy import said_by, undecided
from app.core.words_stack import who_confirms

MAX_SHOWN: Final = 20
"""Messages of one policy that a check shows; the rest is counted."""
MAX_POLICIES_BYTES: Final = 20_000
"""What plan policies said, in a check; and as much again for what reviews came to."""
_SQUARES: Final = {Approval.APPROVED: "🟩", Approval.REJECTED: "🟥"}


def policy_lines(rulings: Sequence[PlanRuling]) -> tuple[str, ...]:
    """A paragraph for each policy that denied or warned, denials first; empty when none did."""
    denials = [_denial(one) for one in rulings if one.is_denial]
    warnings = [_paragraph("🟨", one, "warns", (one.warns, one.warn_lines)) for one in rulings if one.warns]
    return _fitting((*denials, *warnings), "policy", "policies")


def _denial(ruling: PlanRuling) -> str:
    if ruling.failure:
        why = f"gave no answer, so the plan is denied: {code(ruling.failure, limit=500)}"
        return f"🟥 Policy {code(ruling.name)} ({code(place(ruling.path, ruling.deny_lines))}) {why}"
    return _paragraph("🟥", ruling, "denies the plan", (ruling.denies, ruling.deny_lines))


def _paragraph(square: str, ruling: PlanRuling, does: str, said: tuple[Sequence[str], Sequence[int]]) -> str:
    messages, lines = said
    rows = [f"- {code(message, limit=500)}" for message in messages[:MAX_SHOWN]]
    more = len(messages) - len(rows) + ruling.left_out
    if more > 0:
        rows.append(f"- and {more:,} more")
    head = f"{square} Policy {code(ruling.name)} ({code(place(ruling.path, lines))}) {does}:"
    return "\n".join((head, "", *rows))


def review_lines(view: RunView) -> tuple[str, ...]:
    """Where the approval policies stand, and the commands that move them; empty when there are none, or it is over."""
    plan = view.run.plan
    if plan is None or not plan.approvals or not view.run.is_live:
        return ()
    rows = "\n".join(_fitting([f"- {_standing(one)}" for one in plan.approvals], "policy", "policies"))
    if plan.approval is not Approval.UNDECIDED:
        return (rows,)
    approve = command(view, Verb.APPROVE, view.run.id)
    reject = command(view, Verb.REJECT, view.run.id)
    return (rows, f"{approve} vouches for it, {reject} speaks against it: whoever may write can say it.")


def _fitting(parts: Sequence[str], one: str, several: str) -> tuple[str, ...]:
    """The first parts that fit, and how many do not."""
    shown: list[str] = []
    room = MAX_POLICIES_BYTES
    for part in parts:
        room -= size_bytes(part) + 2
        if room < 0:
            break
        shown.append(part)
    missing = len(parts) - len(shown)
    more = f"What {missing:,} more {one if missing == 1 else several} said is on the run's page."
    return (*shown, more) if missing else tuple(shown)


def _standing(ruling: ApprovalRuling) -> str:
    square = _SQUARES.get(ruling.decision, "⬜")
    if ruling.decision is Approval.APPROVED:
        said = f"policy {code(ruling.name)} approves: {said_by(ruling)}"
    else:
        said = undecided(ruling)
    notes = "; ".join(code(note, limit=200) for note in ruling.notes[:MAX_SHOWN])
    return f"{square} {said}{f' ({notes})' if notes else ''}"


def confirm_line(view: RunView) -> str:
    """Who may confirm, where more than a permission is asked for; empty elsewhere."""
    return who_confirms(view.confirm_rules, view.owner)


def unjudged_line(view: RunView) -> str:
    """That the plan has not been judged by a policy that is attached by now; empty when it has."""
    if not view.unjudged:
        return ""
    names = ", ".join(code(name) for name in view.unjudged[:MAX_SHOWN])
    replan = command(view, Verb.REPLAN, view.run.stack_name)
    return f"This plan was made before {names} could judge it, so it cannot be confirmed. {replan} makes one that is."
