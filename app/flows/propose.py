"""Proposed runs: made from an event, planned and reported, never applied; a newer head of their ref stops the older.

Works inside the caller's transaction; the caller holds the repository's lock.
"""

from dataclasses import replace

from app.core.names import RepositoryId, Sha
from app.core.run import TABLE, WITH_WORKER, Run, RunState, Step
from app.flows.ports import Transaction
from app.flows.schedule import SYSTEM, step


def stop_older(tx: Transaction, repository_id: RepositoryId, ref: str, *, head: Sha | None, cause: str) -> int:
    """Stop the ref's live proposed runs of other commits than `head` (None: of all); how many."""
    older = [run for run in tx.list_live_proposed(repository_id, ref) if run.head_sha != head]
    for run in older:
        stop(tx, run, cause)
    return len(older)


def stop(tx: Transaction, run: Run, cause: str, *, by: str = SYSTEM) -> None:
    """Withdraw a run that no worker has, or that waits for reviews; ask the worker of one that it has."""
    tx.lock_stack(run.stack_id)
    run = tx.get_run(run.id)
    if run.state in (RunState.QUEUED, RunState.READY):
        step(tx, run, Step.CANCEL, cause=cause)
    elif run.state is RunState.PENDING_REVIEW:
        step(tx, run, Step.DISCARD, cause=cause)
    elif run.state in WITH_WORKER and (run.state, Step.STOP) in TABLE:
        held = tx.find_live_assignment(run.id)
        locked = tx.lock_assignment(held.id) if held is not None else None
        if locked is not None and locked.ended_at is None:
            tx.save_assignment(replace(locked, stop_requested=True, stop_by=by, stop_cause=cause))
