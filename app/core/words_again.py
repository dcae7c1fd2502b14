"""What the App says when somebody presses "Re-run" on GitHub, and there is nothing that it can mean. Markdown."""

from collections.abc import Sequence

from app.core.command import Verb
from app.core.markdown import code
from app.core.run import Run
from app.core.words_run import phase_word


def refused(actor: str, what: str, reasons: Sequence[str]) -> str:
    """Why what was asked for again is not made again."""
    said = "\n".join(f"- {one}" for one in reasons) if len(reasons) > 1 else reasons[0]
    head = f"{code(actor)} asked for {what} again."
    return f"{head}\n\n{said}" if len(reasons) > 1 else f"{head} {said}"


def named(check_name: str) -> str:
    """What was asked for again."""
    return code(check_name) if check_name else "all checks of this commit"


def nothing_meant() -> str:
    """The check is of no run, or there is no run at all."""
    return "Nothing was planned again: no run of this commit is behind it, and what it says is true as it stands."


def would_apply(run: Run, prefix: str) -> str:
    """The stack confirms by itself, so that planning again would be more than was asked for."""
    retry = code(f"{prefix} {Verb.DEPLOY.value} {run.stack_name}")
    return (
        f"Not done: {code(run.stack_name)} has {code('autodeploy: true')}, so another plan would be applied without "
        f"anybody's word, and a re-run only plans. {retry} says that it is meant."
    )


def not_again(run: Run) -> str:
    """The run is where it cannot be planned again."""
    where = phase_word(run.state)
    return f"Not done: the run of {code(run.stack_name)} is {where}, so there is nothing to plan again."


def older_plan(run: Run) -> str:
    """The check is of a plan before the one that waits."""
    return (
        f"Not done: this check is of an older plan. Plan {run.plan_number} of {code(run.stack_name)} has a check of "
        "its own: asking for that one again makes the next."
    )


def too_late() -> str:
    """It reached us long after it was asked for."""
    return "Not done: it reached me late, and things may have changed. Please ask again."
