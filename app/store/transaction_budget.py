"""What each installation has written to GitHub lately, inside a transaction: one row each, guarded by its lock, so that
any number of jobs processes share it.

Knows no limit: what the moments mean is `app.core.budget`'s.
"""

from typing import Any, Final

from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.budget import Budget
from app.core.names import InstallationId
from app.core.run import RunState
from app.store.schema import budgets
from app.store.schema_columns import one_of
from app.store.wire import Wire

WORKING: Final = (
    RunState.READY,
    RunState.PREPARING,
    RunState.INITIALIZING,
    RunState.PLANNING,
    RunState.REPLAN_REQUESTED,
    RunState.PREPARING_REPLAN,
    RunState.CONFIRMED,
    RunState.PREPARING_APPLY,
    RunState.APPLYING,
)
"""States that a run leaves by itself: what waits for a person, or for another run, is not working."""
_WORKING: Final = text(f"""
SELECT count(*) FROM runs JOIN repositories ON repositories.id = runs.repository_id
WHERE repositories.installation_id = :id AND {one_of("runs.state", WORKING)}
""")  # noqa: S608 - our own words only


class BudgetWrites(Wire):
    """Transaction methods about what an installation writes."""

    def lock_budget(self, installation_id: InstallationId) -> Budget:
        """What it has written and been told, under its row's lock."""
        self._execute(insert(budgets).values(installation_id=installation_id).on_conflict_do_nothing())
        mine = select(budgets).where(budgets.c.installation_id == installation_id)
        return _read(self._first(mine.with_for_update()))

    def find_budget(self, installation_id: InstallationId) -> Budget:
        """The same, as it is at this moment."""
        return _read(self._first(select(budgets).where(budgets.c.installation_id == installation_id)))

    def save_budget(self, installation_id: InstallationId, budget: Budget) -> None:
        """Save a locked one."""
        answers, conclusions, progress = budget.not_before
        values = {
            "taken": list(budget.taken),
            "answers_from": answers,
            "conclusions_from": conclusions,
            "progress_from": progress,
        }
        self._execute(update(budgets).where(budgets.c.installation_id == installation_id).values(values))

    def count_working(self, installation_id: InstallationId) -> int:
        """How many runs of the installation go on without anybody's doing."""
        return int(self._scalar(_WORKING, {"id": installation_id}))


def _read(row: Row[Any] | None) -> Budget:
    if row is None:
        return Budget()
    return Budget(tuple(row.taken), (row.answers_from, row.conclusions_from, row.progress_from))
