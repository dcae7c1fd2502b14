"""What flows ask of the outside, as Protocols beside their consumers. Adapters fit them by shape; wiring proves it.

Nothing here names a library. Store methods run in one database transaction each `begin()`; GitHub and git are never
called inside one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO, Protocol

from app.core.artifact import Offer, Stored
from app.core.budget import Spending
from app.core.contract import Evaluated, Mistake, PolicyFailed, PolicyQuestions, PolicyText
from app.core.decision import Decision
from app.core.drift import DriftSeen
from app.core.event import Event, Ignored, Malformed, Repository
from app.core.names import (
    RepositoryId,
    RunId,
    Secret,
    Sha,
    StackId,
)
from app.core.protocol import Phase
from app.core.pull import PullDetail, PullFacts, Reviews, Signature
from app.core.record import (
    LogChunk,
)
from app.core.reply import CheckReport, DeploymentReport, DeploymentState, OwnComment
from app.core.run import Run, RunType, Transition
from app.core.stack import Configuration, Stack, StateMode
from app.flows.ports_people import People
from app.flows.ports_transaction import RunChange, Transaction


class Store(Protocol):
    """The database."""

    def begin(self) -> AbstractContextManager[Transaction]: ...


class Reading(Protocol):
    """Read-only questions of the pages and the command line."""

    def read_history(self, run_id: RunId) -> list[Transition]: ...
    def read_log(self, run_id: RunId, *, after: int = 0) -> Iterator[LogChunk]: ...
    def count_log_bytes(self, run_id: RunId) -> int: ...
    def list_recent_runs(self, *, stack_id: StackId | None = None, limit: int = 100) -> list[Run]: ...
    def list_waiting_runs(self, limit: int = 100) -> list[Run]: ...
    def list_all_stacks(self) -> list[Stack]: ...
    def list_decisions(self, repository_id: RepositoryId, sha: Sha) -> list[Decision]: ...
    def list_spending(self) -> list[Spending]: ...
    def list_drift(self, stack_id: StackId | None = None) -> dict[StackId, DriftSeen]: ...


class FindRepository(Protocol):
    """Looks a repository up by the name that it has now."""

    def __call__(self, full_name: str, /) -> RepositoryId | None: ...


class Policies(Protocol):
    """What runs Rego. Each call may raise UserError when there is no engine to ask."""

    def evaluate(self, policy: PolicyText, question: Mapping[str, object], /) -> Evaluated | PolicyFailed:
        """What the policy says, within the time of its type."""
        ...

    def evaluate_all(
        self, shared: Mapping[str, object], asked: Sequence[PolicyQuestions], /
    ) -> list[list[Evaluated | PolicyFailed]]:
        """What several policies say to their questions, in that order; each within the time of its type."""
        ...

    def check(self, policy: PolicyText, /) -> tuple[Mistake, ...]:
        """What stops the policy from being accepted, in the order of its lines."""
        ...


class ReadFile(Protocol):
    """Reads a file of one commit."""

    def __call__(self, path: str, /, *, max_bytes: int) -> bytes | None:
        """None: there is none. Raises: UserError when it is larger."""
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


class GitHub(People, Protocol):
    """What flows ask of GitHub. Each call may raise RetryableError (try later) or UserError (GitHub said no)."""

    def clone_url(self, repository: Repository) -> str: ...

    def control_token(self, repository: Repository) -> Secret:
        """The installation token of the control plane (cached, single flight): for its own mirror."""
        ...

    def mint_clone_token(self, repository: Repository, modules: Sequence[str] = ()) -> Secret:
        """A fresh token with contents: read on that repository, and on others of its owner by name (`*`: on all)."""
        ...

    def revoke_token(self, token: Secret) -> None: ...

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

    def update_check(self, repository: Repository, check_run_id: int, report: CheckReport) -> bool:
        """False when it is not there any more."""
        ...

    def has_annotations(self, repository: Repository, check_run_id: int) -> bool:
        """True when a check run has annotations: GitHub appends those of every update."""
        ...

    def retire_check(self, repository: Repository, check_run_id: int, title: str) -> None:
        """Take the buttons of a check run whose segment is over; it concludes neutral."""
        ...

    def find_check(self, repository: Repository, sha: Sha, name: str, external_id: str) -> int | None: ...

    def create_deployment(self, repository: Repository, report: DeploymentReport) -> int: ...

    def find_deployment(self, repository: Repository, report: DeploymentReport) -> int | None: ...

    def add_deployment_status(
        self, repository: Repository, deployment_id: int, state: DeploymentState, *, report: DeploymentReport
    ) -> bool:
        """False when the deployment is not there any more."""
        ...

    def find_deployment_state(self, repository: Repository, deployment_id: int) -> DeploymentState | None:
        """What its newest status says; None when there is none, or one that is not ours to know."""
        ...

    def comment_on_pull(self, repository: Repository, number: int, body: str) -> int: ...

    def comment_on_commit(self, repository: Repository, sha: Sha, body: str) -> int: ...

    def find_comment(self, repository: Repository, *, number: int | None, sha: Sha | None, body: str) -> int | None:
        """One of our own with exactly that body: looked for only after a POST whose answer never came."""
        ...

    def list_own_comments(self, repository: Repository, number: int) -> Sequence[OwnComment]:
        """The App's comments on a pull request of the last days, oldest first."""
        ...

    def edit_comment(self, repository: Repository, comment_id: int, body: str) -> bool:
        """Give a comment of our own another text; False when it is there no more."""
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

    def find(self, key: str) -> Stored | None: ...

    def list_artifacts(self, folder: str) -> Iterator[Stored]:
        """Everything below `folder/`, by key; with an empty one everything that there is."""
        ...

    def sweep_partial(self, *, older_than_s: float) -> int:
        """Let go of what never became an artifact; how many."""
        ...

    def offer_put(self, key: str, *, size_bytes: int, sha256: str, expires_s: float) -> Offer | None:
        """How a worker stores exactly these bytes by itself; None: they come through the control plane."""
        ...

    def offer_get(self, key: str, *, expires_s: float) -> Offer | None: ...


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
    "FindRepository",
    "GitHub",
    "Mirror",
    "PayloadReader",
    "Phase",
    "Reading",
    "RunChange",
    "RunType",
    "Sealer",
    "StateMode",
    "Store",
    "Transaction",
]
