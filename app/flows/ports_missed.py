"""What catching up on missed events asks of a transaction, of GitHub and of git, as Protocols beside its flows."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

from app.core.event import Repository, Standing
from app.core.missed import FoundComment, KnownRef, Look, MissedDelivery, Outcome, Path, Sight
from app.core.names import DeliveryId, InstallationId, RepositoryId, RunId, Sha


class MissedRows(Protocol):
    """How far was looked, and what was found."""

    def find_look(self, path: Path) -> Look:
        """How far a path has looked; an empty one before its first look."""
        ...

    def save_look(self, path: Path, look: Look) -> None: ...

    def is_resting(self, path: Path) -> bool:
        """True until GitHub may be asked again for the path."""
        ...

    def rest_look(self, path: Path, *, for_s: float) -> None: ...

    def count_missed(self, path: Path, outcome: Outcome, number: int = 1) -> None:
        """Add to what the metric counts; nothing for 0."""
        ...

    def add_delivery(self, guid: DeliveryId, event: str, body: bytes, *, repository_id: RepositoryId) -> bool:
        """Keep a delivery of our own making and its job, in its repository's lane. False: it was made before."""
        ...

    # GitHub's delivery log
    def list_unheard(self, guids: Sequence[DeliveryId]) -> set[DeliveryId]:
        """Those of which no delivery was ever stored."""
        ...

    def note_missed(self, missed: Sequence[MissedDelivery]) -> int:
        """Note that they are to be asked for again; how many were not noted before."""
        ...

    def settle_missed(self, *, max_asks: int) -> tuple[int, int]:
        """Close those that have arrived, and those that were asked for too often; how many of each."""
        ...

    def list_to_ask(self, *, per_minute: int) -> list[MissedDelivery]:
        """Those whose time has come, oldest first, as many as this minute still takes."""
        ...

    def note_asked(self, guid: DeliveryId, *, wait: timedelta) -> None:
        """It was asked for now; the next time is not before `wait`."""
        ...

    def give_up(self, guid: DeliveryId) -> None:
        """It is not asked for any more."""
        ...

    def find_missed_at(self, guid: DeliveryId) -> datetime | None:
        """When GitHub first tried to deliver what was missed; None for every other delivery."""
        ...

    def sweep_missed(self, *, kept_days: int, limit: int) -> int:
        """Forget what was settled so long ago; how many."""
        ...

    # branches and tags
    def take_due_looks(self, *, every_s: float, limit: int) -> list[Repository]:
        """Repositories with stacks, not archived, not out of reach, whose refs are to be looked at now; each is due
        again `every_s` later, give or take a tenth, so that no other process takes it too."""
        ...

    def want_look(self, repository_id: RepositoryId, *, in_s: float) -> None:
        """Have the repository's refs looked at, at the latest so soon."""
        ...

    def want_all_looks(self, *, within_s: float) -> None:
        """Have every repository's refs looked at, spread over that time."""
        ...

    def read_sight(self, repository_id: RepositoryId) -> Sight: ...

    def save_refs(self, repository_id: RepositoryId, refs: Sequence[KnownRef]) -> None:
        """Remember refs, whatever was known of them."""
        ...

    def mark_seen(self, repository_id: RepositoryId) -> None:
        """All of the repository's refs are remembered from now on."""
        ...

    def forget_refs(self, repository_id: RepositoryId, refs: Sequence[str] | None) -> None:
        """Forget refs that are gone; None: all of them, and that it was ever seen."""
        ...

    def find_known_ref(self, repository_id: RepositoryId, ref: str) -> KnownRef | None: ...

    def find_newest_decided(self, repository_id: RepositoryId, ref: str) -> Sha | None:
        """The commit of the newest decision about a ref that is still kept."""
        ...

    def is_busy(self, repository_id: RepositoryId) -> bool:
        """True while deliveries of the repository wait to be carried out."""
        ...

    # comments
    def list_discussed(self) -> list[tuple[Repository, frozenset[int]]]:
        """Repositories with the numbers of their pull requests that have live runs."""
        ...

    def note_subject(self, guid: DeliveryId, subject: str) -> None:
        """Note what a delivery is about."""
        ...

    def is_heard(self, subject: str) -> bool:
        """True when some delivery was about it."""
        ...


class StandingRows(Protocol):
    """Whether repositories can be worked on."""

    def save_standing(self, repository_ids: Sequence[RepositoryId], standing: Standing) -> list[RepositoryId]:
        """Note it; those for which it is news."""
        ...

    def list_installed(self, installation_id: InstallationId) -> list[RepositoryId]:
        """The repositories that are known by that installation, by number."""
        ...

    def rename_owner(self, installation_id: InstallationId, account: str) -> int:
        """Follow an account's new name in the repositories of its installation; how many."""
        ...

    def may_publish(self, repository_id: RepositoryId) -> bool:
        """False while the App is suspended there, and for a repository that is archived or out of reach."""
        ...

    def defer_behind(self, repository_ids: Sequence[RepositoryId]) -> int:
        """Look at every report of theirs that does not stand as it should; how many."""
        ...

    def list_undecided_runs(self, repository_id: RepositoryId) -> list[RunId]:
        """Runs that wait for a turn, a worker or a person, oldest first."""
        ...


class Attempt(Protocol):
    """One attempt of GitHub's to deliver an event."""

    @property
    def id(self) -> int: ...
    @property
    def guid(self) -> DeliveryId: ...
    @property
    def event(self) -> str: ...
    @property
    def delivered_at(self) -> datetime: ...
    @property
    def is_ok(self) -> bool: ...


class AttemptPage(Protocol):
    """A page of the delivery log, newest first."""

    @property
    def attempts(self) -> Sequence[Attempt]: ...
    @property
    def cursor(self) -> str:
        """Where the next page is; empty at the end."""
        ...


class DeliveryLog(Protocol):
    """What GitHub delivered, and did not. Each call may raise RetryableError or UserError (GitHub said no)."""

    def read_deliveries(self, cursor: str, /) -> AttemptPage: ...

    def redeliver(self, attempt_id: int, /) -> None:
        """Have GitHub send it again, under the same GUID."""
        ...


class Conversations(Protocol):
    """What people wrote on pull requests."""

    def list_comments(self, repository: Repository, since: datetime, /) -> Sequence[FoundComment]:
        """Comments by people on issues and pull requests that were written or edited since then, oldest first."""
        ...


class RemoteRefs(Protocol):
    """A repository's branches and tags as its server has them now."""

    def ls_remote(self, source: Any, /) -> Mapping[str, Sha]: ...


class OnlyOne(Protocol):
    """Lets one process at a time in, of all that share the database."""

    def __call__(self, what: str, /) -> AbstractContextManager[bool]:
        """False in the block: another one is in it."""
        ...
