"""What is said of drift: why it was not looked for, what was found, why nothing follows; on pages and the terminal.

Plain text; who shows it escapes it. The check of a drift run is `report_drift`'s.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from app.core.run import Run
from app.core.runview import short
from app.core.stack import Stack
from app.core.words_run import word_of

if TYPE_CHECKING:
    from app.core.drift import DriftFound, DriftSeen

NOTHING_DEPLOYED: Final = "nothing of it is deployed yet"
HEAD_IS_NEWER: Final = "the stack's head is another commit than the one that is deployed"
WAS_PROMOTED: Final = "its commit was promoted from a pull request, which the stack does not allow any more"
RECONCILES: Final = "takes back the drift that run {run} found"


def kept(stack: Stack) -> str:
    """The hold or the lock that keeps a stack; empty without."""
    if stack.hold_reason:
        return f"the stack is on hold: {stack.hold_reason}"
    if stack.lock_owner:
        return f"{stack.lock_owner} has locked the stack"
    return f"the stack is locked with the key {stack.lock_key}" if stack.lock_key else ""


def not_over(run: Run) -> str:
    """A run that is before it."""
    return f"run {run.id} is not over: {word_of(run)}"


def has_failed(run: Run) -> str:
    """The stack's newest run failed."""
    return f"run {run.id} of the commit {short(run.head_sha)} failed"


def destroyed(run: Run) -> str:
    """There is nothing to compare any more."""
    return f"run {run.id} destroyed the stack"


def applied_a_part(run: Run) -> str:
    """What is deployed is no whole commit."""
    return f"run {run.id} applied a part of its plan: no whole commit is deployed"


def gave_up(failures: int) -> str:
    """Why drift is only told of."""
    return f"{failures} runs in a row that were to take it back failed; the next tracked run that ends well begins anew"


def passed_over(at: datetime, why: str) -> str:
    """No run of that moment was made."""
    return f"drift of {at:%Y-%m-%d %H:%M} UTC passed over: {why}"


def not_reconciled(run: Run, why: str) -> str:
    """Drift was found, and no run was made to take it back."""
    return f"the drift that run {run.id} found is not taken back by itself: {why}"


def reconciles(run_id: str) -> str:
    """What a run is for that drift has made."""
    return RECONCILES.format(run=run_id)


def found_words(found: "DriftFound") -> str:
    """What the newest comparison came to."""
    at = f"{found.at:%Y-%m-%d %H:%M} UTC"
    if not found.has_drift:
        return f"no drift {at}"
    if not found.resources:
        return f"drift found {at}, outside resources"
    return f"drift found {at}, {found.resources:,} {'resource' if found.resources == 1 else 'resources'}"


def drift_words(seen: "DriftSeen") -> str:
    """All of it in one line of a list; `-` when there is nothing to say."""
    told = [
        found_words(seen.found) if seen.found is not None else "",
        seen.turn.told,
        f"next {seen.turn.due_at:%Y-%m-%d %H:%M} UTC" if seen.turn.due_at is not None else "",
    ]
    return "; ".join(part for part in told if part) or "-"


def schedule_words(stack: Stack) -> str:
    """The schedules as they are written."""
    settings = stack.settings
    zone = f" ({settings.drift_timezone})" if settings.drift_timezone else ""
    more = ", reconciles" if settings.drift_reconcile else ""
    return " · ".join(settings.drift_schedules) + zone + more
