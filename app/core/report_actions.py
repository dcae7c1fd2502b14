"""What a page offers to do: the buttons of the run's check, and every command that its words name, as forms.

Pure, and read from the same tables as checks and commands: what is offered is accepted.
"""

from dataclasses import dataclass
from typing import Final

from app.core.command import Verb, parse_identifier
from app.core.report_comment import boxed
from app.core.report_offer import buttons, make_again
from app.core.retry import can_retry, run_mark
from app.core.ruling import Approval
from app.core.run import Run, RunState, Step, allowed
from app.core.runview import RunView
from app.core.stack import Stack

DIGITS: Final = 16
"""Of a digest, as buttons carry it."""
ON_RUN: Final = frozenset(
    {
        Verb.CONFIRM,
        Verb.DISCARD,
        Verb.REPLAN,
        Verb.STOP,
        Verb.CANCEL,
        Verb.RETRY,
        Verb.APPROVE,
        Verb.REJECT,
        Verb.PLAN,
        Verb.DEPLOY,
    }
)
"""Commands that a run's page takes."""
ON_STACK: Final = frozenset({Verb.LOCK, Verb.UNLOCK, Verb.DEPLOY})
"""Commands that a stack's page takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAction:
    """One thing that the page offers."""

    verb: Verb
    label: str
    description: str
    digest: str = ""
    """16 hex digits of what the page shows: the plan's, or the run's mark; empty: it shows no plan yet."""
    takes_note: bool = False


_MORE: Final = (
    (Step.STOP, Verb.STOP, "Stop", "Interrupt it; nothing of it is applied"),
    (Step.CANCEL, Verb.CANCEL, "Cancel", "Withdraw it: it has not started"),
    (Step.DISCARD, Verb.DISCARD, "Discard", "Turn it down"),
)
_NOTED: Final = frozenset({Verb.DISCARD})
_REVIEWED: Final = (RunState.UNCONFIRMED, RunState.PENDING_REVIEW)


def page_actions(view: RunView) -> tuple[PageAction, ...]:
    """What the page of that run offers to somebody who has logged in: first the buttons of its check."""
    run = view.run
    found: dict[Verb, PageAction] = {}
    for button in buttons(view):
        meant = parse_identifier(button.identifier)
        if meant is not None:
            verb, digest = meant
            found[verb] = _action(verb, button.label, button.description, digest)
    steps = allowed(run)
    for step, verb, label, description in _MORE:
        if step in steps and verb not in found:
            found[verb] = _action(verb, label, description, shown_digest(run))
    if can_retry(run) and Verb.RETRY not in found and not run.is_outcome_unknown and make_again(view):
        found[Verb.RETRY] = _action(Verb.RETRY, "Retry", "Make the run again, of this commit", _mark(run))
    return (*found.values(), *_reviews(run))


def may_choose(run: Run) -> bool:
    """True when a part of the run's changes can be planned by ticking them, as in the App's comment."""
    return bool(boxed(run))


def shown_digest(run: Run) -> str:
    """What names the plan that the page shows; empty without one."""
    return run.plan.digest[:DIGITS] if run.plan is not None else ""


def stack_actions(stack: Stack) -> tuple[PageAction, ...]:
    """What the page of that stack offers."""
    if stack.is_detached:
        return ()
    deploy = PageAction(verb=Verb.DEPLOY, label="Deploy", description="Plan its newest commit, to apply it")
    lock = PageAction(
        verb=Verb.LOCK, label="Lock", description="Keep it for yourself: only your runs go ahead", takes_note=True
    )
    unlock = PageAction(verb=Verb.UNLOCK, label="Unlock", description="Take away what keeps it", takes_note=True)
    is_kept = stack.hold_reason or stack.lock_owner or stack.lock_key
    kept = (unlock,) if is_kept else ()
    return (deploy, *(kept if stack.lock_owner else (lock, *kept)))


def _reviews(run: Run) -> tuple[PageAction, ...]:
    """A word about a plan that approval policies wait for."""
    is_asked = run.state in _REVIEWED and run.plan is not None and run.plan.approval is Approval.UNDECIDED
    if not is_asked:
        return ()
    digest = shown_digest(run)
    return (
        PageAction(verb=Verb.APPROVE, label="Approve", description="Vouch for it", digest=digest, takes_note=True),
        PageAction(verb=Verb.REJECT, label="Reject", description="Speak against it", digest=digest, takes_note=True),
    )


def _action(verb: Verb, label: str, description: str, digest: str) -> PageAction:
    return PageAction(verb=verb, label=label, description=description, digest=digest, takes_note=verb in _NOTED)


def _mark(run: Run) -> str:
    return run_mark(run.id)[:DIGITS]
