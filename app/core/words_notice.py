"""Every sentence about notifications: what a message says by itself, why one is not sent, what commands answer.

Pure. What comes from outside is quoted or escaped by whoever puts the sentence somewhere.
"""

from collections.abc import Sequence
from typing import Final

from app.core.changelist import delta_line
from app.core.document import quoted
from app.core.notice import FAILURES_OFF, Endpoint, Message, Outcome, StateChange, shown_url
from app.core.run import Run, RunState
from app.core.table import table_lines
from app.core.words_run import phase_word

NO_SLACK: Final = "no address of Slack takes it from this account: the operator sets SLACK_WEBHOOK_URL"
NO_PULL: Final = "no open pull request was found for it"
NO_POLICY_TEXT: Final = "its text is not kept yet: the next push to the default branch brings it"
REMOVED: Final = "its endpoint was removed"
GIVEN_AWAY: Final = "its endpoint was given to other accounts"
SWITCHED_OFF: Final = "its endpoint is switched off"
NO_ENDPOINTS: Final = "no endpoints yet: `trackside webhook add NAME` sets one up"
_COLUMNS: Final = ("NAME", "STATE", "FAILURES", "NEWEST", "WHERE", "ACCOUNTS", "LABELS", "PROBLEM")
_STATES: Final = {
    RunState.UNCONFIRMED: "waits for confirmation",
    RunState.PENDING_REVIEW: "waits for a review",
    RunState.FINISHED: "has finished",
    RunState.FAILED: "has failed",
}


def run_line(run: Run, change: StateChange, repository: str) -> str:
    """`deploy of network (acme/infra) has finished: +1 ~2`, as plain text; what a message says without words of its
    own."""
    what = "deploy" if run.type.is_state_changing else "plan"
    state = _STATES.get(change.state, f"is {phase_word(change.state)}")
    is_counted = run.plan is not None and change.state in (RunState.UNCONFIRMED, RunState.FINISHED)
    counts = f": {delta_line(run.plan.delta)}" if run.plan is not None and is_counted else ""
    why = f": {run.reason}" if change.state is RunState.FAILED and run.reason else ""
    return f"{what} of {run.stack_name} ({repository}) {state}{counts}{why}"


def no_endpoint(name: str) -> str:
    """A policy names what the operator has not set up."""
    return f"there is no endpoint {quoted(name)}: the operator sets it up with `trackside webhook add`"


def gave_no_answer(policy: str, why: str) -> str:
    """For the log: a policy that failed notifies nobody."""
    return f"notification policy {policy} gave no answer, so it notifies nobody: {why}"


def had_error(policy: str, rule: str, why: str) -> str:
    """For the log: what a rule could not say."""
    return f"notification policy {policy}: rule {rule} left something out: {why}"


def cannot_have(policy: str, why: str) -> str:
    """For the log: a message that is not made."""
    return f"notification policy {policy} asks for what cannot be done: {why}"


def not_sent(name: str, number: int, why: str) -> str:
    """For the log: a message that is given up."""
    return f"message {number} to {name} is not sent: {why}"


def goes_off(why: str) -> str:
    """In the audit log, when an endpoint is switched off."""
    return f"{FAILURES_OFF} messages in a row failed, the last one so: {why}"


def endpoint_off(endpoint: Endpoint) -> str:
    """What `doctor` says of it."""
    name = endpoint.name
    return (
        f"{name} is switched off after {endpoint.failures} failed messages in a row ({endpoint.problem}): mend it, "
        f"then `trackside webhook enable {name}`"
    )


def added(endpoint: Endpoint, *, was_there: bool) -> str:
    """After `webhook add`."""
    what = "is replaced" if was_there else "is set up"
    whose = f"policies of {', '.join(endpoint.accounts)}" if endpoint.accounts else "policies"
    where = shown_url(endpoint.url)
    return f"endpoint {endpoint.name} {what}: messages go to {where}, signed; {whose} name it as `endpoint_id`"


def whose_is_it(doing: str, allowed: Sequence[str]) -> str:
    """`webhook add` without an account, where several are served."""
    shown = ", ".join(allowed)
    return f"{doing}: say whose messages it takes by --account, once for each: ALLOWED_ACCOUNTS has {shown}"


def not_allowed(doing: str, account: str) -> str:
    """`webhook add` for an account that is not served."""
    return f"{doing}: account {account[:100]!r} is not among ALLOWED_ACCOUNTS"


def nobodys(endpoint: Endpoint) -> str:
    """What `doctor` says of an endpoint without an account, where several are served."""
    return (
        f"{endpoint.name} takes no message: it was set up for the one account that was served then, and "
        f"ALLOWED_ACCOUNTS has several: `trackside webhook add {endpoint.name} --account …` replaces it"
    )


def removed(name: str) -> str:
    """After `webhook remove`."""
    return f"endpoint {name} is removed; what waited for it is dropped"


def enabled(name: str, *, was_on: bool) -> str:
    """After `webhook enable`."""
    return f"endpoint {name} was on already" if was_on else f"endpoint {name} is on again: the next message is sent"


def unknown_endpoint(doing: str, name: str) -> str:
    """A command names what is not there."""
    return f"{doing} endpoint {name[:100]!r}: there is none; `trackside webhook list` lists them"


def endpoint_lines(endpoints: Sequence[Endpoint]) -> list[str]:
    """The table of `webhook list`; empty without endpoints."""
    return table_lines(_COLUMNS, (_row(one) for one in endpoints))


def endpoint_document(endpoint: Endpoint) -> dict[str, object]:
    """One endpoint for programs, without the secrets of its address."""
    return {
        "name": endpoint.name,
        "is_on": endpoint.is_on,
        "failures": endpoint.failures,
        "newest": endpoint.number,
        "where": _where(endpoint),
        "labels": list(endpoint.labels),
        "problem": endpoint.problem or None,
    }


def outcome_word(message: Message) -> str:
    """What became of a message, in a word or two."""
    if message.outcome is Outcome.DROPPED:
        return "switched off" if message.reason == SWITCHED_OFF else "removed"
    return "not sent" if message.outcome is Outcome.FAILED else message.outcome.value


def _where(endpoint: Endpoint) -> str:
    return "SLACK_WEBHOOK_URL" if endpoint.is_slack else shown_url(endpoint.url)


def _row(endpoint: Endpoint) -> tuple[str, ...]:
    state = "on" if endpoint.is_on else "off"
    counts = (str(endpoint.failures), str(endpoint.number))
    whose, labels = ",".join(endpoint.accounts) or "-", ",".join(endpoint.labels) or "-"
    return endpoint.name, state, *counts, _where(endpoint), whose, labels, endpoint.problem or "-"
