"""Questions about drift: of the pages, the command line and the metrics. Nothing here changes a row."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Engine, Executable, Row, text

from app.core.changelist import delta_line
from app.core.drift import DriftFound, DriftSeen, DriftTurn
from app.core.names import RunId, StackId
from app.core.plan import Delta
from app.store.transaction_drift import IS_COMPARISON, IS_PAST
from app.store.wall import wall

_SEEN: Final = text(f"""
SELECT stacks.id AS stack_id, CASE WHEN NOT is_detached THEN due_at END AS due_at, told, told_at, newest.* FROM stacks
LEFT JOIN drift_turns ON drift_turns.stack_id = stacks.id LEFT JOIN LATERAL (
    SELECT run_id, at, has_changes, delta FROM (
        SELECT runs.id AS run_id, plans.created_at AS at, has_changes, delta, {IS_PAST} AS is_past FROM runs
        JOIN plans ON plans.run_id = runs.id AND plans.number = runs.current_plan
        WHERE runs.stack_id = stacks.id AND {IS_COMPARISON} ORDER BY runs.created_at DESC, runs.id DESC LIMIT 1
    ) AS compared WHERE NOT is_past
) AS newest ON TRUE
WHERE (drift_turns.stack_id IS NOT NULL OR newest.run_id IS NOT NULL) AND (:stack_id = '' OR stacks.id = :stack_id)
""")  # noqa: S608 - our own words only


class DriftReading:
    """The questions; the class that mixes this in has the engine."""

    _engine: Engine

    def list_drift(self, stack_id: StackId | None = None) -> dict[StackId, DriftSeen]:
        """What is known of the drift of each stack (or of one); a stack without schedule and finding is left out."""
        rows = self._told(_SEEN.bindparams(but_for="", stack_id=stack_id or ""))
        return {StackId(row.stack_id): _read(row) for row in rows}

    def count_drift_results(self) -> dict[tuple[str, ...], int]:
        """What became of looking for drift since the database was made, by result."""
        rows = self._told(text("SELECT result, total FROM drift_counts ORDER BY result"))
        return {(row.result,): row.total for row in rows}

    def _told(self, question: Executable) -> Sequence[Row[Any]]:
        with wall(), self._engine.connect() as connection:
            return connection.execute(question).all()


def _read(row: Row[Any]) -> DriftSeen:
    turn = DriftTurn(due_at=row.due_at, told=row.told or "", told_at=row.told_at)
    if row.run_id is None:
        return DriftSeen(turn=turn)
    delta = msgspec.json.decode(row.delta, type=Delta)
    found = DriftFound(
        run_id=RunId(row.run_id),
        at=row.at,
        resources=delta.resources.total,
        has_drift=row.has_changes,
        counts=delta_line(delta),
    )
    return DriftSeen(turn=turn, found=found)
