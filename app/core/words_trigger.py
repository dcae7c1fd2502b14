"""What is said of runs that trigger policies ask for: what was made, and why the rest was not. Markdown."""

from collections.abc import Sequence
from typing import Final

from app.core.markdown import code, fitting, sentence
from app.core.trigger import MAX_GENERATIONS, MAX_TRIGGERED, MAX_WORKFLOW, Triggered

NO_POLICY_TEXT: Final = "its text is not known: the commit that brought it had none"
OUTDATED: Final = "the organisation's settings that brought it are not in force here any more"
MAX_LIST_BYTES: Final = 12_000
"""What the list in a check takes; the rest is counted."""


def settings_on_their_way(run_id: str) -> str:
    """The organisation's settings changed, and have not reached the stack."""
    return f"triggering after run {run_id}: the organisation's new settings are about to reach its stack"


def claimed_twice() -> str:
    """Nobody can tell which stack the policy means."""
    return "more than one stack of this owner has that id"


def no_stack(is_of_organisation: bool) -> str:
    """Nothing that the policy may trigger has that id."""
    where = "of this owner" if is_of_organisation else "of this repository"
    return f"there is no stack {where} with that id"


def detached() -> str:
    """The stack is not in its repository's stacks file any more."""
    return "the stack is detached"


def never_tracked() -> str:
    """No event was tracked for the stack so far: there is no commit to plan."""
    return "no commit of the stack was tracked yet"


def out_of_reach() -> str:
    """Nothing of the repository is worked on."""
    return "its repository is archived or out of reach, or the App is suspended there"


def promoted() -> str:
    """The stack's head was never merged."""
    return "its newest commit was promoted from a pull request, which the stack does not allow any more"


def waits_already(run_id: str) -> str:
    """A run of the same commit waits already, and has not been planned: it sees all that this one would see."""
    return f"run {run_id} of the same commit has not begun yet, and does the same"


def too_long() -> str:
    """The workflow would go on for ever."""
    return f"{MAX_GENERATIONS} triggered runs have followed each other already, which is the most"


def too_many() -> str:
    """The workflow is too large."""
    return f"the workflow has {MAX_WORKFLOW} runs already, which is the most"


def more(count: int) -> str:
    """What stands for the stacks that are too many."""
    return f"{count:,} more"


def left_out() -> str:
    """A policy asked for too much at once."""
    return f"a policy triggers {MAX_TRIGGERED} stacks at most when a run has ended"


def gave_no_answer(policy: str, why: str) -> str:
    """For the log."""
    return f"trigger policy {policy} gave no answer, and triggers nothing: {why}"


def triggered_lines(told: Sequence[Triggered]) -> tuple[str, ...]:
    """What trigger policies made of the run's end: a line each."""
    if not told:
        return ()
    rows = fitting((f"- {_line(one)}" for one in told), MAX_LIST_BYTES)
    more = [f"- and {len(told) - len(rows):,} more"] if len(rows) < len(told) else []
    return ("**What its end triggers**", "\n".join((*rows, *more)))


def _line(one: Triggered) -> str:
    by = f"by policy {code(one.policy, limit=100)}"
    if one.run_id:
        return f"{code(one.stack, limit=100)}: run {code(one.run_id)}, {by}"
    if one.stack:
        return f"{code(one.stack, limit=100)}: no run ({sentence(one.reason)}), {by}"
    return f"Policy {code(one.policy, limit=100)} triggers nothing: {sentence(one.reason)}."
