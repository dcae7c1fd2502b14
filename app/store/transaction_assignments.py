"""Assignments inside a transaction: who holds which run, until when by the database's clock, and what it said.

A claim and a lost lease are decided here in SQL; what follows from them is the flows' business.
"""

from dataclasses import replace
from typing import Final

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.errors import BrokenError
from app.core.names import AssignmentId, RunId
from app.core.protocol import MAX_LOG_CHUNK_BYTES, Phase
from app.core.record import AssignmentRecord, NewAssignment
from app.core.run import Run, RunState
from app.store.rows import read_assignment, read_run, select_runs
from app.store.schema import CLAIM_ORDER, IS_CLAIMABLE, assignments, log_chunks, runs
from app.store.transaction_missed import CAN_BE_ASKED
from app.store.transaction_organisation import IS_CURRENT
from app.store.transaction_runs import RunChange, RunWrites
from app.store.wire import safe_text, sealed_as

MAX_LOST: Final = 1_000
"""How many lost assignments one sweep looks at."""
_ORDER: Final = [f"order_{number}" for number in range(len(CLAIM_ORDER))]
CLAIM: Final = text(f"""
SELECT runs.id FROM (
    SELECT id, created_at, {", ".join(f"({part}) AS {name}" for part, name in zip(CLAIM_ORDER, _ORDER, strict=True))}
    FROM runs WHERE {IS_CLAIMABLE} ORDER BY {", ".join(CLAIM_ORDER)}, created_at, id OFFSET 0
) AS waiting JOIN runs ON runs.id = waiting.id
WHERE (
    SELECT runs.{IS_CLAIMABLE} AND worker_pool = :pool AND {IS_CURRENT} AND (runs.state = 'confirmed' OR {CAN_BE_ASKED})
    FROM stacks JOIN repositories ON repositories.id = stacks.repository_id WHERE stacks.id = runs.stack_id
)
ORDER BY {", ".join(_ORDER)}, waiting.created_at, waiting.id LIMIT 1 FOR NO KEY UPDATE OF runs SKIP LOCKED
""")  # noqa: S608 - our own words only
"""What waits is put in its order first (OFFSET 0 keeps it apart), and looked at one by one until the first that may go:
as a plain join, everything about every waiting run was looked up and sorted, for each claim. The state is asked for
once more of the row that was locked: it may have been taken since the statement began."""
FIRST_PROGRESS: Final = "15 seconds"
"""How long a worker has a run before its check says how far it is."""
NEXT_PROGRESS: Final = "30 seconds"
_RENEW: Final = text(f"""
WITH held AS (
    UPDATE assignments SET lease_until = clock_timestamp() + make_interval(secs => CAST(:lease_s AS double precision)),
        done = :done, told_at = CASE
            WHEN created_at < now() - interval '{FIRST_PROGRESS}'
                AND coalesce(told_at < now() - interval '{NEXT_PROGRESS}', true) THEN now() ELSE told_at END
    WHERE id = :id AND fencing = :fencing AND ended_at IS NULL AND lease_until > clock_timestamp()
    RETURNING stop_requested, pool, worker, run_id, coalesce(told_at = now(), false) AS is_to_tell
), seen AS (
    UPDATE workers SET last_seen = clock_timestamp() WHERE (pool, name) IN (
        SELECT workers.pool, name FROM workers JOIN held
            ON held.pool = workers.pool AND name IN (held.worker, regexp_replace(held.worker, '/[0-9]+$', ''))
        WHERE last_seen < clock_timestamp() - interval '5 seconds'
        FOR UPDATE OF workers SKIP LOCKED
    )
)
SELECT stop_requested, run_id, is_to_tell FROM held
""")  # noqa: S608 - our own words only


class AssignmentWrites(RunWrites):
    """Transaction methods about workers' holds."""

    def claim(self, pool: str, assignment: NewAssignment, advance: RunChange) -> tuple[Run, AssignmentRecord] | None:
        """The oldest waiting run of the pool, moved by `advance` and held by a new assignment; None when nothing waits.

        Nothing of a stack that is to be taken in again first; where the App may not work, only what was confirmed:
        that needs no token. Confirmed first, then replans, then ready; state-changing before proposed before drift.
        `advance` is handed the run with its next fencing number.
        """
        run_id = self._scalar(CLAIM, {"pool": pool})
        if run_id is None:
            return None
        row = self._first(select_runs().where(runs.c.id == run_id))
        if row is None:
            raise BrokenError(f"claiming run {run_id}: it is gone")
        waiting = read_run(row)
        phase = Phase.APPLY if waiting.state is RunState.CONFIRMED else Phase.PLAN
        phase = Phase.VALIDATE if waiting.is_from_fork else phase
        run = self._apply(replace(waiting, fencing=waiting.fencing + 1), advance)
        if run.fencing != waiting.fencing + 1:
            raise BrokenError(f"claiming run {run_id}: its fencing number did not grow")
        return run, self._add_assignment(run, phase, assignment)

    def find_assignment(self, assignment_id: AssignmentId) -> AssignmentRecord | None:
        """The assignment, or None."""
        row = self._first(select(assignments).where(assignments.c.id == safe_text(assignment_id)))
        return read_assignment(row) if row is not None else None

    def lock_assignment(self, assignment_id: AssignmentId) -> AssignmentRecord | None:
        """The assignment under its row's lock, or None."""
        wanted = select(assignments).where(assignments.c.id == safe_text(assignment_id))
        row = self._first(wanted.with_for_update(key_share=True))
        return read_assignment(row) if row is not None else None

    def find_live_assignment(self, run_id: RunId) -> AssignmentRecord | None:
        """The assignment that holds the run now, or None."""
        row = self._first(select(assignments).where(assignments.c.run_id == run_id, assignments.c.ended_at.is_(None)))
        return read_assignment(row) if row is not None else None

    def renew_lease(self, assignment_id: AssignmentId, fencing: int, lease_s: float, *, done: int = 0) -> bool | None:
        """The stop flag, with the lease renewed; None when the hold ended (also when its lease ran out). `done` is how
        many resources were dealt with; every now and then the run's check is wanted again to say so."""
        values = {"id": safe_text(assignment_id), "fencing": fencing, "lease_s": lease_s, "done": done}
        found = self._first(_RENEW, values)
        if found is None:
            return None
        if found.is_to_tell:
            self._want_check(self.get_run(found.run_id))
        return bool(found.stop_requested)

    def save_assignment(self, assignment: AssignmentRecord) -> None:
        """Save stop flag, state access and clone token of a locked assignment."""
        values = {
            "stop_requested": assignment.stop_requested,
            "stop_by": safe_text(assignment.stop_by),
            "stop_cause": safe_text(assignment.stop_cause),
            "state_token_hash": assignment.state_token_hash,
            "is_state_read_only": assignment.is_state_read_only,
            "sealed_clone_token": assignment.sealed_clone_token,
        }
        done = self._execute(update(assignments).where(assignments.c.id == assignment.id).values(values))
        if done.rowcount != 1:
            raise BrokenError(f"saving assignment {assignment.id}: there is none")

    def end_assignment(self, assignment_id: AssignmentId) -> None:
        """End the hold; the same again changes nothing."""
        live = (assignments.c.id == assignment_id) & assignments.c.ended_at.is_(None)
        self._execute(update(assignments).where(live).values(ended_at=func.clock_timestamp()))

    def list_lost_assignments(self) -> list[AssignmentRecord]:
        """Live ones whose lease ran out by the database's clock, oldest first (at most 1,000)."""
        lost = assignments.c.ended_at.is_(None) & (assignments.c.lease_until < func.clock_timestamp())
        wanted = select(assignments).where(lost).order_by(assignments.c.lease_until, assignments.c.id).limit(MAX_LOST)
        return [read_assignment(row) for row in self._all(wanted)]

    def add_log(self, assignment_id: AssignmentId, offset: int, text: bytes) -> None:
        """Keep a chunk, sealed; the same offset again changes nothing. Raises: BrokenError when it is too large."""
        if not text:
            return
        if len(text) > MAX_LOG_CHUNK_BYTES:
            raise BrokenError(f"keeping the log of assignment {assignment_id}: a chunk of {len(text)} bytes")
        sealed = self._sealer.seal(text, sealed_as("log_chunks.text", f"{assignment_id}/{offset}"))
        key = {"assignment_id": assignment_id, "offset_bytes": offset}
        values = key | {"size_bytes": len(text), "sealed_text": sealed}
        kept = insert(log_chunks).values(values).on_conflict_do_nothing().returning(log_chunks.c.offset_bytes)
        if self._scalar(kept) is not None:
            longest = func.greatest(assignments.c.log_bytes, offset + len(text))
            self._execute(update(assignments).where(assignments.c.id == assignment_id).values(log_bytes=longest))

    def _add_assignment(self, run: Run, phase: Phase, new: NewAssignment) -> AssignmentRecord:
        now = func.clock_timestamp()
        values = {
            "id": new.id,
            "run_id": run.id,
            "stack_id": run.stack_id,
            "phase": phase.value,
            "fencing": run.fencing,
            "worker": safe_text(new.worker, 200),
            "pool": new.pool,
            "token_hash": new.token_hash,
            "state_token_hash": new.state_token_hash,
            "is_state_read_only": not run.type.is_state_changing,
            "lease_until": now + func.make_interval(0, 0, 0, 0, 0, 0, new.lease_s),
        }
        row = self._first(insert(assignments).values(values).returning(assignments))
        if row is None:
            raise BrokenError(f"assigning run {run.id}: nothing was written")
        return read_assignment(row)
