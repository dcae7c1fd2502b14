"""What a run's check and page say of a plan of a part: what was chosen, what was pulled in, what is still pending.

Pure; stands beside `app.core.report_check`, which puts these lines where they belong.
"""

from collections.abc import Sequence
from typing import Final

from app.core.changelist import WORDS
from app.core.choice import additions
from app.core.command import Verb
from app.core.markdown import code, size_bytes
from app.core.plan import Change, Kind
from app.core.rest import left_by
from app.core.runview import RunView
from app.core.words_choice import chosen_words

MAX_ROWS: Final = 200
"""Changes that are named in one list; the others are counted."""
MAX_LIST_BYTES: Final = 20_000
MAX_ADDRESS: Final = 300
"""Characters of one address in a list."""


def chosen_line(view: RunView) -> str:
    """Which part of which plan this is; empty for a plan of the whole commit."""
    targeting = view.run.targeting
    if targeting is None:
        return ""
    moves = " Pending moves are part of every plan." if targeting.moves else ""
    return f"**This is a part of plan {targeting.of_plan}: {chosen_words(targeting)}.**{moves}"


def pulled_in(view: RunView) -> tuple[Change, ...]:
    """The listed changes of the plan that nobody chose; none for a plan of the whole commit."""
    if view.run.targeting is None or view.summary is None:
        return ()
    return additions(view.run.targeting, view.summary)


def still_pending(view: RunView) -> tuple[Change, ...]:
    """The listed changes of the whole plan that the part did not have, by the whole plan's numbers."""
    if view.run.targeting is None or view.whole is None:
        return ()
    has_changes = view.run.plan is None or view.run.plan.has_changes
    return left_by(view.run.targeting, view.whole, view.summary, has_changes=has_changes)


def pulled_in_lines(view: RunView) -> tuple[str, ...]:
    """What the engine added to the choice, change by change; empty when it added nothing."""
    found = pulled_in(view)
    if not found:
        return ()
    what = "One change was" if len(found) == 1 else f"{len(found):,} changes were"
    return (f"**{what} pulled in beyond the choice**, because what was chosen depends on it:", _rows(found))


def still_pending_lines(view: RunView) -> tuple[str, ...]:
    """What of the whole plan is still to be done, and what does it; empty for a plan of the whole commit."""
    targeting = view.run.targeting
    if targeting is None:
        return ()
    if view.whole is None:
        return (f"What of plan {targeting.of_plan} is still pending is not kept. {_way_on(view)}",)
    found, unlisted = still_pending(view), view.whole.changes_left_out
    if not found and not unlisted:
        return (f"Nothing of plan {targeting.of_plan} is pending any more.",)
    what = "one change is" if len(found) == 1 else f"{len(found):,} changes are"
    more = f" Up to {unlisted:,} more are not listed in it." if unlisted else ""
    head = f"**Of plan {targeting.of_plan}, {what} still pending.**{more} {_way_on(view)}"
    return (f"{head} By the numbers of plan {targeting.of_plan}:", _rows(found)) if found else (head,)


def _way_on(view: RunView) -> str:
    """How what is pending gets its next run."""
    deploy = code(f"{view.prefix} {Verb.DEPLOY.value} {view.run.stack_name}")
    return f"{deploy} makes the next run of it, and so does the stack's next push."


def _rows(changes: Sequence[Change]) -> str:
    """One line for each change, within bounds; what is left out is counted."""
    rows: list[str] = []
    room = MAX_LIST_BYTES
    for change in changes[:MAX_ROWS]:
        kind = "output " if change.kind is Kind.OUTPUT else ""
        row = f"- **{change.number}. {WORDS[change.action]}** {kind}{code(change.address, limit=MAX_ADDRESS)}"
        room -= size_bytes(row) + 1
        if room < 0:
            break
        rows.append(row)
    missing = len(changes) - len(rows)
    return "\n".join((*rows, f"- and {missing:,} more") if missing else rows)
