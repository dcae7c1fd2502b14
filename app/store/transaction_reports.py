"""The outbox: what should stand on GitHub, what does, and the jobs that bring the two together.

A report is wanted in the transaction that changed what it says; its job commits with it. Knows nothing of GitHub.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.errors import BrokenError
from app.core.names import ReportId, RepositoryId, RunId, Sha
from app.core.record import Remote, ReportKind, ReportRecord
from app.core.run import RunState
from app.store.schema import plans, remotes, reports, runs
from app.store.wire import Sealer, Wire, safe_text

PRIORITIES: Final = {
    ReportKind.REPLY: 10,
    ReportKind.RUN_CHECK: 5,
    ReportKind.CHECK: 5,
    ReportKind.SUMMARY: 5,
    ReportKind.DEPLOYMENT: 0,
    ReportKind.NOTICE: -2,
    ReportKind.REHEARSAL: -5,
}
"""What is published first."""
SOON_S: Final = 3.0
"""A look this near goes before one that is further away."""
LATER_PRIORITY: Final = -10
"""Of a look again later. It has to be the lowest: procrastinate holds every job of a lock back behind an earlier one of
the same priority, also while that one is scheduled for the future."""
_DEFER: Final = """
    SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
        'publish', 'publish', CAST(:priority AS integer), 'report:' || id, NULL, jsonb_build_object('report_id', id),
        clock_timestamp() + make_interval(secs => CAST(:in_s AS double precision))
    )::procrastinate_job_to_defer_v1])
"""
_WANT: Final = text(f"""
WITH wanted AS (
    INSERT INTO reports (id, kind, repository_id, subject, run_id, document)
    VALUES (:id, :kind, :repository_id, :subject, :run_id, :document)
    ON CONFLICT (kind, repository_id, subject) DO UPDATE SET
        wanted = reports.wanted + 1, document = excluded.document, run_id = greatest(reports.run_id, excluded.run_id)
    RETURNING id
), job AS ({_DEFER} AS ids FROM wanted)
SELECT (SELECT id FROM wanted) AS id, (SELECT count(ids) FROM job) AS jobs
""")  # noqa: S608 - our own words only; run ids are ULIDs, so the greatest is the newest
_AGAIN: Final = text(f"""
WITH wanted AS (
    UPDATE reports SET wanted = wanted + 1
    WHERE kind = :kind AND repository_id = :repository_id AND subject = :subject RETURNING id
), job AS ({_DEFER} AS ids FROM wanted)
SELECT count(ids) FROM job
""")  # noqa: S608 - our own words only
_DEFER_LATER: Final = text(f"{_DEFER} FROM reports WHERE id = :id")

Subject = tuple[str, int, str]
"""Kind, repository and subject of a report: what it is unique on."""


class ReportWrites(Wire):
    """Transaction methods of the outbox."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        super().__init__(connection, sealer)
        self._wants: dict[Subject, str] = {}
        self._summaries: dict[Subject, bool] = {}

    def want_report(
        self, kind: ReportKind, repository_id: RepositoryId, subject: str, *, run_id: RunId | None, document: bytes
    ) -> ReportId:
        """Insert or update the row, count `wanted` up, and defer its publish job in this transaction."""
        values = {
            "id": self.new_id(),
            "kind": kind.value,
            "repository_id": repository_id,
            "subject": safe_text(subject),
            "run_id": run_id,
            "document": document,
            "priority": PRIORITIES[kind],
            "in_s": 0,
        }
        return ReportId(self._scalar(_WANT, values))

    def _want_later(self, kind: ReportKind, repository_id: RepositoryId, subject: str, run_id: RunId) -> None:
        """Want a computed report when the transaction ends: once each, in one order, so that two never deadlock."""
        key = (kind.value, repository_id, subject)
        self._wants[key] = max(run_id, self._wants.get(key, ""))

    def want_summary(self, repository_id: RepositoryId, sha: Sha, name: str) -> None:
        """Want the summary check of that name on a commit, from now on whenever a run that it lists has moved."""
        self._summaries[ReportKind.SUMMARY.value, repository_id, f"{sha}/{name}"] = True

    def _retell_summary(self, repository_id: RepositoryId, sha: Sha, name: str) -> None:
        """Want it again, if anybody ever did."""
        self._summaries.setdefault((ReportKind.SUMMARY.value, repository_id, f"{sha}/{name}"), False)

    def settle(self) -> None:
        """Write what the transaction's changes made wanted. Called once, right before the commit."""
        for (kind, repository_id, subject), run_id in sorted(self._wants.items()):
            self.want_report(ReportKind(kind), RepositoryId(repository_id), subject, run_id=RunId(run_id), document=b"")
        for (kind, repository_id, subject), is_new in sorted(self._summaries.items()):
            if is_new:
                self.want_report(ReportKind(kind), RepositoryId(repository_id), subject, run_id=None, document=b"")
            else:
                values = {"kind": kind, "repository_id": repository_id, "subject": safe_text(subject)}
                self._execute(_AGAIN, values | {"priority": PRIORITIES[ReportKind.SUMMARY], "in_s": 0})
        self._wants.clear()
        self._summaries.clear()

    def find_report(self, report_id: ReportId) -> ReportRecord | None:
        """The report with its remotes, or None."""
        row = self._first(select(reports).where(reports.c.id == report_id))
        return self._read_report(row) if row is not None else None

    def save_remote(
        self, report_id: ReportId, external_id: str, *, remote_id: int | None, published: str, is_completed: bool
    ) -> None:
        """Insert or update the remote of that external id; `published_at` is the database's now if `published` is."""
        values = {
            "remote_id": remote_id,
            "published": safe_text(published),
            "is_completed": is_completed,
            "published_at": func.clock_timestamp() if published else None,
        }
        changes = values if published else {key: value for key, value in values.items() if key != "published_at"}
        statement = insert(remotes).values(report_id=report_id, external_id=safe_text(external_id), **values)
        self._execute(statement.on_conflict_do_update(index_elements=["report_id", "external_id"], set_=changes))

    def finish_report(self, report_id: ReportId, wanted: int) -> None:
        """Note that everything up to `wanted` stands on GitHub; an older note never takes a newer one back."""
        newest = func.greatest(reports.c.published, wanted)
        done = self._execute(update(reports).where(reports.c.id == report_id).values(published=newest))
        if done.rowcount != 1:
            raise BrokenError(f"finishing report {report_id}: there is none")

    def defer_publish(self, report_id: ReportId, *, in_s: float) -> None:
        """Look at the report again later; anything wanted meanwhile goes before it."""
        priority = LATER_PRIORITY + (1 if in_s <= SOON_S else 0)  # a look in seconds must not wait behind a later one
        self._execute(_DEFER_LATER, {"id": report_id, "priority": priority, "in_s": max(0.0, in_s)})

    def mark_plan_published(self, run_id: RunId, number: int) -> None:
        """Note when the plan's check run stood on GitHub, once."""
        plan = (plans.c.run_id == run_id) & (plans.c.number == number) & plans.c.published_at.is_(None)
        self._execute(update(plans).where(plan).values(published_at=func.clock_timestamp()))

    def find_previous_success(self, run_id: RunId) -> ReportRecord | None:
        """The deployment report of the stack's newest earlier finished run that made a deployment, or None."""
        this = select(runs.c.stack_id, runs.c.created_at).where(runs.c.id == run_id).subquery()
        made = select(remotes.c.report_id).where(remotes.c.remote_id.is_not(None))
        row = self._first(
            select(reports)
            .join(runs, runs.c.id == reports.c.run_id)
            .join(this, this.c.stack_id == runs.c.stack_id)
            .where(
                reports.c.kind == ReportKind.DEPLOYMENT.value,
                reports.c.id.in_(made),
                runs.c.state == RunState.FINISHED.value,
                runs.c.created_at < this.c.created_at,
            )
            .order_by(runs.c.created_at.desc())
            .limit(1)
        )
        return self._read_report(row) if row is not None else None

    def _read_report(self, row: Row[Any]) -> ReportRecord:
        found = self._all(select(remotes).where(remotes.c.report_id == row.id).order_by(remotes.c.seq))
        return ReportRecord(
            id=ReportId(row.id),
            kind=ReportKind(row.kind),
            repository_id=RepositoryId(row.repository_id),
            subject=row.subject,
            run_id=RunId(row.run_id) if row.run_id is not None else None,
            document=bytes(row.document),
            wanted=row.wanted,
            published=row.published,
            created_at=row.created_at,
            remotes=_read_remotes(found),
        )


def _read_remotes(rows: Sequence[Row[Any]]) -> tuple[Remote, ...]:
    return tuple(
        Remote(
            external_id=row.external_id,
            remote_id=row.remote_id,
            published=row.published,
            is_completed=row.is_completed,
            published_at=row.published_at,
        )
        for row in rows
    )
