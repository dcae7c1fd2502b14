"""What flows ask of a transaction about pull requests, as a Protocol; part of `ports_transaction.Transaction`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from app.core.names import ReportId, RepositoryId, Sha
from app.core.record import PullRecord, ReportRecord
from app.core.run import Run


class PullRows(Protocol):
    """Pull requests, and the App's comment on each."""

    def find_pull(self, repository_id: RepositoryId, number: int) -> PullRecord:
        """What is known of the pull request; nothing yet is a record, too."""
        ...

    def lock_pull(self, repository_id: RepositoryId, number: int) -> PullRecord:
        """The same under its row's lock."""
        ...

    def save_ticks(
        self, repository_id: RepositoryId, number: int, ticks: Mapping[str, Sequence[int]], *, edits: int
    ) -> None:
        """Save what is ticked, and how many edits were read, of a locked pull request."""
        ...

    def note_landed(self, repository_id: RepositoryId, number: int, sha: Sha) -> None:
        """Note the commit that the pull request became; its comment goes on with that commit's runs."""
        ...

    def note_title(self, repository_id: RepositoryId, number: int, title: str, *, is_late: bool) -> None:
        """Note what the pull request is called; an event that came late says so only where nothing is known."""
        ...

    def find_landing(self, repository_id: RepositoryId, sha: Sha) -> int | None:
        """The number of the newest pull request that became that commit, or None."""
        ...

    def list_pull_runs(self, repository_id: RepositoryId, number: int) -> list[Run]:
        """The newest proposed and the newest tracked run of each stack that the pull request made, or the commit that
        it became; by stack name."""
        ...

    def find_comment(self, repository_id: RepositoryId, number: int) -> ReportRecord | None:
        """The report of the App's comment on the pull request, or None before any was wanted."""
        ...

    def forget_remote(self, report_id: ReportId, external_id: str) -> None:
        """Forget what was made on GitHub: it is there no more."""
        ...
