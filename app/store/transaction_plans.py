"""Plans, confirmations, managed state and the audit log inside a transaction.

A plan's summary lies sealed and compressed; a state's bytes are an artifact and never come here.
"""

from typing import Any, Final

import msgspec
import zstandard
from sqlalchemy import Row, and_, delete, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.core.errors import BrokenError
from app.core.names import AssignmentId, Digest, RunId, StackId
from app.core.plan import PlanSummary
from app.core.protocol import MAX_BODY_BYTES
from app.core.record import AssignmentRecord, AuditLine, StateLock, StateVersion
from app.core.run import Confirmation, Plan
from app.store.rows import plan_values, read_assignment, read_confirmation, read_plan
from app.store.schema import assignments, audit, confirmations, plans, state_locks, state_versions
from app.store.wire import Wire, safe_text, sealed_as

_LEVEL: Final = 1
MAX_VERSIONS: Final = 1_000


class PlanWrites(Wire):
    """Transaction methods about plans, confirmations, state and audit."""

    def add_confirmation(self, confirmation: Confirmation) -> None:
        """Keep a confirmation, for ever. Raises: BrokenError when it is of another commit or other settings."""
        values = {
            "run_id": confirmation.run_id,
            "plan_number": confirmation.plan_number,
            "plan_digest": confirmation.plan_digest,
            "head_sha": confirmation.head_sha,
            "stack_digest": confirmation.stack_digest,
            "actor": safe_text(confirmation.actor),
            "at": confirmation.at,
            "source": safe_text(confirmation.source),
        }
        self._execute(insert(confirmations).values(values))

    def get_confirmation(self, run_id: RunId) -> Confirmation:
        """The newest confirmation of a run. Raises: BrokenError when there is none: nothing may be applied then."""
        wanted = select(confirmations).where(confirmations.c.run_id == run_id)
        row = self._first(wanted.order_by(confirmations.c.plan_number.desc()).limit(1))
        if row is None:
            raise BrokenError(f"reading the confirmation of run {run_id}: there is none")
        return read_confirmation(row)

    def save_plan(self, run_id: RunId, plan: Plan, summary: PlanSummary) -> None:
        """Keep a plan and its sealed summary; the same number again replaces it until a person was shown it.

        Raises: BrokenError when a person was shown another plan of that number.
        """
        context = sealed_as("plans.summary", f"{run_id}/{plan.number}")
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.json.encode(summary))
        values = plan_values(run_id, plan) | {"sealed_summary": self._sealer.seal(packed, context)}
        changes = {key: value for key, value in values.items() if key not in ("run_id", "number")}
        is_open = or_(plans.c.is_frozen.is_(False), plans.c.sealed_summary.is_(None))
        statement = insert(plans).values(values)
        statement = statement.on_conflict_do_update(index_elements=["run_id", "number"], set_=changes, where=is_open)
        if self._scalar(statement.returning(plans.c.number)) is None:
            raise BrokenError(f"saving plan {plan.number} of run {run_id}: a person was shown it already")

    def get_plan(self, run_id: RunId, number: int) -> Plan:
        """Raises: BrokenError when the run has no such plan."""
        plan = self.find_plan(run_id, number)
        if plan is None:
            raise BrokenError(f"reading plan {number} of run {run_id}: there is none")
        return plan

    def find_plan(self, run_id: RunId, number: int) -> Plan | None:
        """The plan of that number, or None."""
        row = self._first(select(plans).where(plans.c.run_id == run_id, plans.c.number == number))
        return read_plan(row) if row is not None else None

    def find_summary(self, run_id: RunId, number: int) -> PlanSummary | None:
        """The summary of a plan, or None."""
        wanted = select(plans.c.sealed_summary).where(plans.c.run_id == run_id, plans.c.number == number)
        sealed = self._scalar(wanted)
        if sealed is None:
            return None
        packed = self._sealer.open(bytes(sealed), sealed_as("plans.summary", f"{run_id}/{number}"))
        clear = zstandard.ZstdDecompressor().decompress(packed, max_output_size=2 * MAX_BODY_BYTES)
        return msgspec.json.decode(clear, type=PlanSummary)

    def find_state(self, stack_id: StackId) -> StateVersion | None:
        """The current version, or None before the first."""
        table = state_versions.c
        wanted = select(state_versions).where(table.stack_id == stack_id, ~table.is_quarantined)
        row = self._first(wanted.order_by(table.seq.desc()).limit(1))
        if row is None:
            return None
        return _state_version(row)

    def list_state_versions(self, stack_id: StackId) -> list[StateVersion]:
        """Every version, quarantined ones too, newest first (at most MAX_VERSIONS)."""
        wanted = select(state_versions).where(state_versions.c.stack_id == stack_id)
        rows = self._all(wanted.order_by(state_versions.c.seq.desc()).limit(MAX_VERSIONS))
        return [_state_version(row) for row in rows]

    def find_state_version(self, stack_id: StackId, version_id: str) -> StateVersion | None:
        """One version of that stack, or None."""
        table = state_versions.c
        wanted = select(state_versions).where(table.stack_id == stack_id, table.id == safe_text(version_id))
        row = self._first(wanted)
        return _state_version(row) if row is not None else None

    def delete_state_version(self, version_id: str) -> None:
        """Forget a version; its artifact is the caller's to delete, after the commit."""
        self._execute(delete(state_versions).where(state_versions.c.id == version_id))

    def list_state_writers(self, stack_id: StackId) -> list[AssignmentRecord]:
        """Live assignments whose worker may write the stack's state."""
        table = assignments.c
        is_live = and_(table.ended_at.is_(None), table.is_state_read_only.is_(False))
        rows = self._all(select(assignments).where(table.stack_id == stack_id, is_live))
        return [read_assignment(row) for row in rows]

    def add_state_version(self, version: StateVersion) -> None:
        """Keep a version; it becomes current unless quarantined."""
        values = {
            "id": version.id,
            "stack_id": version.stack_id,
            "serial": version.serial,
            "lineage": safe_text(version.lineage),
            "digest": version.digest,
            "size_bytes": version.size_bytes,
            "artifact_key": version.artifact_key,
            "assignment_id": version.assignment_id,
            "is_quarantined": version.is_quarantined,
            "created_at": version.created_at,
        }
        self._execute(insert(state_versions).values(values))

    def find_state_lock(self, stack_id: StackId) -> StateLock | None:
        """Who holds the state, or None."""
        row = self._first(select(state_locks).where(state_locks.c.stack_id == stack_id))
        if row is None:
            return None
        return StateLock(
            lock_id=row.lock_id,
            info=bytes(row.info),
            assignment_id=AssignmentId(row.assignment_id),
            created_at=row.created_at,
        )

    def set_state_lock(self, stack_id: StackId, lock: StateLock | None) -> None:
        """Write or take away the lock; the caller holds the stack."""
        if lock is None:
            self._execute(delete(state_locks).where(state_locks.c.stack_id == stack_id))
            return
        values = {
            "lock_id": safe_text(lock.lock_id),
            "info": lock.info,
            "assignment_id": lock.assignment_id,
            "created_at": lock.created_at,
        }
        statement = insert(state_locks).values(stack_id=stack_id, **values)
        self._execute(statement.on_conflict_do_update(index_elements=["stack_id"], set_=values))

    def add_audit(self, line: AuditLine) -> None:
        """Append one line to the audit log."""
        values = {
            "at": line.at,
            "actor": safe_text(line.actor),
            "source": safe_text(line.source),
            "command": safe_text(line.command),
            "run_id": line.run_id,
            "repository_id": line.repository_id,
            "is_allowed": line.is_allowed,
            "reason": safe_text(line.reason),
        }
        self._execute(insert(audit).values(values))


def _state_version(row: Row[Any]) -> StateVersion:
    return StateVersion(
        id=row.id,
        stack_id=StackId(row.stack_id),
        serial=row.serial,
        lineage=row.lineage,
        digest=Digest(row.digest),
        size_bytes=row.size_bytes,
        artifact_key=row.artifact_key,
        assignment_id=AssignmentId(row.assignment_id) if row.assignment_id is not None else None,
        is_quarantined=row.is_quarantined,
        created_at=row.created_at,
    )
