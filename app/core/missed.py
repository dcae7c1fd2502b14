"""What GitHub did not tell us, and how it was found: values of the flows that catch up on missed events.

A ref or a comment that was found becomes a delivery of our own making, so that it waits its turn, is tried again and is
carried out once, as any other. Its events have names that no webhook may have: the door knows them not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from app.core.event import Comment, Push, Repository
from app.core.names import ZERO_SHA, DeliveryId, Sha

FOUND_REF: Final = "found_ref"
"""The event of a delivery that holds a FoundRef."""
FOUND_COMMENT: Final = "found_comment"
"""The event of a delivery that holds a FoundComment."""
FOUND_BY: Final = "found by ls-remote"
"""Who pushed, as far as anybody knows: no login has blanks."""
FOUND_NOTE: Final = "found by ls-remote: GitHub sent no event"
"""What the record of a decision says about such a push."""
TOO_LATE: Final = timedelta(minutes=10)
"""A command that reaches us later than this is answered, never obeyed: things may have changed."""
MAX_ASKS: Final = 12
"""How often one delivery is asked for again before it is given up."""
MAX_WAIT: Final = timedelta(hours=6)
"""The longest time between two of those."""
MAX_REFS: Final = 50_000
"""Branches and tags of one repository that are remembered; of one that has more, none are looked after."""


class Path(StrEnum):
    """How a missed event is found."""

    DELIVERY_LOG = "delivery_log"
    HEADS = "heads"
    COMMENTS = "comments"


class Outcome(StrEnum):
    """What came of looking. The labels of a metric: never text from outside."""

    FOUND = "found"
    """Something was missed."""
    ASKED = "asked"
    """GitHub was asked to deliver it again."""
    RECOVERED = "recovered"
    """What was asked for arrived."""
    GIVEN_UP = "given_up"
    """It was asked for MAX_ASKS times, or GitHub's log does not hold it any more."""
    UNANSWERED = "unanswered"
    """GitHub did not answer: the next look tries again."""


class FoundRef(msgspec.Struct, frozen=True, kw_only=True):
    """A branch or a tag that moved without an event: the body of a FOUND_REF delivery."""

    repository_id: int
    ref: str
    before: str
    """What was last known of it; ZERO_SHA: nothing."""
    after: str
    found_at: datetime


class FoundComment(msgspec.Struct, frozen=True, kw_only=True):
    """A command on a pull request that nobody told us of: the body of a FOUND_COMMENT delivery."""

    repository_id: int
    comment_id: int
    pull_number: int
    body: str
    sender: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How far one path has looked."""

    seen_until: datetime | None = None
    """Everything that happened before was looked at; None: nothing ever was."""
    began_at: datetime | None = None
    """When the look began that is not at its end yet; None: none is under way."""
    ended_at: datetime | None = None
    """When the last look ended."""
    cursor: str = ""
    """Where the look under way goes on, in GitHub's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedDelivery:
    """A delivery that GitHub could not bring, and that is asked for again."""

    guid: DeliveryId
    event: str
    attempt_id: int
    """GitHub's number of one of its attempts."""
    delivered_at: datetime
    """When it was tried first: about when it happened."""
    asked: int = 0
    """How often it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRef:
    """What is known of one branch or tag."""

    ref: str
    sha: Sha
    """Where it was when it was last decided, or seen; ZERO_SHA: it is new, and nothing was decided."""
    new_sha: Sha | None = None
    """Where git says that it is, while its own event may still be on its way."""
    new_since: datetime | None = None
    found_base: Sha | None = None
    """What it was before the move that was found and decided; None: its last move was told by GitHub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known of a repository's refs."""

    is_first: bool
    """Nobody has looked yet."""
    refs: Mapping[str, KnownRef]
    """By full ref."""


def ask_again_in(asked: int, every: timedelta) -> timedelta:
    """How long to wait after having asked that often: twice as long each time, at most MAX_WAIT."""
    return min(MAX_WAIT, every * float(2 ** min(max(asked - 1, 0), 16)))


def to_push(found: FoundRef, repository: Repository) -> Push:
    """The push that it must have been. Whether it was forced is the caller's to find out."""
    return Push(
        repository=repository,
        ref=found.ref,
        before=Sha(found.before),
        after=Sha(found.after),
        is_forced=False,
        is_deleted=found.after == ZERO_SHA,
        sender=FOUND_BY,
        message="",
        is_found=True,
    )


def to_comment(found: FoundComment, repository: Repository) -> Comment:
    """The comment that it is."""
    return Comment(
        repository=repository,
        comment_id=found.comment_id,
        pull_number=found.pull_number,
        sha=None,
        body=found.body,
        created_at=found.created_at,
        sender=found.sender,
        is_bot=False,
    )
