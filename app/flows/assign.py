"""A worker asks for work: the oldest waiting run of its pool becomes its assignment, with credentials that die with it.

An apply is handed out from a Confirmation alone. GitHub is asked for the clone token after the claim was committed.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.event import Repository
from app.core.identity import Bearer
from app.core.names import AssignmentId, Secret
from app.core.organisation import EVERY, Organisation, served_nowhere
from app.core.planresources import CLEAR_LABEL, HASHED, MARKED
from app.core.protocol import Assignment, ClaimRequest, Phase
from app.core.record import AssignmentRecord, NewAssignment
from app.core.run import GIVEN_BACK_COSTS, LOST_COSTS, Confirmation, Run, RunState, Step, Transition, advance
from app.core.stack import Stack, StateMode
from app.core.variables import run_variables
from app.core.workers import Drained, WorkerFacts, worker_of
from app.flows.conclude import Conclude
from app.flows.held import archive_context, clone_token_context, state_access
from app.flows.identity import Identity
from app.flows.inputs import wanted_sensitive
from app.flows.ports import GitHub, Sealer, Store, Transaction
from app.flows.secrets import Given, Missing, Secrets

MAX_NOTE: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The secrets of one assignment; the store keeps their hashes."""

    assignment: Secret
    state: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a claim's transaction gave."""

    record: AssignmentRecord
    run: Run
    stack: Stack
    repository: Repository
    organisation: Organisation | None
    """The settings of the repository's owner; None: there are none."""
    data_key: Secret
    confirmation: Confirmation | None
    given: Given = field(repr=False)
    """The variables of its phase."""
    oidc_token: Secret
    sensitive_outputs: tuple[str, ...]
    """Its sensitive outputs that other stacks are passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """What reads the commit, and private modules."""

    token: Secret
    note: str = ""
    """For the run's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """The use case of the claim call."""

    store: Store
    github: GitHub
    sealer: Sealer
    conclude: Conclude
    secrets: Secrets
    identity: Identity
    lease_s: float
    heartbeat_s: float = 0
    """0: a third of the lease."""

    def claim(self, pool: str, request: ClaimRequest) -> Assignment | Drained | None:
        """The next assignment of the pool for this worker, or None when nothing waits. Does not wait itself."""
        tokens = Tokens(assignment=self.sealer.new_token(), state=self.sealer.new_token())
        with self.store.begin() as tx:
            drained = tx.see_worker(_facts(pool, request))
            held = None if drained else self._hold(tx, pool, request.worker[:200], tokens)
        if held is None:
            return drained
        clone = Clone(token=Secret(""))
        if held.record.phase is not Phase.APPLY:
            try:
                clone = self._mint(held)
            except (RetryableError, UserError) as error:
                costs = GIVEN_BACK_COSTS if isinstance(error, RetryableError) else LOST_COSTS
                self.conclude.give_back(held.record.id, f"asking GitHub for a clone token: {error}", costs=costs)
                raise
            self._keep_clone_token(held.record.id, clone.token)
        return self._assignment(held, tokens, clone, self.github.clone_url(held.repository))

    def _mint(self, held: Held) -> Clone:
        """The clone token of the run's repository and its module repositories. Where GitHub gives none for all of them
        (one is gone, or out of the App's reach), it is the repository's alone, and the run's log says so."""
        modules = held.organisation.modules_of(held.repository.name) if held.organisation is not None else ()
        if not modules or held.record.phase is not Phase.PLAN:  # a fork's commit reads nothing else of ours
            return Clone(token=self.github.mint_clone_token(held.repository))
        named = "every repository of the owner" if modules == (EVERY,) else ", ".join(modules)
        try:
            token = self.github.mint_clone_token(held.repository, modules)
        except UserError as error:
            token = self.github.mint_clone_token(held.repository)
            return Clone(token=token, note=f"module repositories cannot be read in this run ({named}): {error}")
        return Clone(token=token, note=f"module repositories that this run may read: {named}")

    def _hold(self, tx: Transaction, pool: str, worker: str, tokens: Tokens) -> Held | None:
        new = NewAssignment(
            id=AssignmentId(tx.new_id()),
            worker=worker,
            pool=pool,
            token_hash=self.sealer.hash_token(tokens.assignment.reveal()),
            state_token_hash=self.sealer.hash_token(tokens.state.reveal()),
            lease_s=self.lease_s,
        )
        at = tx.now()

        def take(run: Run) -> tuple[Run, Transition]:
            moved, line = advance(run, Step.CLAIM, by=f"worker {worker}", at=at)
            if run.state is RunState.CONFIRMED:
                return moved, line
            stack = tx.get_stack(run.stack_id)
            bound = replace(moved, stack_digest=stack.settings.digest(), config_version_id=stack.config_version_id)
            return bound, line

        claimed = tx.claim(pool, new, take)
        if claimed is None:
            return None
        run, record = claimed
        stack = tx.get_stack(run.stack_id)
        repository = tx.find_repository(run.repository_id)
        if repository is None:
            raise BrokenError(f"claiming run {run.id}: its repository is not known")
        version = tx.find_organisation(repository.owner_id)
        organisation = version.organisation if version is not None else None
        if organisation is not None and not organisation.serves(pool, repository.name):
            self.conclude.refuse(tx, record, served_nowhere(pool, repository.full_name))
            return None
        confirmation = _proof(tx, run, stack) if record.phase is Phase.APPLY else None
        data_key = self._data_key(tx, run, record.phase)
        if data_key is None or (record.phase is Phase.APPLY and confirmation is None):
            self.conclude.refuse(tx, record)
            return None
        given = self.secrets.give(tx, run.id, stack, repository, record.phase)
        if isinstance(given, Missing):
            self.conclude.refuse(tx, record, given.reason)
            return None
        if not run.type.is_state_changing:
            record = replace(record, is_state_read_only=True)
            tx.save_assignment(record)
        bearer = Bearer(run=run, stack=stack, repository=repository, record=record, confirmation=confirmation)
        return Held(
            record=record,
            run=run,
            stack=stack,
            repository=repository,
            organisation=organisation,
            data_key=data_key,
            confirmation=confirmation,
            given=given,
            oidc_token=Secret(self.identity.token(tx, bearer)),
            sensitive_outputs=wanted_sensitive(tx, run, stack),
        )

    def _data_key(self, tx: Transaction, run: Run, phase: Phase) -> Secret | None:
        """The key of the run's archive: a fresh one for a plan, the stored one for its apply; None when it is gone. A
        fork's commit is never archived: an empty one."""
        if phase is Phase.VALIDATE:
            return Secret("")
        context = {"table": "runs", "run": run.id, "column": "data_key"}
        if phase is Phase.PLAN:
            key = self.sealer.new_data_key()
            tx.save_data_key(run.id, self.sealer.seal(key.reveal().encode(), context))
            return key
        sealed = tx.find_data_key(run.id)
        if sealed is None:
            return None
        return Secret(self.sealer.open(sealed, context).decode())

    def _keep_clone_token(self, assignment_id: AssignmentId, token: Secret) -> None:
        sealed = self.sealer.seal(token.reveal().encode(), clone_token_context(assignment_id))
        with self.store.begin() as tx:
            record = tx.lock_assignment(assignment_id)
            if record is not None:
                tx.save_assignment(replace(record, sealed_clone_token=sealed))

    def _assignment(self, held: Held, tokens: Tokens, clone: Clone, clone_url: str) -> Assignment:
        run, settings, record = held.run, held.stack.settings, held.record
        is_fork = record.phase is Phase.VALIDATE
        mode = None if is_fork else settings.state or (held.stack.state_mode if record.phase is Phase.APPLY else None)
        return Assignment(
            id=record.id,
            token=tokens.assignment.reveal(),
            fencing=record.fencing,
            lease_s=self.lease_s,
            heartbeat_s=self.heartbeat_s,
            phase=record.phase,
            run_id=run.id,
            run_type=run.type.value,
            stack_id=held.stack.id,
            stack_name=run.stack_name,
            clone_url=clone_url,
            clone_token=clone.token.reveal(),
            clone_note=clone.note[:MAX_NOTE],
            repository_id=run.repository_id,
            sha=run.source_sha,
            project_root=settings.project_root,
            tool=settings.tool.value,
            version=settings.version,
            workspace=settings.workspace,
            var_files=settings.var_files,
            backend_config=settings.backend_config,
            environment=held.given.environment,
            secret_names=held.given.secret_names,
            redacted=held.given.redacted,
            variables=run_variables(run, held.stack, held.repository),
            hooks={} if is_fork else settings.hooks,
            oidc_token=held.oidc_token.reveal(),
            submodules=settings.submodules and not is_fork,
            lfs=settings.lfs and not is_fork,
            state_mode=mode.value if mode else "",
            state=state_access(held.stack, record, tokens.state) if mode is StateMode.MANAGED else None,
            data_key=held.data_key.reveal(),
            archive_context=archive_context(run),
            sensitive_outputs=held.sensitive_outputs,
            policy_values=_policy_values(held),
            targets=run.targeting.targets if run.targeting and not held.confirmation else (),
            excluded=run.targeting.excluded if run.targeting and not held.confirmation else (),
            plan_digest=held.confirmation.plan_digest if held.confirmation else "",
            engine=run.plan.engine if held.confirmation and run.plan else "",
        )


def _policy_values(held: Held) -> str:
    """What plan policies are to see of the plan's values; empty where none will be asked."""
    if held.record.phase is not Phase.PLAN or not held.stack.plan_policies:
        return ""
    return MARKED if CLEAR_LABEL in held.stack.settings.labels else HASHED


def _facts(pool: str, request: ClaimRequest) -> WorkerFacts:
    return WorkerFacts(
        pool=pool,
        name=worker_of(request.worker[:200]),
        version=request.version,
        protocol=request.protocol,
        engines=request.engines,
        slots=request.slots,
    )


def _proof(tx: Transaction, run: Run, stack: Stack) -> Confirmation | None:
    """The confirmation that an apply assignment is made from; None when it does not bind what would be applied."""
    confirmation = tx.get_confirmation(run.id)
    bound = (confirmation.plan_digest, confirmation.head_sha, confirmation.stack_digest)
    if run.plan is None or bound != (run.plan.digest, run.head_sha, stack.settings.digest()):
        return None
    return confirmation
