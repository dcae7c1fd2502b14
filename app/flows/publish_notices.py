"""What a notification policy says on a pull request: one comment for each of its keys, edited in place.

Found again by its stored number, and after a POST whose answer never came by what was to be said; never by a marker.
"""

import hashlib
from dataclasses import dataclass

import msgspec

from app.core.budget import Lane
from app.core.event import Repository
from app.core.record import ReportRecord
from app.flows.budget import spend
from app.flows.ports import GitHub, Store

COMMENT = "comment"
"""The external id of a notice's one remote."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a NOTICE report."""

    pull_number: int
    body: str


def subject_of(pull_number: int, policy: str, key: str) -> str:
    """What a notice is unique on. Keys are each policy's own: none edits what another says."""
    whole = hashlib.sha256(f"{policy}\n{key}".encode()).hexdigest()
    return f"{pull_number}/{whole[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Puts notices on GitHub."""

    store: Store
    github: GitHub

    def publish(self, record: ReportRecord, repository: Repository) -> bool:
        """Make the comment say what the notice says."""
        notice = msgspec.json.decode(record.document, type=Notice)
        digest = _digest(notice.body)
        remote = next((one for one in record.remotes if one.external_id == COMMENT), None)
        number = remote.remote_id if remote is not None else None
        if remote is not None and number is None:
            ours = self.github.list_own_comments(repository, notice.pull_number)
            number = next((one.id for one in reversed(ours) if _digest(one.body) == remote.published), None)
        if number is not None and remote is not None and remote.published == digest:
            self._note(record, number, digest)
            return True
        if number is not None:
            self._spend(repository)
        if number is None or not self.github.edit_comment(repository, number, notice.body):
            self._spend(repository)  # never made, or deleted by a person: said anew
            self._note(record, None, digest)
            number = self.github.comment_on_pull(repository, notice.pull_number, notice.body)
        self._note(record, number, digest)
        return True

    def _spend(self, repository: Repository) -> None:
        """Count a write, below all that says what becomes of runs: policies decide how much they say."""
        with self.store.begin() as tx:
            spend(tx, repository, Lane.PROGRESS)

    def _note(self, record: ReportRecord, number: int | None, digest: str) -> None:
        with self.store.begin() as tx:
            is_said = number is not None
            tx.save_remote(record.id, COMMENT, remote_id=number, published=digest, is_completed=is_said)


def _digest(body: str) -> str:
    """GitHub may give line ends and blanks at the end back differently."""
    return hashlib.sha256(body.replace("\r\n", "\n").strip().encode("utf-8", "replace")).hexdigest()
