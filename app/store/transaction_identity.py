"""Secrets, signing keys and attestations inside a transaction. What is secret comes sealed and leaves sealed."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.core.decision import Decision
from app.core.errors import BrokenError
from app.core.names import DecisionId, RepositoryId, RunId, StackId
from app.core.secret import Scope, StoredSecret
from app.core.signing import Purpose, SigningKey
from app.store.decisions import read_decision, select_decisions
from app.store.schema import attestations, decisions, run_secrets, secrets, signing_keys
from app.store.wire import Wire, safe_text


class IdentityWrites(Wire):
    """Transaction methods about secrets, keys and attestations."""

    def save_secret(self, secret: StoredSecret) -> bool:
        """Insert or replace the secret of that scope and name; True when there was one."""
        scope = secret.scope
        had = self._scalar(select(secrets.c.id).where(_is(scope), secrets.c.name == secret.name)) is not None
        key = {
            "owner": safe_text(scope.owner),
            "repository_id": scope.repository_id,
            "stack_id": scope.stack_id,
            "name": secret.name,
        }
        values = {
            "sealed_value": secret.sealed_value,
            "updated_at": secret.updated_at,
            "updated_by": safe_text(secret.updated_by),
        }
        statement = insert(secrets).values(id=self.new_id(), **key, **values)
        self._execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
        return had

    def delete_secret(self, scope: Scope, name: str) -> bool:
        """Delete the secret of that scope and name, value and all; False when there is none."""
        return self._execute(delete(secrets).where(_is(scope), secrets.c.name == name)).rowcount > 0

    def list_secrets(self, scope: Scope | None = None) -> list[StoredSecret]:
        """Secrets of one scope, or of all, by scope and name."""
        wanted = select(secrets) if scope is None else select(secrets).where(_is(scope))
        order = (secrets.c.owner, secrets.c.repository_id, secrets.c.stack_id, secrets.c.name)
        return [_secret(row) for row in self._all(wanted.order_by(*order))]

    def find_secrets(
        self, owner: str, repository_id: RepositoryId, stack_id: StackId, names: Collection[str]
    ) -> list[StoredSecret]:
        """The secrets of those names that a stack may have: its own, its repository's, its owner's."""
        columns = secrets.c
        mine = or_(
            columns.stack_id == stack_id,
            and_(columns.repository_id == repository_id, columns.stack_id.is_(None)),
            and_(columns.owner == safe_text(owner), columns.owner != ""),
        )
        return [_secret(row) for row in self._all(select(secrets).where(mine, columns.name.in_(names)))]

    def save_run_secrets(self, run_id: RunId, sealed: bytes) -> None:
        """Keep the (sealed) values that a plan is made with, until its run has ended; empty bytes: none."""
        self._execute(delete(run_secrets).where(run_secrets.c.run_id == run_id))
        if sealed:
            self._execute(insert(run_secrets).values(run_id=run_id, sealed_values=sealed))

    def find_run_secrets(self, run_id: RunId) -> bytes:
        """What `save_run_secrets` kept; empty when there is nothing."""
        found = self._scalar(select(run_secrets.c.sealed_values).where(run_secrets.c.run_id == run_id))
        return bytes(found) if found is not None else b""

    def find_signing_key(self, purpose: Purpose) -> SigningKey | None:
        """The key that signs now, or None before the first."""
        live = (signing_keys.c.purpose == purpose.value) & signing_keys.c.retired_at.is_(None)
        row = self._first(select(signing_keys).where(live))
        return _key(row) if row is not None else None

    def add_signing_key(self, key: SigningKey) -> SigningKey:
        """Keep a key, which signs from now on, unless another process was faster; the one that signs."""
        values = {
            "id": key.id,
            "purpose": key.purpose.value,
            "public_jwk": json.dumps(dict(key.public_jwk)),
            "sealed_private": key.sealed_private,
            "created_at": key.created_at,
        }
        self._execute(insert(signing_keys).values(values).on_conflict_do_nothing())
        found = self.find_signing_key(key.purpose)
        if found is None:
            raise BrokenError(f"keeping a key for {key.purpose.value}: it is not there")
        return found

    def retire_signing_key(self, purpose: Purpose) -> None:
        """No key of that purpose signs any more: add the next one in the same transaction."""
        live = (signing_keys.c.purpose == purpose.value) & signing_keys.c.retired_at.is_(None)
        self._execute(update(signing_keys).where(live).values(retired_at=func.clock_timestamp()))

    def list_signing_keys(self, purpose: Purpose) -> list[SigningKey]:
        """All keys of that purpose, the newest first."""
        wanted = select(signing_keys).where(signing_keys.c.purpose == purpose.value)
        return [_key(row) for row in self._all(wanted.order_by(signing_keys.c.created_at.desc(), signing_keys.c.id))]

    def find_decision(self, decision_id: DecisionId) -> Decision | None:
        """The decision, with what is left of its input; or None."""
        row = self._first(select_decisions().where(decisions.c.id == decision_id))
        return read_decision(row) if row is not None else None

    def add_attestation(self, run_id: RunId, key_id: str, envelope: bytes) -> None:
        """Keep what is attested of a run's apply, once and for ever."""
        self._execute(insert(attestations).values(run_id=run_id, key_id=key_id, envelope=envelope.decode()))

    def find_attestation(self, run_id: RunId) -> bytes | None:
        """The envelope, or None for a run that never applied."""
        wanted = select(attestations.c.envelope).where(attestations.c.run_id == safe_text(run_id))
        found = self._scalar(wanted)
        return found.encode() if found is not None else None


def _is(scope: Scope) -> Any:
    columns = secrets.c
    return and_(
        columns.owner == safe_text(scope.owner),
        columns.repository_id.is_not_distinct_from(scope.repository_id),
        columns.stack_id.is_not_distinct_from(scope.stack_id),
    )


def _secret(row: Row[Any]) -> StoredSecret:
    return StoredSecret(
        scope=Scope(
            owner=row.owner,
            repository_id=RepositoryId(row.repository_id) if row.repository_id is not None else None,
            stack_id=StackId(row.stack_id) if row.stack_id is not None else None,
        ),
        name=row.name,
        sealed_value=bytes(row.sealed_value),
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def _key(row: Row[Any]) -> SigningKey:
    return SigningKey(
        id=row.id,
        purpose=Purpose(row.purpose),
        public_jwk=json.loads(row.public_jwk),
        sealed_private=bytes(row.sealed_private),
        created_at=row.created_at,
        retired_at=row.retired_at,
    )
