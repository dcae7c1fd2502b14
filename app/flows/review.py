"""A person's word about a plan, where approval policies ask for some: kept, and what follows from it.

Called inside the transaction of the command, with the stack locked.
"""

from dataclasses import replace
from datetime import datetime

from app.core import words_policy
from app.core.command import Verb
from app.core.flags import FlagOwners
from app.core.ruling import Approval, approval_of
from app.core.run import Plan, Run, RunState, Step, Transition, advance
from app.core.stack import Stack
from app.flows.answer import Done, Not
from app.flows.autodeploy import confirm_by_setting, may_autodeploy
from app.flows.held import archive_key
from app.flows.inquire import Stand
from app.flows.ports import Transaction
from app.flows.schedule import schedule, tell


def review_refusal(tx: Transaction, run: Run, stack: Stack, verb: Verb, stand: Stand | None, prefix: str) -> Not | None:
    """Why the review must not be taken in, or None."""
    if not stack.approval_policies:
        return Not(words_policy.nobody_asks(run))
    if stand is not None and stand.failure:
        return Not(words_policy.not_known(run, stand.failure))
    if stand is None or stand.review is None or not stand.fits(run, stack, tx.count_reviews(run.id)):
        return Not(words_policy.moved(run, verb, prefix))
    return None


def take_review(tx: Transaction, run: Run, stack: Stack, verb: Verb, stand: Stand) -> Done:
    """Keep it; a rejection fails the run, the last approval lets a preview end and an autodeploy stack go on."""
    if stand.review is None or run.plan is None:
        raise ValueError(f"taking in a review of run {run.id}: there is none, or no plan")
    at, author, archive = tx.now(), stand.review.author, archive_key(run.id, run.plan)
    tx.add_review(replace(stand.review, at=at))
    tx.save_approvals(run.id, run.plan.number, stand.approvals)
    keep_flags(tx, run, stand.flags.after(run.flag_owners))
    plan = replace(run.plan, approvals=stand.approvals)
    match approval_of(stand.approvals):
        case Approval.REJECTED:
            _step(tx, run, Step.FAIL, author, at, words_policy.rejected(plan, author, stand.review.note))
            schedule(tx, tx.lock_stack(stack.id))
            return Done(words_policy.review_rejects(run), archive)
        case Approval.APPROVED if run.state is RunState.PENDING_REVIEW:
            _step(tx, run, Step.FINISH, author, at, words_policy.approved_by(author, stand.review.note))
            return Done(words_policy.review_ends(run))
        case Approval.APPROVED if verb is Verb.APPROVE and _goes_on(tx, run, stack, plan, stand):
            confirm_by_setting(tx, run, stack, plan, Step.CONFIRM)
            return Done(words_policy.review_applies(run))
        case _:
            tell(tx, run)
            return Done(words_policy.reviewed(run, verb, stand.approvals), is_answer=True)


def _goes_on(tx: Transaction, run: Run, stack: Stack, plan: Plan, stand: Stand) -> bool:
    """True when the approval was all that kept the stack's `autodeploy` from confirming the plan."""
    is_stale = tx.get_run_facts(run).is_stale
    return (
        run.state is RunState.UNCONFIRMED
        and not (stand.environment_asks or is_stale or unjudged(stack, plan))
        and may_autodeploy(tx, run, stack, plan)
    )


def keep_flags(tx: Transaction, run: Run, owners: FlagOwners) -> None:
    """Save the run's flags as policies left them, unless they left them as they were. The caller holds the stack."""
    if owners != run.flag_owners:
        tx.save_flags(run.id, owners)


def unjudged(stack: Stack, plan: Plan) -> list[str]:
    """The stack's plan policies that have not judged that plan, by name."""
    known = {ruling.key for ruling in plan.rulings}
    return [spec.name for spec in stack.plan_policies if (spec.name, spec.digest) not in known]


def _step(tx: Transaction, run: Run, what: Step, by: str, at: datetime, cause: str) -> None:
    def change(found: Run) -> tuple[Run, Transition]:
        return advance(replace(found, decided_by=by), what, by=by, at=at, cause=cause)

    tx.change_run(run.id, change)
