"""Every sentence that the App says in a reply: what was understood, why not, and the way on. Markdown.

Pure and small, so that each can be read and tested alone. Foreign words go into code; nobody is mentioned.
"""

from collections.abc import Sequence

from app.core.command import GRAMMAR, SUPERSEDED_OPTION, Unreadable, Verb, help_text
from app.core.markdown import code, sentence
from app.core.retry import can_retry
from app.core.run import Run, RunState, RunType, allowed
from app.core.runview import short
from app.core.words_run import phase_word, word_of

MAX_CANDIDATES = 20
"""Runs that a reply lists; the rest is counted."""


def not_permitted(reason: str) -> str:
    """The authoriser said no, for the reason of a Refused."""
    return f"Not done: {sentence(reason)}. Somebody who has it can give the same command."


def unreadable(line: Unreadable, prefix: str) -> str:
    """A line began with the prefix and is no command: what is near to it, else all that there is."""
    forms = (form for form in GRAMMAR if line.nearest == f"{prefix} {form.verb.value}" and form.verb is not Verb.HELP)
    form = next(forms, None)
    if form is None:
        way_on = f"\n\n{help_text(prefix)}"
    else:
        written = code(f"{line.nearest} {form.arguments}")
        way_on = f" It is written {written}; {code(f'{prefix} {Verb.HELP.value}')} lists every command."
    if line.text == prefix:
        return f"{code(prefix)} alone says nothing.{way_on}"
    if line.why:
        return f"I cannot carry out {code(line.text)}: {sentence(line.why)}.{way_on}"
    meant = f" Did you mean {code(line.meant or line.nearest)}?" if form is not None else ""
    return f"I do not understand {code(line.text)}.{meant}{way_on}"


def joined(answers: Sequence[str], prefix: str) -> str:
    """The answers of one comment, one below the other; the grammar is in it once, where it is asked for first."""
    grammar = help_text(prefix)
    before, found, after = "\n\n".join(answers).partition(grammar)
    return before + found + after.replace(f"\n\n{grammar}", "")


def no_run(verb: Verb, target: str, *, nearest: str = "") -> str:
    """No run is here that the command could mean. `nearest`: the command that was probably meant."""
    if target:
        way_on = (
            f"Did you mean {code(nearest)}?" if nearest else "The name is the one after `deploy/` in the check's name."
        )
        return (
            f"Nothing to {verb.value}: {code(target)} is neither a stack with a run here nor a run of this repository. "
            f"{way_on}"
        )
    what = {
        Verb.STOP: "is being planned",
        Verb.CANCEL: "is still to start",
        Verb.RETRY: "ended so that it could be made again",
    }
    return f"Nothing to {verb.value}: no run of this commit or pull request {what.get(verb, 'waits for a decision')}."


def ambiguous(verb: Verb, candidates: Sequence[Run], prefix: str) -> str:
    """Several runs could be meant: the same command with each name, ready to copy."""
    shown = candidates[:MAX_CANDIDATES]
    rows = [f"- {code(f'{prefix} {verb.value} {run.stack_name}')} {_line(run)}" for run in shown]
    if len(candidates) > len(shown):
        rows.append(f"- and {len(candidates) - len(shown):,} more")
    return "\n".join((f"Several runs could be meant, so I did nothing. Which one should I {verb.value}?", "", *rows))


def plan_changed(verb: Verb, run: Run, prefix: str) -> str:
    """A button was pressed under another plan than the newest."""
    return (
        f"Not done: the plan of {code(run.stack_name)} has changed since that button was shown. Read plan "
        f"{run.plan_number} first, then press its button or write {code(f'{prefix} {verb.value} {run.stack_name}')}."
    )


def comment_too_old(verb: Verb, run: Run, prefix: str) -> str:
    """The comment was written before the newest plan stood on GitHub."""
    return (
        f"Not done: plan {run.plan_number} of {code(run.stack_name)} was published after your comment, so you cannot "
        f"have meant it. Read it, then write {code(f'{prefix} {verb.value} {run.stack_name}')} again."
    )


def comment_behind(verb: Verb, run: Run, prefix: str) -> str:
    """The App's comment on the pull request still shows the plan before the newest one."""
    return (
        f"Not done: plan {run.plan_number} of {code(run.stack_name)} stands on its check, but my comment here still "
        f"shows the plan before it. Read the new one, then write {code(f'{prefix} {verb.value} {run.stack_name}')} "
        "again in a moment."
    )


def superseded(run: Run, prefix: str) -> str:
    """A confirm met a run that a newer commit has passed."""
    discard = code(f"{prefix} discard {run.stack_name}")
    anyway = code(f"{prefix} confirm {run.id} {SUPERSEDED_OPTION}")
    return (
        f"Not done: a newer commit of {code(run.stack_name)} has arrived since {code(short(run.head_sha))}. "
        f"{discard} makes way for it; {anyway} applies this older plan all the same."
    )


def settings_changed(run: Run, prefix: str) -> str:
    """A confirm met a plan that was made with other settings than those in force."""
    replan = code(f"{prefix} replan {run.stack_name}")
    return (
        f"Not done: the settings of {code(run.stack_name)} in the stacks file changed since this plan was made. "
        f"{replan} makes a plan with the settings that are in force."
    )


def settings_on_their_way(run: Run, prefix: str) -> str:
    """A confirm met a stack that the organisation's new settings have not reached."""
    confirm = code(f"{prefix} confirm {run.stack_name}")
    return (
        f"Not done: the organisation's settings changed a moment ago and are about to reach {code(run.stack_name)}. "
        f"{confirm} in a minute confirms, if they leave its settings as they were when this plan was made."
    )


def stale(run: Run, prefix: str) -> str:
    """A confirm met a plan that was made from another state than the current one."""
    replan = code(f"{prefix} replan {run.stack_name}")
    return (
        f"Not done: the state of {code(run.stack_name)} moved since plan {run.plan_number} was made, so it can no "
        f"longer be applied. {replan} makes a plan from the state as it is."
    )


def detached(run: Run) -> str:
    """A command met a stack that the stacks file does not have any more."""
    return (
        f"Not done: {code(run.stack_name)} is not in the stacks file any more. Put it back there, or say under its new "
        "name that it was `renamed_from` this one."
    )


def not_waiting(verb: Verb, run: Run, prefix: str) -> str:
    """The run is in a state that does not take the command."""
    verbs = [step.value for step in allowed(run)] + ([Verb.RETRY.value] if can_retry(run) else [])
    name = run.id if run.type is RunType.DESTROY else run.stack_name  # a name means the deployment
    may = [f"{prefix} {each} {name}" for each in verbs]
    is_preview = run.type is RunType.PROPOSED and verb in (Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN)
    takes = f" What it takes now: {', '.join(code(each) for each in may)}." if may else ""
    way_on = f" {_way_on(run)}" if is_preview or not may else takes
    return f"Not done: the run of {code(run.stack_name)} {_where(run)}, so there is nothing to {verb.value}.{way_on}"


def by_id_alone(waiting: Sequence[Run], prefix: str) -> str:
    """A confirmation can only have meant runs that destroy everything, and had no id."""
    shown = waiting[:MAX_CANDIDATES]
    rows = [f"- {code(f'{prefix} confirm {run.id}')} destroys {code(run.stack_name)}" for run in shown]
    if len(waiting) > len(shown):
        rows.append(f"- and {len(waiting) - len(shown):,} more")
    return "\n".join(("Not done: what destroys a stack is confirmed by its own id alone. What waits:", "", *rows))


def too_late(verb: Verb, prefix: str) -> str:
    """The command arrived long after it was written."""
    again = code(f"{prefix} {verb.value}")
    return f"Not done: your command reached me late, and things may have changed. Please repeat it: {again}"


def click_too_late(verb: Verb) -> str:
    """The click arrived long after it was made."""
    return f"Not done: your click on {verb.value} reached me late, and things may have changed. Please press it again."


def confirmed(run: Run) -> str:
    """A confirm was carried out."""
    return f"Confirmed: plan {run.plan_number} of {code(run.stack_name)} is applied as soon as a worker is free."


def expired(run: Run, days: int) -> str:
    """Why a plan that waits is discarded. Plain text."""
    what = "reviewed it" if run.state is RunState.PENDING_REVIEW else "decided"
    return f"expired: nobody {what} within {days} days"


def discarded(run: Run) -> str:
    """A discard was carried out."""
    return f"Discarded: plan {run.plan_number} of {code(run.stack_name)} is not applied."


def replan_requested(run: Run) -> str:
    """A replan was carried out."""
    return f"Another plan of {code(run.stack_name)} is being made of the commit {code(short(run.head_sha))}."


def _line(run: Run) -> str:
    """One candidate: state, commit, message."""
    message = f" {code(run.message, limit=80)}" if run.message else ""
    return f"({word_of(run)}, {code(short(run.head_sha))}{message})"


def _where(run: Run) -> str:
    """Where a run is that does not take a command."""
    by = f" by {code(run.decided_by)}" if run.decided_by else ""
    match run.state:
        case RunState.FINISHED if run.confirmed_digest is not None:
            return "was applied already"
        case RunState.FINISHED | RunState.FAILED | RunState.STOPPED | RunState.CANCELED | RunState.SKIPPED:
            return f"has ended already ({word_of(run)})"
        case RunState.DISCARDED:
            return f"was discarded already{by}"
        case RunState.CONFIRMED | RunState.PREPARING_APPLY | RunState.APPLYING:
            return f"was confirmed already{by} ({phase_word(run.state)})"
        case RunState.UNCONFIRMED:
            return "has been planned and waits for a decision"
        case RunState.PENDING_REVIEW:
            return "has been planned and waits for a review"
        case RunState.QUEUED | RunState.READY:
            return f"has not been planned yet ({phase_word(run.state)})"
        case _:
            return f"is still being planned ({phase_word(run.state)})"


def _way_on(run: Run) -> str:
    """What a person can do instead."""
    if run.type is RunType.PROPOSED:
        return "It was a preview: merge the pull request, and decide about the run of the merged commit."
    if run.state.is_terminal:
        return "The next push to the stack makes the next run."
    if run.confirmed_digest is not None:
        return "A confirmed run cannot be stopped; its check says how it ends."
    return "Its check asks for a decision once the plan stands."
