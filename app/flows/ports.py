"""What flows ask of the outside, as Protocols beside their consumers. Adapters fit them by shape; wiring proves it.

Nothing here names a library. Store methods run in one database transaction each `begin()`; GitHub and git are never
called inside one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO, Protocol

from app.core.contract import Evaluated, Mistake, PolicyFailed, PolicyText
from app.core.decision import Decision
from app.core.event import Event, Ignored, Malformed, Repository
from app.core.names import (
    AssignmentId,
    ConfigVersionId,
    DecisionId,
    DeliveryId,
    Digest,
    InstallationId,
    ReportId,
    RepositoryId,
    RunId,
    Secret,
    Sha,
    StackId,
)
from app.core.plan import PlanSummary
from app.core.protocol import Phase
from app.core.pull import PullDetail, PullFacts, Reviews, Signature
from app.core.record import (
    AssignmentRecord,
    AuditLine,
    ConfigVersion,
    Delivery,
    DeliveryOutcome,
    LogChunk,
    NewAssignment,
    ReportKind,
    ReportRecord,
    RunFacts,
    StateLock,
    StateVersion,
)
from app.core.reply import CheckReport, DeploymentReport, DeploymentState
from app.core.run import Confirmation, ExternalState, Plan, Run, RunState, RunType, Transition
from app.core.stack import Configuration, Permission, Stack, StackSpec, StateMode

RunChange = Callable[[Run], tuple[Run, Transition]]
"""A pure change of a run: gives the next run and the line for its history."""


class Transaction(Protocol):
    """One database transaction. Lock order, always: stack, run, assignment. Commits at the end of `begin()`'s block."""

    def now(self) -> datetime:
        """The database's clock, aware UTC: the only clock that leases and order use."""
        ...

    def new_id(self) -> str:
        """A fresh ULID."""
        ...

    # deliveries
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

    # repositories and configuration
    def save_repository(self, repository: Repository) -> None:
        """Insert or follow: names, default branch, installation."""
        ...

    def find_repository(self, repository_id: RepositoryId) -> Repository | None: ...

    def lock_repository(self, repository_id: RepositoryId) -> None:
        """Serialise decisions of one repository (advisory, ends with the transaction)."""
        ...

    def save_installation(self, installation_id: InstallationId, account: str, *, is_active: bool) -> None: ...

    def add_config_version(self, version: ConfigVersion) -> None:
        """Keep a reading of the stacks file, valid or not; it is the newest from now on, also when it was known."""
        ...

    def find_config_version(self, repository_id: RepositoryId, sha: Sha) -> ConfigVersion | None: ...

    def find_accepted_config(self, repository_id: RepositoryId) -> ConfigVersion | None:
        """The newest valid version: the one in force."""
        ...

    # stacks
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

    # decisions
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

    # policies
    def save_policy_texts(self, texts: Mapping[str, str]) -> None:
        """Keep policy texts by the SHA-256 of their bytes."""
        ...

    def find_policy_texts(self, digests: Sequence[str]) -> dict[str, str]:
        """The texts that are here, by digest."""
        ...

    def list_stack_states(self, stack_ids: Sequence[StackId]) -> dict[StackId, RunState]:
        """The state of each stack's newest tracked run; one that never had any is left out."""
        ...

    # runs
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

    def find_summary(self, run_id: RunId, number: int) -> PlanSummary | None: ...

    def save_outputs(self, run_id: RunId, outputs: bytes) -> None: ...

    def save_data_key(self, run_id: RunId, sealed: bytes) -> None: ...

    def find_data_key(self, run_id: RunId) -> bytes | None: ...

    # assignments
    def claim(self, pool: str, assignment: NewAssignment, advance: RunChange) -> tuple[Run, AssignmentRecord] | None:
        """The oldest waiting run of the pool (confirmed first, then replans, then ready), locked with SKIP LOCKED,
        moved by `advance` and held by a new assignment with the next fencing number; None when nothing waits.
        The phase is APPLY for a confirmed run, PLAN otherwise."""
        ...

    def find_assignment(self, assignment_id: AssignmentId) -> AssignmentRecord | None: ...

    def lock_assignment(self, assignment_id: AssignmentId) -> AssignmentRecord | None: ...

    def find_live_assignment(self, run_id: RunId) -> AssignmentRecord | None: ...

    def renew_lease(self, assignment_id: AssignmentId, fencing: int, lease_s: float) -> bool | None:
        """The stop flag, with the lease renewed; None when the hold ended (also when its lease ran out)."""
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

    # managed state
    def find_state(self, stack_id: StackId) -> StateVersion | None:
        """The current version, or None before the first."""
        ...

    def add_state_version(self, version: StateVersion) -> None:
        """Keep a version; it becomes current unless quarantined."""
        ...

    def find_state_lock(self, stack_id: StackId) -> StateLock | None: ...

    def set_state_lock(self, stack_id: StackId, lock: StateLock | None) -> None:
        """Call it with the stack locked."""
        ...

    # reports (outbox)
    def want_report(
        self, kind: ReportKind, repository_id: RepositoryId, subject: str, *, run_id: RunId | None, document: bytes
    ) -> ReportId:
        """Insert or update the row, count `wanted` up, and defer its publish job in this transaction."""
        ...

    def want_summary(self, repository_id: RepositoryId, sha: Sha, name: str) -> None:
        """Want the summary check of that name on a commit, from now on whenever a run that it lists has moved."""
        ...

    def find_report(self, report_id: ReportId) -> ReportRecord | None: ...

    def save_remote(
        self, report_id: ReportId, external_id: str, *, remote_id: int | None, published: str, is_completed: bool
    ) -> None:
        """Insert or update the remote of that external id; `published_at` is now if `published` is set."""
        ...

    def finish_report(self, report_id: ReportId, wanted: int) -> None:
        """Note that everything up to `wanted` stands on GitHub."""
        ...

    def defer_publish(self, report_id: ReportId, *, in_s: float) -> None:
        """Look at the report again later."""
        ...

    def mark_plan_published(self, run_id: RunId, number: int) -> None:
        """Note when the plan's check run stood on GitHub, once: a comment from before cannot mean it."""
        ...

    def find_previous_success(self, run_id: RunId) -> ReportRecord | None:
        """The deployment report of the stack's newest earlier finished run that stands as success, or None."""
        ...

    # audit
    def add_audit(self, line: AuditLine) -> None: ...


class Store(Protocol):
    """The database."""

    def begin(self) -> AbstractContextManager[Transaction]: ...

    def record_delivery(
        self, guid: DeliveryId, event: str, body: bytes, *, outcome: DeliveryOutcome, reason: str, lane: str = ""
    ) -> bool:
        """Keep a delivery and, when it is pending, defer its job, in one transaction of one round trip.
        False when the GUID was seen before: nothing was written. Raises: RetryableError when it cannot be stored."""
        ...


class Reading(Protocol):
    """Read-only questions of the pages and the command line."""

    def read_history(self, run_id: RunId) -> list[Transition]: ...
    def read_log(self, run_id: RunId, *, after: int = 0) -> Iterator[LogChunk]: ...
    def list_recent_runs(self, *, stack_id: StackId | None = None, limit: int = 100) -> list[Run]: ...
    def list_all_stacks(self) -> list[Stack]: ...
    def list_decisions(self, repository_id: RepositoryId, sha: Sha) -> list[Decision]: ...


class Policies(Protocol):
    """What runs Rego. Each call may raise UserError when there is no engine to ask."""

    def evaluate(self, policy: PolicyText, question: Mapping[str, object], /) -> Evaluated | PolicyFailed:
        """What the policy says, within the time of its type."""
        ...

    def check(self, policy: PolicyText, /) -> tuple[Mistake, ...]:
        """What stops the policy from being accepted, in the order of its lines."""
        ...


class Commit(Protocol):
    """What git says of a commit."""

    @property
    def sha(self) -> str: ...
    @property
    def parents(self) -> tuple[str, ...]: ...
    @property
    def message(self) -> str: ...
    @property
    def author_name(self) -> str: ...
    @property
    def committed_at(self) -> datetime: ...


class Mirror(Protocol):
    """What the control plane asks of a repository's history. `source` is whatever `source_of` gave."""

    def fetch(self, source: Any, *, wants: Sequence[str]) -> None: ...
    def changed_files(self, source: Any, base: str, head: str) -> tuple[str, ...] | None: ...
    def merge_base(self, source: Any, one: str, other: str) -> str | None: ...
    def commit(self, source: Any, sha: str) -> Commit: ...
    def read_file(self, source: Any, sha: str, path: str, *, max_bytes: int) -> bytes | None: ...
    def find_files(self, source: Any, sha: str, suffixes: Sequence[str]) -> tuple[str, ...]: ...
    def resolve_tag(self, source: Any, ref: str) -> str: ...


class Pull(Protocol):
    """What GitHub says of a pull request."""

    @property
    def number(self) -> int: ...
    @property
    def head_sha(self) -> Sha: ...
    @property
    def merge_commit_sha(self) -> Sha | None:
        """The merge (or squashed, or last rebased) commit once merged; None before."""
        ...


class GitHub(Protocol):
    """What flows ask of GitHub. Each call may raise RetryableError (try later) or UserError (GitHub said no)."""

    def clone_url(self, repository: Repository) -> str: ...

    def control_token(self, repository: Repository) -> Secret:
        """The installation token of the control plane (cached, single flight): for its own mirror."""
        ...

    def mint_clone_token(self, repository: Repository) -> Secret:
        """A fresh token with contents: read on that repository alone."""
        ...

    def revoke_token(self, token: Secret) -> None: ...

    def ask_permission(self, repository: Repository, login: str) -> Permission: ...

    def find_pull(self, repository: Repository, number: int) -> Pull | None: ...

    def read_pull(self, repository: Repository, number: int) -> PullDetail | None:
        """The pull request as it is now, with whether it can be merged."""
        ...

    def read_reviews(self, repository: Repository, number: int) -> Reviews | None: ...

    def list_open_pulls(self, repository: Repository, head_branch: str) -> tuple[PullFacts, ...]:
        """The open pull requests of a branch of the repository itself, by number."""
        ...

    def find_signature(self, repository: Repository, sha: Sha) -> Signature | None: ...

    def find_tag_signature(self, repository: Repository, tag_sha: Sha) -> Signature | None:
        """Of an annotated tag's own object; None when it is no such object."""
        ...

    def create_check(self, repository: Repository, report: CheckReport) -> int: ...

    def update_check(self, repository: Repository, check_run_id: int, report: CheckReport) -> None: ...

    def retire_check(self, repository: Repository, check_run_id: int, title: str) -> None:
        """Take the buttons of a check run whose segment is over; it concludes neutral."""
        ...

    def find_check(self, repository: Repository, sha: Sha, name: str, external_id: str) -> int | None: ...

    def create_deployment(self, repository: Repository, report: DeploymentReport) -> int: ...

    def find_deployment(self, repository: Repository, report: DeploymentReport) -> int | None: ...

    def add_deployment_status(
        self, repository: Repository, deployment_id: int, state: DeploymentState, *, report: DeploymentReport
    ) -> None: ...

    def comment_on_pull(self, repository: Repository, number: int, body: str) -> int: ...

    def comment_on_commit(self, repository: Repository, sha: Sha, body: str) -> int: ...

    def find_comment(self, repository: Repository, *, number: int | None, sha: Sha | None, body: str) -> int | None:
        """One of our own with exactly that body: looked for only after a POST whose answer never came."""
        ...

    def react(self, repository: Repository, comment_id: int, content: str) -> None:
        """`+1`, `-1`, `eyes` on a pull request's comment; the same again changes nothing."""
        ...


class PayloadReader(Protocol):
    """The wall where GitHub's payloads stop."""

    def __call__(self, event: str, body: bytes, /) -> Event | Ignored | Malformed: ...


class Artifacts(Protocol):
    """Where big sealed bytes live. Keys are ours, never a person's text."""

    def put(self, key: str, source: BinaryIO | Iterator[bytes], *, max_bytes: int) -> int:
        """Store all or nothing; the size. Raises: UserError when larger; BrokenError when the key exists already."""
        ...

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Raises: UserError naming the key when it is not there (any more)."""
        ...

    def delete(self, key: str) -> None:
        """Gone afterwards, also when it never was."""
        ...


class Sealer(Protocol):
    """Keys and ciphers of the control plane."""

    def seal(self, data: bytes, context: Mapping[str, str]) -> bytes: ...
    def open(self, sealed: bytes, context: Mapping[str, str]) -> bytes: ...
    def new_data_key(self) -> Secret: ...
    def new_token(self) -> Secret: ...
    def hash_token(self, token: str) -> str: ...
    def is_token(self, token: str, token_hash: str) -> bool:
        """Compare in constant time."""
        ...


__all__ = [
    "Artifacts",
    "Configuration",
    "GitHub",
    "Mirror",
    "PayloadReader",
    "Phase",
    "Reading",
    "RunType",
    "Sealer",
    "StateMode",
    "Store",
    "Transaction",
]
