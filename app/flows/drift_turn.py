"""When the drift schedule of a stack is due next: said when a configuration is taken in, and each time that it is."""

from app.core.cron import next_due
from app.core.drift import DriftTurn
from app.core.names import StackId
from app.core.stack import StackSettings
from app.flows.ports import Transaction


def next_turn(tx: Transaction, settings: StackSettings) -> DriftTurn:
    """The first moment of the settings' schedules after now; an empty turn when they have none."""
    if not settings.drift_schedules:
        return DriftTurn()
    return DriftTurn(due_at=next_due(settings.drift_schedules, settings.drift_timezone, tx.now()))


def set_turn(tx: Transaction, before: StackSettings | None, stack_id: StackId, settings: StackSettings) -> None:
    """Count the schedule of a stack from now on: one that is new, that came back, or whose schedule has changed.

    `before`: its settings until now; None: it was not there. The caller holds the stack's lock.
    """
    if before is not None and _schedule(before) == _schedule(settings):
        return
    if settings.drift_schedules or tx.find_drift_turn(stack_id) != DriftTurn():
        tx.save_drift_turn(stack_id, next_turn(tx, settings))


def _schedule(settings: StackSettings) -> tuple[tuple[str, ...], str]:
    return settings.drift_schedules, settings.drift_timezone
