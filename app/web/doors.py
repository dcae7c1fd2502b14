"""What the doors call, as Protocols, and `Doors`, which wiring fills. All of it blocks, so it is called on a thread.

Parameters are positional: a fitting object may name them as it likes. Beside the errors that a docstring names, each
may raise UserError (422, its text is shown), RetryableError (503) and anything else (500, never shown).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from app.core.budget import Spending
from app.core.drift import DriftSeen
from app.core.event import Repository
from app.core.managed import StateCaller, StateFound, StateLocking, StateMissing, StateWrite
from app.core.names import AssignmentId, DeliveryId, InstallationId, RunId, Secret, StackId
from app.core.notice import Message
from app.core.plan import PlanSummary
from app.core.protocol import (
    ApplyRequest,
    Assignment,
    ClaimRequest,
    Heartbeat,
    HeartbeatAnswer,
    PlanAnswer,
    PlanReport,
    ResultReport,
    StageAnswer,
    StageReport,
    TransferAnswer,
    TransferRequest,
)
from app.core.record import LogChunk, NewDelivery, RunFacts
from app.core.review import PlanReview
from app.core.run import ExternalState, Run, Transition
from app.core.signing import Purpose
from app.core.stack import Stack
from app.core.workers import Drained
from app.flows.installed import Installed
from app.settings import PagesAccess
from app.web.doors_people import People


class RecordDeliveries(Protocol):
    """The one call of the webhook's door: `Store.record_deliveries`."""

    def __call__(self, batch: Sequence[NewDelivery], /) -> frozenset[DeliveryId]:
        """Keep deliveries and the jobs of those that are pending, in one transaction. The GUIDs that were new.

        Raises: RetryableError when they cannot be stored; GitHub is told 503 then.
        """
        ...


class WorkDoor(Protocol):
    """The worker protocol, one method per call. See app.core.protocol for what each means.

    All but `claim` raise NotAuthorised (401: no such assignment, or not its token) and LeaseLost (409: it is over, or
    the fencing number is not the newest). `token` is what came as bearer, unchecked.
    """

    def claim(self, pool: str, request: ClaimRequest, /) -> Assignment | Drained | None:
        """The next assignment of the pool, or None at once: the door does the waiting. The pool's token was checked."""
        ...

    def authorise(self, assignment_id: AssignmentId, token: str, /) -> None:
        """Nothing, when that token belongs to that assignment. Asked before a large body is read."""
        ...

    def heartbeat(self, assignment_id: AssignmentId, token: str, beat: Heartbeat, /) -> HeartbeatAnswer: ...

    def stage(self, assignment_id: AssignmentId, token: str, report: StageReport, /) -> StageAnswer: ...

    def add_log(self, assignment_id: AssignmentId, token: str, fencing: int, offset: int, data: bytes, /) -> None:
        """Keep a chunk, at most MAX_LOG_CHUNK_BYTES; the same offset again changes nothing."""
        ...

    def report_plan(self, assignment_id: AssignmentId, token: str, report: PlanReport, /) -> PlanAnswer: ...

    def begin_apply(self, assignment_id: AssignmentId, token: str, request: ApplyRequest, /) -> None:
        """Returns only after `applying` was committed for that fencing number."""
        ...

    def report_result(self, assignment_id: AssignmentId, token: str, report: ResultReport, /) -> None: ...

    def offer_archive(self, assignment_id: AssignmentId, token: str, asked: TransferRequest, /) -> TransferAnswer:
        """Where the workspace may be brought or fetched without this door between; an empty URL: through it."""
        ...

    def put_archive(
        self, assignment_id: AssignmentId, token: str, fencing: int, chunks: Iterator[bytes], /
    ) -> int | None:
        """Store the workspace, all or nothing. Checks token and fencing before it takes the first chunk.

        The iterator raises when the upload breaks off or is too large: let it pass, and keep nothing.
        """
        ...

    def open_archive(
        self, assignment_id: AssignmentId, token: str, fencing: int, /
    ) -> AbstractContextManager[BinaryIO]:
        """The stored workspace. Raises on call or on entering, before the first byte, when it may not be had."""
        ...


class WorkSignal(Protocol):
    """Says when there may be work. A missed call costs a worker seconds, never a run."""

    def subscribe(self, callback: Callable[[str], None], /) -> Any:
        """Call back with the pool's name, from any thread, whenever a run of it becomes claimable."""
        ...


class StateDoor(Protocol):
    """Managed state, as Terraform's http backend asks for it.

    All raise NotAuthorised (401) when there is no such assignment, not its password, or another stack's; all but
    `write` and `authorise` raise LeaseLost (403) when the assignment is over.
    """

    def authorise(self, caller: StateCaller, /) -> None:
        """Nothing, when the credentials are right, also of an assignment that is over. Asked before a body is read."""
        ...

    def read(self, caller: StateCaller, /) -> StateFound | StateMissing: ...

    def write(self, caller: StateCaller, lock_id: str, data: bytes, /) -> StateWrite:
        """Make it the current version. `lock_id` is empty when none was sent. `data` is a JSON object."""
        ...

    def lock(self, caller: StateCaller, lock_id: str, info: bytes, /) -> StateLocking:
        """Take the lock; `info` is Terraform's JSON, checked to be an object of at most 16 KiB that names `lock_id`."""
        ...

    def unlock(self, caller: StateCaller, lock_id: str, /) -> StateLocking:
        """Give the lock back. `lock_id` is empty when Terraform sent none (force-unlock)."""
        ...

    def delete(self, caller: StateCaller, lock_id: str, /) -> StateWrite:
        """Make "no state" current; versions are kept."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """Everything that a run's page shows but its log, read in one transaction."""

    run: Run
    facts: RunFacts
    blocked_by: Run | None
    """The run that it waits for."""
    history: tuple[Transition, ...]
    """Oldest first."""
    summary: PlanSummary | None
    """Of plan `run.plan.number`."""
    repository: Repository | None
    whole: PlanSummary | None = None
    """Of the plan that a plan of a part is a part of."""
    attestation: bytes = b""
    """What was signed when it had applied; empty: it never did."""
    throttled: Spending | None = None
    """The run's installation, while what is to be told of it has to wait."""
    messages: tuple[Message, ...] = ()
    """Who was told of it, oldest first."""
    reviews: tuple[PlanReview, ...] = ()
    """What people said of its plans, oldest first."""
    pull_number: int | None = None
    """The pull request that made it, or that became its commit."""
    pull_title: str = ""
    """Hostile text; empty: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackDetail:
    """Everything that a stack's page shows."""

    stack: Stack
    repository: Repository | None
    runs: tuple[Run, ...]
    """Newest first."""
    drift: DriftSeen = DriftSeen()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The first page."""

    stacks: tuple[StackDetail, ...]
    """By repository and name; `runs` holds the newest run of each that is among the recent ones, or nothing."""
    runs: tuple[Run, ...]
    """Newest first, of all stacks."""
    waiting: tuple[Run, ...] = ()
    """Whose plan waits for a person, newest first, however many runs came after."""
    throttled: tuple[Spending, ...] = ()
    """Installations that GitHub, or the App itself, has wait."""


class Reading(Protocol):
    """What the pages read; `app.web.look.Look` makes it of the store's ports. None: there is no such thing."""

    def overview(self, *, runs: int = 50) -> Overview:
        """At most so many runs: the newest, and those that wait."""
        ...

    def find_run(self, run_id: RunId, /) -> RunDetail | None: ...

    def find_stack(self, stack_id: StackId, /) -> StackDetail | None: ...

    def read_log(self, run_id: RunId, /) -> Iterator[LogChunk]:
        """The log of all the run's assignments in order, opened, piece by piece."""
        ...

    def read_log_end(self, run_id: RunId, /, *, limit: int) -> tuple[bytes, int]:
        """The last bytes of that log, at most `limit`, and how many are before them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One number of /metrics that is computed when it is asked for."""

    name: str
    """Without prefix: `runs`."""
    meaning: str
    label: str = ""
    """Name of its one label, or empty."""
    values: Mapping[str, float]
    """Shape: label value to number; one entry under the empty string when there is no label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One counter of /metrics that the database keeps."""

    name: str
    """Without prefix and `_total`: `missed_events`."""
    meaning: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], int]
    """Shape: label values, in the order of the labels, to number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """All that the web process is made of."""

    record_deliveries: RecordDeliveries
    webhook_secrets: tuple[Secret, ...]
    """The live ones, the current one first."""
    work: WorkDoor
    work_signal: WorkSignal
    pool_tokens: Mapping[str, Sequence[Secret]]
    """Worker pool to its live tokens."""
    state: StateDoor
    reading: Reading
    readiness: Callable[[], Mapping[str, str]]
    """What must work (database, migrations, artifacts) to what is wrong with it; empty text: nothing."""
    gauges: Callable[[], Sequence[Gauge | Tally]]
    stacks_schema: Mapping[str, object]
    """JSON Schema of stacks.yml."""
    organisation_schema: Mapping[str, object]
    """JSON Schema of an organisation's stacks.yml."""
    public_url: str
    github_server_url: str
    """For links to commits."""
    command_prefix: str = "/trackside"
    pages_access: PagesAccess = "loopback"
    people: People | None = None
    """None: nobody can log in."""
    metrics_token: Secret = field(default_factory=lambda: Secret(""))
    mark_external: Callable[[RunId, str, ExternalState], str] = lambda _run, _name, _state: ""
    """Marks what a run waits for; what follows, in words."""
    external_token: Secret = field(default_factory=lambda: Secret(""))
    """Of CI; empty: nothing is marked by HTTP."""
    key_set: Callable[[Purpose], Mapping[str, object]] = lambda _purpose: {"keys": []}
    """The public keys that verify what we sign."""
    find_installed: Callable[[InstallationId], Installed | None] = lambda _id: None
    """What an installation of the App reaches; None: there is none of that number."""
    database_connections: int = 10
    """How many deliveries are stored at once; more wait for a connection without holding a thread."""
