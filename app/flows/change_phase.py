"""An autodeployed run changes its phase on the worker that planned it: the variables and the identity of the apply."""

from dataclasses import dataclass

from app.core.errors import UserError
from app.core.protocol import Next, Phase, PlanAnswer
from app.core.record import AssignmentRecord
from app.core.run import Run
from app.core.stack import Stack
from app.flows.identity import Identity, repository_of
from app.flows.ports import Transaction
from app.flows.secrets import Given, Missing, Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePhase:
    """What the worker is told when it goes on to apply."""

    secrets: Secrets
    identity: Identity

    def missing(self, tx: Transaction, run: Run, stack: Stack) -> str:
        """Why it cannot: a secret of the apply that nobody has set, in words; empty when it can."""
        given = self._given(tx, run, stack)
        return given.reason if isinstance(given, Missing) else ""

    def answer(self, tx: Transaction, run: Run, stack: Stack, record: AssignmentRecord) -> PlanAnswer:
        """Apply now, with these. Raises: UserError when a secret has gone since `applying` was committed; nothing was
        applied then."""
        given = self._given(tx, run, stack)
        if isinstance(given, Missing):
            raise UserError(given.reason)
        return PlanAnswer(
            next=Next.APPLY,
            environment=given.environment,
            secret_names=given.secret_names,
            oidc_token=self.identity.renew(tx, record),
        )

    def _given(self, tx: Transaction, run: Run, stack: Stack) -> Given | Missing:
        return self.secrets.give(tx, run.id, stack, repository_of(tx, run), Phase.APPLY)
