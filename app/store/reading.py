"""Read-only questions of the pages, the command line and the metrics: nothing here locks or changes a row.

Each question is one short transaction of its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Engine, Executable, Row, func, select, text

from app.core.decision import Decision
from app.core.names import AssignmentId, RepositoryId, RunId, Sha, StackId
from app.core.protocol import Phase
from app.core.record import LogChunk
from app.core.run import Run, RunState, Step, Transition
from app.core.stack import MAX_STACKS, Stack
from app.store.decisions import read_decision, select_decisions
from app.store.migrations import pending_migrations
from app.store.reading_budgets import BudgetReading
from app.store.reading_commits import CommitReading
from app.store.reading_drift import DriftReading
from app.store.reading_workers import WorkerReading
from app.store.rows import read_run, select_runs
from app.store.schema import CREATED, IS_LIVE, assignments, decisions, log_chunks, repositories, run_steps, runs, stacks
from app.store.transaction_missed import CAN_BE_ASKED
from app.store.transaction_stacks import read_stack
from app.store.wall import wall
from app.store.wire import Sealer, safe_text, sealed_as

_BEHIND: Final = (
    "SELECT count(*) AS total FROM reports JOIN repositories ON repositories.id = reports.repository_id"  # noqa: S608 - ours
    f" WHERE published < wanted AND {CAN_BE_ASKED}"
)
MAX_RECENT: Final = 1_000
MAX_STEPS: Final = 1_000
MAX_DECISIONS: Final = 1_000


class ReadingSide(CommitReading, WorkerReading, BudgetReading, DriftReading):
    """The questions; needs an engine and, for logs, the sealer."""

    def __init__(self, engine: Engine, sealer: Sealer, url: str) -> None:
        self._engine = engine
        self._sealer = sealer
        self._url = url

    def read_history(self, run_id: RunId) -> list[Transition]:
        """The run's steps, oldest first; that it was made is on the run itself (`created_at`, `triggered_by`)."""
        wanted = select(run_steps).where(run_steps.c.run_id == safe_text(run_id), run_steps.c.step != CREATED)
        return [
            Transition(
                before=RunState(row.before),
                step=Step(row.step),
                after=RunState(row.after),
                by=row.by,
                at=row.at,
                cause=row.cause,
            )
            for row in self._ask(wanted.order_by(run_steps.c.id).limit(MAX_STEPS))
        ]

    def read_log(self, run_id: RunId, *, after: int = 0) -> Iterator[LogChunk]:
        """The run's log in clear, assignment by assignment; the first `after` bytes of the whole are left out."""
        columns = (assignments.c.id, assignments.c.phase, log_chunks.c.offset_bytes, log_chunks.c.size_bytes)
        joined = assignments.join(log_chunks, log_chunks.c.assignment_id == assignments.c.id)
        wanted = select(*columns).select_from(joined).where(assignments.c.run_id == safe_text(run_id))
        skip = after
        for row in self._ask(wanted.order_by(assignments.c.fencing, log_chunks.c.offset_bytes)):
            if skip >= row.size_bytes:
                skip -= row.size_bytes
                continue
            yield self._open_chunk(row, skip)
            skip = 0

    def count_log_bytes(self, run_id: RunId) -> int:
        """How long the run's log is."""
        joined = assignments.join(log_chunks, log_chunks.c.assignment_id == assignments.c.id)
        wanted = select(func.coalesce(func.sum(log_chunks.c.size_bytes), 0)).select_from(joined)
        return int(self._ask(wanted.where(assignments.c.run_id == safe_text(run_id)))[0][0])

    def list_recent_runs(self, *, stack_id: StackId | None = None, limit: int = 100) -> list[Run]:
        """Runs, of all stacks or one, newest first."""
        wanted = select_runs().order_by(runs.c.created_at.desc(), runs.c.id.desc())
        if stack_id is not None:
            wanted = wanted.where(runs.c.stack_id == safe_text(stack_id))
        return [read_run(row) for row in self._ask(wanted.limit(max(0, min(limit, MAX_RECENT))))]

    def list_waiting_runs(self, limit: int = 100) -> list[Run]:
        """Runs whose plan waits for a person, of all stacks, newest first."""
        states = [state.value for state in (RunState.UNCONFIRMED, RunState.PENDING_REVIEW)]
        wanted = select_runs().where(text(IS_LIVE), runs.c.state.in_(states))  # live: an index has few of all runs
        ordered = wanted.order_by(runs.c.created_at.desc(), runs.c.id.desc())
        return [read_run(row) for row in self._ask(ordered.limit(max(0, min(limit, MAX_RECENT))))]

    def list_all_stacks(self) -> list[Stack]:
        """Every stack, detached ones too, by repository and name."""
        wanted = select(stacks).order_by(stacks.c.repository_id, stacks.c.name, stacks.c.id).limit(MAX_STACKS)
        return [read_stack(row) for row in self._ask(wanted)]

    def find_repository_id(self, full_name: str) -> RepositoryId | None:
        """The number of the repository that has that name now, or None."""
        owner, _, name = full_name.partition("/")
        columns = (func.lower(repositories.c.owner), func.lower(repositories.c.name))
        wanted = select(repositories.c.id).where(columns[0] == owner.lower(), columns[1] == name.lower())
        rows = self._ask(wanted.order_by(repositories.c.updated_at.desc()).limit(1))
        return RepositoryId(rows[0].id) if rows else None

    def list_decisions(self, repository_id: RepositoryId, sha: Sha) -> list[Decision]:
        """Decisions about that commit, by stack name, oldest first."""
        mine = select(stacks.c.id).where(stacks.c.repository_id == repository_id)
        wanted = select_decisions().where(decisions.c.head_sha == safe_text(sha), decisions.c.stack_id.in_(mine))
        ordered = wanted.order_by(decisions.c.stack_name, decisions.c.created_at, decisions.c.id)
        return [read_decision(row) for row in self._ask(ordered.limit(MAX_DECISIONS))]

    def count_by_state(self) -> dict[str, int]:
        """How many runs are in each live state, zeros too. Ended runs are not counted: their number only grows."""
        counts = {state.value: 0 for state in RunState if not state.is_terminal}
        rows = self._ask(text(f"SELECT state, count(*) AS total FROM runs WHERE {IS_LIVE} GROUP BY state"))  # noqa: S608 - our own words only
        return counts | {row.state: row.total for row in rows}

    def oldest_pending_delivery_s(self) -> float:
        """Seconds since the oldest delivery arrived whose job has not ended; 0 when there is none."""
        oldest = text(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0) AS age"
            " FROM deliveries WHERE outcome = 'pending'"
        )
        return max(0.0, float(self._ask(oldest)[0].age))

    def count_reports_behind(self) -> int:
        """How many reports do not yet stand on GitHub as they should, where the App may write."""
        return int(self._ask(text(_BEHIND))[0].total)

    def count_missed_events(self) -> dict[tuple[str, ...], int]:
        """What became of looking for missed events since the database was made, by path and outcome."""
        rows = self._ask(text("SELECT path, outcome, total FROM missed_counts ORDER BY path, outcome"))
        return {(row.path, row.outcome): row.total for row in rows}

    def count_notifications(self) -> dict[tuple[str, ...], int]:
        """What became of notifications since the database was made, by channel and outcome."""
        rows = self._ask(text("SELECT channel, outcome, total FROM notice_counts ORDER BY channel, outcome"))
        return {(row.channel, row.outcome): row.total for row in rows}

    def list_endpoint_states(self) -> dict[str, bool]:
        """Whether each endpoint is on, by name."""
        rows = self._ask(text("SELECT name, is_on FROM endpoints ORDER BY name"))
        return {row.name: row.is_on for row in rows}

    def list_missing_migrations(self) -> list[str]:
        """The migrations that the database lacks, oldest first.

        Raises: RetryableError when it does not answer; UserError when a newer release made it.
        """
        return pending_migrations(self._url)

    def _open_chunk(self, row: Row[Any], skip: int) -> LogChunk:
        key = (log_chunks.c.assignment_id == row.id) & (log_chunks.c.offset_bytes == row.offset_bytes)
        sealed = self._ask(select(log_chunks.c.sealed_text).where(key))[0].sealed_text
        clear = self._sealer.open(bytes(sealed), sealed_as("log_chunks.text", f"{row.id}/{row.offset_bytes}"))
        return LogChunk(
            assignment_id=AssignmentId(row.id),
            phase=Phase(row.phase),
            offset=row.offset_bytes + skip,
            text=clear[skip:],
        )

    def _ask(self, question: Executable) -> Sequence[Row[Any]]:
        with wall(), self._engine.connect() as connection:
            return connection.execute(question).all()
