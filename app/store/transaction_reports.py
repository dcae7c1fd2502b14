"""The outbox: what should stand on GitHub, what does, and the jobs that bring the two together.

A report is wanted in the transaction that changed what it says; its job commits with it. Knows nothing of GitHub.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Subquery, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from app.core.budget import ANSWERED_AT, LATER, Lane
from app.core.errors import BrokenError
from app.core.names import ReportId, RepositoryId, RunId, Sha
from app.core.record import Remote, ReportKind, ReportRecord
from app.core.reply import DeploymentState
from app.store.schema import plans, pulls, remotes, reports, runs
from app.store.wire import Sealer, Wire, safe_text

PRIORITIES: Final = {
    ReportKind.REPLY: ANSWERED_AT,
    ReportKind.RUN_CHECK: 5,
    ReportKind.CHECK: 5,
    ReportKind.SUMMARY: 5,
    ReportKind.COMMENT: 5,
    ReportKind.DEPLOYMENT: 0,
    ReportKind.NOTICE: -2,
    ReportKind.REHEARSAL: -5,
}
"""What is published first."""
MAX_RETIRED: Final = 20
"""Earlier successes of one stack that are looked at: there is one, unless GitHub was away for long."""
SOON_S: Final = 3.0
"""A look this near goes before one that is further away."""
LATER_PRIORITY: Final = LATER[Lane.PROGRESS]
"""Of a look again later. It has to be the lowest: procrastinate holds every job of a lock back behind an earlier one of
the same priority, also while that one is scheduled for the future."""
RENEWED_AFTER: Final = "12 days"
"""The age at which a check run that still works makes way for another: after 14 days GitHub calls it stale."""
CHECKS: Final = "('run_check', 'check', 'summary', 'rehearsal')"
"""The kinds of reports that are check runs."""
MAX_RENEWED: Final = 100
"""Check runs that one sweep has made anew."""
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
_DEFER_LATER: Final = text(f"""{_DEFER} FROM reports WHERE id = :id AND NOT EXISTS (
    SELECT FROM procrastinate_jobs AS job WHERE job.lock = 'report:' || reports.id AND job.status = 'todo' AND coalesce(
        job.scheduled_at <= clock_timestamp() + make_interval(secs => CAST(:in_s AS double precision)), true
    )
)""")
"""A look that comes no later does as well: many of the same report become one."""
_RENEW: Final = text(f"""
WITH old AS (
    SELECT DISTINCT reports.id FROM remotes JOIN reports ON reports.id = remotes.report_id
    WHERE NOT remotes.is_completed AND remotes.remote_id IS NOT NULL AND reports.kind IN {CHECKS}
        AND remotes.made_at < clock_timestamp() - interval '{RENEWED_AFTER}' AND reports.published >= reports.wanted
    LIMIT {MAX_RENEWED}
), wanted AS (
    UPDATE reports SET wanted = wanted + 1 FROM old WHERE reports.id = old.id RETURNING reports.id
), job AS ({_DEFER} AS ids FROM wanted)
SELECT count(ids) FROM job
""")  # noqa: S608 - our own words only

Subject = tuple[str, int, str]
"""Kind, repository and subject of a report: what it is unique on."""


class ReportWrites(Wire):
    """Transaction methods of the outbox."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        super().__init__(connection, sealer)
        self._wants: dict[Subject, str] = {}
        self._summaries: dict[Subject, bool] = {}
        self._comments: set[tuple[RepositoryId, int]] = set()
        self._landed: set[tuple[RepositoryId, Sha]] = set()

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

    def want_comment(self, repository_id: RepositoryId, number: int) -> None:
        """Want the App's comment on the pull request, or want it again."""
        self._comments.add((repository_id, number))

    def _want_comment_of_landed(self, repository_id: RepositoryId, sha: Sha) -> None:
        """The same for the pull requests that became that commit."""
        self._landed.add((repository_id, sha))

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
        for repository_id, number in sorted(self._comments | self._find_landed()):
            self.want_report(ReportKind.COMMENT, repository_id, str(number), run_id=None, document=b"")
        self._wants.clear()
        self._summaries.clear()
        self._comments.clear()
        self._landed.clear()

    def _find_landed(self) -> set[tuple[RepositoryId, int]]:
        """The pull requests that became one of the commits whose runs moved."""
        if not self._landed:
            return set()
        here = tuple_(pulls.c.repository_id, pulls.c.landed_sha).in_(sorted(self._landed))
        rows = self._all(select(pulls.c.repository_id, pulls.c.number).where(here))
        return {(RepositoryId(row.repository_id), row.number) for row in rows}

    def find_report(self, report_id: ReportId) -> ReportRecord | None:
        """The report with its remotes, or None."""
        row = self._first(select(reports).where(reports.c.id == report_id))
        return self._read_report(row) if row is not None else None

    def save_remote(
        self, report_id: ReportId, external_id: str, *, remote_id: int | None, published: str, is_completed: bool
    ) -> None:
        """Insert or update the remote of that external id; `published_at` is the database's now if `published` is."""
        values: dict[str, object] = {
            "remote_id": remote_id,
            "published": safe_text(published),
            "is_completed": is_completed,
        }
        told = {"published_at": func.clock_timestamp()} if published else {}
        statement = insert(remotes).values(report_id=report_id, external_id=safe_text(external_id), **values, **told)
        changes = values | told | ({"updates": remotes.c.updates + 1} if published else {})
        self._execute(statement.on_conflict_do_update(index_elements=["report_id", "external_id"], set_=changes))

    def finish_report(self, report_id: ReportId, wanted: int) -> None:
        """Note that everything up to `wanted` stands on GitHub; an older note never takes a newer one back."""
        newest = func.greatest(reports.c.published, wanted)
        done = self._execute(update(reports).where(reports.c.id == report_id).values(published=newest))
        if done.rowcount != 1:
            raise BrokenError(f"finishing report {report_id}: there is none")

    def defer_publish(self, report_id: ReportId, *, in_s: float, lane: Lane = Lane.PROGRESS) -> None:
        """Look at the report again later, unless somebody does before; anything wanted meanwhile goes before it."""
        priority = LATER[lane] + (1 if in_s <= SOON_S and lane is Lane.PROGRESS else 0)  # before a later one
        self._execute(_DEFER_LATER, {"id": report_id, "priority": priority, "in_s": max(0.0, in_s)})

    def renew_checks(self) -> int:
        """Want the reports again whose check run works for so long that GitHub is about to call it stale; how many."""
        return int(self._scalar(_RENEW, {"priority": LATER_PRIORITY, "in_s": 0}))

    def mark_plan_published(self, run_id: RunId, number: int) -> None:
        """Note when the plan's check run stood on GitHub, once."""
        plan = (plans.c.run_id == run_id) & (plans.c.number == number) & plans.c.published_at.is_(None)
        self._execute(update(plans).where(plan).values(published_at=func.clock_timestamp()))

    def mark_plan_shown(self, run_id: RunId, number: int, report_id: ReportId) -> None:
        """Note that another text, which showed the plan before it, shows this one since that report was published last:
        a command that was written until then may have meant the other."""
        plan = (plans.c.run_id == run_id) & (plans.c.number == number)
        is_later = (remotes.c.report_id == report_id) & (remotes.c.published_at > plans.c.published_at)
        self._execute(update(plans).where(plan, is_later).values(published_at=remotes.c.published_at))

    def list_earlier_successes(self, run_id: RunId) -> list[ReportRecord]:
        """The deployment reports of the stack's earlier runs that stand as success, newest first; bounded."""
        this, stands = _standing(run_id)
        wanted = stands.where(runs.c.created_at < this.c.created_at).order_by(runs.c.created_at.desc())
        return [self._read_report(row) for row in self._all(wanted.limit(MAX_RETIRED))]

    def has_later_success(self, run_id: RunId) -> bool:
        """True when the deployment of a later run of the stack stands as success."""
        this, stands = _standing(run_id)
        return self._first(stands.where(runs.c.created_at > this.c.created_at).limit(1)) is not None

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


def _standing(run_id: RunId) -> tuple[Subquery, Select[Any]]:
    """The run's stack and age, and the deployment reports of that stack that say success."""
    this = select(runs.c.stack_id, runs.c.created_at).where(runs.c.id == run_id).subquery()
    stands = select(remotes.c.report_id).where(
        remotes.c.remote_id.is_not(None), remotes.c.published == DeploymentState.SUCCESS.value
    )
    found = select(reports).join(runs, runs.c.id == reports.c.run_id).join(this, this.c.stack_id == runs.c.stack_id)
    return this, found.where(reports.c.kind == ReportKind.DEPLOYMENT.value, reports.c.id.in_(stands))


def _read_remotes(rows: Sequence[Row[Any]]) -> tuple[Remote, ...]:
    return tuple(
        Remote(
            external_id=row.external_id,
            remote_id=row.remote_id,
            published=row.published,
            is_completed=row.is_completed,
            published_at=row.published_at,
            made_at=row.made_at,
            updates=row.updates,
        )
        for row in rows
    )
