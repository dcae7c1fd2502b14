"""Whether repositories can be worked on, inside a transaction: what was archived, taken away or suspended.

Knows nothing of what follows from it.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select, text, update

from app.core.event import Standing
from app.core.names import InstallationId, RepositoryId, RunId
from app.core.run import RunState
from app.store.schema import repositories, runs
from app.store.transaction_missed import CAN_BE_ASKED
from app.store.wire import Wire, safe_text

UNDECIDED: Final = (
    RunState.QUEUED,
    RunState.READY,
    RunState.PENDING_REVIEW,
    RunState.UNCONFIRMED,
    RunState.REPLAN_REQUESTED,
)
"""States in which nobody works on a run and nobody has said yes to it."""
MAX_RUNS: Final = 1_000
MAX_REPOSITORIES: Final = 10_000
_MAY_PUBLISH: Final = text(f"SELECT {CAN_BE_ASKED} FROM repositories WHERE id = :id")  # noqa: S608 - our own words only
_BEHIND: Final = text("""
SELECT count(procrastinate_defer_jobs_v1(ARRAY[ROW(
    'publish', 'publish', -10, 'report:' || id, NULL, jsonb_build_object('report_id', id), NULL
)::procrastinate_job_to_defer_v1])) FROM reports WHERE published < wanted AND repository_id = ANY(:ids)
""")


class StandingWrites(Wire):
    """Transaction methods about where the App may work."""

    def save_standing(self, repository_ids: Sequence[RepositoryId], standing: Standing) -> list[RepositoryId]:
        """Note it; those for which it is news, by number."""
        table = repositories.c
        mine = table.id.in_(list(repository_ids)) & (table.standing != standing.value)
        changed = update(repositories).where(mine).values(standing=standing.value, updated_at=func.clock_timestamp())
        return sorted(RepositoryId(row.id) for row in self._all(changed.returning(table.id)))

    def list_installed(self, installation_id: InstallationId) -> list[RepositoryId]:
        """The repositories that are known by that installation, by number."""
        wanted = select(repositories.c.id).where(repositories.c.installation_id == installation_id)
        rows = self._all(wanted.order_by(repositories.c.id).limit(MAX_REPOSITORIES))
        return [RepositoryId(row.id) for row in rows]

    def rename_owner(self, installation_id: InstallationId, account: str) -> int:
        """Follow an account's new name in the repositories of its installation; how many."""
        mine = repositories.c.installation_id == installation_id
        return self._execute(update(repositories).where(mine).values(owner=safe_text(account))).rowcount

    def may_publish(self, repository_id: RepositoryId) -> bool:
        """False while the App is suspended there, and for a repository that is archived or out of reach."""
        return bool(self._scalar(_MAY_PUBLISH, {"id": repository_id}))

    def defer_behind(self, repository_ids: Sequence[RepositoryId]) -> int:
        """Look at every report of theirs that does not stand as it should; how many."""
        return int(self._scalar(_BEHIND, {"ids": list(repository_ids)}))

    def list_undecided_runs(self, repository_id: RepositoryId) -> list[RunId]:
        """Runs that wait for a turn, a worker or a person, oldest first."""
        wanted = select(runs.c.id).where(
            runs.c.repository_id == repository_id, runs.c.state.in_([state.value for state in UNDECIDED])
        )
        return [RunId(row.id) for row in self._all(wanted.order_by(runs.c.created_at, runs.c.id).limit(MAX_RUNS))]
