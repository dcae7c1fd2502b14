"""A stored delivery becomes an event, and the event its flow. The row is closed with what became of it, in the
transaction that carried it out: a job that dies half way is simply run again.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from app.core.command import Command, parse_comment
from app.core.errors import UserError
from app.core.event import (
    AccountRenamed,
    Click,
    Comment,
    CommentDeleted,
    CommentEdited,
    Event,
    Ignored,
    InstallationChanged,
    Malformed,
    MergeGroup,
    PullChanged,
    PullReviewed,
    Push,
    RepositoriesChosen,
    RepositoryMoved,
    RepositoryStands,
    Rerequest,
)
from app.core.missed import FOUND_COMMENT, FOUND_REF, TOO_LATE, FoundComment, FoundRef, to_comment, to_push
from app.core.names import ZERO_SHA, DeliveryId, Digest, RepositoryId
from app.core.record import Delivery, DeliveryOutcome
from app.flows.control import Control
from app.flows.decide import Decide
from app.flows.follow import Follow
from app.flows.missed_comments import subject_of
from app.flows.organise import Organise
from app.flows.ports import PayloadReader, Store
from app.flows.rehearse import Rehearse
from app.flows.rerequest import PlanAgain
from app.flows.tick import Tick

Said = Comment | CommentEdited | CommentDeleted
"""What is said in a conversation, and what becomes of what the App said."""
RepositoryEvent = (
    Push | PullChanged | PullReviewed | MergeGroup | Click | Rerequest | Said | RepositoryMoved | RepositoryStands
)
"""What happens in one repository."""
E = TypeVar("E", bound=RepositoryEvent)
HOOK_FIELDS = ("hook", "hook_id", "installation")
"""What differs between the twins that two hooks send of one event."""
POLICIES_PREFIX: Final = "/spacelift"
"""What a comment begins with that policies from Spacelift wait for, whatever COMMAND_PREFIX is."""
_FOUND: Final[dict[str, type[FoundRef | FoundComment]]] = {FOUND_REF: FoundRef, FOUND_COMMENT: FoundComment}
"""Deliveries of our own making."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How a delivery reached us."""

    guid: DeliveryId
    is_missed: bool
    """GitHub could not bring it at first, and has sent it again."""
    is_late: bool
    """What it tells of happened so long ago that a command in it is not obeyed."""

    @property
    def is_overdue(self) -> bool:
        """True when newer events may have been carried out before it."""
        return self.is_missed or self.is_late


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """The use case of the `deliver` job."""

    store: Store
    read_payload: PayloadReader
    is_served: Callable[[str], bool]
    """True for an account that this installation serves (ALLOWED_ACCOUNTS)."""
    decide: Decide
    control: Control
    again: PlanAgain
    rehearse: Rehearse
    organise: Organise
    follow: Follow
    tick: Tick
    prefix: str
    """How a command in a comment begins."""

    def deliver(self, guid: DeliveryId) -> None:
        """Carry out one delivery, once. Safe to run twice. Raises: RetryableError when the world did not answer."""
        with self.store.begin() as tx:
            delivery = tx.lock_delivery(guid)
            if delivery is None or delivery.outcome is not DeliveryOutcome.PENDING:
                return
            if delivery.event != "check_run":  # two honest clicks on one button may be equal to the byte
                twin = tx.find_twin(guid, _digest(delivery.body))
                if twin is not None:
                    tx.close_delivery(guid, DeliveryOutcome.IGNORED, f"duplicate of {twin}")
                    return
            missed_at, now = tx.find_missed_at(guid), tx.now()
        happened_at = min(delivery.received_at, missed_at or delivery.received_at)
        arrival = Arrival(guid=guid, is_missed=missed_at is not None, is_late=now - happened_at > TOO_LATE)
        event = self._read(delivery)
        match event:
            case Ignored(reason):
                self._close(guid, DeliveryOutcome.IGNORED, reason)
            case Malformed(reason):
                self._close(guid, DeliveryOutcome.MALFORMED, reason)
            case InstallationChanged():
                self.follow.installation(event, guid, happened_at)
            case RepositoriesChosen():
                self.follow.chosen(event, guid)
            case AccountRenamed():
                self.follow.renamed(event, guid)
            case _ if not self.is_served(event.repository.owner):
                reason = f"account {event.repository.owner} is not served: see ALLOWED_ACCOUNTS"
                if isinstance(event, RepositoryMoved | RepositoryStands):
                    self.follow.left(event, guid, reason)
                else:
                    self._close(guid, DeliveryOutcome.IGNORED, reason)
            case _:
                self._carry_out(event if delivery.event in _FOUND else _as_told_at(event, happened_at), arrival)

    def _read(self, delivery: Delivery) -> Event | Ignored | Malformed:
        """What a delivery is: GitHub's, or of our own making."""
        if delivery.event not in _FOUND:
            return self.read_payload(delivery.event, delivery.body)
        found = msgspec.json.decode(delivery.body, type=_FOUND[delivery.event])
        with self.store.begin() as tx:
            repository = tx.find_repository(RepositoryId(found.repository_id))
        if repository is None:
            return Ignored("the repository is not known any more")
        return to_push(found, repository) if isinstance(found, FoundRef) else to_comment(found, repository)

    def _carry_out(self, event: RepositoryEvent, arrival: Arrival) -> None:
        guid = arrival.guid
        try:
            match event:
                case Push():
                    self._push(self._whole(event), arrival)
                case PullChanged():
                    self.rehearse.want(event)
                    self.decide.pull(event, guid, is_late=arrival.is_overdue)
                case PullReviewed():
                    self.decide.review(event, guid)
                case MergeGroup():
                    self.decide.group(event, guid)
                case Click():
                    self.control.click(event, guid, is_late=arrival.is_late)
                case Rerequest():
                    self.again.rerequest(event, guid, is_late=arrival.is_late)
                case Comment():
                    self._comment(event, guid)
                case CommentEdited() | CommentDeleted():
                    self.tick.hear(event, guid)
                case RepositoryMoved():
                    self.follow.moved(event, guid)
                case RepositoryStands():
                    self.follow.stands(event, guid)
        except UserError as error:
            self._close(guid, DeliveryOutcome.EVENT, f"could not be carried out: {error}")

    def _push(self, push: Push, arrival: Arrival) -> None:
        if self.organise.takes(push):
            self.organise.push(push, arrival.guid)
        else:
            self.decide.push(push, arrival.guid, is_late=arrival.is_overdue)

    def _whole(self, push: Push) -> Push:
        """The push with what git alone can tell of one that was found: whether it left commits behind."""
        if not push.is_found or not push.branch or push.before == ZERO_SHA:
            return push
        return replace(push, is_forced=not self.decide.look.holds(push.repository, push.after, push.before))

    def _comment(self, event: Comment, guid: DeliveryId) -> None:
        """A comment with our prefix, or with the one that policies know from Spacelift, is for the policies; with ours
        it is a command as well. Where a policy made a run of it, no command of it starts another. One that comes late
        is answered alone."""
        with self.store.begin() as tx:
            tx.note_subject(guid, subject_of(event.repository.id, event.comment_id))
            is_late = tx.now() - event.created_at > TOO_LATE
        is_for_policies = event.body.lstrip().startswith((self.prefix, POLICIES_PREFIX))
        if event.pull_number is None or event.is_bot or not is_for_policies or is_late:
            self.control.comment(event, guid)
            return
        made = self.decide.comment(event, guid)
        lines = parse_comment(event.body, self.prefix)
        left = [line for line in lines if isinstance(line, Command) and not (made and line.verb.is_start)]
        if made and not left:
            self._close(guid, DeliveryOutcome.EVENT, f"decided by policies: {made} runs")
        else:
            self.control.comment(event, guid, is_decided=bool(made))

    def _close(self, guid: DeliveryId, outcome: DeliveryOutcome, reason: str) -> None:
        with self.store.begin() as tx:
            tx.close_delivery(guid, outcome, reason[:1000])


def _as_told_at(event: E, happened_at: datetime) -> E:
    """An event of GitHub's: what it says of its repository is as old as itself, and takes nothing newer back."""
    return replace(event, repository=replace(event.repository, told_at=happened_at))


def _digest(body: bytes) -> Digest:
    """SHA-256 of the payload without the fields that name its hook; of the raw bytes when they are no JSON."""
    try:
        payload = json.loads(body)
        rest = {key: value for key, value in payload.items() if key not in HOOK_FIELDS}
        body = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, AttributeError, RecursionError):
        pass
    return Digest(hashlib.sha256(body).hexdigest())
