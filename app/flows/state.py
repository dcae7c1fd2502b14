"""Terraform's managed state: read, written and locked with credentials that die with their assignment.

An assignment that plans reads and locks; it writes from the moment that `applying` was committed for it. A write after
its end, or past somebody else's lock, is kept apart and never becomes current.
"""

import hashlib
import json
from dataclasses import dataclass, replace

from app.core import words_state as words
from app.core.errors import LeaseLost, NotAuthorised, UserError
from app.core.managed import (
    StateCaller,
    StateDone,
    StateFound,
    StateLockHeld,
    StateLocking,
    StateMissing,
    StateQuarantined,
    StateReadOnly,
    StateWrite,
)
from app.core.names import Digest, StackId
from app.core.record import AssignmentRecord, StateLock, StateVersion
from app.flows.held import has_come_to_apply
from app.flows.ports import Artifacts, Sealer, Store, Transaction
from app.flows.schedule import tell, tell_state_moved

MAX_STATE_BYTES = 256 * 1024 * 1024
SEALING_BYTES = 1024
"""What sealing may add to a state's size, generously."""


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """The use cases of Terraform's http backend."""

    store: Store
    artifacts: Artifacts
    sealer: Sealer

    def authorise(self, caller: StateCaller) -> None:
        """Nothing when the credentials are right, also of an assignment that is over. Raises: NotAuthorised."""
        with self.store.begin() as tx:
            self._record(tx, caller)

    def read(self, caller: StateCaller) -> StateFound | StateMissing:
        """The current state. Raises: NotAuthorised, LeaseLost.

        Before the first write of a state Terraform asks whether there is none; a lost apply is told so as well, else
        what it made would never be written, and kept apart.
        """
        with self.store.begin() as tx:
            record = self._record(tx, caller)
            version = tx.find_state(caller.stack_id)
            may_ask = version is None and has_come_to_apply(tx.get_run(record.run_id), record)
            if not may_ask and not _is_live(tx, record):
                raise LeaseLost(f"assignment {record.id} is over")
        if version is None:
            return StateMissing()
        with self.artifacts.open(version.artifact_key) as sealed:
            return StateFound(self.sealer.open(sealed.read(), state_context(version)))

    def write(self, caller: StateCaller, lock_id: str, data: bytes) -> StateWrite:
        """Keep a new version; it becomes current when the assignment applies and nobody else holds the lock."""
        if len(data) > MAX_STATE_BYTES:
            raise UserError(f"writing the state of stack {caller.stack_id}: larger than {MAX_STATE_BYTES} bytes")
        with self.store.begin() as tx:
            record = self._record(tx, caller)
            if record.is_state_read_only:
                return StateReadOnly(words.PREVIEWS_ONLY)
            if not has_come_to_apply(tx.get_run(record.run_id), record):
                return StateReadOnly(words.NOT_APPLYING)
            version = self._version(tx, caller.stack_id, record, data)
        # The bytes are stored before the row that names them: a row never points at nothing.
        sealed = self.sealer.seal(data, state_context(version))
        self.artifacts.put(version.artifact_key, iter((sealed,)), max_bytes=MAX_STATE_BYTES + SEALING_BYTES)
        with self.store.begin() as tx:
            tx.lock_stack(caller.stack_id)
            live = tx.lock_assignment(record.id)
            lock = tx.find_state_lock(caller.stack_id)
            if live is None or not _is_live(tx, live):
                tx.add_state_version(replace(version, is_quarantined=True))
                tell(tx, tx.get_run(record.run_id))  # the check of a lost apply names what its worker still wrote
                return StateQuarantined(f"assignment {record.id} is over: the state was kept apart as {version.id}")
            if lock is not None and (lock.assignment_id != record.id or lock_id not in ("", lock.lock_id)):
                tx.add_state_version(replace(version, is_quarantined=True))
                return StateLockHeld(lock.info)
            tx.add_state_version(version)
            tell_state_moved(tx, caller.stack_id)
            return StateDone()

    def lock(self, caller: StateCaller, lock_id: str, info: bytes) -> StateLocking:
        """Take the lock for the assignment; the same lock again is fine."""
        with self.store.begin() as tx:
            record = self._record(tx, caller)
            if record.is_state_read_only:
                return StateReadOnly(words.PREVIEWS_ONLY)
            tx.lock_stack(caller.stack_id)
            live = tx.lock_assignment(record.id)
            if live is None or not _is_live(tx, live):
                raise LeaseLost(f"assignment {record.id} is over")
            held = tx.find_state_lock(caller.stack_id)
            if held is not None and (held.assignment_id, held.lock_id) != (record.id, lock_id):
                return StateLockHeld(held.info)
            new = StateLock(lock_id=lock_id, info=info, assignment_id=record.id, created_at=tx.now())
            tx.set_state_lock(caller.stack_id, new)
            return StateDone()

    def unlock(self, caller: StateCaller, lock_id: str) -> StateLocking:
        """Give the lock back; somebody else's is left alone."""
        with self.store.begin() as tx:
            record = self._record(tx, caller)
            tx.lock_stack(caller.stack_id)
            live = tx.lock_assignment(record.id)  # it may have ended since: of an unknown outcome the lock stays
            if live is None or not _is_live(tx, live):
                raise LeaseLost(f"assignment {record.id} is over")
            held = tx.find_state_lock(caller.stack_id)
            if held is None:
                return StateDone()
            if held.assignment_id != record.id or lock_id not in ("", held.lock_id):
                return StateLockHeld(held.info)
            tx.set_state_lock(caller.stack_id, None)
            return StateDone()

    def delete(self, caller: StateCaller, lock_id: str) -> StateWrite:  # noqa: ARG002 - the door's signature
        """Refused: Terraform asks for it only to delete a workspace, and versions are kept for ever."""
        with self.store.begin() as tx:
            self._record(tx, caller)
        return StateReadOnly(words.KEPT)

    def _record(self, tx: Transaction, caller: StateCaller) -> AssignmentRecord:
        """The assignment whose credentials these are, ended or not. Raises: NotAuthorised."""
        record = tx.find_assignment(caller.assignment_id)
        if record is None or record.stack_id != caller.stack_id:
            raise NotAuthorised("no such state, or not its credentials")
        if not self.sealer.is_token(caller.password.reveal(), record.state_token_hash):
            raise NotAuthorised("no such state, or not its credentials")
        return record

    def _version(self, tx: Transaction, stack_id: StackId, record: AssignmentRecord, data: bytes) -> StateVersion:
        serial, lineage = state_position(data)
        version_id = tx.new_id()
        return StateVersion(
            id=version_id,
            stack_id=stack_id,
            serial=serial,
            lineage=lineage,
            digest=Digest(hashlib.sha256(data).hexdigest()),
            size_bytes=len(data),
            artifact_key=f"state/{stack_id.lower()}/{version_id.lower()}",
            assignment_id=record.id,
            is_quarantined=False,
            created_at=tx.now(),
        )


def _is_live(tx: Transaction, record: AssignmentRecord) -> bool:
    return record.ended_at is None and record.lease_until >= tx.now()


def state_context(version: StateVersion) -> dict[str, str]:
    """What the sealed bytes are bound to."""
    return {"table": "state_versions", "stack": version.stack_id, "version": version.id}


def state_position(data: bytes) -> tuple[int, str]:
    """Serial and lineage. Raises: UserError when the bytes are no Terraform state."""
    try:
        state = json.loads(data)
        serial, lineage = state["serial"], state["lineage"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError("writing a state: the body is no Terraform state with serial and lineage") from error
    if not isinstance(serial, int) or not isinstance(lineage, str) or not 0 <= serial < 2**62 or len(lineage) > 100:
        raise UserError("writing a state: serial or lineage is out of bounds")
    return serial, lineage
