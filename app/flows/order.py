"""An order: one command for one run, whatever door it came through. Authorised, carried out and written down here, in
the transaction that changes the run.

Refusals are answers, not errors: each says why, and the way on.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from app.core import words, words_choice, words_policy, words_start
from app.core.command import Command, Verb
from app.core.errors import BrokenError
from app.core.names import RunId
from app.core.permit import Permitted, Refused, may, may_confirm
from app.core.record import AuditLine
from app.core.retry import can_retry, run_mark
from app.core.ruling import Approval, Verdict, approval_of
from app.core.run import Run, RunState, Step, StepRefused, Transition, advance, allowed, confirm
from app.core.stack import Stack
from app.core.words_stack import who_confirms
from app.flows.answer import Done, Not, Person
from app.flows.choose import choose
from app.flows.held import archive_key
from app.flows.inquire import WAITING, Stand
from app.flows.ports import Transaction
from app.flows.propose import stop
from app.flows.retry import Asking, Standing, make_retry, retry_refusal
from app.flows.review import keep_flags, review_refusal, take_review, unjudged
from app.flows.schedule import schedule

STEPS = {
    Verb.CONFIRM: Step.CONFIRM,
    Verb.DISCARD: Step.DISCARD,
    Verb.REPLAN: Step.REPLAN,
    Verb.STOP: Step.STOP,
    Verb.CANCEL: Step.CANCEL,
}
ABOUT_PLAN = frozenset({Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN, Verb.APPROVE, Verb.REJECT})
"""Commands that mean a plan: whoever gives one must have been able to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command for one run, whatever door it came through."""

    command: Command
    run_id: RunId
    person: Person
    digest_start: str = ""
    """The 16 hex digits that the button showed, of the plan or (for a retry) of the run's mark; empty: no button."""
    shown_plan: int = 0
    """Number of that plan: two plans of one second can be equal to the byte, and still only one was shown."""
    is_on_page: bool = False
    """It was given under a run's page, which showed that plan; an empty digest: none yet."""
    written_at: datetime | None = None
    """When the comment was written, by GitHub's clock, in whole seconds."""
    standing: Standing | None = None
    """Of a retry: what was asked about the pull request of a commit that is not merged."""
    stand: Stand | None = None
    """What was found out before, for a command that needs it."""


def takes(verb: Verb, run: Run) -> bool:
    """True when the run is where the command can mean it."""
    if verb.is_review:
        return run.state in WAITING
    return can_retry(run) if verb is Verb.RETRY else STEPS.get(verb) in allowed(run)


def carry_out(tx: Transaction, order: Order, prefix: str) -> Done | Not:
    """Authorise, check what the person saw, change the run, write it down. The one path to power."""
    stack = tx.lock_stack(tx.get_run(order.run_id).stack_id)
    run = tx.get_run(order.run_id)
    result = _refusal(tx, run, stack, order, prefix) or _change(tx, run, stack, order, prefix)
    tx.add_audit(
        AuditLine(
            at=tx.now(),
            actor=order.person.actor,
            source=order.person.source,
            command=order.command.line(run.id),
            run_id=run.id,
            repository_id=run.repository_id,
            is_allowed=isinstance(result, Done),
            reason=result.text[:1000],
        )
    )
    return result


def _refusal(tx: Transaction, run: Run, stack: Stack, order: Order, prefix: str) -> Not | None:
    """Why the order must not be carried out, or None."""
    verb, person = order.command.verb, order.person
    if person.is_bot:
        return Not(words_policy.bot(person.actor))
    permitted = may(
        verb,
        permission=person.permission,
        required=stack.settings.confirm_permission,
        actor=person.actor,
        repository=person.repository,
    )
    if isinstance(permitted, Refused):
        return Not(words.not_permitted(permitted.reason))
    if not takes(verb, run):
        return Not(words.not_waiting(verb, run, prefix))
    if (order.digest_start or (order.is_on_page and verb in ABOUT_PLAN)) and not _is_shown(run, order):
        return Not(words.plan_changed(verb, run, prefix))
    if verb in ABOUT_PLAN and order.written_at is not None and not _has_seen(run, order.written_at):
        return Not(words.comment_too_old(verb, run, prefix))
    if verb is Verb.CONFIRM:
        return _confirm_refusal(tx, run, stack, order, prefix) or _unfit(tx, run, stack, order, prefix)
    if verb.is_review:
        return review_refusal(tx, run, stack, verb, order.stand, prefix)
    if verb is Verb.RETRY:
        return retry_refusal(tx, run, stack, Asking(person=person, standing=order.standing, prefix=prefix))
    return None


def _confirm_refusal(tx: Transaction, run: Run, stack: Stack, order: Order, prefix: str) -> Not | None:
    """Why this plan must not be confirmed although it waits for it, or None."""
    if stack.is_detached:
        return Not(words.detached(run))
    if not tx.is_current(stack.id):
        return Not(words.settings_on_their_way(run, prefix))
    if stack.settings.digest() != run.stack_digest:
        return Not(words.settings_changed(run, prefix))
    if stack.is_kept_from(order.person.actor) and stack.is_kept_from(run.triggered_by):
        return Not(words_start.locked_by_other(stack, prefix))
    if run.head_seq < stack.head_seq and not order.command.even_if_superseded:
        return Not(words.superseded(run, prefix))
    if tx.get_run_facts(run).is_stale:
        return Not(words.stale(run, prefix))
    return None


def _unfit(tx: Transaction, run: Run, stack: Stack, order: Order, prefix: str) -> Not | None:
    """Why this person must not confirm this plan: its policies, the stack's rules, its environment's; or None."""
    plan, stand = run.plan, order.stand
    if plan is None or plan.verdict is Verdict.DENIED:
        return Not(words_policy.was_denied(run))
    if missing := unjudged(stack, plan):
        return Not(words_policy.not_judged(run, missing, prefix))
    if stand is None or not stand.fits(run, stack, tx.count_reviews(run.id)):
        return Not(words_policy.moved(run, Verb.CONFIRM, prefix))
    if stand.failure:
        return Not(words_policy.not_known(run, stand.failure))
    if stand.confirming is not None:
        rules = stack.settings.confirm_rules
        permitted = may_confirm(rules, stand.confirming)
        if isinstance(permitted, Refused):
            return Not(words_policy.may_not_confirm(permitted.reason, who_confirms(rules, stand.confirming.owner)))
    if approval_of(stand.approvals) not in (Approval.NONE, Approval.APPROVED):
        return Not(words_policy.needs_approval(run, stand.approvals, prefix))
    return None


def _change(tx: Transaction, run: Run, stack: Stack, order: Order, prefix: str) -> Done | Not:
    """Do it."""
    try:
        match order.command.verb:
            case Verb.CONFIRM:
                _confirm(tx, run, stack, order)
                forced = _forced(stack, order)
                return Done(words.confirmed(run) + words_policy.by_force(forced), is_answer=bool(forced))
            case Verb.DISCARD:
                _end(tx, run, order, Step.DISCARD)
                return Done(words.discarded(run), _archive(run))
            case Verb.REPLAN:
                return _replan(tx, run, order, prefix)
            case Verb.STOP:
                stop(tx, run, order.command.note, by=order.person.actor)
                return Done(words_start.stopping(run))
            case Verb.CANCEL:
                _end(tx, run, order, Step.CANCEL)
                return Done(words_start.canceled(run))
            case Verb.RETRY:
                return make_retry(tx, run, stack, order.person)
            case Verb.APPROVE | Verb.REJECT if order.stand is not None:
                return take_review(tx, run, stack, order.command.verb, order.stand)
            case Verb.HELP | Verb.WHY | Verb.PLAN | Verb.DEPLOY | Verb.LOCK | Verb.UNLOCK | Verb.APPROVE | Verb.REJECT:
                raise BrokenError(f"carrying out {order.command.verb.value}: it moves no run")
    except StepRefused:
        return Not(words.not_waiting(order.command.verb, tx.get_run(run.id), prefix))


def _end(tx: Transaction, run: Run, order: Order, what: Step) -> None:
    """The run ends by the person's word, and the stack's next one may go."""
    at, actor, note = tx.now(), order.person.actor, order.command.note
    tx.change_run(run.id, lambda found: advance(_by(found, actor), what, by=actor, at=at, cause=note))
    schedule(tx, tx.lock_stack(run.stack_id))


def _confirm(tx: Transaction, run: Run, stack: Stack, order: Order) -> None:
    at, actor = tx.now(), order.person.actor
    if run.plan is not None and order.stand is not None:  # asked again a moment ago: policies may look at the clock
        tx.save_approvals(run.id, run.plan.number, order.stand.approvals)
        keep_flags(tx, run, order.stand.flags.after(run.flag_owners))
        run = replace(run, plan=replace(run.plan, approvals=order.stand.approvals))
    proof = confirm(run, stack_digest=stack.settings.digest(), actor=actor, at=at, source=order.person.source)
    tx.add_confirmation(proof)
    forced = _forced(stack, order)
    causes = ("even if superseded" if order.command.even_if_superseded else "", f"by force: {forced}" if forced else "")
    cause = "; ".join(one for one in causes if one)

    def accept(found: Run) -> tuple[Run, Transition]:
        if found.plan is None or found.plan.digest != proof.plan_digest:
            raise StepRefused(found, Step.CONFIRM)
        proven = replace(_by(found, actor), confirmed_digest=proof.plan_digest, attempts=0)
        return advance(proven, Step.CONFIRM, by=actor, at=at, cause=cause)

    tx.change_run(run.id, accept)


def _forced(stack: Stack, order: Order) -> str:
    """What an admin passes over by confirming; empty: nothing."""
    asked = order.stand.confirming if order.stand is not None else None
    permitted = may_confirm(stack.settings.confirm_rules, asked) if asked is not None else None
    return permitted.by_force if isinstance(permitted, Permitted) else ""


def _replan(tx: Transaction, run: Run, order: Order, prefix: str) -> Done | Not:
    """Ask for the next plan: of the whole commit, or of what was chosen of the plan that is shown. What was planned is
    turned down by it."""
    at, actor = tx.now(), order.person.actor
    part = choose(tx, run, order.command.choice, prefix)
    if isinstance(part, str):
        return Not(part)

    def again(found: Run) -> tuple[Run, Transition]:
        number = found.plan_number + 1
        fresh = replace(_by(found, actor), plan=None, plan_number=number, attempts=0, targeting=part, expires_at=None)
        cause = f"{words_choice.chosen_words(part)} of plan {part.of_plan}" if part else ""
        return advance(fresh, Step.REPLAN, by=actor, at=at, cause=cause)

    tx.change_run(run.id, again)
    said = words_choice.part_requested(run, part) if part else words.replan_requested(run)
    return Done(said, _archive(run))


def _is_shown(run: Run, order: Order) -> bool:
    """True when the button stood under the run's newest plan, or under this very run."""
    if order.command.verb is Verb.RETRY:
        return run_mark(run.id).startswith(order.digest_start)
    if not order.digest_start:
        return run.plan is None
    if run.plan is None or not run.plan.digest.startswith(order.digest_start):
        return False
    return order.shown_plan in (0, run.plan.number)


def _has_seen(run: Run, written_at: datetime) -> bool:
    """True when the plan was published in an earlier second than the comment was written in.

    GitHub gives a comment's time in whole seconds; within the same second nobody can have read the plan.
    """
    if run.plan is None:
        return run.state is RunState.REPLAN_REQUESTED  # nothing to have seen: a discard stops what is about to begin
    return run.plan.published_at is not None and run.plan.published_at.replace(microsecond=0) < written_at


def _archive(run: Run) -> str:
    """Where the plan's workspace was kept; empty when there was none."""
    return archive_key(run.id, run.plan) if run.plan is not None else ""


def _by(run: Run, actor: str) -> Run:
    return replace(run, decided_by=actor)
