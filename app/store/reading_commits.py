"""Read-only questions about one commit: what was decided there, which runs report there.

Each question is one short transaction of its own; a commit of 10,000 stacks is asked for whole, without inputs.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Executable, Row, Select, and_, func, select, true
from sqlalchemy.dialects.postgresql import distinct_on

from app.core.decision import Decision, EventKind, Verdict
from app.core.explanation import RecordedEvent, ShortDecision
from app.core.names import RepositoryId, Sha, StackId
from app.core.run import TERMINAL, Run, RunState, RunType, Trigger
from app.store.decisions import read_decision, select_decisions
from app.store.rows import read_run, select_runs
from app.store.schema import decision_inputs, decisions, runs, stacks
from app.store.wall import wall
from app.store.wire import safe_text

MAX_SHORT: Final = 20_000
MAX_RUNS: Final = 10_000
MAX_RECORDED: Final = 2_000
MAX_OF_STACK: Final = 100
_KEYS: Final = (decisions.c.stack_id, decisions.c.ref, decisions.c.event)
_PASSIVE: Final = tuple(
    sorted({*TERMINAL, RunState.QUEUED, RunState.UNCONFIRMED, RunState.PENDING_REVIEW}, key=lambda state: state.value)
)


class CommitReading:
    """The questions; the class that mixes this in has the engine."""

    _engine: Engine

    def list_short_decisions(self, repository_id: RepositoryId, sha: Sha) -> list[ShortDecision]:
        """The newest decision of each stack, ref and event about that commit: those that are not ignored first, then
        by stack name; at most MAX_SHORT."""
        newest = _of_commit(repository_id, sha).ext(distinct_on(*_KEYS))
        keyed = newest.order_by(*_KEYS, decisions.c.created_at.desc(), decisions.c.id.desc()).subquery()
        is_ignored = keyed.c.verdict == Verdict.IGNORE.value
        wanted = select(keyed).order_by(is_ignored, keyed.c.stack_name, keyed.c.ref).limit(MAX_SHORT)
        return [
            ShortDecision(
                stack_id=StackId(row.stack_id),
                stack_name=row.stack_name,
                ref=row.ref,
                event=EventKind(row.event),
                verdict=Verdict(row.verdict),
                reason=row.reason,
                note=row.note,
            )
            for row in self._answer(wanted)
        ]

    def count_decided(self, repository_id: RepositoryId, sha: Sha) -> int:
        """How many different stacks, refs and events were decided about that commit, taken together."""
        different = _of_commit(repository_id, sha).ext(distinct_on(*_KEYS)).subquery()
        return int(self._answer(select(func.count().label("total")).select_from(different))[0].total)

    def list_newest_runs_at(self, repository_id: RepositoryId, sha: Sha) -> list[Run]:
        """The newest run of each stack, type and ref that reports on that commit, by id; at most MAX_RUNS."""
        keys = (runs.c.stack_id, runs.c.type, runs.c.ref)
        here = and_(runs.c.repository_id == repository_id, runs.c.head_sha == safe_text(sha))
        newest = (
            select(runs.c.id)
            .where(here)
            .ext(distinct_on(*keys))
            .order_by(*keys, runs.c.created_at.desc(), runs.c.id.desc())
        )
        wanted = select_runs().where(runs.c.id.in_(newest)).order_by(runs.c.id).limit(MAX_RUNS)
        return [read_run(row) for row in self._answer(wanted)]

    def list_runs_after(self, repository_id: RepositoryId, sha: Sha) -> list[Run]:
        """The runs that dependencies made, directly or not, of the tracked runs of that commit, oldest first; at most
        MAX_RUNS."""
        here = (runs.c.repository_id == repository_id, runs.c.head_sha == safe_text(sha))
        roots = select(func.coalesce(runs.c.workflow_id, runs.c.id)).where(*here, runs.c.type == RunType.TRACKED.value)
        made = select_runs().where(runs.c.workflow_id.in_(roots), runs.c.trigger == Trigger.DEPENDENCY.value)
        return [read_run(row) for row in self._answer(made.order_by(runs.c.created_at, runs.c.id).limit(MAX_RUNS))]

    def count_stacks_run(self, repository_id: RepositoryId, sha: Sha, *, is_state_changing: bool) -> int:
        """How many stacks have a run (of a type that changes state, or of one that does not) on that commit."""
        stacks_run = func.count(runs.c.stack_id.distinct()).label("total")
        wanted = select(stacks_run).where(_runs_of(repository_id, sha, is_state_changing=is_state_changing))
        return int(self._answer(wanted)[0].total)

    def count_stacks_failed(self, repository_id: RepositoryId, sha: Sha) -> int:
        """How many stacks have a decision about that commit that could not be made."""
        here = (decisions.c.head_sha == safe_text(sha), decisions.c.verdict == Verdict.FAIL.value)
        stacks_failed = func.count(decisions.c.stack_id.distinct()).label("total")
        return int(self._answer(select(stacks_failed).where(*here, _of_repository(repository_id)))[0].total)

    def count_under_way(self, repository_id: RepositoryId, sha: Sha, *, is_state_changing: bool) -> int:
        """How many runs on that commit will go on without anybody's doing."""
        here = _runs_of(repository_id, sha, is_state_changing=is_state_changing)
        wanted = select(func.count().label("total")).where(here, runs.c.state.not_in([one.value for one in _PASSIVE]))
        return int(self._answer(wanted)[0].total)

    def list_recorded_events(self, repository_id: RepositoryId, *, limit: int) -> list[RecordedEvent]:
        """The newest events that were decided for the repository, newest first (at most MAX_RECORDED); those whose
        inputs are not kept any more are left out."""
        of_event = select(decisions).where(decisions.c.guid == decision_inputs.c.guid, _of_repository(repository_id))
        one = of_event.order_by(decisions.c.id).limit(1).lateral("one")
        wanted = select(one, decision_inputs.c.document.label("document")).join_from(decision_inputs, one, true())
        newest = wanted.order_by(decision_inputs.c.created_at.desc(), decision_inputs.c.guid)
        return [_recorded(row) for row in self._answer(newest.limit(max(0, min(limit, MAX_RECORDED))))]

    def list_decisions_about(self, repository_id: RepositoryId, sha: Sha, stack: str) -> list[Decision]:
        """Decisions of one stack, by its name, about that commit, newest first (at most MAX_OF_STACK)."""
        here = (decisions.c.head_sha == safe_text(sha), decisions.c.stack_name == safe_text(stack))
        wanted = select_decisions().where(*here, _of_repository(repository_id))
        ordered = wanted.order_by(decisions.c.created_at.desc(), decisions.c.id.desc())
        return [read_decision(row) for row in self._answer(ordered.limit(MAX_OF_STACK))]

    def _answer(self, question: Executable) -> Sequence[Row[Any]]:
        with wall(), self._engine.connect() as connection:
            return connection.execute(question).all()


def _recorded(row: Row[Any]) -> RecordedEvent:
    return RecordedEvent(
        event=EventKind(row.event),
        action=row.action,
        ref=row.ref,
        head_sha=Sha(row.head_sha),
        pull_number=row.pull_number,
        document=row.document,
        note=row.note,
    )


def _of_repository(repository_id: RepositoryId) -> ColumnElement[bool]:
    return decisions.c.stack_id.in_(select(stacks.c.id).where(stacks.c.repository_id == repository_id))


def _of_commit(repository_id: RepositoryId, sha: Sha) -> Select[Any]:
    """Decisions about a commit, without their inputs."""
    columns = ("stack_id", "stack_name", "ref", "event", "verdict", "reason", "note")
    wanted = select(*(decisions.c[name] for name in columns))
    return wanted.where(decisions.c.head_sha == safe_text(sha), _of_repository(repository_id))


def _runs_of(repository_id: RepositoryId, sha: Sha, *, is_state_changing: bool) -> ColumnElement[bool]:
    types = [kind.value for kind in RunType if kind.is_state_changing is is_state_changing]
    return and_(runs.c.repository_id == repository_id, runs.c.head_sha == safe_text(sha), runs.c.type.in_(types))
