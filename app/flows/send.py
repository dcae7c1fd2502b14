"""Messages on their way: those of one endpoint in their order, each tried a few times; an endpoint that takes none any
more is switched off.

No transaction is open while the other side is asked. A message may arrive twice, when a process dies between its answer
and our note: its id is the same then.
"""

from dataclasses import dataclass
from typing import Final

from app.core import words_notice as words
from app.core.errors import RetryableError
from app.core.notice import FAILURES_OFF, Endpoint, Kind, Message, Outcome, is_over, next_try_s
from app.core.record import AuditLine
from app.flows.ports import Store, Transaction
from app.flows.ports_notice import Receivers
from app.flows.schedule import SYSTEM

AT_ONCE: Final = 50
"""Messages that one job sends; each brought a job of its own."""
SOURCE: Final = "notification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """The use case of the `send` job."""

    store: Store
    receivers: Receivers

    def send(self, name: str) -> tuple[str, ...]:
        """Send what waits for an endpoint; what the log has to know. Raises: RetryableError to be run again later."""
        remarks: list[str] = []
        for _ in range(AT_ONCE):
            with self.store.begin() as tx:
                endpoint = tx.find_endpoint(name)
                if endpoint is None or not endpoint.is_on:
                    tx.drop_messages(name, words.SWITCHED_OFF if endpoint is not None else words.REMOVED)
                    break
                message = tx.next_message(name)
            if message is None:
                break
            self._send(message, endpoint, remarks)
        return tuple(remarks)

    def _send(self, message: Message, endpoint: Endpoint, remarks: list[str]) -> None:
        answer = self.receivers.post(message, endpoint)
        if answer.kind is Kind.TAKEN:
            with self.store.begin() as tx:
                if tx.end_message(message, Outcome.SENT):
                    tx.note_success(endpoint.name)
        elif answer.kind is Kind.UNANSWERED and not is_over(message.tries):
            doing = f"sending message {message.number} to {endpoint.name}"
            wait_s = next_try_s(message.tries, answer.retry_after_s)
            raise RetryableError(f"{doing}: {answer.words}", retry_after_s=wait_s)
        else:
            remarks.append(words.not_sent(endpoint.name, message.number, answer.words))
            with self.store.begin() as tx:
                is_ended = tx.end_message(message, Outcome.FAILED, answer.words)
                if is_ended and not answer.is_about_message:  # one repository's policy must not cut off the others
                    self._note_failure(tx, message, endpoint, answer.words)

    def _note_failure(self, tx: Transaction, message: Message, endpoint: Endpoint, why: str) -> None:
        """The tenth failure in a row switches the endpoint off, until a person switches it on."""
        if tx.note_failure(endpoint.name, why) < FAILURES_OFF:
            return
        tx.turn_endpoint(endpoint.name, is_on=False)
        tx.drop_messages(endpoint.name, words.SWITCHED_OFF)
        tx.add_audit(
            AuditLine(
                at=tx.now(),
                actor=SYSTEM,
                source=SOURCE,
                command=f"webhook off {endpoint.name}",
                run_id=message.run_id,
                repository_id=None,
                is_allowed=True,
                reason=words.goes_off(why),
            )
        )
