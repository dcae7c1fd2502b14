"""The records that flows and store hand each other, besides run, stack, plan and decision. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.core.names import (
    AssignmentId,
    ConfigVersionId,
    DeliveryId,
    Digest,
    ReportId,
    RepositoryId,
    RunId,
    Sha,
    StackId,
)
from app.core.protocol import Phase
from app.core.stack import ConfirmRules, Problem
from app.core.trigger import Triggered


class DeliveryOutcome(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    """Stored; its job has not ended."""
    EVENT = "event"
    """It became an event and was carried out."""
    IGNORED = "ignored"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A webhook delivery that has just arrived."""

    guid: DeliveryId
    event: str
    """X-GitHub-Event."""
    body: bytes
    outcome: DeliveryOutcome = DeliveryOutcome.PENDING
    reason: str = ""
    lane: str = ""
    """Deliveries of one lane are carried out in their order of arrival, one at a time; without a lane, in any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook delivery as stored."""

    guid: DeliveryId
    event: str
    """X-GitHub-Event."""
    body: bytes
    """The raw JSON; empty once its retention ended."""
    received_at: datetime
    outcome: DeliveryOutcome
    reason: str
    """Why it was ignored or malformed, or what it did: `2 stacks tracked, 1 ignored`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigVersion:
    """One reading of a repository's stacks file."""

    id: ConfigVersionId
    repository_id: RepositoryId
    sha: Sha
    digest: Digest
    """SHA-256 of the file's bytes; of nothing when the file is missing."""
    is_valid: bool
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentRecord:
    """One worker's hold on one run, as stored. Tokens are stored as hashes."""

    id: AssignmentId
    run_id: RunId
    stack_id: StackId
    phase: Phase
    fencing: int
    worker: str
    pool: str
    token_hash: str
    state_token_hash: str
    """Of the password for /state; the user name is the assignment's id."""
    is_state_read_only: bool
    created_at: datetime
    lease_until: datetime
    """By the database's clock."""
    ended_at: datetime | None
    stop_requested: bool
    log_bytes: int
    sealed_clone_token: bytes
    """To revoke it at the end; empty when there was none."""
    stop_by: str = ""
    """Who asked it to stop: a login, or `trackside`."""
    stop_cause: str = ""
    """Why, in words."""
    done: int = 0
    """How many resources its engine has dealt with in its present command, as the worker said last."""
    told_at: datetime | None = None
    """When the run's check was last asked to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAssignment:
    """What a claim needs to make an assignment. The id is made by the caller so that tokens can name it."""

    id: AssignmentId
    worker: str
    pool: str
    token_hash: str
    state_token_hash: str
    lease_s: float


class ReportKind(StrEnum):
    """What stands on GitHub."""

    RUN_CHECK = "run_check"
    """Check run of a run: subject is (repository, SHA, name); computed from the newest run on it."""
    DEPLOYMENT = "deployment"
    """Deployment of a run with changes: subject is the run."""
    CHECK = "check"
    """A check run with a fixed document (config, failed decision): subject is (repository, SHA, name)."""
    SUMMARY = "summary"
    """The summary check of a commit: subject is (repository, SHA, name); computed from decisions and runs."""
    REHEARSAL = "rehearsal"
    """The `config` check of a pull request's head: subject is (repository, SHA, name); computed when published."""
    COMMENT = "comment"
    """The App's own comment on a pull request: subject is its number; computed from the runs of the pull request."""
    REPLY = "reply"
    """An answer to a person, said once: subject is the delivery."""
    NOTICE = "notice"
    """What a notification policy says on a pull request: subject is its number and the policy's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """One thing on GitHub that a report made: a check run, a deployment, a comment."""

    external_id: str
    """Which segment it stands for: `RUN/PLAN`, `RUN/PLAN/apply`; for a deployment the run's id."""
    remote_id: int | None
    """GitHub's number; None: a POST was begun and its answer never came."""
    published: str
    """SHA-256 of what was published last; empty before. Of a comment that was begun: of what was to be said."""
    is_completed: bool
    """True once GitHub was told an end; such a check run is never reopened."""
    published_at: datetime | None
    made_at: datetime | None = None
    """When it was begun; None only where nobody asks."""
    updates: int = 0
    """How often something was published there, its making included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRecord:
    """One thing that should stand on GitHub: the outbox row. Unique on (kind, subject)."""

    id: ReportId
    kind: ReportKind
    repository_id: RepositoryId
    subject: str
    """`SHA/NAME` of a check, the run's id of a deployment, the delivery's GUID of a reply, the number of a pull request
    for its comment, `NUMBER/KEY` of a notice."""
    run_id: RunId | None
    document: bytes
    """The fixed content as JSON for CHECK and REPLY; empty for the computed kinds."""
    wanted: int
    """Counts every change that may alter the report."""
    published: int
    """The value of `wanted` that was last published in full."""
    created_at: datetime
    remotes: tuple[Remote, ...] = ()
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRecord:
    """What is known of a pull request besides its runs: for the comment on it, and for pages."""

    landed_sha: Sha | None = None
    """The commit of the base branch that it became; None before it is merged."""
    ticks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The changes that people have ticked, by the key of the plan (`app.core.ticks`); ascending."""
    edits: int = 0
    """How many edits of the comment by others were read."""
    title: str = ""
    """As its newest event had it; hostile text; empty: no event has told it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateVersion:
    """One version of a managed state; its bytes are a sealed artifact."""

    id: str
    """ULID."""
    stack_id: StackId
    serial: int
    lineage: str
    digest: Digest
    """SHA-256 of the clear bytes."""
    size_bytes: int
    artifact_key: str
    assignment_id: AssignmentId | None
    is_quarantined: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLock:
    """Who holds a managed state: Terraform's lock info and the assignment that it came from."""

    lock_id: str
    info: bytes
    """Terraform's JSON, at most 16 KiB, shown to whoever is refused."""
    assignment_id: AssignmentId
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One command, allowed or refused."""

    at: datetime
    actor: str
    source: str
    """`button`, `comment`, `tick`, `cli`, `page`, `autodeploy`."""
    command: str
    """As understood: `confirm 01J…`."""
    run_id: RunId | None
    repository_id: RepositoryId | None
    is_allowed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """A piece of an assignment's log."""

    assignment_id: AssignmentId
    phase: Phase
    offset: int
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a report or a page needs to know about a run besides the run itself."""

    blocked_by: RunId | None
    """The live state-changing run of the stack that this one waits for."""
    blocked_by_state: str = ""
    blocked_by_sha: str = ""
    stack_head_seq: int = 0
    stack_hold: str = ""
    stack_digest: str = ""
    """Digest of the stack's settings in force now."""
    github_environment: str | None = None
    outputs: bytes = b""
    """JSON array of app.core.protocol.Output; empty before an apply ended."""
    remarks: bytes = b""
    """JSON array of app.core.plan.Remark, the engine's errors; empty when the run did not fail by any."""
    is_stack_detached: bool = False
    waits_for: str = ""
    """What keeps a queued run back besides another run, in words: a lock, something outside."""
    position: int = 0
    """Its place in its stack's queue, from 1; 0 when it is not queued there."""
    failed_before: RunId | None = None
    """The stack's run before this one, when that one failed; while this one is live."""
    failed_before_sha: str = ""
    lock_owner: str = ""
    """Who has the stack for themselves."""
    lock_note: str = ""
    is_promotion_allowed: bool = False
    """`allow_promotion` of the stack's settings in force now."""
    is_stale: bool = False
    """The stack's managed state moved since the waiting plan was made: it can no longer be applied."""
    is_drift_over: bool = False
    """What this drift run found no longer stands."""
    is_reconciled: bool = False
    """The stack makes a run by itself that takes back what its schedule finds."""
    confirm_rules: ConfirmRules = ConfirmRules()  # noqa: RUF009 - frozen
    """Who may confirm, by the stack's settings in force now."""
    owner: str = ""
    """Of the repository: whose teams are meant."""
    is_veiled: bool = False
    """The repository is public, and the stack does not show its plans to everybody."""
    unjudged: tuple[str, ...] = ()
    """Plan policies of the stack that have not judged the waiting plan."""
    triggered: tuple[Triggered, ...] = ()
    """What its trigger policies asked for when it had ended, and what came of it."""
    below: tuple[tuple[str, str], ...] = ()
    """Stack and run of each that waits for this run below."""
    done: int = 0
    """How many resources the engine has dealt with, while a worker has the run."""
    in_state_s: float = 0.0
    """Seconds since the run came into its state, by the database's clock."""
    quarantined: tuple[str, ...] = ()
    """States that a worker of the run wrote after its hold had ended: kept apart, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFindings:
    """What a sweep found; each is a metric."""

    lost: tuple[AssignmentId, ...] = ()
    expired: tuple[RunId, ...] = ()
    stalled_jobs: int = 0
    labels: dict[str, int] = field(default_factory=dict)
