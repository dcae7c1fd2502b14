"""What flows ask about secrets, signatures and attestations, as Protocols. Read `ports` for their rules."""

from collections.abc import Collection, Mapping
from typing import Protocol

from app.core.decision import Decision
from app.core.names import DecisionId, RepositoryId, RunId, Secret, StackId
from app.core.secret import Scope, StoredSecret
from app.core.signing import NewSigningKey, Purpose, SigningKey


class IdentityRows(Protocol):
    """Secrets, the keys that sign, and attestations."""

    def save_secret(self, secret: StoredSecret) -> bool:
        """Insert or replace the secret of that scope and name; True when there was one."""
        ...

    def delete_secret(self, scope: Scope, name: str) -> bool: ...

    def list_secrets(self, scope: Scope | None = None) -> list[StoredSecret]:
        """Secrets of one scope, or of all, by scope and name."""
        ...

    def find_secrets(
        self, owner: str, repository_id: RepositoryId, stack_id: StackId, names: Collection[str]
    ) -> list[StoredSecret]:
        """The secrets of those names that a stack may have: its own, its repository's, its owner's."""
        ...

    def save_run_secrets(self, run_id: RunId, sealed: bytes) -> None:
        """Keep the (sealed) values that a plan is made with, until its run has ended; empty bytes: none."""
        ...

    def find_run_secrets(self, run_id: RunId) -> bytes: ...

    def find_signing_key(self, purpose: Purpose) -> SigningKey | None: ...

    def add_signing_key(self, key: SigningKey) -> SigningKey:
        """Keep a key, which signs from now on, unless another process was faster; the one that signs."""
        ...

    def retire_signing_key(self, purpose: Purpose) -> None: ...

    def list_signing_keys(self, purpose: Purpose) -> list[SigningKey]:
        """All keys of that purpose, the newest first."""
        ...

    def add_attestation(self, run_id: RunId, key_id: str, envelope: bytes) -> None:
        """Keep what is attested of a run's apply, once and for ever."""
        ...

    def find_attestation(self, run_id: RunId) -> bytes | None: ...

    def find_decision(self, decision_id: DecisionId) -> Decision | None: ...


class Signer(Protocol):
    """Makes keys, and signs with them."""

    def new_signing_key(self, purpose: Purpose) -> NewSigningKey: ...
    def sign_token(self, key_id: str, private: Secret, claims: Mapping[str, object]) -> Secret: ...
    def sign_statement(self, key_id: str, private: Secret, statement: bytes) -> bytes: ...
