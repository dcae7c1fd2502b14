"""Runs inside a transaction: the one method that changes a run, with everything that must be true in the same commit.

Knows nothing of what a step means: the pure change that is handed in says that. Lock order: stack, run, assignment.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, Select, delete, func, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from app.core import words_depend
from app.core.drift import is_comparison, is_quiet, result_of
from app.core.errors import BrokenError, UserError
from app.core.flags import FlagOwners
from app.core.names import RepositoryId, RunId, Sha, StackId
from app.core.record import ReportKind, RunFacts
from app.core.report_check import check_name
from app.core.report_summary import SummaryName
from app.core.run import ExternalState, Plan, Run, RunState, RunType, Transition
from app.core.stack import StateMode, settings_from_json
from app.core.statepoint import StatePoint, has_moved
from app.core.trigger import Triggered
from app.core.upstream import waited_for
from app.store.rows import flag_values, plan_values, read_run, run_changes, run_identity, select_runs
from app.store.schema import (
    CREATED,
    IS_LIVE,
    IS_REVIEWED,
    IS_STATE_CHANGING,
    assignments,
    plans,
    repositories,
    run_inputs,
    run_secrets,
    runs,
    stacks,
    state_versions,
    triggerings,
)
from app.store.transaction_drift import DriftWrites
from app.store.transaction_notices import DEFER_NOTIFY, DEFER_TRIGGER
from app.store.transaction_reports import ReportWrites
from app.store.wire import safe_text, sealed_as

RunChange = Callable[[Run], tuple[Run, Transition]]
"""A pure change of a run: gives the next run and the line for its history."""
MAX_RUNS_AT: Final = 500
MAX_LIVE_RUNS: Final = 5_000
MAX_EXPIRING: Final = 200
MAX_QUARANTINED: Final = 20
"""How many states that were kept apart a report names."""
MAX_BELOW: Final = 100
"""How many runs that wait below a report knows of."""
MAX_FOLLOWERS: Final = 20
"""How many queued runs of a stack are told that the one before them moved."""
WORK_CHANNEL: Final = "trackside_work"
_SHOWN: Final = frozenset(
    {
        RunState.PENDING_REVIEW,
        RunState.UNCONFIRMED,
        RunState.CONFIRMED,
        RunState.PREPARING_APPLY,
        RunState.APPLYING,
    }
)
"""In these states a person was shown the plan, or accepted it unseen: it never changes again."""


_HELD: Final = frozenset(
    {
        RunState.PREPARING,
        RunState.INITIALIZING,
        RunState.PLANNING,
        RunState.PREPARING_REPLAN,
        RunState.PREPARING_APPLY,
        RunState.APPLYING,
    }
)
"""In these states a worker has the run."""
_IS_LIVE_BELOW: Final = IS_LIVE.replace("state", "below.state")
_ADD_LINE: Final = text(f"""
WITH line AS (
    INSERT INTO run_steps (run_id, before, step, after, by, at, cause)
    VALUES (:run_id, :before, :step, :after, :by, :at, :cause) RETURNING id, run_id
), notice AS (
    INSERT INTO notices (step_id, run_id) SELECT line.id, line.run_id FROM line, stacks
    WHERE stacks.id = :stack_id AND stacks.policies::jsonb @> '[{{"type": "notification"}}]' RETURNING run_id
), ended AS (
    INSERT INTO triggerings (run_id) SELECT line.run_id FROM line, stacks
    WHERE :is_end AND stacks.id = :stack_id AND (stacks.policies::jsonb @> '[{{"type": "trigger"}}]' OR EXISTS (
        SELECT FROM runs AS below WHERE below.repository_id = stacks.repository_id AND {_IS_LIVE_BELOW}
            AND below.state = 'queued' AND below.upstreams::jsonb ? line.run_id
    )) RETURNING run_id
), chained AS (
    SELECT run_id, coalesce(workflow_id, run_id) AS workflow FROM ended JOIN runs ON runs.id = run_id
), job AS ({DEFER_NOTIFY} FROM notice), other_job AS ({DEFER_TRIGGER} FROM chained)
SELECT (SELECT count(ids) FROM job) + (SELECT count(ids) FROM other_job)
""")  # noqa: S608 - our own words only
"""A line of a run's history. Where policies say who is told of it, or what runs after its end, or where runs of stacks
below wait for that: so much, and the jobs."""
_RESTING: Final = frozenset({RunState.QUEUED, RunState.UNCONFIRMED, RunState.PENDING_REVIEW})
"""Where a run stays until somebody, or another run, has done something: summaries tell of these, and of ends."""

_NEWS: Final = _RESTING | {RunState.REPLAN_REQUESTED, RunState.CONFIRMED}
"""What the App's comment on a pull request tells of, besides ends: it rests, or a person has decided."""


class RunWrites(ReportWrites, DriftWrites):
    """Transaction methods about runs and their steps."""

    def add_run(self, run: Run, *, event_key: str | None) -> bool:
        """Insert a run with its first line of history and its report; False when `event_key` has a run already."""
        values = run_identity(run) | run_changes(run) | {"event_key": safe_text(event_key) if event_key else None}
        statement = insert(runs).values(values).on_conflict_do_nothing(index_elements=["event_key"])
        if self._scalar(statement.returning(runs.c.id)) is None:
            return False
        first: dict[str, object] = {"run_id": run.id, "before": None, "step": CREATED, "after": run.state.value}
        first |= {"by": safe_text(run.triggered_by), "at": run.created_at, "cause": run.trigger.value}
        self._execute(_ADD_LINE, first | {"stack_id": run.stack_id, "is_end": False})
        if run.plan is not None:
            self._keep_plan(run.id, run.plan)
        self._announce(run)
        return True

    def get_run(self, run_id: RunId) -> Run:
        """Raises: UserError naming the run when there is none."""
        run = self.find_run(run_id)
        if run is None:
            raise UserError(f"looking up run {run_id[:40]}: there is none; `trackside runs` lists them")
        return run

    def find_run(self, run_id: RunId) -> Run | None:
        """The run, or None."""
        row = self._first(select_runs().where(runs.c.id == safe_text(run_id)))
        return read_run(row) if row is not None else None

    def change_run(self, run_id: RunId, change: RunChange) -> Run:
        """Lock the run's row, hand the run to `change`, save, append to the history, want its reports, wake workers.

        Raises: whatever `change` raises (nothing is written then); UserError when there is no such run; BrokenError
        when the change does not start where the run is, or a guard refuses it.
        """
        # NO KEY UPDATE: history, plans and assignments that refer to the run can still be added.
        row = self._first(select_runs().where(runs.c.id == run_id).with_for_update(of=runs, key_share=True))
        if row is None:
            raise UserError(f"changing run {run_id[:40]}: there is none")
        return self._apply(read_run(row), change)

    def list_live_runs(self, stack_id: StackId) -> list[Run]:
        """Runs of the stack that have not ended, oldest first."""
        wanted = select_runs().where(runs.c.stack_id == stack_id, text(IS_LIVE))
        return self._runs(wanted.order_by(runs.c.created_at, runs.c.id).limit(MAX_LIVE_RUNS))

    def list_newer_states(self, stack_id: StackId, head_seq: int) -> dict[int, list[RunState]]:
        """The states, each once, of the stack's state-changing runs of newer commits, by `head_seq`; ended ones too."""
        columns = (runs.c.head_seq, runs.c.state)
        wanted = select(*columns).where(runs.c.stack_id == stack_id, runs.c.head_seq > head_seq)
        found: dict[int, list[RunState]] = {}
        for row in self._all(wanted.where(text(IS_STATE_CHANGING)).distinct().order_by(*columns)):
            found.setdefault(row.head_seq, []).append(RunState(row.state))
        return found

    def list_stack_runs(self, stack_id: StackId, *, limit: int) -> list[Run]:
        """The stack's newest runs, newest first."""
        wanted = select_runs().where(runs.c.stack_id == stack_id)
        return self._runs(wanted.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit))

    def list_expiring(self, *, kept_days: int) -> list[Run]:
        """Waiting plans that are to be announced as expiring within a day, or whose announced time has come; those that
        have waited longest first (at most MAX_EXPIRING)."""
        is_due = text(
            f"runs.{IS_REVIEWED} AND (runs.expires_at < clock_timestamp() OR (runs.expires_at IS NULL"
            " AND runs.updated_at < clock_timestamp() - make_interval(days => :days)))"
        ).bindparams(days=max(0, kept_days - 1))
        return self._runs(select_runs().where(is_due).order_by(runs.c.updated_at, runs.c.id).limit(MAX_EXPIRING))

    def announce_expiry(self, run_id: RunId, at: datetime) -> None:
        """Note when a waiting plan will be discarded; its report is wanted again. Call it with the stack locked."""
        waiting = update(runs).where(runs.c.id == run_id, text(IS_REVIEWED))
        if self._execute(waiting.values(expires_at=at)).rowcount == 1:
            self._want_check(self.get_run(run_id))

    def list_runs_at(self, repository_id: RepositoryId, sha: Sha) -> list[Run]:
        """Runs whose head_sha is that commit, newest first (at most 500)."""
        wanted = select_runs().where(runs.c.repository_id == repository_id, runs.c.head_sha == sha)
        return self._runs(wanted.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(MAX_RUNS_AT))

    def list_waiting_runs(self, repository_id: RepositoryId) -> list[Run]:
        """Runs of the repository that nobody has taken or decided: queued, ready, unconfirmed; oldest first."""
        states = [state.value for state in (RunState.QUEUED, RunState.READY, RunState.UNCONFIRMED)]
        wanted = select_runs().where(runs.c.repository_id == repository_id, text(IS_LIVE), runs.c.state.in_(states))
        return self._runs(wanted.order_by(runs.c.created_at, runs.c.id).limit(MAX_LIVE_RUNS))

    def list_live_proposed(self, repository_id: RepositoryId, ref: str) -> list[Run]:
        """Live proposed runs of a ref, oldest first."""
        wanted = select_runs().where(runs.c.repository_id == repository_id, runs.c.ref == safe_text(ref), text(IS_LIVE))
        wanted = wanted.where(runs.c.type == RunType.PROPOSED.value)
        return self._runs(wanted.order_by(runs.c.created_at, runs.c.id).limit(MAX_LIVE_RUNS))

    def find_event_run(self, event_key: str) -> Run | None:
        """The run that an event of that key (stack, SHA, type, ref) made, or None."""
        row = self._first(select_runs().where(runs.c.event_key == safe_text(event_key)))
        return read_run(row) if row is not None else None

    def note_pull(self, run_id: RunId, pull_number: int) -> None:
        """Note the run's pull request, unless one is known; also of a run that has ended."""
        unknown = (runs.c.id == run_id) & runs.c.pull_number.is_(None)
        self._execute(update(runs).where(unknown).values(pull_number=pull_number))

    def save_flags(self, run_id: RunId, owners: FlagOwners) -> None:
        """Save the flags of a run that has not ended; of one that has, nothing. Call it with the stack locked."""
        self._execute(update(runs).where(runs.c.id == run_id, text(IS_LIVE)).values(flag_values(owners)))

    def save_externals(self, run_id: RunId, externals: Mapping[str, ExternalState]) -> None:
        """Save what a live run waits for outside; its report is wanted again. Call it with the run's stack locked."""
        values = {safe_text(name): state.value for name, state in externals.items()}
        done = self._execute(update(runs).where(runs.c.id == run_id, text(IS_LIVE)).values(externals=values))
        if done.rowcount != 1:
            raise BrokenError(f"saving what run {run_id} waits for: it has ended")
        self._want_check(self.get_run(run_id))

    def get_run_facts(self, run: Run) -> RunFacts:
        """What a report or a page needs to know besides the run. Raises: BrokenError when its stack is not there."""
        columns = (
            stacks.c.settings,
            stacks.c.head_seq,
            stacks.c.hold_reason,
            stacks.c.is_detached,
            stacks.c.lock_key,
            stacks.c.locked_by,
            stacks.c.lock_owner,
            stacks.c.lock_note,
            stacks.c.state_mode,
            stacks.c.policies,
            repositories.c.owner,
            repositories.c.is_private,
        )
        found = runs.join(stacks, stacks.c.id == runs.c.stack_id)
        found = found.join(repositories, repositories.c.id == runs.c.repository_id)
        wanted = select(*columns, runs.c.sealed_outputs, runs.c.sealed_remarks).select_from(found)
        row = self._first(wanted.where(runs.c.id == run.id))
        if row is None:
            raise BrokenError(f"reading the facts of run {run.id}: there is none")
        settings = settings_from_json(row.settings)
        is_queued = run.state is RunState.QUEUED and run.type.is_state_changing
        blocker = self._find_blocker(run) if is_queued else None
        failed = self._find_failed_before(run) if run.is_live and run.type.is_state_changing else None
        return RunFacts(
            blocked_by=blocker.id if blocker else None,
            blocked_by_state=blocker.state.value if blocker else "",
            blocked_by_sha=blocker.head_sha if blocker else "",
            stack_head_seq=row.head_seq,
            stack_hold=row.hold_reason,
            stack_digest=settings.digest(),
            github_environment=settings.github_environment,
            outputs=self._open_or_empty(row.sealed_outputs, "runs.outputs", run.id),
            remarks=self._open_or_empty(row.sealed_remarks, "runs.remarks", run.id),
            is_stack_detached=row.is_detached,
            waits_for=_waits_for(run, row) if run.state is RunState.QUEUED else "",
            position=self._find_position(run) if is_queued else 0,
            failed_before=failed.id if failed else None,
            failed_before_sha=failed.head_sha if failed else "",
            lock_owner=row.lock_owner,
            lock_note=row.lock_note,
            is_promotion_allowed=settings.allow_promotion,
            confirm_rules=settings.confirm_rules,
            owner=row.owner,
            is_veiled=settings.veils(is_private=row.is_private),
            unjudged=_unjudged(run, row.policies),
            triggered=self._list_triggered(run) if run.state.is_terminal and run.type.is_state_changing else (),
            below=self._list_below(run) if run.is_live and run.type is RunType.TRACKED else (),
            is_drift_over=run.type is RunType.DRIFT and run.state.is_terminal and self._is_drift_over(run),
            is_reconciled=settings.drift_reconcile,
            is_stale=row.state_mode == StateMode.MANAGED.value and self._is_stale(run),
            quarantined=self._list_quarantined(run.id) if run.is_outcome_unknown else (),
            done=self._count_done(run) if run.state in _HELD else 0,
            in_state_s=max(0.0, (self.now() - run.updated_at).total_seconds()) if run.state in _HELD else 0.0,
        )

    def _list_below(self, run: Run) -> tuple[tuple[str, str], ...]:
        """Stack and id of the runs that wait for it below, by stack."""
        mine = (runs.c.repository_id == run.repository_id) & text(f"{IS_LIVE} AND state = 'queued'")
        waiting = text("runs.upstreams::jsonb ? :upstream").bindparams(upstream=run.id)
        wanted = select(runs.c.stack_name, runs.c.id).where(mine, waiting).order_by(runs.c.stack_name, runs.c.id)
        return tuple((row.stack_name, row.id) for row in self._all(wanted.limit(MAX_BELOW)))

    def _list_triggered(self, run: Run) -> tuple[Triggered, ...]:
        """What trigger policies asked for when it had ended."""
        told = self._scalar(select(triggerings.c.told).where(triggerings.c.run_id == run.id))
        return msgspec.convert(told or [], tuple[Triggered, ...])

    def _count_done(self, run: Run) -> int:
        """How many resources the run's worker has dealt with; 0 when nobody has it."""
        held = (assignments.c.run_id == run.id) & assignments.c.ended_at.is_(None)
        return int(self._scalar(select(assignments.c.done).where(held)) or 0)

    def _is_stale(self, run: Run) -> bool:
        """True when the stack's state is not the one that the waiting plan was made from."""
        if run.state is not RunState.UNCONFIRMED or run.plan is None or run.plan.state is None:
            return False
        table = state_versions.c
        current = select(table.serial, table.lineage).where(table.stack_id == run.stack_id, ~table.is_quarantined)
        row = self._first(current.order_by(table.seq.desc()).limit(1))
        return has_moved(run.plan.state, StatePoint(serial=row.serial, lineage=row.lineage) if row else None)

    def _list_quarantined(self, run_id: RunId) -> tuple[str, ...]:
        """What its workers wrote after their time."""
        found = state_versions.join(assignments, assignments.c.id == state_versions.c.assignment_id)
        wanted = select(state_versions.c.id).select_from(found)
        wanted = wanted.where(assignments.c.run_id == run_id, state_versions.c.is_quarantined)
        return tuple(row.id for row in self._all(wanted.order_by(state_versions.c.seq).limit(MAX_QUARANTINED)))

    def save_outputs(self, run_id: RunId, outputs: bytes) -> None:
        """Keep the outputs of an apply, sealed."""
        sealed = self._sealer.seal(outputs, sealed_as("runs.outputs", run_id))
        self._execute(update(runs).where(runs.c.id == run_id).values(sealed_outputs=sealed))

    def save_remarks(self, run_id: RunId, remarks: bytes) -> None:
        """Keep the errors that a run failed by, sealed."""
        sealed = self._sealer.seal(remarks, sealed_as("runs.remarks", run_id))
        self._execute(update(runs).where(runs.c.id == run_id).values(sealed_remarks=sealed))

    def save_data_key(self, run_id: RunId, sealed: bytes) -> None:
        """Keep the run's sealed data key; empty bytes destroy it."""
        self._execute(update(runs).where(runs.c.id == run_id).values(sealed_data_key=sealed or None))

    def find_data_key(self, run_id: RunId) -> bytes | None:
        """The run's sealed data key, or None."""
        found = self._scalar(select(runs.c.sealed_data_key).where(runs.c.id == run_id))
        return bytes(found) if found is not None else None

    def _apply(self, run: Run, change: RunChange) -> Run:
        after, line = change(run)
        if after.id != run.id or line.before is not run.state or line.after is not after.state:
            raise BrokenError(f"changing run {run.id}: the change does not start at {run.state.value}")
        same = (runs.c.id == run.id) & (runs.c.state == run.state.value)
        done = self._execute(update(runs).where(same).values(run_changes(after) | _forgotten(after)))
        if done.rowcount != 1:
            raise BrokenError(f"changing run {run.id}: it is not {run.state.value} any more")
        is_end = after.state.is_terminal and run.type.is_state_changing
        self._execute(_ADD_LINE, _step_values(run.id, line) | {"stack_id": run.stack_id, "is_end": is_end})
        if after.state.is_terminal:  # what its plan was made with is needed by nobody any more
            self._execute(delete(run_secrets).where(run_secrets.c.run_id == run.id))
            self._execute(delete(run_inputs).where(run_inputs.c.run_id == run.id))
        if after.plan is not None and after.plan != run.plan:
            self._keep_plan(run.id, after.plan)
        if after.plan is not None and after.state in _SHOWN:
            shown = (plans.c.run_id == run.id) & (plans.c.number == after.plan.number) & plans.c.is_frozen.is_(False)
            self._execute(update(plans).where(shown).values(is_frozen=True))
        self._announce(after)
        if run.type.is_state_changing and (after.state is RunState.UNCONFIRMED or after.state.is_terminal):
            self._announce_followers(after)
        self._tell_of_drift(after)
        return after

    def _tell_of_drift(self, run: Run) -> None:
        """A drift run that has ended is counted; what one found before no longer stands once the stack was deployed."""
        if run.type is RunType.DRIFT and run.state.is_terminal:
            self.count_drift(result_of(run))
        if run.type.is_state_changing and run.state is RunState.FINISHED:
            found = self._find_standing_drift(run.stack_id, but_for=run.id)
            if found is not None:
                self._want_check(found)

    def _keep_plan(self, run_id: RunId, plan: Plan) -> None:
        values = plan_values(run_id, plan)
        statement = insert(plans).values(values)
        changes = {key: value for key, value in values.items() if key not in ("run_id", "number")}
        changes["sealed_summary"] = None  # of another plan
        self._execute(
            statement.on_conflict_do_update(
                index_elements=["run_id", "number"], set_=changes, where=plans.c.digest != plan.digest
            )
        )

    def _announce(self, run: Run) -> None:
        self._want_check(run)
        if run.type.is_state_changing and run.plan is not None and run.plan.has_changes:
            self._want_later(ReportKind.DEPLOYMENT, run.repository_id, run.id, run.id)
        if run.state.is_waiting_for_worker:
            wake = (
                select(text("pg_notify(:channel, worker_pool)")).select_from(stacks).where(stacks.c.id == run.stack_id)
            )
            self._execute(wake, {"channel": WORK_CHANNEL})

    def _announce_followers(self, run: Run) -> None:
        wanted = select_runs().where(
            runs.c.stack_id == run.stack_id, text(IS_LIVE), runs.c.state == RunState.QUEUED.value
        )
        for follower in self._runs(wanted.order_by(runs.c.created_at, runs.c.id).limit(MAX_FOLLOWERS)):
            self._want_check(follower)

    def _want_check(self, run: Run) -> None:
        if is_quiet(run) and not is_comparison(run):
            return  # by schedule, and nothing is found yet: what stands on the commit stays true
        self._want_later(ReportKind.RUN_CHECK, run.repository_id, f"{run.head_sha}/{check_name(run)}", run.id)
        is_told = run.state.is_terminal or run.state in _RESTING
        if is_told and run.type is not RunType.DRIFT:  # no summary tells of those
            summary = SummaryName.DEPLOY if run.type.is_state_changing else SummaryName.PROPOSED
            self._retell_summary(run.repository_id, run.head_sha, summary.value)
        if run.state.is_terminal or run.state in _NEWS:
            self.want_comment_of(run)

    def want_comment_of(self, run: Run) -> None:
        """Want the App's comment on the run's pull request, and on the one that became its commit."""
        if run.type is RunType.TRACKED:
            self._want_comment_of_landed(run.repository_id, run.head_sha)
        if run.pull_number is not None and run.type in (RunType.PROPOSED, RunType.TRACKED):
            self.want_comment(run.repository_id, run.pull_number)

    def _find_blocker(self, run: Run) -> Run | None:
        """The state-changing run that holds the stack, else the oldest queued one before this."""
        others = select_runs().where(
            runs.c.stack_id == run.stack_id,
            text(f"{IS_STATE_CHANGING} AND {IS_LIVE}"),
            (runs.c.state != RunState.QUEUED.value) | (runs.c.created_at < run.created_at),
            runs.c.id != run.id,
        )
        queued_last = text("runs.state = 'queued'")
        found = self._runs(others.order_by(queued_last, runs.c.created_at, runs.c.id).limit(1))
        return found[0] if found else None

    def _find_position(self, run: Run) -> int:
        """The run's place among the queued state-changing ones of its stack, from 1."""
        before = select(func.count()).where(
            runs.c.stack_id == run.stack_id,
            text(f"{IS_STATE_CHANGING} AND {IS_LIVE} AND runs.state = 'queued'"),
            tuple_(runs.c.created_at, runs.c.id) < tuple_(literal(run.created_at), literal(run.id)),
        )
        return int(self._scalar(before)) + 1

    def _find_failed_before(self, run: Run) -> Run | None:
        """The newest older state-changing run of the stack that got anywhere, if it failed."""
        passed_over = [state.value for state in (RunState.CANCELED, RunState.SKIPPED)]
        older = select_runs().where(
            runs.c.stack_id == run.stack_id,
            text(IS_STATE_CHANGING),
            runs.c.state.not_in(passed_over),
            tuple_(runs.c.created_at, runs.c.id) < tuple_(literal(run.created_at), literal(run.id)),
        )
        found = self._runs(older.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1))
        return found[0] if found and found[0].state is RunState.FAILED else None

    def _runs(self, wanted: Select[Any]) -> list[Run]:
        return [read_run(row) for row in self._all(wanted)]

    def _open_or_empty(self, sealed: bytes | None, column: str, row_id: str) -> bytes:
        return self._sealer.open(bytes(sealed), sealed_as(column, row_id)) if sealed is not None else b""


def _forgotten(run: Run) -> dict[str, object]:
    """The data key dies with the run: what is left of its archives opens no more. Kept when the outcome is unknown."""
    return {"sealed_data_key": None} if run.state.is_terminal and not run.is_outcome_unknown else {}


def _waits_for(run: Run, row: Row[Any]) -> str:
    """What keeps a queued run back besides another run, in words."""
    lock_key, locked_by, owner = row.lock_key, row.locked_by, row.lock_owner
    if run.waits_for:
        return f"{', '.join(run.waits_for)} outside of Trackside"
    above = waited_for(run.upstreams)
    if above:
        return words_depend.waits_for(above)
    if run.type.is_state_changing and lock_key not in ("", run.lock_key):
        return f"the stack's lock {lock_key}, taken by {locked_by}"
    if run.type.is_state_changing and owner and owner.lower() != run.triggered_by.lower():
        return f"{owner}, who has locked the stack" + (f": {row.lock_note}" if row.lock_note else "")
    return ""


def _unjudged(run: Run, policies: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The stack's plan policies that have not judged the waiting plan, by name."""
    if run.state is not RunState.UNCONFIRMED or run.plan is None:
        return ()
    known = {ruling.key for ruling in run.plan.rulings}
    return tuple(
        one["name"] for one in policies if one["type"] == "plan" and (one["name"], one.get("digest", "")) not in known
    )


def _step_values(run_id: RunId, line: Transition) -> dict[str, object]:
    return {
        "run_id": run_id,
        "before": line.before.value,
        "step": line.step.value,
        "after": line.after.value,
        "by": safe_text(line.by),
        "at": line.at,
        "cause": safe_text(line.cause),
    }
