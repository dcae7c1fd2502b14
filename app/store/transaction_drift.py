"""Drift inside a transaction: which stacks are due, what a comparison stands on, and what was found.

The only clock is the database's. Knows nothing of schedules: flows say when a stack is due next.
"""

from typing import Final

from sqlalchemy import exists, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.elements import ColumnElement

from app.core.drift import DriftResult, DriftTurn
from app.core.names import StackId
from app.core.run import Run, RunState, RunType, Trigger
from app.store.rows import read_run, select_runs
from app.store.schema import IS_STATE_CHANGING, drift_counts, drift_turns, plans, runs
from app.store.transaction_missed import CAN_BE_ASKED
from app.store.wire import Wire, safe_text

_DUE: Final = text(f"""
SELECT drift_turns.stack_id FROM drift_turns JOIN stacks ON stacks.id = drift_turns.stack_id
JOIN repositories ON repositories.id = stacks.repository_id
WHERE due_at <= clock_timestamp() AND NOT stacks.is_detached AND {CAN_BE_ASKED} ORDER BY due_at, stack_id LIMIT :limit
""")  # noqa: S608 - our own words only
_SETTLED: Final = f"""
(settling.{IS_STATE_CHANGING} AND settling.state = 'finished' AND (settling.confirmed_digest IS NOT NULL OR EXISTS (
    SELECT FROM plans WHERE plans.run_id = settling.id AND plans.number = settling.current_plan AND NOT has_changes
)))
"""
"""True for a run that left the stack as its plan said: what was applied, or had nothing to do."""
IS_COMPARISON: Final = "runs.type = 'drift' AND runs.state IN ('finished', 'failed') AND runs.current_plan IS NOT NULL"
"""True for a drift run that has ended with a plan. The newest of a stack is the one that counts."""
IS_PAST: Final = f"""(EXISTS (
    SELECT FROM runs AS settling WHERE settling.stack_id = runs.stack_id AND {_SETTLED}
    AND settling.updated_at >= runs.created_at AND settling.id <> :but_for
))"""
"""True for a drift run whose stack was deployed after it was made, but for the run `but_for`."""
_PASSED_OVER: Final = (RunState.CANCELED, RunState.SKIPPED, RunState.STOPPED, RunState.DISCARDED)
"""Ends of runs that changed nothing."""


class DriftWrites(Wire):
    """Transaction methods about drift."""

    def list_due_drift(self, *, limit: int) -> list[StackId]:
        """Stacks whose moment has come, those that wait longest first; none that is detached, or whose repository the
        App may not ask about."""
        return [StackId(row.stack_id) for row in self._all(_DUE, {"limit": limit})]

    def find_drift_turn(self, stack_id: StackId) -> DriftTurn:
        """Where the stack's schedule stands; an empty one for a stack that never had any."""
        row = self._first(select(drift_turns).where(drift_turns.c.stack_id == stack_id))
        return DriftTurn(due_at=row.due_at, told=row.told, told_at=row.told_at) if row is not None else DriftTurn()

    def save_drift_turn(self, stack_id: StackId, turn: DriftTurn) -> None:
        """Note where the schedule stands. Call it with the stack locked."""
        values = {"due_at": turn.due_at, "told": safe_text(turn.told), "told_at": turn.told_at}
        statement = insert(drift_turns).values(stack_id=stack_id, **values)
        self._execute(statement.on_conflict_do_update(index_elements=["stack_id"], set_=values))

    def find_settled(self, stack_id: StackId) -> Run | None:
        """The state-changing run that ended last and left the stack as its plan said, or None."""
        is_idle = plans.c.has_changes.is_(False) | runs.c.confirmed_digest.is_not(None)
        mine = self._changing(stack_id) & text("runs.state = 'finished'") & is_idle
        row = self._first(select_runs().where(mine).order_by(runs.c.updated_at.desc()).limit(1))
        return read_run(row) if row is not None else None

    def find_newest_unrelated(self, stack_id: StackId) -> Run | None:
        """The newest state-changing run that got anywhere and was not made because of drift, or None."""
        nowhere = [state.value for state in _PASSED_OVER]
        mine = self._changing(stack_id) & runs.c.state.not_in(nowhere) & (runs.c.trigger != Trigger.DRIFT.value)
        return self._newest(mine)

    def count_drift_failures(self, stack_id: StackId) -> int:
        """How many runs that drift made have failed since a tracked run of the stack ended well."""
        tracked = (runs.c.stack_id == stack_id) & (runs.c.type == RunType.TRACKED.value)
        well = select(runs.c.created_at, runs.c.id).where(tracked, runs.c.state == RunState.FINISHED.value)
        last = self._first(well.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1))
        failed = (runs.c.state == RunState.FAILED.value) & (runs.c.trigger == Trigger.DRIFT.value)
        wanted = select(func.count()).where(tracked, failed)
        if last is not None:
            wanted = wanted.where(tuple_(runs.c.created_at, runs.c.id) > tuple_(last.created_at, last.id))
        return int(self._scalar(wanted))

    def count_drift(self, result: DriftResult) -> None:
        """Add one to what the metric counts."""
        statement = insert(drift_counts).values(result=result.value, total=1)
        more = {"total": drift_counts.c.total + 1}
        self._execute(statement.on_conflict_do_update(index_elements=["result"], set_=more))

    def _find_standing_drift(self, stack_id: StackId, *, but_for: str) -> Run | None:
        """The newest comparison of the stack, if it found drift and no run but that one deployed the stack since."""
        newest = self._newest_comparison(stack_id)
        if newest is None or newest.plan is None or not newest.plan.has_changes:
            return None
        return newest if not self._is_past(newest, but_for=but_for) else None

    def _is_drift_over(self, run: Run) -> bool:
        """True when what the drift run found no longer stands: the stack was compared, or deployed, since."""
        newest = self._newest_comparison(run.stack_id)
        return newest is None or newest.id != run.id or self._is_past(run, but_for="")

    def _is_past(self, run: Run, *, but_for: str) -> bool:
        past = select(exists().where(runs.c.id == run.id, text(IS_PAST)))
        return bool(self._scalar(past, {"but_for": but_for}))

    def _newest_comparison(self, stack_id: StackId) -> Run | None:
        return self._newest((runs.c.stack_id == stack_id) & text(IS_COMPARISON))

    def _changing(self, stack_id: StackId) -> ColumnElement[bool]:
        return (runs.c.stack_id == stack_id) & text(f"runs.{IS_STATE_CHANGING}")

    def _newest(self, mine: ColumnElement[bool]) -> Run | None:
        row = self._first(select_runs().where(mine).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1))
        return read_run(row) if row is not None else None
