"""Who we are to the world: keys that sign, the identity token of an assignment, and the attestation of an apply.

A key is made when the first one is needed. Rotation: the next one signs from now on; the one before stays published
until nothing that it signed can be valid any more.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.core.attestation import Applied, apply_statement
from app.core.errors import BrokenError, UserError
from app.core.event import Repository
from app.core.identity import Bearer, token_claims
from app.core.names import RunId, Secret
from app.core.protocol import OIDC_TOKEN_S, Phase
from app.core.record import AssignmentRecord, AuditLine
from app.core.run import Run, RunState
from app.core.signing import Purpose, SigningKey, key_context
from app.core.words_run import phase_word
from app.flows.ports import Sealer, Store, Transaction
from app.flows.ports_identity import Signer

STALE_S: Final = 300
"""How long a process may go on with the key before after a rotation, and a verifier's clock be behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The use cases of keys, tokens and attestations."""

    store: Store
    signer: Signer
    sealer: Sealer
    issuer: str
    """PUBLIC_URL."""
    audience: str
    """Whom tokens are for, unless a stack says."""

    def token(self, tx: Transaction, bearer: Bearer) -> str:
        """The identity token of an assignment; a fork's commit gets none."""
        if bearer.record.phase is Phase.VALIDATE:
            return ""
        key = self._key(tx, Purpose.OIDC)
        claims = token_claims(bearer, issuer=self.issuer, token_id=tx.new_id(), now=tx.now(), audience=self.audience)
        return self.signer.sign_token(key.id, self._private(key), claims).reveal()

    def renew(self, tx: Transaction, record: AssignmentRecord) -> str:
        """The next identity token of a live assignment: of what its run does now."""
        run = tx.get_run(record.run_id)
        bearer = Bearer(
            run=run,
            stack=tx.get_stack(run.stack_id),
            repository=repository_of(tx, run),
            record=record,
            confirmation=tx.get_confirmation(run.id) if run.confirmed_digest is not None else None,
        )
        return self.token(tx, bearer)

    def attest(self, tx: Transaction, run: Run, record: AssignmentRecord, result: str) -> None:
        """Sign what was applied and how it ended, and keep it. Nothing, when the run, as it was before its last step,
        never began to apply."""
        if run.state is not RunState.APPLYING or run.plan is None:
            return
        applied = Applied(
            run=run,
            plan=run.plan,
            repository=repository_of(tx, run),
            decision=tx.find_decision(run.decision_id) if run.decision_id is not None else None,
            confirmation=tx.get_confirmation(run.id),
            record=record,
            result=result,
            started_at=run.updated_at,
            ended_at=tx.now(),
        )
        key = self._key(tx, Purpose.ATTESTATION)
        envelope = self.signer.sign_statement(key.id, self._private(key), apply_statement(applied, issuer=self.issuer))
        tx.add_attestation(run.id, key.id, envelope)

    def attestation(self, run_id: RunId) -> bytes:
        """The envelope of a run's attestation. Raises: UserError: there is no such run, or it never applied."""
        with self.store.begin() as tx:
            run, found = tx.get_run(run_id), tx.find_attestation(run_id)
        if found is None:
            raise UserError(
                f"reading the attestation of run {run_id}: it is {phase_word(run.state)}, and nothing was applied"
            )
        return found

    def key_set(self, purpose: Purpose) -> dict[str, object]:
        """The public keys, as a JSON Web Key Set. Shape: `{"keys": [...]}`, the one that signs first.

        Those of tokens leave it when their last token is over; those of attestations never do.
        """
        with self.store.begin() as tx:
            now = tx.now()
            self._key(tx, purpose)
            known = tx.list_signing_keys(purpose)
        since = now - timedelta(seconds=OIDC_TOKEN_S + STALE_S)
        shown = [key for key in known if purpose is Purpose.ATTESTATION or not key.retired_at or key.retired_at > since]
        return {"keys": [dict(key.public_jwk) for key in shown]}

    def rotate(self, purpose: Purpose, actor: str) -> str:
        """A new key signs from now on; its id."""
        with self.store.begin() as tx:
            before = tx.find_signing_key(purpose)
            tx.retire_signing_key(purpose)
            made = self._make(tx, purpose)
            tx.add_audit(
                AuditLine(
                    at=tx.now(),
                    actor=actor,
                    source="cli",
                    command=f"{purpose.value} rotate",
                    run_id=None,
                    repository_id=None,
                    is_allowed=True,
                    reason=f"key {made.id} after {before.id if before else 'none'}",
                )
            )
        return made.id

    def _key(self, tx: Transaction, purpose: Purpose) -> SigningKey:
        return tx.find_signing_key(purpose) or self._make(tx, purpose)

    def _make(self, tx: Transaction, purpose: Purpose) -> SigningKey:
        made = self.signer.new_signing_key(purpose)
        sealed = self.sealer.seal(made.private.reveal().encode(), key_context(made.id, purpose))
        key = SigningKey(
            id=made.id, purpose=purpose, public_jwk=made.public_jwk, sealed_private=sealed, created_at=tx.now()
        )
        return tx.add_signing_key(key)

    def _private(self, key: SigningKey) -> Secret:
        return Secret(self.sealer.open(key.sealed_private, key.context).decode())


def repository_of(tx: Transaction, run: Run) -> Repository:
    """The run's repository, under the name of now."""
    repository = tx.find_repository(run.repository_id)
    if repository is None:
        raise BrokenError(f"looking up the repository of run {run.id}: there is none")
    return repository
