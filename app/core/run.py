"""The run: its states, its steps, and the one table that says which step leads where.

Pure: `advance` takes a run and a step and gives the next run; the store alone saves it. What buttons show and what
commands accept is read from the same table by `allowed`, so they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from app.core.choice import Targeting
from app.core.flags import FlagOwners
from app.core.names import ConfigVersionId, DecisionId, Digest, RepositoryId, RunId, Sha, StackId
from app.core.plan import Delta
from app.core.rest import Rest
from app.core.ruling import Approval, ApprovalRuling, PlanRuling, Verdict, approval_of, verdict_of
from app.core.statepoint import Obstacle, StatePoint
from app.core.upstream import Upstreams, waited_for


class RunType(StrEnum):
    """What a run may do to the world."""

    TRACKED = "tracked"
    """Plans, waits for a person, applies."""
    PROPOSED = "proposed"
    """Plans and reports; never applies."""
    DESTROY = "destroy"
    """Destroys everything that the stack's state holds."""
    DRIFT = "drift"
    """Plans on a schedule, to see what moved by itself."""

    @property
    def is_state_changing(self) -> bool:
        """True when a run of this type may change state: at most one of those is live per stack."""
        return self in (RunType.TRACKED, RunType.DESTROY)


class RunState(StrEnum):
    """Where a run is. Participles; terminal ones are never left."""

    QUEUED = "queued"
    """Not eligible yet: another run of the stack, a hold, or a lock is before it."""
    READY = "ready"
    """Eligible; waits for a worker."""
    PREPARING = "preparing"
    """A worker took it and fetches the commit."""
    INITIALIZING = "initializing"
    """Hooks and init."""
    PLANNING = "planning"
    """Plan, and reading it."""
    PENDING_REVIEW = "pending_review"
    """Proposed only: a plan policy warned, an approval policy decides."""
    UNCONFIRMED = "unconfirmed"
    """There are changes and a person must decide; the workspace is parked."""
    REPLAN_REQUESTED = "replan_requested"
    """A person asked for another plan; waits for a worker."""
    PREPARING_REPLAN = "preparing_replan"
    """A worker took it for another plan: fetch and init."""
    CONFIRMED = "confirmed"
    """Accepted; waits for a worker; cannot be stopped any more."""
    PREPARING_APPLY = "preparing_apply"
    """A worker restores and verifies the confirmed plan."""
    APPLYING = "applying"
    """The engine applies the confirmed plan."""
    FINISHED = "finished"
    """Success, also when there was nothing to do."""
    FAILED = "failed"
    """An error, a denial, or a lost apply (outcome unknown)."""
    STOPPED = "stopped"
    """Interrupted before its plan stood: while a worker prepared, initialized or planned."""
    CANCELED = "canceled"
    """Withdrawn before it started."""
    DISCARDED = "discarded"
    """The plan was turned down, or expired."""
    SKIPPED = "skipped"
    """Not run because of how a run that it depends on ended."""

    @property
    def is_terminal(self) -> bool:
        """True when nothing can follow."""
        return self in TERMINAL

    @property
    def is_waiting_for_worker(self) -> bool:
        """True when the next worker of the pool may claim the run."""
        return self in CLAIMABLE

    @property
    def is_with_worker(self) -> bool:
        """True while an assignment is live."""
        return self in WITH_WORKER


class Step(StrEnum):
    """What can happen to a run. Imperatives; each is one edge of the table."""

    RELEASE = "release"
    """The scheduler makes it eligible."""
    CLAIM = "claim"
    """A worker takes it."""
    INITIALIZE = "initialize"
    """The worker starts hooks and init."""
    PLAN = "plan"
    """The worker starts to plan."""
    REVIEW = "review"
    """A policy warned on a proposed run."""
    AWAIT = "await"
    """The plan has changes; its workspace is stored."""
    CONFIRM = "confirm"
    """A person accepts the plan."""
    DISCARD = "discard"
    """A person turns the plan down."""
    EXPIRE = "expire"
    """Nobody decided in time."""
    REPLAN = "replan"
    """A person asks for another plan."""
    APPLY = "apply"
    """The engine may start to apply: committed before it does."""
    FINISH = "finish"
    """It ended well."""
    FAIL = "fail"
    """It ended badly."""
    STOP = "stop"
    """A person, or a newer push, interrupts it."""
    CANCEL = "cancel"
    """A person withdraws it before it started."""
    SKIP = "skip"
    """A run it depends on ended so that this one must not run."""
    LOSE = "lose"
    """Its worker is gone: the lease ran out."""


S, T = RunState, Step
TABLE: Final[dict[tuple[RunState, Step], RunState]] = {
    (S.QUEUED, T.RELEASE): S.READY,
    (S.QUEUED, T.CANCEL): S.CANCELED,
    (S.QUEUED, T.FAIL): S.FAILED,
    (S.QUEUED, T.SKIP): S.SKIPPED,
    (S.READY, T.CLAIM): S.PREPARING,
    (S.READY, T.CANCEL): S.CANCELED,
    (S.PREPARING, T.INITIALIZE): S.INITIALIZING,
    (S.PREPARING, T.FAIL): S.FAILED,
    (S.PREPARING, T.STOP): S.STOPPED,
    (S.PREPARING, T.LOSE): S.READY,
    (S.INITIALIZING, T.PLAN): S.PLANNING,
    (S.INITIALIZING, T.FAIL): S.FAILED,
    (S.INITIALIZING, T.STOP): S.STOPPED,
    (S.INITIALIZING, T.LOSE): S.READY,
    (S.PLANNING, T.FINISH): S.FINISHED,
    (S.PLANNING, T.AWAIT): S.UNCONFIRMED,
    (S.PLANNING, T.REVIEW): S.PENDING_REVIEW,
    (S.PLANNING, T.APPLY): S.APPLYING,
    (S.PLANNING, T.FAIL): S.FAILED,
    (S.PLANNING, T.STOP): S.STOPPED,
    (S.PLANNING, T.LOSE): S.READY,
    (S.PENDING_REVIEW, T.FINISH): S.FINISHED,
    (S.PENDING_REVIEW, T.FAIL): S.FAILED,
    (S.PENDING_REVIEW, T.DISCARD): S.DISCARDED,
    (S.PENDING_REVIEW, T.EXPIRE): S.DISCARDED,
    (S.UNCONFIRMED, T.CONFIRM): S.CONFIRMED,
    (S.UNCONFIRMED, T.DISCARD): S.DISCARDED,
    (S.UNCONFIRMED, T.EXPIRE): S.DISCARDED,
    (S.UNCONFIRMED, T.REPLAN): S.REPLAN_REQUESTED,
    (S.UNCONFIRMED, T.FAIL): S.FAILED,
    (S.REPLAN_REQUESTED, T.CLAIM): S.PREPARING_REPLAN,
    (S.REPLAN_REQUESTED, T.DISCARD): S.DISCARDED,
    (S.PREPARING_REPLAN, T.PLAN): S.PLANNING,
    (S.PREPARING_REPLAN, T.FAIL): S.FAILED,
    (S.PREPARING_REPLAN, T.STOP): S.STOPPED,
    (S.PREPARING_REPLAN, T.LOSE): S.REPLAN_REQUESTED,
    (S.CONFIRMED, T.CLAIM): S.PREPARING_APPLY,
    (S.PREPARING_APPLY, T.APPLY): S.APPLYING,
    (S.PREPARING_APPLY, T.FAIL): S.FAILED,
    (S.PREPARING_APPLY, T.LOSE): S.CONFIRMED,
    (S.APPLYING, T.FINISH): S.FINISHED,
    (S.APPLYING, T.FAIL): S.FAILED,
    (S.APPLYING, T.LOSE): S.FAILED,
}

TERMINAL: Final = frozenset({S.FINISHED, S.FAILED, S.STOPPED, S.CANCELED, S.DISCARDED, S.SKIPPED})
CLAIMABLE: Final = frozenset({S.READY, S.CONFIRMED, S.REPLAN_REQUESTED})
WITH_WORKER: Final = frozenset(
    {S.PREPARING, S.INITIALIZING, S.PLANNING, S.PREPARING_REPLAN, S.PREPARING_APPLY, S.APPLYING}
)
PERSONS_STEPS: Final = (T.CONFIRM, T.DISCARD, T.REPLAN, T.STOP, T.CANCEL)
"""The steps that a person may ask for, in the order in which a report offers them."""
PATIENCE: Final = 30
"""What a run's attempts may cost before it fails; an apply is never tried again."""
LOST_COSTS: Final = 10
"""A worker that is gone: three of them end the run."""
GIVEN_BACK_COSTS: Final = 1
"""A worker that could not begin, mostly because GitHub did not answer: it waits longer each time, up to 15 s."""


BY_POLICY: Final = "policy/"
"""How `triggered_by` of a run begins that a trigger policy asked for; no login has a slash."""
BY_STACK: Final = "stack/"
"""How `triggered_by` of a run begins that was made for a dependency; the name of the stack above follows."""


class Trigger(StrEnum):
    """Why a run exists."""

    PUSH = "push"
    TAG = "tag"
    PULL_REQUEST = "pull_request"
    """Also by a review of one."""
    COMMENT = "comment"
    """A comment that a push policy answered with a run."""
    MERGE_GROUP = "merge_group"
    COMMAND = "command"
    POLICY = "policy"
    """A trigger policy, when another run had ended."""
    DEPENDENCY = "dependency"
    """A run of a stack above, when it was made."""
    DRIFT = "drift"
    """The schedule of a stack, and what it found."""


class ExternalState(StrEnum):
    """What is known of something outside that a run waits for."""

    PENDING = "pending"
    FINISHED = "finished"
    SKIPPED = "skipped"
    FAILED = "failed"
    """The run fails with it."""

    @property
    def is_done(self) -> bool:
        """True when nobody has to wait for it any more."""
        return self in (ExternalState.FINISHED, ExternalState.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One plan of a run. A run has plans 1, 2, 3…; only the newest can be confirmed."""

    number: int
    """1 for the first; change numbers are valid for this plan only."""
    digest: Digest
    """SHA-256 of the plan file: what a confirmation binds and every surface sends back."""
    delta: Delta
    has_changes: bool
    """False when the engine said that there is nothing to do (exit code 0)."""
    engine: str
    """`terraform` or `tofu`, and its exact version: `terraform 1.11.4`."""
    created_at: datetime
    published_at: datetime | None = None
    """When its check run stood on GitHub; a comment written before cannot mean this plan."""
    state: StatePoint | None = None
    """Where the state was that it was made from; None when the plan file did not say."""
    rulings: tuple[PlanRuling, ...] = ()
    """What the plan policies said of it, when it was handed in."""
    approvals: tuple[ApprovalRuling, ...] = ()
    """What the approval policies said of its reviews, when they were asked last."""
    rest: Rest | None = None
    """Of a plan of a part: how much of the whole it leaves undone; None when that is not known, and of a whole plan."""

    @property
    def verdict(self) -> Verdict:
        """What the plan policies come to."""
        return verdict_of(self.rulings)

    @property
    def approval(self) -> Approval:
        """What the approval policies come to."""
        return approval_of(self.approvals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: the aggregate that steps change. Saved by the store under its row's lock."""

    id: RunId
    stack_id: StackId
    stack_name: str
    """The stack's name when the run was made: what its check run is called."""
    repository_id: RepositoryId
    type: RunType
    state: RunState
    head_sha: Sha
    """Where it reports, and what a person confirms."""
    source_sha: Sha
    """What is checked out; the same for tracked runs."""
    ref: str
    """The full ref of the event, or empty for a command: `refs/heads/main`, `refs/tags/v1`."""
    head_seq: int
    """The stack's head counter when the run was made; smaller than the stack's own now: superseded."""
    stack_digest: Digest
    """SHA-256 of the canonical JSON of the stack's effective settings."""
    config_version_id: ConfigVersionId
    decision_id: DecisionId | None
    trigger: Trigger
    triggered_by: str
    """Login of the person or machine behind the event."""
    message: str
    """First line of the commit message, for people."""
    created_at: datetime
    updated_at: datetime
    fencing: int = 0
    """Number of the newest assignment; a write with another number is refused."""
    attempts: int = 0
    """What attempts that came to nothing have cost so far; PATIENCE ends the run."""
    plan_number: int = 1
    """Number of the plan that is being made, or was made last; a replan adds one."""
    plan: Plan | None = None
    """The plan that can be confirmed, or was; None while plan `plan_number` is being made."""
    confirmed_digest: Digest | None = None
    """The plan digest that was confirmed; set from a Confirmation alone."""
    reason: str = ""
    """Why it ended as it did, in words for people; empty when the state says it all."""
    is_outcome_unknown: bool = False
    """Lost while applying: what happened to the infrastructure is not known."""
    decided_by: str = ""
    """Login of who confirmed, discarded or replanned last."""
    pull_number: int | None = None
    """The pull request that it belongs to, once that is known."""
    is_prioritized: bool = False
    """Goes before the runs of other stacks; never before its own stack's order."""
    lock_key: str = ""
    """The key that its event locked the stack with: it may run while the stack is locked with it."""
    flag_owners: FlagOwners = field(default_factory=dict)
    """What policies noted on it, each flag with who did."""
    externals: Mapping[str, ExternalState] = field(default_factory=dict)
    """What it waits for in the queue. Shape: name to what is known of it."""
    note: str = ""
    """What a reader must also know: which commit was planned instead of the head."""
    is_from_fork: bool = False
    """Made of a fork's commit: a worker validates it, with no secret, no state and no token, and plans nothing."""
    retry_of: RunId | None = None
    """The run that this one makes once more."""
    caused_by: RunId | None = None
    """The run whose end made a trigger policy ask for this one, or the run above that this one was made for."""
    workflow_id: RunId | None = None
    """The first run of its workflow: of all that trigger policies and dependencies made; None: it is the first."""
    generation: int = 0
    """How many runs of the workflow came one after the other before it."""
    expires_at: datetime | None = None
    """When its waiting plan will be discarded; set, and shown, a day before."""
    targeting: Targeting | None = None
    """What plan `plan_number` is restricted to; None: it is of the whole commit."""
    obstacle: Obstacle | None = None
    """What the engine met before it did anything, when that is why the run failed."""
    upstreams: Upstreams = field(default_factory=dict)
    """The runs above that it waits for in the queue, and what has become of them."""
    changed_outputs: tuple[str, ...] = ()
    """The outputs that its apply created, changed or took away, by name."""

    @property
    def is_of_drift(self) -> bool:
        """True for a run that looks for drift, and for one that was made because there is some."""
        return self.type is RunType.DRIFT or self.trigger is Trigger.DRIFT

    @property
    def asked_by(self) -> str | None:
        """Who asked for it, as policies see it: a login, a trigger policy's name, or that of the stack above; None when
        git made it."""
        if self.trigger in (Trigger.POLICY, Trigger.DEPENDENCY):
            return self.triggered_by.removeprefix(BY_POLICY).removeprefix(BY_STACK)
        return self.triggered_by if self.trigger is Trigger.COMMAND else None

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The names of what it still waits for outside, sorted."""
        return tuple(sorted(name for name, state in self.externals.items() if not state.is_done))

    @property
    def is_kept_back(self) -> bool:
        """True while it waits for something outside, or for a run above."""
        return bool(self.waits_for or waited_for(self.upstreams))

    @property
    def flags(self) -> tuple[str, ...]:
        """What policies noted on it, sorted."""
        return tuple(sorted(self.flag_owners))

    @property
    def is_failed_by_us(self) -> bool:
        """True when it failed by what carries it out, and not by its configuration, its policies or its people: its
        workers were lost, or never got anywhere."""
        return self.state is RunState.FAILED and (self.is_outcome_unknown or self.attempts >= PATIENCE)

    @property
    def is_live(self) -> bool:
        """True until a terminal state."""
        return not self.state.is_terminal

    @property
    def tag(self) -> str:
        """The tag that caused the run, or empty."""
        return self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One line of a run's history."""

    before: RunState
    step: Step
    after: RunState
    by: str
    """Login, `worker NAME`, or `trackside`."""
    at: datetime
    cause: str
    """In words; empty when the step says it all."""


class StepRefused(ValueError):
    """The table has no such edge: names state, step and what is allowed. A caller shows it, or has a bug."""

    def __init__(self, run: Run, step: Step) -> None:
        steps = ", ".join(sorted(edge.value for state, edge in TABLE if state is run.state)) or "nothing"
        super().__init__(f"run {run.id} is {run.state.value}: cannot {step.value}; allowed: {steps}")
        self.state, self.step = run.state, step


def advance(run: Run, step: Step, *, by: str, at: datetime, cause: str = "") -> tuple[Run, Transition]:
    """The run after one step, and the line for its history.

    Raises: StepRefused when the table has no such edge; nothing was changed then.
    """
    after = TABLE.get((run.state, step))
    if after is None:
        raise StepRefused(run, step)
    reason = cause if after.is_terminal and cause else run.reason
    moved = replace(run, state=after, updated_at=at, reason=reason)
    return moved, Transition(before=run.state, step=step, after=after, by=by, at=at, cause=cause)


def allowed(run: Run) -> tuple[Step, ...]:
    """The steps that a person may ask for now, in the order in which they are offered."""
    return tuple(step for step in PERSONS_STEPS if (run.state, step) in TABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Proof that this plan may be applied: made by `confirm` alone, demanded by every apply assignment."""

    run_id: RunId
    plan_number: int
    plan_digest: Digest
    head_sha: Sha
    stack_digest: Digest
    actor: str
    """Login of the person; `autodeploy` when the stack's setting decided."""
    at: datetime
    source: str = ""
    """How: `button`, `comment`, `cli`, `page`, `autodeploy`; empty for one of before it was noted."""


def confirm(run: Run, *, stack_digest: Digest, actor: str, at: datetime, source: str = "") -> Confirmation:
    """The confirmation of the run's newest plan.

    Raises: StepRefused unless the run waits for it (or is planning, for autodeploy); ValueError when there is nothing
    to confirm, when the stack's effective settings are not those that were planned, when a plan policy denied the plan,
    or when an approval policy has not approved it.
    """
    if run.state not in (RunState.UNCONFIRMED, RunState.PLANNING):
        raise StepRefused(run, Step.CONFIRM)
    if run.plan is None:
        raise ValueError(f"run {run.id} has no plan to confirm")
    if stack_digest != run.stack_digest:
        raise ValueError(f"the settings of stack {run.stack_name} changed since the plan")
    if run.plan.verdict is Verdict.DENIED or run.plan.approval not in (Approval.NONE, Approval.APPROVED):
        raise ValueError(f"run {run.id}: its policies say {run.plan.verdict.value} and {run.plan.approval.value}")
    return Confirmation(
        run_id=run.id,
        plan_number=run.plan.number,
        plan_digest=run.plan.digest,
        head_sha=run.head_sha,
        stack_digest=stack_digest,
        actor=actor,
        at=at,
        source=source,
    )
