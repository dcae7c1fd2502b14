"""Managed states in people's hands: listed, read, written, adopted and dropped by who may start commands on the server.

Whatever is written is a new version, under the stack's lock, never beside a worker that may write too, and audited.
"""

import hashlib
from dataclasses import dataclass, replace

from app.core import words_state as words
from app.core.errors import UserError
from app.core.names import Digest, StackId
from app.core.record import AuditLine, StateVersion
from app.core.run import RunState
from app.core.stack import Stack, StateMode
from app.flows.ports import Artifacts, Sealer, Store, Transaction
from app.flows.schedule import tell_state_moved
from app.flows.state import MAX_STATE_BYTES, SEALING_BYTES, state_context, state_position


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Who writes, and on what terms."""

    actor: str
    command: str
    """As it was given, for the audit log: `push`, `mv a b`."""
    is_forced: bool = False
    """Whatever its lineage and serial are."""
    based_on: str | None = None
    """The version that has to be current still; None: any."""
    adopts: str = ""
    """The version kept apart that this one takes the place of."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A version, with its bytes in clear."""

    stack: Stack
    version: StateVersion
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesByHand:
    """The use cases of `trackside state`."""

    store: Store
    artifacts: Artifacts
    sealer: Sealer

    def list_versions(self, stack_id: StackId) -> tuple[list[StateVersion], str]:
        """Every version, newest first, and the id of the current one (empty: none)."""
        with self.store.begin() as tx:
            stack = _get(tx, stack_id)
            current = tx.find_state(stack.id)
            return tx.list_state_versions(stack.id), current.id if current else ""

    def pull(self, stack_id: StackId, version_id: str, actor: str) -> Pulled:
        """A version (an empty id: the current one) and its bytes. Raises: UserError when there is none."""
        with self.store.begin() as tx:
            stack = _get(tx, stack_id)
            version = tx.find_state_version(stack.id, version_id) if version_id else tx.find_state(stack.id)
            if version is None:
                which = f"there is no version {version_id[:40]}" if version_id else "there is none yet"
                raise UserError(f"reading the state of stack {stack.name}: {which}")
            _audit(tx, stack, actor, f"state pull {version.id}")
        return Pulled(stack, version, self._bytes(version))

    def push(self, stack_id: StackId, data: bytes, writing: Writing) -> str:
        """Make these bytes the current version; what was done, in words. Raises: UserError when they may not be."""
        if len(data) > MAX_STATE_BYTES:
            raise UserError(f"writing the state of stack {stack_id}: larger than {MAX_STATE_BYTES} bytes")
        with self.store.begin() as tx:
            stack = tx.lock_stack(_get(tx, stack_id).id)
            same = self._check(tx, stack, data, writing)
            if same is not None:
                return words.unchanged(stack.name, same)
            version = _version(tx, stack.id, data)
        # As every write of a state: the bytes are there before the row that names them.
        sealed = self.sealer.seal(data, state_context(version))
        self.artifacts.put(version.artifact_key, iter((sealed,)), max_bytes=MAX_STATE_BYTES + SEALING_BYTES)
        try:
            said = self._write(stack_id, data, version, writing)
        except UserError:
            self.artifacts.delete(version.artifact_key)
            raise
        return said

    def adopt(self, stack_id: StackId, version_id: str, writing: Writing) -> str:
        """Make a version that was kept apart the current one."""
        apart = self._apart(stack_id, version_id)
        data = self._bytes(apart)
        said = self.push(stack_id, data, replace(writing, adopts=apart.id))
        self.artifacts.delete(apart.artifact_key)
        return said

    def drop(self, stack_id: StackId, version_id: str, actor: str) -> str:
        """Let go of a version that was kept apart."""
        apart = self._apart(stack_id, version_id)
        with self.store.begin() as tx:
            stack = tx.lock_stack(_get(tx, stack_id).id)
            tx.delete_state_version(apart.id)
            _audit(tx, stack, actor, f"state drop {apart.id}")
        self.artifacts.delete(apart.artifact_key)
        return words.dropped(stack.name, apart)

    def _apart(self, stack_id: StackId, version_id: str) -> StateVersion:
        with self.store.begin() as tx:
            stack = _get(tx, stack_id)
            version = tx.find_state_version(stack.id, version_id)
        if version is None or not version.is_quarantined:
            raise UserError(
                f"looking up version {version_id[:40]} of stack {stack.name}: it is none that was kept apart; "
                f"`trackside state list {stack.id}` shows them"
            )
        return version

    def _write(self, stack_id: StackId, data: bytes, version: StateVersion, writing: Writing) -> str:
        with self.store.begin() as tx:
            stack = tx.lock_stack(stack_id)
            if self._check(tx, stack, data, writing) is not None:
                raise UserError(words.has_moved(_action(stack)))
            tx.add_state_version(version)
            tell_state_moved(tx, stack_id)
            if writing.adopts:
                tx.delete_state_version(writing.adopts)
            if stack.state_mode is None:
                tx.save_stack(replace(stack, state_mode=StateMode.MANAGED))
            _audit(tx, stack, writing.actor, f"state {writing.command}", f"version {version.id}")
            waiting = [run for run in tx.list_live_runs(stack.id) if run.state is RunState.UNCONFIRMED]
            return words.written(stack.name, version, waiting)

    def _check(self, tx: Transaction, stack: Stack, data: bytes, writing: Writing) -> StateVersion | None:
        """The current version when these are its bytes; None when they may be written. Raises: UserError."""
        action = _action(stack)
        if StateMode.EXTERNAL in (stack.settings.state, stack.state_mode):
            raise UserError(words.is_external(action))
        for held in tx.list_state_writers(stack.id):
            raise UserError(words.is_held(action, held.worker, held.run_id))
        serial, lineage = state_position(data)
        current = tx.find_state(stack.id)
        if writing.based_on is not None and writing.based_on != (current.id if current else ""):
            raise UserError(words.has_moved(action))
        if current is None or writing.is_forced:
            return None
        if lineage != current.lineage:
            raise UserError(words.other_lineage(action, lineage, current.lineage))
        if serial == current.serial and hashlib.sha256(data).hexdigest() == current.digest:
            return current
        if serial <= current.serial:
            raise UserError(words.old_serial(action, serial, current.serial))
        return None

    def _bytes(self, version: StateVersion) -> bytes:
        with self.artifacts.open(version.artifact_key) as sealed:
            return self.sealer.open(sealed.read(), state_context(version))


def _get(tx: Transaction, stack_id: StackId) -> Stack:
    stack = tx.find_stack(stack_id)
    if stack is None:
        raise UserError(f"looking up stack {stack_id[:40]}: there is none; {words.UNKNOWN}")
    return stack


def _action(stack: Stack) -> str:
    return f"writing the state of stack {stack.name}"


def _version(tx: Transaction, stack_id: StackId, data: bytes) -> StateVersion:
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
        assignment_id=None,
        is_quarantined=False,
        created_at=tx.now(),
    )


def _audit(tx: Transaction, stack: Stack, actor: str, command: str, reason: str = "") -> None:
    tx.add_audit(
        AuditLine(
            at=tx.now(),
            actor=actor,
            source="cli",
            command=f"{command} of {stack.name}"[:1000],
            run_id=None,
            repository_id=stack.repository_id,
            is_allowed=True,
            reason=reason,
        )
    )
