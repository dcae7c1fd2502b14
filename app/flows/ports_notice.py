"""What notifications ask of the outside, beside their consumers: rows, receivers, and which pull request is meant."""

from collections.abc import Sequence
from typing import Protocol

from app.core.event import Repository
from app.core.names import RunId, Sha
from app.core.notice import Answer, Endpoint, Message, Outcome, StateChange
from app.core.pull import PullFacts


class NoticeRows(Protocol):
    """Changes of state to be told, endpoints, messages. Endpoints are locked last, by name."""

    def list_changes(self, run_id: RunId) -> list[StateChange]:
        """The changes of a run that are still to be told, oldest first; bounded."""
        ...

    def take_changes(self, run_id: RunId, step_ids: Sequence[int]) -> set[int]:
        """Those of the changes that nobody else has told; from now on they are told."""
        ...

    def list_endpoints(self) -> list[Endpoint]:
        """Every endpoint, by name."""
        ...

    def find_endpoint(self, name: str) -> Endpoint | None: ...

    def lock_endpoints(self, names: Sequence[str], slack: Sequence[str]) -> dict[str, Endpoint]:
        """The endpoints of those names, locked; those of Slack are made when they are not there. Shape: by name."""
        ...

    def save_endpoint(self, endpoint: Endpoint) -> bool:
        """Set an endpoint up, or replace it: it is on, without failures, and its numbers go on; True when it was
        there."""
        ...

    def rename_account(self, before: str, after: str) -> None:
        """An account has another name: its endpoints are those of the new one. Names in lower case."""
        ...

    def remove_endpoint(self, name: str, reason: str) -> bool:
        """Forget an endpoint, secret and all; what waited for it is dropped. False when there is none."""
        ...

    def turn_endpoint(self, name: str, *, is_on: bool) -> bool:
        """Switch an endpoint on, its failures forgotten, or off; False when there is none."""
        ...

    def drop_messages(self, name: str, reason: str) -> int:
        """What waits for an endpoint is not sent; how many."""
        ...

    def note_failure(self, name: str, problem: str) -> int:
        """A message to the endpoint failed; how many in a row that makes."""
        ...

    def note_success(self, name: str) -> None:
        """A message to the endpoint was taken."""
        ...

    def add_message(self, message: Message) -> None:
        """Keep a message; one that is pending gets its job. Call it with its endpoint locked."""
        ...

    def next_message(self, name: str) -> Message | None:
        """The oldest message that waits for the endpoint, one more try counted; or None."""
        ...

    def end_message(self, message: Message, outcome: Outcome, reason: str = "") -> bool:
        """What became of a pending message; what it said is forgotten. False when it had ended already."""
        ...

    def list_messages(self, run_id: RunId) -> list[Message]:
        """The messages of a run, oldest first, without what is to be sent; bounded."""
        ...

    def sweep_messages(self, *, kept_days: int, limit: int) -> int:
        """Let go of messages that ended and are older; how many."""
        ...


class Receivers(Protocol):
    """Those who are told. Never raises: what went wrong is an answer."""

    def post(self, message: Message, endpoint: Endpoint, /) -> Answer:
        """What the endpoint said to a message; to one of Slack's channels it goes to the address of the settings."""
        ...

    @property
    def channels(self) -> frozenset[str]:
        """The channels of Slack that have an address of their own; the empty one takes the others."""
        ...


class PullsOf(Protocol):
    """Which pull requests are meant. Each may raise RetryableError (try later) or UserError (GitHub said no)."""

    def list_changed_pulls(self, repository: Repository, sha: Sha) -> tuple[PullFacts, ...]:
        """The open pull requests whose head is that commit, by number."""
        ...

    def list_open_pulls(self, repository: Repository, head_branch: str) -> tuple[PullFacts, ...]:
        """The open pull requests of a branch of the repository itself, by number."""
        ...
