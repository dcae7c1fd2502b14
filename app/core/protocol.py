"""The worker protocol, version 1: what travels between a worker and the control plane under /worker/v1, as JSON.

Both planes import these shapes and nothing else of each other. A worker knows the control plane's URL and its pool's
token; each assignment brings the credentials that it needs, and they die with it.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from app.core.plan import PlanSummary, Remark
from app.core.planresources import Resources
from app.core.statepoint import Obstacle, StatePoint

VERSION: Final = 1
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""A JSON body of the protocol."""
MAX_SMALL_BODY_BYTES: Final = 64 * 1024
"""A JSON body of a call that carries neither a plan nor outputs."""
MAX_LOG_CHUNK_BYTES: Final = 256 * 1024
MAX_LOG_BYTES: Final = 16 * 1024 * 1024
"""What is kept of one assignment's log; the rest is counted and left out."""
MAX_ARCHIVE_BYTES: Final = 4 * 1024 * 1024 * 1024
MAX_WAIT_S: Final = 30
"""Longest long poll."""
MAX_DONE: Final = 1_000_000
"""Resources that a heartbeat counts."""
OIDC_TOKEN_S: Final = 900
"""How long an identity token lives; a worker asks for the next one after a third of it."""


class Phase(StrEnum):
    """What an assignment is for."""

    PLAN = "plan"
    APPLY = "apply"
    VALIDATE = "validate"
    """A fork's commit: init without backend, validate, nothing else."""


class Stage(StrEnum):
    """A step event of the worker that moves the run."""

    INITIALIZING = "initializing"
    PLANNING = "planning"


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /worker/v1/claim, authorised by the pool's token: answered by an Assignment (200) or nothing (204)."""

    worker: str
    """The worker's name and its slot, `host/1`; shown to people."""
    protocol: int = VERSION
    wait_s: float = 20
    """How long to wait for work, 0 to MAX_WAIT_S."""
    pool: str = ""
    """The pool that the worker was started for; another than its token's is refused. Empty: it does not say."""
    version: str = ""
    """Of Trackside, as the worker runs it."""
    engines: tuple[str, ...] = ()
    """What the worker can plan with: `terraform 1.11.4`."""
    slots: int = 1
    """How many runs the worker carries out at once."""


class Private(msgspec.Struct, frozen=True, kw_only=True):
    """A message that carries secrets in clear: shown (in an error, a trace, a log), it says its name alone."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class StateAccess(Private, frozen=True, kw_only=True):
    """Managed state: where it is, and credentials that die with the assignment."""

    address: str
    """Path on the control plane, `/state/<stack id>`: a worker puts it behind the address that it knows."""
    username: str
    password: str
    is_read_only: bool = False


class Assignment(Private, frozen=True, kw_only=True):
    """One worker's hold on one run: everything that the phase needs and nothing else."""

    id: str
    token: str
    """Bearer for every further call of this assignment."""
    fencing: int
    """Sent with every call; refused (409) once a newer assignment exists."""
    lease_s: float
    """Seconds from now until the hold ends unless a heartbeat renews it."""
    heartbeat_s: float = 0
    """How often the worker says that it is there; 0: every third of the lease."""
    phase: Phase
    run_id: str
    run_type: str
    stack_id: str
    stack_name: str
    clone_url: str
    """https URL of the repository, without credentials."""
    clone_token: str
    """contents: read on the run's repository and the module repositories that its owner lists for it; empty when the
    phase needs no fetch. Reaches fetch and init only."""
    repository_id: int
    """Names the mirror on the worker: survives renames."""
    sha: str
    """The commit to check out."""
    project_root: str
    tool: str
    """`terraform` or `opentofu`."""
    version: str
    """Version constraint, or empty."""
    workspace: str
    """CLI workspace; `default` mostly."""
    var_files: tuple[str, ...] = ()
    backend_config: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    """The stack's variables for this phase, ro_/wo_ resolved; values may be secret: redacted from every output."""
    variables: dict[str, str] = {}
    """What `TF_VAR_trackside_NAME` says about the run, by NAME."""
    hooks: dict[str, tuple[str, ...]] = {}
    """Lines of shell by moment: `before_init` to `after_apply`, `after_run`."""
    secret_names: tuple[str, ...] = ()
    """Which of `environment` must be redacted."""
    redacted: tuple[str, ...] = ()
    """More values that must not leave: an apply's are the secrets that its plan was made with, as they were then."""
    oidc_token: str = ""
    """Says to clouds who this is; lives OIDC_TOKEN_S and is renewed by heartbeats. Empty: this phase gets none."""
    submodules: bool = False
    """Check submodules out as well."""
    lfs: bool = False
    """Fetch what Git LFS keeps as well."""
    state_mode: str = ""
    """`managed`, `external`, or empty when the first run has to find out (see StateModeReport)."""
    state: StateAccess | None = None
    data_key: str = ""
    """Base64 of 32 bytes: the key of this run's workspace archive; dies with the run."""
    archive_context: dict[str, str] = {}
    """Encryption context bound to the archive: run, stack, sha."""
    targets: tuple[str, ...] = ()
    """Plan only: addresses, verbatim, each passed as `-target`; empty: the whole commit."""
    excluded: tuple[str, ...] = ()
    """Plan only, instead of `targets`: addresses that the engine is to leave out."""
    plan_digest: str = ""
    """Apply only: the confirmed plan's digest; another plan file is never applied."""
    clone_note: str = ""
    """For the log: which module repositories the clone token reads, or why it reads none."""
    engine: str = ""
    """Apply only: engine and exact version that made the plan: `terraform 1.11.4`."""
    sensitive_outputs: tuple[str, ...] = ()
    """The sensitive outputs whose values are handed in after the apply: those that another stack is passed."""
    policy_values: str = ""
    """Plan only: what plan policies are to see of the plan's values: `hashed`, `marked` (see app.core.planresources);
    empty: no policy will be asked, and nothing is handed in for any."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """POST /worker/v1/assignments/<id>/heartbeat."""

    fencing: int
    wants_token: bool = False
    """The identity token is getting old."""
    done: Annotated[int, msgspec.Meta(ge=0, le=MAX_DONE)] = 0
    """How many resources the engine has dealt with in its present command: read in a plan, changed in an apply."""


class HeartbeatAnswer(Private, frozen=True, kw_only=True):
    """The renewed lease, and whether a person asked the run to stop."""

    lease_s: float
    stop: bool = False
    oidc_token: str = ""
    """A new one, when it was asked for."""


class StageReport(msgspec.Struct, frozen=True, kw_only=True):
    """POST /worker/v1/assignments/<id>/stage: the run moves on. Answered 204."""

    fencing: int
    stage: Stage
    state_mode: str = ""
    """With INITIALIZING on a first run: the mode that the configuration implies (`managed` or `external`)."""


class StageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """State credentials for a first run that turned out to be managed; None otherwise."""

    state: StateAccess | None = None


class PlanReport(msgspec.Struct, frozen=True, kw_only=True):
    """POST /worker/v1/assignments/<id>/plan: the engine made a plan."""

    fencing: int
    digest: str
    engine: str
    """`terraform 1.11.4`."""
    has_changes: bool
    """False exactly when the engine's exit code was 0."""
    summary: PlanSummary
    is_targeted: bool = False
    """True when the assignment's `targets` or `excluded` were passed on: a worker that does not know them says no."""
    state: StatePoint | None = None
    """Where the state was that the plan was made from; None when the plan file does not say."""
    resources: Resources | None = None
    """What plan policies see of the plan, when the assignment asked for it."""


class Next(StrEnum):
    """What the worker does after its plan was taken in."""

    ARCHIVE = "archive"
    """Store the workspace, then send the result `planned`."""
    APPLY = "apply"
    """The control plane has committed `applying`: apply now, on this worker."""
    DONE = "done"
    """Nothing more: the run ended. Clean up."""


class PlanAnswer(Private, frozen=True, kw_only=True):
    """What to do next."""

    next: Next
    environment: dict[str, str] | None = None
    """With APPLY: the stack's variables for the apply, which replace those of the plan."""
    secret_names: tuple[str, ...] = ()
    """Which of `environment` must be redacted."""
    oidc_token: str = ""
    """With APPLY: the identity token of the apply, which replaces that of the plan."""


class TransferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /worker/v1/assignments/<id>/transfer: where may the archive be brought to, or fetched from?"""

    fencing: int
    is_upload: bool
    size_bytes: int = 0
    """Of an upload, exactly."""
    sha256: str = ""
    """Of an upload, in hex."""


class TransferAnswer(Private, frozen=True, kw_only=True):
    """One request of the worker's own (PUT for an upload, else GET); without a URL it takes the calls `archive`."""

    url: str = ""
    """Carries its own permission, for this one thing and a short while: never logged, never followed elsewhere."""
    headers: dict[str, str] = {}
    """Sent exactly so."""


class ApplyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /worker/v1/assignments/<id>/apply: restored and verified; may the engine start?

    200 (empty object) only after the control plane committed `applying` for this fencing number; 409 otherwise.
    """

    fencing: int
    digest: str
    engine: str


class Outcome(StrEnum):
    """How an assignment ended."""

    PLANNED = "planned"
    """The workspace is stored; the run waits for a person."""
    APPLIED = "applied"
    VALIDATED = "validated"
    """A fork's commit is valid: the run has ended, and there is no plan."""
    FAILED = "failed"
    STOPPED = "stopped"
    """A person asked; the engine ended."""
    RETURNED = "returned"
    """The worker gives the run back untouched (it shuts down, or could not fetch): another may take it."""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One output after the apply; a sensitive one has no value."""

    name: str
    sensitive: bool = False
    value: str | None = None
    """JSON text."""


class OutputValue(Private, frozen=True, kw_only=True):
    """One output after the apply, as stacks below may be passed it."""

    name: str
    value: str | None = None
    """JSON text, whole. None: it is sensitive and was not asked for, or it is too long."""
    is_sensitive: bool = False


class ResultReport(msgspec.Struct, frozen=True, kw_only=True):
    """POST /worker/v1/assignments/<id>/result: the assignment is over. Safe to send twice."""

    fencing: int
    outcome: Outcome
    reason: str = ""
    """For people, redacted, at most 4,000 characters: `terraform plan exited 1: …`."""
    outputs: tuple[Output, ...] = ()
    values: tuple[OutputValue, ...] | None = None
    """With APPLIED: every output for the stacks below; None: they could not be read, and are not known."""
    obstacle: Obstacle | None = None
    """With FAILED: what the engine met before it changed anything."""
    remarks: tuple[Remark, ...] = ()
    """With FAILED: the engine's errors, with file and line; redacted."""
    log_bytes_left_out: int = 0
    archive_size_bytes: int = 0
    """With PLANNED: of the archive that was stored. One of another size, or of another hash, does not count."""
    archive_sha256: str = ""
    """With PLANNED: of the archive that was stored, in hex."""
    is_shutdown: bool = False
    """With RETURNED: the worker ends, and the run is not to blame: it is no lost attempt."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every answer with a 4xx or 5xx status."""

    error: str
