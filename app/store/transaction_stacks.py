"""Stacks, their policies and what was decided for them, inside a transaction.

Knows nothing of configuration files or policies: it keeps what the flows decided.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.decision import Decision, EventKind
from app.core.errors import BrokenError, UserError
from app.core.names import (
    ConfigVersionId,
    DecisionId,
    DeliveryId,
    OrganisationVersionId,
    RepositoryId,
    Sha,
    StackId,
)
from app.core.pull import PullAction
from app.core.run import RunState
from app.core.stack import PolicySpec, Stack, StackSpec, StateMode, settings_from_json
from app.store.decisions import decision_values
from app.store.schema import decision_inputs, decisions, policy_texts, stacks
from app.store.wire import Wire, safe_json, safe_text

_TUPLES: Final = ("attach_names", "attach_labels")


class StackWrites(Wire):
    """Transaction methods about stacks and decisions."""

    def list_stacks(self, repository_id: RepositoryId) -> list[Stack]:
        """Every stack of the repository, detached ones too, by name."""
        wanted = select(stacks).where(stacks.c.repository_id == repository_id)
        return [read_stack(row) for row in self._all(wanted.order_by(stacks.c.name, stacks.c.id))]

    def add_stack(self, repository_id: RepositoryId, spec: StackSpec, config: ConfigVersionId) -> Stack:
        """A new stack with the settings of that entry, no head and no policies yet."""
        stack = Stack(
            id=StackId(self.new_id()),
            repository_id=repository_id,
            settings=spec.settings,
            policies=(),
            config_version_id=config,
            is_detached=False,
            state_mode=None,
            head_sha=None,
            head_seq=0,
            policy_id=spec.policy_id,
        )
        identity = {"id": stack.id, "repository_id": repository_id}
        self._execute(insert(stacks).values(identity | _values(stack)))
        return stack

    def get_stack(self, stack_id: StackId) -> Stack:
        """Raises: UserError naming the stack when there is none."""
        stack = self.find_stack(stack_id)
        if stack is None:
            raise UserError(f"looking up stack {stack_id[:40]}: there is none")
        return stack

    def find_stack(self, stack_id: StackId) -> Stack | None:
        """The stack, or None."""
        row = self._first(select(stacks).where(stacks.c.id == stack_id))
        return read_stack(row) if row is not None else None

    def lock_stack(self, stack_id: StackId) -> Stack:
        """The stack under its row's lock. Raises: BrokenError when there is none."""
        # NO KEY UPDATE: rows that refer to the stack can still be added by whoever holds one of its runs (a claim).
        row = self._first(select(stacks).where(stacks.c.id == stack_id).with_for_update(key_share=True))
        if row is None:
            raise BrokenError(f"locking stack {stack_id[:40]}: there is none")
        return read_stack(row)

    def save_stack(self, stack: Stack) -> None:
        """Save settings, policies, config version, detachment, state mode, head, hold and lock of a locked stack."""
        done = self._execute(update(stacks).where(stacks.c.id == stack.id).values(_values(stack)))
        if done.rowcount != 1:
            raise BrokenError(f"saving stack {stack.id}: there is none")

    def list_stack_states(self, stack_ids: Sequence[StackId]) -> dict[StackId, RunState]:
        """The state of each stack's newest tracked run; a stack that never had one is left out."""
        rows = self._all(_STATES, {"ids": list(stack_ids)})
        return {StackId(row.stack_id): RunState(row.state) for row in rows}

    def find_landed(self, repository_id: RepositoryId, pull_number: int) -> Sha | None:
        """The commit that a merged pull request has become, if its merge was decided and is still on record."""
        merged = (decisions.c.pull_number == pull_number) & (decisions.c.action == PullAction.MERGED.value)
        here = select(decisions.c.head_sha).join(stacks, stacks.c.id == decisions.c.stack_id)
        wanted = here.where(merged, stacks.c.repository_id == repository_id).order_by(decisions.c.created_at.desc())
        found = self._scalar(wanted.limit(1))
        return Sha(found) if found is not None else None

    def list_pushed_from(self, stack_id: StackId, heads: Collection[Sha]) -> dict[tuple[Sha, str], Sha]:
        """Where pushes began that were decided for the stack, by the commit and the full ref that they brought; of
        several the newest."""
        mine = (decisions.c.stack_id == stack_id) & (decisions.c.event == EventKind.PUSH.value)
        columns = (decisions.c.head_sha, decisions.c.ref, decisions.c.before)
        wanted = select(*columns).where(mine, decisions.c.head_sha.in_(list(heads)))
        rows = self._all(wanted.order_by(decisions.c.created_at, decisions.c.id))
        return {(Sha(row.head_sha), row.ref): Sha(row.before) for row in rows}

    def save_policy_texts(self, texts: Mapping[str, str]) -> None:
        """Keep policy texts by the SHA-256 of their bytes; one that is here already is left alone."""
        values = [{"digest": digest, "text": words} for digest, words in sorted(texts.items())]
        if values:
            self._execute(insert(policy_texts).on_conflict_do_nothing(), values)

    def find_policy_texts(self, digests: Sequence[str]) -> dict[str, str]:
        """The texts that are here, by digest."""
        wanted = select(policy_texts.c.digest, policy_texts.c.text).where(policy_texts.c.digest.in_(list(digests)))
        return {row.digest: row.text for row in self._all(wanted)} if digests else {}

    def add_decisions(
        self, guid: DeliveryId, shared: Mapping[str, object], made: Sequence[Decision]
    ) -> list[DecisionId]:
        """Keep the decisions about one event, in their order. `shared` is the part of the input that is the same for
        all of them; what a decision's own input says goes before it.

        Raises: BrokenError when the delivery was decided for one of the stacks already.
        """
        if not made:
            return []
        again = insert(decision_inputs).values(guid=guid, document=safe_json(shared))
        self._execute(again.on_conflict_do_nothing(index_elements=["guid"]))
        values = [decision_values(decision) | {"id": self.new_id(), "guid": guid} for decision in made]
        self._execute(insert(decisions), values)
        return [DecisionId(str(row["id"])) for row in values]

    def sweep_decisions(self, *, kept_days: int, limit: int = 5_000) -> int:
        """Let go of what is older: records that made no run, and what was asked of the others; how many rows.

        `kept_days` is at least one: younger ones are guarded by the database.
        """
        values = {"days": max(1, kept_days), "limit": limit}
        swept = [self._execute(text(statement), values).rowcount for statement in _SWEEP]
        return sum(max(0, count) for count in swept)


_STATES: Final = text("""
SELECT asked.id AS stack_id, newest.state FROM unnest(CAST(:ids AS text[])) AS asked (id),
LATERAL (
    SELECT state FROM runs WHERE stack_id = asked.id AND type = 'tracked' ORDER BY created_at DESC LIMIT 1
) AS newest
""")
_SWEEP: Final = (
    """
    DELETE FROM decisions WHERE id IN (
        SELECT id FROM decisions WHERE created_at < clock_timestamp() - make_interval(days => :days)
        AND NOT EXISTS (SELECT FROM runs WHERE runs.decision_id = decisions.id)
        ORDER BY created_at LIMIT :limit
    )
    """,
    """
    UPDATE decisions SET input = '{}' WHERE id IN (
        SELECT id FROM decisions WHERE created_at < clock_timestamp() - make_interval(days => :days)
        AND input::text <> '{}' ORDER BY created_at LIMIT :limit
    )
    """,
    """
    DELETE FROM decision_inputs WHERE guid IN (
        SELECT guid FROM decision_inputs WHERE created_at < clock_timestamp() - make_interval(days => :days)
        ORDER BY created_at LIMIT :limit
    )
    """,
)


def read_stack(row: Row[Any]) -> Stack:
    """The stack of a row of `stacks`."""
    return Stack(
        id=StackId(row.id),
        repository_id=RepositoryId(row.repository_id),
        settings=settings_from_json(row.settings),
        policies=tuple(_policy(raw) for raw in row.policies),
        config_version_id=ConfigVersionId(row.config_version_id),
        is_detached=row.is_detached,
        state_mode=StateMode(row.state_mode) if row.state_mode else None,
        head_sha=Sha(row.head_sha) if row.head_sha else None,
        head_seq=row.head_seq,
        hold_reason=row.hold_reason,
        policy_id=row.policy_id,
        lock_key=row.lock_key,
        locked_by=row.locked_by,
        organisation_version_id=OrganisationVersionId(row.organisation_version_id)
        if row.organisation_version_id
        else None,
        lock_owner=row.lock_owner,
        lock_note=row.lock_note,
    )


def _values(stack: Stack) -> dict[str, object]:
    return {
        "name": stack.name,
        "settings": stack.settings.canonical_json(),
        "worker_pool": stack.settings.worker_pool,
        "policies": [asdict(policy) for policy in stack.policies],
        "config_version_id": stack.config_version_id,
        "is_detached": stack.is_detached,
        "state_mode": stack.state_mode.value if stack.state_mode else None,
        "head_sha": stack.head_sha,
        "head_seq": stack.head_seq,
        "hold_reason": safe_text(stack.hold_reason),
        "policy_id": safe_text(stack.policy_id),
        "lock_key": safe_text(stack.lock_key),
        "locked_by": safe_text(stack.locked_by),
        "organisation_version_id": stack.organisation_version_id,
        "lock_owner": safe_text(stack.lock_owner),
        "lock_note": safe_text(stack.lock_note),
    }


def _policy(raw: Mapping[str, Any]) -> PolicySpec:
    values: dict[str, Any] = {key: tuple(value) if key in _TUPLES else value for key, value in raw.items()}
    return PolicySpec(**values)
