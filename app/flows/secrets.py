"""Secrets: set, listed and deleted by whoever runs the server, and given to a worker's assignment within their scope.

A value is sealed before it reaches the store and opened when a worker claims; it is in no settings, digest or record.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from app.core.errors import UserError
from app.core.event import Repository
from app.core.names import RepositoryId, RunId, Secret
from app.core.protocol import Phase
from app.core.record import AuditLine
from app.core.secret import (
    MAX_SECRET_CHARS,
    MIN_SECRET_CHARS,
    NamedScope,
    Scope,
    StoredSecret,
    is_secret_name,
    missing_secret,
    nearest,
)
from app.core.stack import Stack
from app.core.variables import phase_environment
from app.flows.inputs import give_inputs
from app.flows.ports import FindRepository, Sealer, Store, Transaction

BAKED = "TF_VAR_"
"""Variables that a plan keeps: its apply uses the values of then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The variables of one phase, secrets opened."""

    environment: dict[str, str] = field(repr=False)
    secret_names: tuple[str, ...] = ()
    redacted: tuple[str, ...] = field(default=(), repr=False)
    """What the plan was made with, for an apply: it may be printed, and may not be what the secrets are now."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A variable has no value; in words, with the way on."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretLine:
    """A secret without its value, for a list."""

    name: str
    scope: str
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The use cases of secrets."""

    store: Store
    sealer: Sealer
    find_repository: FindRepository

    def set(self, name: str, scope: NamedScope, value: Secret, actor: str) -> str:
        """Keep a value; what to say. Raises: UserError for a bad name or value, or a scope that is not there."""
        _check(name, value)
        repository_id = self._repository_id(scope)
        with self.store.begin() as tx:
            where = _scope(tx, scope, repository_id)
            sealed = self.sealer.seal(value.reveal().encode(), where.context(name))
            secret = StoredSecret(scope=where, name=name, sealed_value=sealed, updated_at=tx.now(), updated_by=actor)
            was_there = tx.save_secret(secret)
            self._audit(tx, f"secret set {name} --scope {scope}", actor, repository_id)
        return f"secret {name} of {scope} is {'replaced' if was_there else 'set'}"

    def delete(self, name: str, scope: NamedScope, actor: str) -> str:
        """Delete a value; what to say. Raises: UserError when there is none."""
        repository_id = self._repository_id(scope)
        with self.store.begin() as tx:
            if not tx.delete_secret(_scope(tx, scope, repository_id), name):
                raise UserError(
                    f"deleting secret {name[:100]} of {scope}: there is none; `trackside secret list` lists them"
                )
            self._audit(tx, f"secret delete {name} --scope {scope}", actor, repository_id)
        return f"secret {name} of {scope} is deleted; a run that needs it fails and says so"

    def told(self, scope: NamedScope | None) -> tuple[SecretLine, ...]:
        """All secrets, or those of one scope, by scope and name, without values."""
        repository_id = self._repository_id(scope) if scope is not None else None
        with self.store.begin() as tx:
            found = tx.list_secrets(_scope(tx, scope, repository_id) if scope is not None else None)
            return tuple(
                SecretLine(
                    name=secret.name,
                    scope=_told(tx, secret.scope),
                    updated_at=secret.updated_at,
                    updated_by=secret.updated_by,
                )
                for secret in found
            )

    def follow_owner(self, tx: Transaction, before: str, after: str) -> int:
        """An account has another name: its secrets go with it, sealed anew for that, and none stays behind for whoever
        takes the old name; how many. What was set for the new name already stands."""
        old, new = Scope(owner=before.lower()), Scope(owner=after.lower())
        if not old.owner or not new.owner or old == new:
            return 0
        known = {secret.name for secret in tx.list_secrets(new)}
        found = tx.list_secrets(old)
        for secret in found:
            tx.delete_secret(old, secret.name)
            if secret.name not in known:
                value = self.sealer.open(secret.sealed_value, old.context(secret.name))
                tx.save_secret(
                    replace(secret, scope=new, sealed_value=self.sealer.seal(value, new.context(secret.name)))
                )
        if found:
            self._audit(tx, f"secrets of {before} follow to {after}", "trackside", None)
        return len(found)

    def give(
        self, tx: Transaction, run_id: RunId, stack: Stack, repository: Repository, phase: Phase
    ) -> Given | Missing:
        """The variables of a phase: plain ones, the secrets that it needs and no other, and the outputs of other stacks
        that the stack is passed. A fork's commit gets none.

        A plan's secrets that Terraform keeps in it are noted until the run has ended: its apply must know them to keep
        them out of what it prints.
        """
        if phase is Phase.VALIDATE:
            return Given(environment={})
        settings = stack.settings
        plain = phase_environment(settings.environment, phase)
        wanted = phase_environment(settings.secrets, phase)
        names = set(wanted.values())
        known = nearest(tx.find_secrets(repository.owner.lower(), repository.id, stack.id, names) if names else ())
        opened: dict[str, str] = {}
        for variable, name in wanted.items():
            if name not in known:
                scope = NamedScope(owner=repository.owner, repository=repository.name, stack=stack.name)
                return Missing(missing_secret(variable, name, scope))
            opened[variable] = self._open(known[name])
        inputs = give_inputs(tx, run_id, stack, phase)
        if isinstance(inputs, str):
            return Missing(inputs)
        if phase is Phase.PLAN:
            self._note(tx, run_id, [value for variable, value in opened.items() if variable.startswith(BAKED)])
            redacted: tuple[str, ...] = ()
        else:
            redacted = self._noted(tx, run_id)
        return Given(
            environment=plain | opened | inputs.environment,
            secret_names=tuple(sorted({*opened, *inputs.secret_names})),
            redacted=(*redacted, *inputs.redacted),
        )

    def _open(self, secret: StoredSecret) -> str:
        return self.sealer.open(secret.sealed_value, secret.scope.context(secret.name)).decode()

    def _note(self, tx: Transaction, run_id: RunId, values: list[str]) -> None:
        sealed = self.sealer.seal(msgspec.json.encode(values), _noted_as(run_id)) if values else b""
        tx.save_run_secrets(run_id, sealed)

    def _noted(self, tx: Transaction, run_id: RunId) -> tuple[str, ...]:
        sealed = tx.find_run_secrets(run_id)
        if not sealed:
            return ()
        return msgspec.json.decode(self.sealer.open(sealed, _noted_as(run_id)), type=tuple[str, ...])

    def _repository_id(self, scope: NamedScope) -> RepositoryId | None:
        if not scope.repository:
            return None
        found = self.find_repository(f"{scope.owner}/{scope.repository}")
        if found is None:
            raise UserError(
                f"looking up {scope.owner}/{scope.repository}: the App has heard nothing of it yet; push to it once, "
                f"or set the secret for all of {scope.owner}"
            )
        return found

    def _audit(self, tx: Transaction, command: str, actor: str, repository_id: RepositoryId | None) -> None:
        line = AuditLine(
            at=tx.now(),
            actor=actor,
            source="cli",
            command=command,
            run_id=None,
            repository_id=repository_id,
            is_allowed=True,
            reason="",
        )
        tx.add_audit(line)


def _check(name: str, value: Secret) -> None:
    if not is_secret_name(name):
        raise UserError(f"setting secret {name[:100]!r}: use letters, digits and `_`, at most 100, no digit first")
    text = value.reveal()
    if len(text) < MIN_SECRET_CHARS:
        raise UserError(
            f"setting secret {name}: a value of fewer than {MIN_SECRET_CHARS} characters cannot be kept out of logs"
        )
    if len(text) > MAX_SECRET_CHARS or "\0" in text:
        raise UserError(
            f"setting secret {name}: the value is longer than {MAX_SECRET_CHARS:,} characters, or holds a NUL"
        )


def _scope(tx: Transaction, scope: NamedScope, repository_id: RepositoryId | None) -> Scope:
    """The scope by what does not change: a repository's number, a stack's id. Raises: UserError: no such stack."""
    if repository_id is None:
        return Scope(owner=scope.owner.lower())
    if not scope.stack:
        return Scope(repository_id=repository_id)
    named = [one for one in tx.list_stacks(repository_id) if one.name == scope.stack]
    stack = min(named, key=lambda one: one.is_detached, default=None)  # one that is gone may have secrets left
    if stack is None:
        raise UserError(
            f"looking up stack {scope.stack[:100]} of {scope.owner}/{scope.repository}: there is none; "
            "`trackside stacks` lists them"
        )
    return Scope(repository_id=repository_id, stack_id=stack.id)


def _told(tx: Transaction, scope: Scope) -> str:
    """The scope in people's words, with the names of now."""
    if scope.repository_id is None:
        return scope.owner
    repository = tx.find_repository(scope.repository_id)
    stack = tx.find_stack(scope.stack_id) if scope.stack_id is not None else None
    name = repository.full_name if repository is not None else str(scope.repository_id)
    return f"{name}/{stack.name}" if stack is not None else name


def _noted_as(run_id: RunId) -> dict[str, str]:
    return {"table": "run_secrets", "run": run_id, "column": "values"}


__all__ = ["Given", "Missing", "SecretLine", "Secrets"]
