"""What a check run offers and adds to its state: buttons, the commands ready to copy, the queue, locks, expiry.

Pure, and read from the same table as the commands: what is offered is accepted.
"""

from typing import Final

from app.core.command import Verb, button_identifier
from app.core.markdown import code, sentence
from app.core.names import Digest
from app.core.reply import Button
from app.core.retry import run_mark
from app.core.run import RunState, RunType, Step, Trigger, allowed
from app.core.runview import RunView, short
from app.core.words_depend import made_for
from app.core.words_stack import locked

_BUTTONS: Final = (
    (Step.CONFIRM, Verb.CONFIRM, "Confirm", "Apply exactly this plan"),
    (Step.DISCARD, Verb.DISCARD, "Discard", "Turn this plan down"),
    (Step.REPLAN, Verb.REPLAN, "Replan", "Make another plan of this commit"),
)


def buttons(view: RunView) -> tuple[Button, ...]:
    """The buttons of a run: of a plan that waits for a person, of a preview, of a failure; each names what it was shown
    with."""
    run = view.run
    if run.state is RunState.FAILED:
        return _failed_buttons(view)
    if run.state is RunState.FINISHED and run.type is RunType.PROPOSED and run.plan is not None:
        return _preview_buttons(view, run.plan.digest)
    if run.state is not RunState.UNCONFIRMED or run.plan is None or run.type is RunType.PROPOSED:
        return ()
    steps = set(allowed(run))
    if not view.is_confirmable:
        steps.discard(Step.CONFIRM)
    return tuple(
        Button(label=label, description=description, identifier=button_identifier(verb, run.plan.digest))
        for step, verb, label, description in _BUTTONS
        if step in steps
    )


def _preview_buttons(view: RunView, digest: Digest) -> tuple[Button, ...]:
    """Those of a finished proposed run."""
    again = Button(
        label="Plan again",
        description="Make another preview of this commit",
        identifier=button_identifier(Verb.PLAN, digest),
    )
    if not _may_promote(view):
        return (again,)
    deploy = Button(
        label="Deploy",
        description="Plan this commit to deploy it, unmerged",
        identifier=button_identifier(Verb.DEPLOY, digest),
    )
    return (deploy, again)


def _failed_buttons(view: RunView) -> tuple[Button, ...]:
    """Those of a failed run: none once a newer commit has its place, or while it is not known what was applied."""
    run = view.run
    if run.is_outcome_unknown or (run.type.is_state_changing and view.is_superseded):
        return ()
    identifier = button_identifier(Verb.RETRY, run_mark(run.id))
    return (Button(label="Retry", description="Make the run again, of this commit", identifier=identifier),)


def _may_promote(view: RunView) -> bool:
    """True for a preview with changes, of a pull request that its stack lets be deployed."""
    run = view.run
    is_preview = run.type is RunType.PROPOSED and run.pull_number is not None
    return view.is_promotion_allowed and is_preview and view.has_changes


def promotion(view: RunView) -> str:
    """How a preview becomes a deployment before its merge, where the stack allows that; empty elsewhere."""
    if not _may_promote(view):
        return ""
    return f"{command(view, Verb.DEPLOY, view.run.stack_name)} deploys this commit before it is merged: it plans anew."


def make_again(view: RunView) -> str:
    """How the run is made once more; empty for one that a newer commit has passed."""
    if view.run.type.is_state_changing and view.is_superseded:
        return ""
    return f"{command(view, Verb.RETRY, view.run.id)} makes it once more, of the same commit."


def withdraw(view: RunView) -> str:
    """How a run is withdrawn that has not started."""
    return f"{command(view, Verb.CANCEL, view.run.id)} withdraws it."


def queue(view: RunView) -> tuple[str, ...]:
    """Its place in its stack's queue, and whether a newer commit has come behind it."""
    place = f"Number {view.position} in the queue of {code(view.run.stack_name)}." if view.position else ""
    newer = "Superseded: a newer commit of the stack has arrived behind it." if view.is_superseded else ""
    return tuple(line for line in (place, newer) if line)


def expiry(view: RunView) -> str:
    """When the plan will be discarded, once that is near; empty before."""
    at, state = view.run.expires_at, view.run.state
    if at is None or state not in (RunState.UNCONFIRMED, RunState.PENDING_REVIEW):
        return ""
    is_preview = state is RunState.PENDING_REVIEW
    head = "Nobody has reviewed it yet: this preview" if is_preview else "Nobody has decided yet: this plan"
    return f"**{head} expires, and is discarded, at {at:%Y-%m-%d %H:%M} UTC.**"


def kept(view: RunView) -> str:
    """Who has the stack for themselves; empty when nobody has."""
    return locked(view.lock_owner, view.lock_note) if view.lock_owner else ""


def failed_before(view: RunView) -> str:
    """That the stack's run before this one failed: what is there may not be what was planned; empty otherwise."""
    if not view.failed_before or not view.run.is_live:
        return ""
    return f"The run before, {code(view.failed_before)} of the commit {code(short(view.failed_before_sha))}, failed."


def origin(view: RunView) -> str:
    """That the run makes another one once more, or was made when another one had ended; empty for every other run."""
    run = view.run
    if run.caused_by is not None and run.trigger is Trigger.DEPENDENCY:
        return made_for(run.asked_by or "", run.caused_by, run.note)
    if run.caused_by is not None:
        return f"Trigger policy {code(run.asked_by or '')} asked for it when run {code(run.caused_by)} had ended."
    if run.trigger is Trigger.DRIFT and run.type.is_state_changing:
        return f"Made by the stack's drift schedule: it {sentence(run.note)}."
    return f"Makes run {code(run.retry_of)} once more." if run.retry_of else ""


def command(view: RunView, verb: Verb, rest: str) -> str:
    """A command, ready to copy."""
    return code(f"{view.prefix} {verb.value} {rest}")


def person(login: str) -> str:
    """A login that notifies nobody."""
    if not login:
        return "nobody in particular"
    return code(login, limit=60) + (" (bot)" if login.endswith("[bot]") else "")
