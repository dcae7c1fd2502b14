"""Stacks and decisions inside a transaction.

Knows nothing of configuration files or policies: it keeps what the flows decided.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert

from app.core.decision import Answer, Decision, Verdict
from app.core.errors import BrokenError, UserError
from app.core.names import ConfigVersionId, DecisionId, RepositoryId, Sha, StackId
from app.core.stack import PolicySpec, Stack, StackSpec, StateMode, settings_from_json
from app.store.schema import decisions, stacks
from app.store.wire import Wire, safe_text

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
        )
        identity = {"id": stack.id, "repository_id": repository_id, "policy_id": safe_text(spec.policy_id)}
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
        """Save settings, policies, config version, detachment, state mode, head and hold of a locked stack."""
        done = self._execute(update(stacks).where(stacks.c.id == stack.id).values(_values(stack)))
        if done.rowcount != 1:
            raise BrokenError(f"saving stack {stack.id}: there is none")

    def add_decision(self, decision: Decision) -> DecisionId | None:
        """Keep one decision; None when this (stack, ref, before, head) was decided already."""
        values = {
            "id": self.new_id(),
            "stack_id": decision.stack_id,
            "stack_name": decision.stack_name,
            "ref": safe_text(decision.ref),
            "head_sha": decision.head_sha,
            "before": decision.before,
            "config_version_id": decision.config_version_id,
            "policy": safe_text(decision.policy),
            "input": decision.input,
            "verdict": decision.answer.verdict.value,
            "reason": safe_text(decision.answer.reason),
            "rules": decision.answer.rules,
            "note": safe_text(decision.note),
        }
        key = ["stack_id", "ref", "before", "head_sha"]
        statement = insert(decisions).values(values).on_conflict_do_nothing(index_elements=key)
        found = self._scalar(statement.returning(decisions.c.id))
        return DecisionId(found) if found is not None else None


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
    )


def read_decision(row: Row[Any]) -> Decision:
    """The decision of a row of `decisions`."""
    return Decision(
        stack_id=StackId(row.stack_id),
        stack_name=row.stack_name,
        ref=row.ref,
        head_sha=Sha(row.head_sha),
        before=Sha(row.before),
        config_version_id=ConfigVersionId(row.config_version_id) if row.config_version_id else None,
        policy=row.policy,
        input=row.input,
        answer=Answer(verdict=Verdict(row.verdict), reason=row.reason, rules=row.rules),
        note=row.note,
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
    }


def _policy(raw: Mapping[str, Any]) -> PolicySpec:
    values: dict[str, Any] = {key: tuple(value) if key in _TUPLES else value for key, value in raw.items()}
    return PolicySpec(**values)
