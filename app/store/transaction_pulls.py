"""Pull requests inside a transaction: their newest runs, the commit that they became, what is ticked in the comment.

Knows nothing of what the comment says.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, Update, delete, exists, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from app.core.names import ReportId, RepositoryId, Sha
from app.core.record import PullRecord, ReportKind, ReportRecord
from app.core.run import Run, RunType
from app.store.rows import select_runs
from app.store.schema import pulls, remotes, reports, runs
from app.store.transaction_runs import RunWrites
from app.store.wire import safe_text

MAX_RUNS: Final = 1_000
"""Of one pull request: the newest of each stack and type."""
_TOLD: Final = (RunType.PROPOSED.value, RunType.TRACKED.value)


class PullWrites(RunWrites):
    """Transaction methods about pull requests."""

    def find_pull(self, repository_id: RepositoryId, number: int) -> PullRecord:
        """What is known of the pull request; nothing yet is a record, too."""
        row = self._first(select(pulls).where(*_is(repository_id, number)))
        return _read(row) if row is not None else PullRecord()

    def lock_pull(self, repository_id: RepositoryId, number: int) -> PullRecord:
        """The same under its row's lock, until the transaction ends."""
        self._execute(insert(pulls).values(repository_id=repository_id, number=number).on_conflict_do_nothing())
        row = self._first(select(pulls).where(*_is(repository_id, number)).with_for_update())
        return _read(row) if row is not None else PullRecord()

    def save_ticks(
        self, repository_id: RepositoryId, number: int, ticks: Mapping[str, Sequence[int]], *, edits: int
    ) -> None:
        """Save what is ticked, and how many edits were read, of a locked pull request."""
        values = {"ticks": {digest: list(numbers) for digest, numbers in ticks.items()}, "edits": edits}
        self._execute(_change(repository_id, number).values(values))

    def note_landed(self, repository_id: RepositoryId, number: int, sha: Sha) -> None:
        """Note the commit that the pull request became; its comment goes on with that commit's runs."""
        if self.lock_pull(repository_id, number).landed_sha == sha:
            return
        self._execute(_change(repository_id, number).values(landed_sha=sha))
        here = (runs.c.repository_id == repository_id, runs.c.head_sha == sha, runs.c.type == RunType.TRACKED.value)
        if self._scalar(select(exists().where(*here))):
            self.want_comment(repository_id, number)

    def note_title(self, repository_id: RepositoryId, number: int, title: str, *, is_late: bool) -> None:
        """Note what the pull request is called; an event that came late says so only where nothing is known."""
        values = {"title": safe_text(title)}
        statement = insert(pulls).values(repository_id=repository_id, number=number, **values)
        is_new = pulls.c.title == "" if is_late else pulls.c.title != values["title"]
        keys = ["repository_id", "number"]
        self._execute(statement.on_conflict_do_update(index_elements=keys, set_=values, where=is_new))

    def find_landing(self, repository_id: RepositoryId, sha: Sha) -> int | None:
        """The number of the newest pull request that became that commit, or None."""
        landed = (pulls.c.repository_id == repository_id) & (pulls.c.landed_sha == sha)
        row = self._first(select(pulls.c.number).where(landed).order_by(pulls.c.number.desc()).limit(1))
        return int(row.number) if row is not None else None

    def list_pull_runs(self, repository_id: RepositoryId, number: int) -> list[Run]:
        """The newest proposed and the newest tracked run of each stack that the pull request made, or the commit that
        it became; by stack name (at most MAX_RUNS)."""
        landed = select(pulls.c.landed_sha).where(*_is(repository_id, number)).scalar_subquery()
        of_pull = (runs.c.pull_number == number) & runs.c.type.in_(_TOLD)
        of_landed = (runs.c.head_sha == landed) & (runs.c.type == RunType.TRACKED.value)
        here = select(runs.c.id, runs.c.stack_id, runs.c.type, runs.c.created_at)
        ids = (
            here.where(runs.c.repository_id == repository_id, of_pull)
            .union(here.where(runs.c.repository_id == repository_id, of_landed))
            .subquery()
        )
        keys = (ids.c.stack_id, ids.c.type)
        newest = select(ids.c.id).ext(distinct_on(*keys)).order_by(*keys, ids.c.created_at.desc(), ids.c.id.desc())
        wanted = select_runs().where(runs.c.id.in_(newest)).order_by(runs.c.stack_name, runs.c.id)
        return self._runs(wanted.limit(MAX_RUNS))

    def find_comment(self, repository_id: RepositoryId, number: int) -> ReportRecord | None:
        """The report of the App's comment on the pull request, or None before any was wanted."""
        kind = ReportKind.COMMENT.value
        same = (reports.c.kind == kind, reports.c.repository_id == repository_id, reports.c.subject == str(number))
        row = self._first(select(reports).where(*same))
        return self._read_report(row) if row is not None else None

    def forget_remote(self, report_id: ReportId, external_id: str) -> None:
        """Forget what was made on GitHub: it is there no more."""
        gone = (remotes.c.report_id == report_id) & (remotes.c.external_id == external_id)
        self._execute(delete(remotes).where(gone))


def _is(repository_id: RepositoryId, number: int) -> tuple[Any, Any]:
    return pulls.c.repository_id == repository_id, pulls.c.number == number


def _change(repository_id: RepositoryId, number: int) -> Update:
    return update(pulls).where(*_is(repository_id, number))


def _read(row: Row[Any]) -> PullRecord:
    ticks = {str(digest): tuple(int(one) for one in numbers) for digest, numbers in row.ticks.items()}
    landed = Sha(row.landed_sha) if row.landed_sha else None
    return PullRecord(landed_sha=landed, ticks=ticks, edits=row.edits, title=row.title)
