"""What is said of runs that trigger policies ask for: what was made, and why the rest was not. Markdown."""

from collections.abc import Sequence

from app.core.markdown import code, sentence
from app.core.trigger import MAX_GENERATIONS, MAX_TRIGGERED, MAX_WORKFLOW, Triggered

NO_POLICY_TEXT = "its text is not known: the commit that brought it had none"


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
    """A policy asked for too much at once."""
    return f"{count} more stacks are left out: a policy triggers {MAX_TRIGGERED} at most when a run has ended"


def gave_no_answer(policy: str, why: str) -> str:
    """For the log."""
    return f"trigger policy {policy} gave no answer, and triggers nothing: {why}"


def triggered_lines(told: Sequence[Triggered]) -> tuple[str, ...]:
    """What trigger policies made of the run's end: a line each."""
    if not told:
        return ()
    return ("**What its end triggers**", "\n".join(f"- {_line(one)}" for one in told))


def _line(one: Triggered) -> str:
    by = f"by policy {code(one.policy, limit=100)}"
    if one.run_id:
        return f"{code(one.stack, limit=100)}: run {code(one.run_id)}, {by}"
    if one.stack:
        return f"{code(one.stack, limit=100)}: no run ({sentence(one.reason)}), {by}"
    return f"Policy {code(one.policy, limit=100)} triggers nothing: {sentence(one.reason)}."
