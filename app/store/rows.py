"""Runs, plans and assignments as rows: from the core's values to columns and back.

Runs no SQL itself.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, Select, null, select

from app.core.choice import Targeting
from app.core.flags import FlagOwners
from app.core.names import (
    AssignmentId,
    ConfigVersionId,
    DecisionId,
    Digest,
    RepositoryId,
    RunId,
    Sha,
    StackId,
)
from app.core.plan import Delta
from app.core.protocol import Phase
from app.core.record import AssignmentRecord
from app.core.rest import Rest
from app.core.ruling import ApprovalRuling, PlanRuling, approval_of
from app.core.run import Confirmation, ExternalState, Plan, Run, RunState, RunType, Trigger
from app.core.statepoint import Obstacle, StatePoint
from app.core.upstream import Upstream
from app.store.schema import assignments, plans, runs
from app.store.wire import safe_json, safe_text

_PLAN_COLUMNS: Final = (
    "digest",
    "delta",
    "has_changes",
    "engine",
    "created_at",
    "published_at",
    "state_serial",
    "state_lineage",
    "rulings",
    "approvals",
    "rest_least",
    "rest_most",
)
_SEALED: Final = ("sealed_outputs", "sealed_remarks", "sealed_data_key", "event_key")


def select_runs() -> Select[Any]:
    """Runs with the plan that each holds; where and order are the caller's."""
    held = (plans.c.run_id == runs.c.id) & (plans.c.number == runs.c.current_plan)
    columns = [column for column in runs.c if column.name not in _SEALED]
    plan_columns = [plans.c[name].label(f"plan_{name}") for name in _PLAN_COLUMNS]
    return select(*columns, *plan_columns).select_from(runs.outerjoin(plans, held))


def read_run(row: Row[Any]) -> Run:
    """The run of a row of `select_runs`."""
    plan = None
    if row.current_plan is not None and row.plan_digest is not None:
        plan = Plan(
            number=row.current_plan,
            digest=Digest(row.plan_digest),
            delta=msgspec.json.decode(row.plan_delta, type=Delta),
            has_changes=row.plan_has_changes,
            engine=row.plan_engine,
            created_at=row.plan_created_at,
            published_at=row.plan_published_at,
            state=_state_point(row.plan_state_serial, row.plan_state_lineage),
            rulings=msgspec.convert(row.plan_rulings, tuple[PlanRuling, ...]),
            approvals=msgspec.convert(row.plan_approvals, tuple[ApprovalRuling, ...]),
            rest=_rest(row.plan_rest_least, row.plan_rest_most),
        )
    return Run(
        id=RunId(row.id),
        stack_id=StackId(row.stack_id),
        stack_name=row.stack_name,
        repository_id=RepositoryId(row.repository_id),
        type=RunType(row.type),
        state=RunState(row.state),
        head_sha=Sha(row.head_sha),
        source_sha=Sha(row.source_sha),
        ref=row.ref,
        head_seq=row.head_seq,
        stack_digest=Digest(row.stack_digest),
        config_version_id=ConfigVersionId(row.config_version_id),
        decision_id=DecisionId(row.decision_id) if row.decision_id is not None else None,
        trigger=Trigger(row.trigger),
        triggered_by=row.triggered_by,
        message=row.message,
        created_at=row.created_at,
        updated_at=row.updated_at,
        fencing=row.fencing,
        attempts=row.attempts,
        plan_number=row.plan_number,
        plan=plan,
        confirmed_digest=Digest(row.confirmed_digest) if row.confirmed_digest is not None else None,
        reason=row.reason,
        is_outcome_unknown=row.is_outcome_unknown,
        decided_by=row.decided_by,
        pull_number=row.pull_number,
        is_prioritized=row.is_prioritized,
        is_from_fork=row.is_from_fork,
        lock_key=row.lock_key,
        flag_owners=_flag_owners(row),
        externals={name: ExternalState(state) for name, state in row.externals.items()},
        note=row.note,
        retry_of=RunId(row.retry_of) if row.retry_of is not None else None,
        caused_by=RunId(row.caused_by) if row.caused_by is not None else None,
        workflow_id=RunId(row.workflow_id) if row.workflow_id is not None else None,
        generation=row.generation,
        expires_at=row.expires_at,
        targeting=msgspec.convert(row.targeting, Targeting) if row.targeting is not None else None,
        obstacle=Obstacle(row.obstacle) if row.obstacle is not None else None,
        upstreams=msgspec.convert(row.upstreams, dict[str, Upstream]),
        changed_outputs=tuple(row.changed_outputs),
    )


def run_identity(run: Run) -> dict[str, object]:
    """The columns that are written once."""
    return {
        "id": run.id,
        "stack_id": run.stack_id,
        "stack_name": safe_text(run.stack_name),
        "repository_id": run.repository_id,
        "type": run.type.value,
        "head_sha": run.head_sha,
        "source_sha": run.source_sha,
        "ref": safe_text(run.ref),
        "head_seq": run.head_seq,
        "decision_id": run.decision_id,
        "trigger": run.trigger.value,
        "triggered_by": safe_text(run.triggered_by),
        "message": safe_text(run.message),
        "created_at": run.created_at,
        "is_prioritized": run.is_prioritized,
        "is_from_fork": run.is_from_fork,
        "lock_key": safe_text(run.lock_key),
        "note": safe_text(run.note),
        "retry_of": run.retry_of,
        "caused_by": run.caused_by,
        "workflow_id": run.workflow_id,
        "generation": run.generation,
    }


def run_changes(run: Run) -> dict[str, object]:
    """The columns that a step may change; the settings only when a worker takes the run, as a guard demands."""
    return {
        "state": run.state.value,
        "stack_digest": run.stack_digest,
        "config_version_id": run.config_version_id,
        "updated_at": run.updated_at,
        "fencing": run.fencing,
        "attempts": run.attempts,
        "plan_number": run.plan_number,
        "current_plan": run.plan.number if run.plan else None,
        "confirmed_digest": run.confirmed_digest,
        "reason": safe_text(run.reason),
        "is_outcome_unknown": run.is_outcome_unknown,
        "decided_by": safe_text(run.decided_by),
        "pull_number": run.pull_number,
        **flag_values(run.flag_owners),
        "expires_at": run.expires_at,
        "externals": {safe_text(name): state.value for name, state in run.externals.items()},
        "targeting": msgspec.to_builtins(run.targeting) if run.targeting is not None else null(),
        "obstacle": run.obstacle.value if run.obstacle is not None else None,
        "upstreams": safe_json(msgspec.to_builtins(dict(run.upstreams))),
        "changed_outputs": safe_json(list(run.changed_outputs)),
    }


def flag_values(owners: FlagOwners) -> dict[str, object]:
    """The columns of a run's flags: their names, as versions before knew them, and whose they are."""
    safe = {safe_text(flag): [safe_text(owner) for owner in names] for flag, names in owners.items()}
    return {"flags": sorted(safe), "flag_owners": safe}


def _flag_owners(row: Row[Any]) -> FlagOwners:
    return {flag: tuple(row.flag_owners.get(flag, ())) for flag in row.flags}


def plan_values(run_id: RunId, plan: Plan) -> dict[str, object]:
    """The columns of a plan, without its summary and without when it was published."""
    return {
        "run_id": run_id,
        "number": plan.number,
        "digest": plan.digest,
        "delta": msgspec.json.encode(plan.delta).decode(),
        "has_changes": plan.has_changes,
        "engine": safe_text(plan.engine),
        "created_at": plan.created_at,
        "state_serial": plan.state.serial if plan.state is not None else None,
        "state_lineage": safe_text(plan.state.lineage) if plan.state is not None else None,
        "rulings": safe_json(msgspec.to_builtins(plan.rulings)),
        "verdict": plan.verdict.value,
        "rest_least": plan.rest.least if plan.rest is not None else None,
        "rest_most": plan.rest.most if plan.rest is not None else None,
        **approval_values(plan.approvals),
    }


def approval_values(approvals: Sequence[ApprovalRuling]) -> dict[str, object]:
    """The columns of what approval policies said last."""
    return {"approvals": safe_json(msgspec.to_builtins(tuple(approvals))), "approval": approval_of(approvals).value}


def read_plan(row: Row[Any]) -> Plan:
    """The plan of a row of `plans`."""
    return Plan(
        number=row.number,
        digest=Digest(row.digest),
        delta=msgspec.json.decode(row.delta, type=Delta),
        has_changes=row.has_changes,
        engine=row.engine,
        created_at=row.created_at,
        published_at=row.published_at,
        state=_state_point(row.state_serial, row.state_lineage),
        rulings=msgspec.convert(row.rulings, tuple[PlanRuling, ...]),
        approvals=msgspec.convert(row.approvals, tuple[ApprovalRuling, ...]),
        rest=_rest(row.rest_least, row.rest_most),
    )


def _state_point(serial: int | None, lineage: str | None) -> StatePoint | None:
    return None if serial is None or lineage is None else StatePoint(serial=serial, lineage=lineage)


def _rest(least: int | None, most: int | None) -> Rest | None:
    return None if least is None or most is None else Rest(least=least, most=most)


def read_confirmation(row: Row[Any]) -> Confirmation:
    """The confirmation of a row of `confirmations`."""
    return Confirmation(
        run_id=RunId(row.run_id),
        plan_number=row.plan_number,
        plan_digest=Digest(row.plan_digest),
        head_sha=Sha(row.head_sha),
        stack_digest=Digest(row.stack_digest),
        actor=row.actor,
        at=row.at,
        source=row.source,
    )


def read_assignment(row: Row[Any]) -> AssignmentRecord:
    """The assignment of a row of `assignments`."""
    values = {column.name: getattr(row, column.name) for column in assignments.c}
    values["id"] = AssignmentId(row.id)
    values["phase"] = Phase(row.phase)
    values["sealed_clone_token"] = bytes(row.sealed_clone_token)
    return AssignmentRecord(**values)
