"""Commands that people wrote while nobody listened, for longer than GitHub keeps deliveries: looked for in the
conversations of pull requests with live runs, and answered "please repeat". None of them is carried out.

A look is wanted by `missed_log`, which knows how long the silence was.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from app.core.command import parse_comment
from app.core.errors import RetryableError, UserError
from app.core.event import Repository
from app.core.missed import FOUND_COMMENT, TOO_LATE, Outcome, Path
from app.core.names import DeliveryId, RepositoryId
from app.flows.ports import Store
from app.flows.ports_missed import Conversations, OnlyOne


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedComments:
    """The use case of the look at conversations."""

    store: Store
    github: Conversations
    only_one: OnlyOne
    prefix: str

    def look(self) -> int:
        """Look at the conversations when a look is wanted; how many commands turned out to be missed.

        Raises: RetryableError when GitHub does not answer: the next look starts anew, and finds nothing twice.
        """
        with self.only_one(Path.COMMENTS) as is_ours:
            with self.store.begin() as tx:
                look = tx.find_look(Path.COMMENTS)
                discussed = tx.list_discussed() if is_ours and look.began_at is not None else []
            if not is_ours or look.began_at is None or look.seen_until is None:
                return 0
            found = sum(self._look_at(repository, numbers, look.seen_until) for repository, numbers in discussed)
            with self.store.begin() as tx:
                tx.save_look(Path.COMMENTS, replace(look, seen_until=look.began_at, began_at=None, ended_at=tx.now()))
        return found

    def _look_at(self, repository: Repository, numbers: frozenset[int], since: datetime) -> int:
        try:
            written = self.github.list_comments(repository, since)
        except (RetryableError, UserError) as error:
            with self.store.begin() as tx:
                tx.count_missed(Path.COMMENTS, Outcome.UNANSWERED)
            if isinstance(error, RetryableError):
                raise
            return 0
        commands = [one for one in written if one.pull_number in numbers and parse_comment(one.body, self.prefix)]
        found = 0
        with self.store.begin() as tx:
            before = tx.now() - TOO_LATE
            for one in commands:
                # A younger one is in the delivery log: it comes by itself, and may be carried out.
                if one.created_at < before and not tx.is_heard(subject_of(repository.id, one.comment_id)):
                    body = msgspec.json.encode(one)
                    guid = DeliveryId(f"comment-{repository.id}-{one.comment_id}")
                    found += tx.add_delivery(guid, FOUND_COMMENT, body, repository_id=repository.id)
            tx.count_missed(Path.COMMENTS, Outcome.FOUND, found)
        return found


def subject_of(repository_id: RepositoryId, comment_id: int) -> str:
    """What a delivery about a comment on a pull request is about."""
    return f"comment/{repository_id}/{comment_id}"
