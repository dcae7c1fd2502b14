"""What each installation has written to GitHub lately, for pages and metrics. Locks nothing."""

from typing import Any, Final

from sqlalchemy import Engine, Row, text

from app.core.budget import Budget, Spending
from app.core.names import InstallationId
from app.store.wall import wall

_BUDGETS: Final = text("""
SELECT budgets.*, coalesce(installations.account, '') AS account, clock_timestamp() AS at FROM budgets
LEFT JOIN installations ON installations.id = budgets.installation_id
ORDER BY account, installation_id LIMIT 1000
""")


class BudgetReading:
    """The questions; the class that mixes this in has the engine."""

    _engine: Engine

    def list_spending(self) -> list[Spending]:
        """Every installation that has written anything, by account; bounded."""
        with wall(), self._engine.connect() as connection:
            return [_spending(row) for row in connection.execute(_BUDGETS).all()]


def _spending(row: Row[Any]) -> Spending:
    budget = Budget(tuple(row.taken), (row.answers_from, row.conclusions_from, row.progress_from))
    return Spending(installation_id=InstallationId(row.installation_id), account=row.account, budget=budget, at=row.at)
