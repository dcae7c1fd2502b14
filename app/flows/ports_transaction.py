"""What flows ask of one database transaction, as Protocols by noun; `Transaction` is all of them.

Nothing here names a library. GitHub and git are never called inside a transaction.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.core.decision import Decision
from app.core.event import Repository
from app.core.flags import FlagOwners
from app.core.names import (
    AccountId,
    AssignmentId,
    ConfigVersionId,
    DecisionId,
    DeliveryId,
    Digest,
    InstallationId,
    RepositoryId,
    RunId,
    Sha,
    StackId,
)
from app.core.organisation import OrganisationVersion
from app.core.plan import PlanSummary
from app.core.record import (
    AssignmentRecord,
    ConfigVersion,
    Delivery,
    DeliveryOutcome,
    NewAssignment,
    RunFacts,
    StateLock,
    StateVersion,
)
from app.core.run import Confirmation, ExternalState, Plan, Run, RunState, Transition
from app.core.stack import Configuration, Stack, StackSpec
from app.flows.ports_drift import DriftRows
from app.flows.ports_identity import IdentityRows
from app.flows.ports_missed import MissedRows, StandingRows
from app.flows.ports_notice import NoticeRows
from app.flows.ports_outputs import OutputRows
from app.flows.ports_people import ReviewRows
from app.flows.ports_pulls import PullRows
from app.flows.ports_reports import BudgetRows, ReportRows
from app.flows.ports_trigger import TriggerRows
from app.flows.ports_visitors import VisitorRows
from app.flows.ports_workers import WorkerRows

RunChange = Callable[[Run], tuple[Run, Transition]]
"""A pure change of a run: gives the next run and the line for its history."""


class DeliveryRows(Protocol):
    """What became of deliveries."""

    def lock_delivery(self, guid: DeliveryId) -> Delivery | None:
        """The delivery under its row's lock, or None when there is no such row."""
        ...

    def close_delivery(self, guid: DeliveryId, outcome: DeliveryOutcome, reason: str) -> None:
        """Write what became of it; the last word of its job, in the same transaction as its effect."""
        ...

    def find_twin(self, guid: DeliveryId, body_digest: Digest) -> DeliveryId | None:
        """Note the body's digest (without hook and installation fields) on the row; an older delivery of equal body
        that arrived within 10 minutes, or None."""
        ...


class HistoryRows(Protocol):
    """What only history needs. Each sweep is bounded and says how many it found."""

    def sweep_logs(self, *, kept_days: int, limit: int) -> int:
        """Let go of the logs of up to `limit` assignments that ended so many days ago."""
        ...

    def sweep_bodies(self, *, kept_days: int, limit: int) -> int:
        """Empty the bodies of deliveries that were carried out and are older; their rows stay."""
        ...

    def sweep_state_versions(self, *, kept: int, limit: int) -> list[str]:
        """Forget each stack's versions beyond its newest `kept`, but for quarantined ones; the keys of artifacts that
        the caller deletes after the commit."""
        ...


class ConfigRows(Protocol):
    """Repositories, installations, and the configurations that are in force."""

    def save_repository(self, repository: Repository) -> bool:
        """Insert or follow: names, default branch, visibility, installation. False, and nothing changes, when an event
        that happened later has told of it already."""
        ...

    def find_config_head(self, repository_id: RepositoryId) -> Sha | None:
        """The commit of the default branch whose stacks file was read last, or None."""
        ...

    def save_config_head(self, repository_id: RepositoryId, sha: Sha) -> None:
        """Note the commit of the default branch whose stacks file is read now."""
        ...

    def find_repository(self, repository_id: RepositoryId) -> Repository | None: ...

    def lock_repository(self, repository_id: RepositoryId) -> None:
        """Serialise decisions of one repository (advisory, ends with the transaction)."""
        ...

    def save_installation(
        self, installation_id: InstallationId, account: str, *, is_active: bool, told_at: datetime | None = None
    ) -> bool:
        """Insert or follow. False, and nothing changes, when an event that happened later has told of it already."""
        ...

    def add_config_version(self, version: ConfigVersion, configuration: Configuration | None = None) -> None:
        """Keep a reading of the stacks file, valid or not, and what it says by itself; it is the newest from now on,
        also when it was known."""
        ...

    def find_config_version(self, repository_id: RepositoryId, sha: Sha) -> ConfigVersion | None: ...

    def find_accepted_config(self, repository_id: RepositoryId) -> ConfigVersion | None:
        """The newest valid version: the one in force."""
        ...

    def find_newest_config(self, repository_id: RepositoryId) -> ConfigVersion | None:
        """The newest version, valid or not."""
        ...

    def find_configuration(self, version_id: ConfigVersionId) -> Configuration | None:
        """What the file of that version says by itself; None when it is broken, or was read before that was kept."""
        ...


class OrganisationRows(Protocol):
    """Organisations' settings, and which stacks are behind them."""

    def find_organisation(self, owner_id: AccountId) -> OrganisationVersion | None:
        """The newest valid version of that owner: the one in force."""
        ...

    def hold_organisation(self, owner_id: AccountId) -> OrganisationVersion | None:
        """The same, and nobody replaces it until the transaction ends. After the repository's lock, before stacks."""
        ...

    def lock_organisation(self, owner_id: AccountId) -> OrganisationVersion | None:
        """The same, once nobody holds it, until the transaction ends: to replace it."""
        ...

    def add_organisation_version(self, version: OrganisationVersion) -> None:
        """Keep a reading; a valid one is in force from now on."""
        ...

    def adopt_repositories(self, owner_id: AccountId, owner: str) -> None:
        """Note the owner of repositories that are known by its name alone."""
        ...

    def defer_renewals(self, owner_id: AccountId) -> int:
        """Have each of the owner's repositories that has a configuration taken in again, a job each; how many."""
        ...

    def is_current(self, stack_id: StackId) -> bool:
        """False when the organisation's settings changed since the stack's were made of them: they are being taken in,
        and until then nothing may be confirmed or applied."""
        ...

    def has_outdated(self, repository_id: RepositoryId) -> bool:
        """True when some stack of the repository is not current."""
        ...

    def wake_workers(self, repository_id: RepositoryId) -> None:
        """Tell the pools of the repository's stacks that there may be work again."""
        ...

    def list_owned_repositories(self, owner_id: AccountId, *, limit: int) -> list[Repository]:
        """The owner's repositories that are known, by name."""
        ...


class StackRows(Protocol):
    """Stacks under their row locks."""

    def list_stacks(self, repository_id: RepositoryId) -> list[Stack]:
        """Every stack of the repository, detached ones too, by name."""
        ...

    def add_stack(self, repository_id: RepositoryId, spec: StackSpec, config: ConfigVersionId) -> Stack: ...

    def get_stack(self, stack_id: StackId) -> Stack: ...

    def find_stack(self, stack_id: StackId) -> Stack | None: ...

    def lock_stack(self, stack_id: StackId) -> Stack:
        """The stack under its row's lock. Raises: BrokenError when there is none."""
        ...

    def save_stack(self, stack: Stack) -> None:
        """Save settings, policies, config version, detachment, state mode, head, hold and lock of a locked stack."""
        ...


class DecisionRows(Protocol):
    """What was decided, and the policies that decided it."""

    def is_decided(self, guid: DeliveryId) -> bool:
        """True when the delivery's decisions are written already."""
        ...

    def add_decisions(
        self, guid: DeliveryId, shared: Mapping[str, object], made: Sequence[Decision]
    ) -> list[DecisionId]:
        """Keep the decisions about one event, in their order; `shared` is the part of the input that all have."""
        ...

    def sweep_decisions(self, *, kept_days: int) -> int:
        """Let go of records and inputs that are older; how many rows. Bounded: the next sweep takes the next ones."""
        ...

    def find_landed(self, repository_id: RepositoryId, pull_number: int) -> Sha | None:
        """The commit that a merged pull request has become, if its merge was decided and is still on record."""
        ...

    def list_pushed_from(self, stack_id: StackId, heads: Collection[Sha]) -> dict[tuple[Sha, str], Sha]:
        """Where pushes began that were decided for the stack, by the commit and the full ref that they brought."""
        ...

    def save_policy_texts(self, texts: Mapping[str, str]) -> None:
        """Keep policy texts by the SHA-256 of their bytes."""
        ...

    def find_policy_texts(self, digests: Sequence[str]) -> dict[str, str]:
        """The texts that are here, by digest."""
        ...

    def list_stack_states(self, stack_ids: Sequence[StackId]) -> dict[StackId, RunState]:
        """The state of each stack's newest tracked run; one that never had any is left out."""
        ...


class RunRows(Protocol):
    """Runs, their plans and confirmations."""

    def add_run(self, run: Run, *, event_key: str | None) -> bool:
        """Insert a run with its first line of history and its report. False when `event_key` (stack, SHA, type, ref)
        has a run already: nothing was written then. Runs from commands have no key."""
        ...

    def get_run(self, run_id: RunId) -> Run:
        """Raises: UserError naming the run when there is none."""
        ...

    def find_run(self, run_id: RunId) -> Run | None: ...

    def change_run(self, run_id: RunId, change: RunChange) -> Run:
        """The one way to change a run: lock its row, hand it to `change`, save, append to the history, mark its reports
        wanted and defer their jobs, wake whoever waits for work. `change` may raise: nothing is written then.
        Raises: BrokenError when SQL finds the state changed or terminal."""
        ...

    def list_live_runs(self, stack_id: StackId) -> list[Run]:
        """Runs of the stack that have not ended, oldest first."""
        ...

    def list_newer_states(self, stack_id: StackId, head_seq: int) -> dict[int, list[RunState]]:
        """The states, each once, of the stack's state-changing runs of newer commits, by `head_seq`; ended ones too."""
        ...

    def list_stack_runs(self, stack_id: StackId, *, limit: int) -> list[Run]:
        """The stack's newest runs, newest first."""
        ...

    def list_expiring(self, *, kept_days: int) -> list[Run]:
        """Waiting plans that are to be announced as expiring within a day, or whose announced time has come."""
        ...

    def announce_expiry(self, run_id: RunId, at: datetime) -> None:
        """Note when a waiting plan will be discarded; its report is wanted again. Call it with the stack locked."""
        ...

    def list_runs_at(self, repository_id: RepositoryId, sha: Sha) -> list[Run]:
        """Runs whose head_sha is that commit, newest first (at most 500)."""
        ...

    def list_waiting_runs(self, repository_id: RepositoryId) -> list[Run]:
        """Runs of the repository that are queued, ready or unconfirmed, oldest first."""
        ...

    def list_live_proposed(self, repository_id: RepositoryId, ref: str) -> list[Run]:
        """Live proposed runs of a ref, oldest first."""
        ...

    def find_event_run(self, event_key: str) -> Run | None:
        """The run that an event of that key made, or None."""
        ...

    def note_pull(self, run_id: RunId, pull_number: int) -> None:
        """Note the run's pull request, unless one is known; also of a run that has ended."""
        ...

    def save_flags(self, run_id: RunId, owners: FlagOwners) -> None:
        """Save the flags of a run that has not ended; of one that has, nothing. Call it with its stack locked."""
        ...

    def save_externals(self, run_id: RunId, externals: Mapping[str, ExternalState]) -> None:
        """Save what a live run waits for outside. Call it with the run's stack locked."""
        ...

    def get_run_facts(self, run: Run) -> RunFacts: ...

    def add_confirmation(self, confirmation: Confirmation) -> None: ...

    def get_confirmation(self, run_id: RunId) -> Confirmation:
        """The newest confirmation of a run. Raises: BrokenError when there is none: nothing may be applied then."""
        ...

    def save_plan(self, run_id: RunId, plan: Plan, summary: PlanSummary) -> None:
        """Keep a plan and its (sealed) summary; the same number again replaces it as long as the run has not waited
        with it for a person."""
        ...

    def get_plan(self, run_id: RunId, number: int) -> Plan: ...

    def find_plan(self, run_id: RunId, number: int) -> Plan | None: ...

    def find_summary(self, run_id: RunId, number: int) -> PlanSummary | None: ...

    def save_outputs(self, run_id: RunId, outputs: bytes) -> None: ...

    def save_remarks(self, run_id: RunId, remarks: bytes) -> None: ...

    def save_data_key(self, run_id: RunId, sealed: bytes) -> None: ...

    def find_data_key(self, run_id: RunId) -> bytes | None: ...


class AssignmentRows(Protocol):
    """Assignments of workers."""

    def claim(self, pool: str, assignment: NewAssignment, advance: RunChange) -> tuple[Run, AssignmentRecord] | None:
        """The oldest waiting run of the pool (confirmed first, then replans, then ready), locked with SKIP LOCKED,
        moved by `advance` and held by a new assignment with the next fencing number; None when nothing waits.
        The phase is VALIDATE for a fork's commit, APPLY for a confirmed run, PLAN otherwise."""
        ...

    def find_assignment(self, assignment_id: AssignmentId) -> AssignmentRecord | None: ...

    def lock_assignment(self, assignment_id: AssignmentId) -> AssignmentRecord | None: ...

    def find_live_assignment(self, run_id: RunId) -> AssignmentRecord | None: ...

    def renew_lease(self, assignment_id: AssignmentId, fencing: int, lease_s: float, *, done: int = 0) -> bool | None:
        """The stop flag, with the lease renewed; None when the hold ended (also when its lease ran out). `done` is how
        many resources were dealt with; every now and then the run's check is wanted again to say so."""
        ...

    def save_assignment(self, assignment: AssignmentRecord) -> None:
        """Save stop flag, state access and clone token of a locked assignment."""
        ...

    def end_assignment(self, assignment_id: AssignmentId) -> None: ...

    def list_lost_assignments(self) -> list[AssignmentRecord]:
        """Live ones whose lease ran out by the database's clock, oldest first."""
        ...

    def add_log(self, assignment_id: AssignmentId, offset: int, text: bytes) -> None:
        """Keep a (sealed) chunk; the same offset again changes nothing."""
        ...


class StateRows(Protocol):
    """Managed state."""

    def find_state(self, stack_id: StackId) -> StateVersion | None:
        """The current version, or None before the first."""
        ...

    def add_state_version(self, version: StateVersion) -> None:
        """Keep a version; it becomes current unless quarantined."""
        ...

    def list_state_versions(self, stack_id: StackId) -> list[StateVersion]:
        """Every version, quarantined ones too, newest first (at most 1,000)."""
        ...

    def find_state_version(self, stack_id: StackId, version_id: str) -> StateVersion | None: ...

    def delete_state_version(self, version_id: str) -> None:
        """Forget a version; its artifact is the caller's to delete, after the commit."""
        ...

    def list_state_writers(self, stack_id: StackId) -> list[AssignmentRecord]:
        """Live assignments whose worker may write the stack's state."""
        ...

    def find_state_lock(self, stack_id: StackId) -> StateLock | None: ...

    def set_state_lock(self, stack_id: StackId, lock: StateLock | None) -> None:
        """Call it with the stack locked."""
        ...


class Transaction(
    DeliveryRows,
    HistoryRows,
    ConfigRows,
    OrganisationRows,
    StackRows,
    DecisionRows,
    RunRows,
    AssignmentRows,
    WorkerRows,
    StateRows,
    ReportRows,
    PullRows,
    BudgetRows,
    IdentityRows,
    MissedRows,
    StandingRows,
    ReviewRows,
    NoticeRows,
    TriggerRows,
    VisitorRows,
    OutputRows,
    DriftRows,
    Protocol,
):
    """One database transaction. Lock order, always: stack, run, assignment. Commits at the end of `begin()`'s block."""

    def now(self) -> datetime:
        """The database's clock, aware UTC: the only clock that leases and order use."""
        ...

    def new_id(self) -> str:
        """A fresh ULID."""
        ...
