"""What runs when a run has ended, inside a transaction: runs whose trigger policies are to be asked, and workflows.

Knows nothing of policies. The line that ends a run, in `transaction_runs`, says that they are to be asked.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, or_, select, text, update

from app.core.names import RepositoryId, RunId, StackId
from app.core.notice import StateChange
from app.core.record import ReportKind
from app.core.report_check import check_name
from app.core.run import Run, RunState, RunType
from app.core.stack import Stack
from app.core.trigger import MAX_WORKFLOW, Member, Triggered
from app.store.rows import read_run, select_runs
from app.store.schema import IS_LIVE, run_steps, runs, triggerings
from app.store.transaction_notices import MAX_STEPS, state_changes
from app.store.transaction_reports import ReportWrites
from app.store.wire import safe_text

MAX_QUEUED = 10_000


class TriggerWrites(ReportWrites):
    """Transaction methods about what runs after a run has ended."""

    def is_to_trigger(self, run_id: RunId) -> bool:
        """True while the trigger policies of a run that has ended are still to be asked."""
        waiting = (triggerings.c.run_id == safe_text(run_id)) & triggerings.c.asked_at.is_(None)
        return self._scalar(select(triggerings.c.run_id).where(waiting)) is not None

    def take_triggering(self, run_id: RunId) -> bool:
        """From now on they were asked; false when somebody else has done it. Call it with every stack locked that may
        get a run."""
        waiting = (triggerings.c.run_id == run_id) & triggerings.c.asked_at.is_(None)
        statement = update(triggerings).where(waiting).values(asked_at=func.clock_timestamp())
        return self._execute(statement).rowcount == 1

    def save_triggered(self, run: Run, told: Sequence[Triggered]) -> None:
        """Keep what was made of it, in the transaction that took it; the run's report is wanted again."""
        if told:
            self._execute(update(triggerings).where(triggerings.c.run_id == run.id).values(told=_listed(told)))
            subject = f"{run.head_sha}/{check_name(run)}"
            self._want_later(ReportKind.RUN_CHECK, run.repository_id, subject, run.id)

    def list_history(self, run_id: RunId) -> list[StateChange]:
        """Every change of a run's state, oldest first (at most MAX_STEPS)."""
        history = select(run_steps).where(run_steps.c.run_id == run_id).order_by(run_steps.c.id).limit(MAX_STEPS)
        return state_changes(self._all(history))

    def list_workflow(self, first: RunId) -> list[Member]:
        """The first run of a workflow and every run that trigger policies made of it, oldest first (at most one more
        than MAX_WORKFLOW)."""
        mine = or_(runs.c.id == first, runs.c.workflow_id == first)
        untold = triggerings.c.run_id.is_not(None) & triggerings.c.asked_at.is_(None)
        wanted = select(runs.c.id, runs.c.stack_id, runs.c.type, runs.c.state, untold.label("is_untold"))
        wanted = wanted.select_from(runs.outerjoin(triggerings, triggerings.c.run_id == runs.c.id)).where(mine)
        rows = self._all(wanted.order_by(runs.c.created_at, runs.c.id).limit(MAX_WORKFLOW + 1))
        return [
            Member(
                id=RunId(row.id),
                stack_id=StackId(row.stack_id),
                type=RunType(row.type),
                state=RunState(row.state),
                state_before=self._state_before(RunId(row.id)) if row.is_untold else None,
            )
            for row in rows
        ]

    def lock_workflow(self, first: RunId) -> None:
        """Lock the first run's row: what the workflow is cannot change by asking meanwhile."""
        self._scalar(select(runs.c.id).where(runs.c.id == first).with_for_update(key_share=True))

    def find_deployment(self, stack: Stack) -> Run | None:
        """The run that deploys the stack's head and knows where the commit came from: one that an event made before one
        that was ordered, then the newest; None: no run of the stack does."""
        at_head = (runs.c.repository_id == stack.repository_id) & (runs.c.head_sha == stack.head_sha)
        mine = (runs.c.stack_id == stack.id) & (runs.c.type == RunType.TRACKED.value)
        order = (runs.c.decision_id.is_(None), runs.c.created_at.desc(), runs.c.id.desc())
        row = self._first(select_runs().where(at_head, mine).order_by(*order).limit(1))
        return read_run(row) if row is not None else None

    def _state_before(self, run_id: RunId) -> RunState:
        """Where the run was before its newest step."""
        newest = select(run_steps.c.before).where(run_steps.c.run_id == run_id, run_steps.c.before.is_not(None))
        return RunState(self._scalar(newest.order_by(run_steps.c.id.desc()).limit(1)))

    def list_queued_runs(self, repository_ids: Sequence[RepositoryId]) -> list[Run]:
        """Queued runs of those repositories, oldest first (at most MAX_QUEUED)."""
        wanted = select_runs().where(
            runs.c.repository_id.in_(list(repository_ids)), text(IS_LIVE), runs.c.state == RunState.QUEUED.value
        )
        return [read_run(row) for row in self._all(wanted.order_by(runs.c.created_at, runs.c.id).limit(MAX_QUEUED))]


def _listed(told: Sequence[Triggered]) -> list[object]:
    return [{key: safe_text(value) for key, value in msgspec.to_builtins(one).items()} for one in told]
