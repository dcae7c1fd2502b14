"""What the App says of policies that judge plans and reviews: in the reason of a run, and in answers to commands.

Policies' own words are hostile text: in a reason they stand as they are (it is shown as code), in Markdown as code.
"""

from collections.abc import Sequence

from app.core.command import Verb
from app.core.markdown import code
from app.core.review import PlanReview, newest
from app.core.ruling import Approval, ApprovalRuling, PlanRuling, place
from app.core.run import Plan, Run

MAX_SAID = 10
"""Messages of one policy that a reason lists; the rest is counted."""


def denied(plan: Plan) -> str:
    """Why the plan fails: every policy that denies it, its messages, and where it stands. Plain text."""
    return "\n".join(line for ruling in plan.rulings if ruling.is_denial for line in _denial(ruling))


def _denial(ruling: PlanRuling) -> list[str]:
    where = place(ruling.path, ruling.deny_lines)
    if ruling.failure:
        return [f"policy {ruling.name} gave no answer, so the plan is denied ({where}): {ruling.failure}"]
    shown = [f"  - {message}" for message in ruling.denies[:MAX_SAID]]
    more = len(ruling.denies) - len(shown) + ruling.left_out
    return [f"policy {ruling.name} denies the plan ({where}):", *shown, *([f"  and {more} more"] if more > 0 else [])]


def rejected(plan: Plan, author: str = "", note: str = "") -> str:
    """Why the run fails by its reviews, with what the last one of them said. Plain text."""
    told = [one for one in plan.approvals if one.decision is Approval.REJECTED]
    return _rejections(told) + (f"\n{author}: {note}" if note else "")


def approved_by(author: str, note: str) -> str:
    """What the run's history says of the review that let a preview end. Plain text."""
    return f"approved by {author}: {note}" if note else f"approved by {author}"


def _rejections(told: Sequence[ApprovalRuling]) -> str:
    return "\n".join(
        f"policy {one.name} rejects the run ({place(one.path, one.lines)})"
        + (f": rejected by {', '.join(one.rejected_by)}" if one.rejected_by else "")
        + "".join(f"\n  - {note}" for note in one.notes[:MAX_SAID])
        for one in told
    )


def needs_approval(run: Run, approvals: Sequence[ApprovalRuling], prefix: str) -> str:
    """A confirm met a plan that is not approved."""
    open_ = "; ".join(undecided(one) for one in approvals if one.decision is not Approval.APPROVED)
    approve = code(f"{prefix} {Verb.APPROVE.value} {run.stack_name}")
    return (
        f"Not done: plan {run.plan_number} of {code(run.stack_name)} is not approved: {open_}. {approve} approves it."
    )


def undecided(ruling: ApprovalRuling) -> str:
    """Where one policy stands, with who has said what. Markdown."""
    name = f"policy {code(ruling.name)}"
    if ruling.failure:
        return f"{name} gave no answer ({code(ruling.failure)})"
    if ruling.decision is Approval.REJECTED:
        return f"{name} rejects it"
    return f"{name} needs an approval: {said_by(ruling)}"


def said_by(ruling: ApprovalRuling) -> str:
    """`1 approval (alice), 0 rejections`. Markdown."""
    told = []
    for word, logins in (("approval", ruling.approved_by), ("rejection", ruling.rejected_by)):
        names = ", ".join(code(login, limit=60) for login in logins[:MAX_SAID])
        told.append(f"{len(logins)} {word}{'' if len(logins) == 1 else 's'}{f' ({names})' if names else ''}")
    return ", ".join(told)


def not_judged(run: Run, policies: Sequence[str], prefix: str) -> str:
    """A confirm met a plan that was made before a plan policy was attached, or changed."""
    names = ", ".join(code(name) for name in policies[:MAX_SAID])
    replan = code(f"{prefix} {Verb.REPLAN.value} {run.stack_name}")
    return (
        f"Not done: plan {run.plan_number} of {code(run.stack_name)} was made before {names} could judge it. "
        f"{replan} makes a plan that is judged."
    )


def was_denied(run: Run) -> str:
    """A confirm met a plan that a policy denied."""
    return f"Not done: a policy denied plan {run.plan_number} of {code(run.stack_name)}."


def may_not_confirm(reason: str, who: str) -> str:
    """The person does not fulfil the stack's `confirm` rules, or its environment's. `who`: who does, or empty."""
    return f"Not done: {code(reason, limit=1000)}." + (f" {who}" if who else "")


def not_known(run: Run, why: str) -> str:
    """GitHub would not tell what decides whether the person may."""
    said = code(why, limit=500)
    return f"Not done: it cannot be told whether you may decide about {code(run.stack_name)}, so you may not: {said}."


def none_applied(stack: str, looked_at: int) -> str:
    """Why nobody can be told from those who made what a run would apply. Plain text."""
    return f"asking who made the change: none of the newest {looked_at} runs of stack {stack} was applied"


def never_applied(stack: str, most: int) -> str:
    """The same, where what was pushed in vain is too much. Plain text."""
    return f"asking who made the change: more than {most} pushes to stack {stack} were never applied, and count with it"


def by_force(why: str) -> str:
    """What an admin passed over by a confirm; empty when nothing was."""
    return f" By force: {code(why, limit=500)}." if why else ""


def moved(run: Run, verb: Verb, prefix: str) -> str:
    """Something about the run changed between the question and the command."""
    again = code(f"{prefix} {verb.value} {run.stack_name}")
    return (
        f"Not done: a review, a plan or a policy of {code(run.stack_name)} changed at the same moment. Look at it, "
        f"then repeat {again}."
    )


def nobody_asks(run: Run) -> str:
    """A review of a run that no approval policy asks about."""
    return (
        f"Not done: no approval policy of {code(run.stack_name)} asks for reviews, so they would decide nothing: "
        "whoever may confirm decides."
    )


def reviewed(run: Run, verb: Verb, approvals: Sequence[ApprovalRuling]) -> str:
    """A review was taken in, and decided nothing yet, or all that was missing."""
    word = "Approved" if verb is Verb.APPROVE else "Rejected"
    open_ = [undecided(one) for one in approvals if one.decision is not Approval.APPROVED]
    rest = f" Still open: {'; '.join(open_)}." if open_ else " No more reviews are asked for."
    return f"{word}: plan {run.plan_number} of {code(run.stack_name)}.{rest}"


def review_rejects(run: Run) -> str:
    """A review ended the run."""
    return f"Rejected: the run of {code(run.stack_name)} fails, and nothing of plan {run.plan_number} is applied."


def review_ends(run: Run) -> str:
    """A review let a preview end well."""
    return f"Approved: the preview of {code(run.stack_name)} is finished."


def review_applies(run: Run) -> str:
    """A review was all that an autodeploy stack waited for."""
    return f"Approved: plan {run.plan_number} of {code(run.stack_name)} is applied, since the stack has `autodeploy`."


def heard(reviews: Sequence[PlanReview], run: Run) -> list[tuple[PlanReview, str]]:
    """Each review with why policies do not look at it any more; empty: they do. The order stays. Plain text."""
    newest_of = {id(one) for one in newest(one for one in reviews if one.plan_number == run.plan_number)}
    return [(one, "" if id(one) in newest_of else _passed(one, run)) for one in reviews]


def _passed(review: PlanReview, run: Run) -> str:
    """What made a review one of the past."""
    if review.plan_number != run.plan_number:
        return f"plan {run.plan_number} is newer"
    return "they said more later"


def bot(actor: str) -> str:
    """A machine gave a command."""
    return f"Not done: {code(actor)} is a bot, and bots give no commands: a person has to."
