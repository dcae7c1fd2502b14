"""What follows from drift: the run that takes it back, where the stack wants that.

`flows.drift_look` makes the runs that look for it; `flows.conclude` calls this when one of them has ended.
"""

from dataclasses import replace

from app.core import words_drift
from app.core.drift import Ground, deployed_commit, why_no_reconciliation
from app.core.run import Run, RunType, Trigger
from app.core.stack import Stack
from app.flows.ports import Transaction
from app.flows.retry import is_promotion
from app.flows.schedule import SYSTEM, schedule
from app.flows.start import BRANCH, new_run


def reconcile(tx: Transaction, stack: Stack, found: Run) -> None:
    """Make the tracked run that takes the drift back which a run by schedule has found; or note why not.

    The caller holds the stack's lock, and the drift run has ended.
    """
    if not stack.settings.drift_reconcile or found.trigger is not Trigger.DRIFT or stack.is_detached:
        return
    ground = ground_of(tx, stack)
    deployed = deployed_commit(ground)
    why = why_no_reconciliation(stack, ground, found, failures=tx.count_drift_failures(stack.id))
    if not why and isinstance(deployed, Run) and is_promotion(deployed, stack) and not stack.settings.allow_promotion:
        why = words_drift.WAS_PROMOTED
    if why or isinstance(deployed, str):
        turn, now = tx.find_drift_turn(stack.id), tx.now()
        tx.save_drift_turn(stack.id, replace(turn, told=words_drift.not_reconciled(found, why), told_at=now))
        return
    run = replace(run_of_drift(tx, stack, RunType.TRACKED, deployed), note=words_drift.reconciles(found.id))
    tx.add_run(run, event_key=None)
    schedule(tx, stack)


def ground_of(tx: Transaction, stack: Stack) -> Ground:
    """What a comparison of the stack stands on now."""
    return Ground(
        live=tx.list_live_runs(stack.id),
        deployed=tx.find_settled(stack.id),
        newest=tx.find_newest_unrelated(stack.id),
    )


def run_of_drift(tx: Transaction, stack: Stack, kind: RunType, deployed: Run) -> Run:
    """A queued run of the commit that is deployed, not saved yet."""
    made = new_run(tx, stack, kind, deployed.head_sha, SYSTEM)
    ref = deployed.ref if is_promotion(deployed, stack) else f"{BRANCH}{stack.settings.branch}"  # else it looks merged
    ref = ref if kind is RunType.TRACKED else ""
    return replace(made, trigger=Trigger.DRIFT, ref=ref, message=deployed.message)
