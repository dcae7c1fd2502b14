"""Whose turn it is on a stack: queued runs become ready, in the transaction that made room for them.

Asks only the transaction. The caller holds the stack's row lock; a partial unique index is the last line.
"""

from app.core.names import StackId
from app.core.record import ReportKind
from app.core.report import check_name
from app.core.run import Run, RunState, Step, Transition, advance
from app.core.stack import Stack
from app.flows.ports import Transaction

SYSTEM = "trackside"
"""Who did it, in histories, when no person and no worker did."""

MAX_RETOLD = 20
"""How many waiting runs of a stack are told that the stack changed; the rest learn it when one before them moves."""


def schedule(tx: Transaction, stack: Stack) -> Run | None:
    """Release the stack's oldest queued state-changing run when nothing is before it; the run, or None.

    Runs that change no state wait for nobody, and are all released. A hold or a detached stack releases nothing; a lock
    lets only the state-changing runs of its own key go, or of the person who took it; what waits for something outside,
    or for a run above, waits, and what is behind it.
    """
    if stack.hold_reason or stack.is_detached:
        return None
    live = tx.list_live_runs(stack.id)
    for run in live:
        if not run.type.is_state_changing and run.state is RunState.QUEUED and not run.is_kept_back:
            step(tx, run, Step.RELEASE)
    changing = [run for run in live if run.type.is_state_changing]
    if any(run.state is not RunState.QUEUED for run in changing):
        return None
    may_go = [
        run for run in changing if stack.lock_key in ("", run.lock_key) and not stack.is_kept_from(run.triggered_by)
    ]
    if not may_go or may_go[0].is_kept_back:
        return None
    return step(tx, may_go[0], Step.RELEASE)


def step(tx: Transaction, run: Run, what: Step, *, by: str = SYSTEM, cause: str = "") -> Run:
    """One plain step of a run, saved; nothing about it changes but its state.

    Raises: StepRefused when the state that the row's lock finds has no such edge.
    """
    at = tx.now()

    def change(found: Run) -> tuple[Run, Transition]:
        return advance(found, what, by=by, at=at, cause=cause)

    return tx.change_run(run.id, change)


def retell(tx: Transaction, stack: Stack) -> None:
    """Want the reports of the stack's waiting runs again: its head, settings and hold are part of what they say."""
    waiting = (RunState.UNCONFIRMED, RunState.PENDING_REVIEW, RunState.QUEUED)
    for run in [run for run in tx.list_live_runs(stack.id) if run.state in waiting][:MAX_RETOLD]:
        tell(tx, run)


def tell_state_moved(tx: Transaction, stack_id: StackId) -> None:
    """Want the report of the plan that waits: made from another state, it can no longer be applied.

    Called by whoever makes another version of a managed state the current one, in the same transaction.
    """
    for run in tx.list_live_runs(stack_id):
        if run.state is RunState.UNCONFIRMED:
            tell(tx, run)


def tell(tx: Transaction, run: Run) -> None:
    """Want the run's check and its pull request's comment again: something that they say has changed beside the run."""
    subject = f"{run.head_sha}/{check_name(run)}"
    tx.want_report(ReportKind.RUN_CHECK, run.repository_id, subject, run_id=run.id, document=b"")
    tx.want_comment_of(run)
