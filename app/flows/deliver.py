"""A stored delivery becomes an event, and the event its flow. The row is closed with what became of it, in the
transaction that carried it out: a job that dies half way is simply run again.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from app.core.command import Command, parse_comment
from app.core.errors import UserError
from app.core.event import (
    Click,
    Comment,
    Ignored,
    InstallationChanged,
    Malformed,
    MergeGroup,
    PullChanged,
    PullReviewed,
    Push,
    RepositoryMoved,
)
from app.core.names import DeliveryId, Digest
from app.core.record import DeliveryOutcome
from app.flows.control import Control
from app.flows.decide import Decide
from app.flows.organise import Organise
from app.flows.ports import PayloadReader, Store
from app.flows.rehearse import Rehearse

RepositoryEvent = Push | PullChanged | PullReviewed | MergeGroup | Click | Comment | RepositoryMoved
"""What happens in one repository."""
HOOK_FIELDS = ("hook", "hook_id", "installation")
"""What differs between the twins that two hooks send of one event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """The use case of the `deliver` job."""

    store: Store
    read_payload: PayloadReader
    is_served: Callable[[str], bool]
    """True for an account that this installation serves (ALLOWED_ACCOUNTS)."""
    decide: Decide
    control: Control
    rehearse: Rehearse
    organise: Organise
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
        event = self.read_payload(delivery.event, delivery.body)
        match event:
            case Ignored(reason):
                self._close(guid, DeliveryOutcome.IGNORED, reason)
            case Malformed(reason):
                self._close(guid, DeliveryOutcome.MALFORMED, reason)
            case InstallationChanged():
                self._follow_installation(event, guid)
            case _ if not self.is_served(event.repository.owner):
                reason = f"account {event.repository.owner} is not served: see ALLOWED_ACCOUNTS"
                self._close(guid, DeliveryOutcome.IGNORED, reason)
            case _:
                self._carry_out(event, guid)

    def _carry_out(self, event: RepositoryEvent, guid: DeliveryId) -> None:
        try:
            match event:
                case Push() if self.organise.takes(event):
                    self.organise.push(event, guid)
                case Push():
                    self.decide.push(event, guid)
                case PullChanged():
                    self.rehearse.want(event)
                    self.decide.pull(event, guid)
                case PullReviewed():
                    self.decide.review(event, guid)
                case MergeGroup():
                    self.decide.group(event, guid)
                case Click():
                    self.control.click(event, guid)
                case Comment():
                    self._comment(event, guid)
                case RepositoryMoved():
                    self._follow(event, guid)
        except UserError as error:
            self._close(guid, DeliveryOutcome.EVENT, f"could not be carried out: {error}")

    def _comment(self, event: Comment, guid: DeliveryId) -> None:
        """A comment with our prefix is for the policies, and it is a command as well; what a policy made a run of need
        not be a command of ours."""
        is_ours = event.body.lstrip().startswith(self.prefix)
        if event.pull_number is None or event.is_bot or not is_ours:
            self.control.comment(event, guid)
            return
        made = self.decide.comment(event, guid)
        commands = [line for line in parse_comment(event.body, self.prefix) if isinstance(line, Command)]
        if made and not commands:
            self._close(guid, DeliveryOutcome.EVENT, f"decided by policies: {made} runs")
        else:
            self.control.comment(event, guid)

    def _follow(self, event: RepositoryMoved, guid: DeliveryId) -> None:
        with self.store.begin() as tx:
            tx.save_repository(event.repository)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, f"repository is now {event.repository.full_name}")

    def _follow_installation(self, event: InstallationChanged, guid: DeliveryId) -> None:
        with self.store.begin() as tx:
            tx.save_installation(event.installation_id, event.account, is_active=event.is_active)
            word = "active" if event.is_active else "not active"
            tx.close_delivery(guid, DeliveryOutcome.EVENT, f"installation on {event.account} is {word}")

    def _close(self, guid: DeliveryId, outcome: DeliveryOutcome, reason: str) -> None:
        with self.store.begin() as tx:
            tx.close_delivery(guid, outcome, reason[:1000])


def _digest(body: bytes) -> Digest:
    """SHA-256 of the payload without the fields that name its hook; of the raw bytes when they are no JSON."""
    try:
        payload = json.loads(body)
        rest = {key: value for key, value in payload.items() if key not in HOOK_FIELDS}
        body = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, AttributeError, RecursionError):
        pass
    return Digest(hashlib.sha256(body).hexdigest())
