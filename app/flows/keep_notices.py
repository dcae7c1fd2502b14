"""What policies asked for is kept: messages to endpoints with their numbers, comments as reports, the rest as it is.

In the one transaction that takes the changes as told. Asks nobody.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from app.core import words_notice as words
from app.core.notice import Channel, Endpoint, Message, Outcome, Request, StateChange, slack_keys, slack_name
from app.core.noticeask import CommentWish, InboxWish, SlackWish, Unreadable, WebhookWish, Wish
from app.core.noticeinput import RunTold
from app.core.noticetext import LOGS, VEILED_LOG, Told, comment_body, inbox_text, slack_body, webhook_body
from app.core.record import ReportKind
from app.flows.ports import Transaction
from app.flows.publish_notices import Notice, subject_of

_Make = Callable[[int, str], Request]
"""A message's number and id to what is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a policy asks for at one change."""

    policy: str
    change: StateChange
    wish: Wish
    pull_number: int = 0
    """The pull request that a comment is for; 0: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Keeps what policies asked for, in one transaction."""

    tx: Transaction
    told: RunTold
    logs: dict[str, str]
    channels: frozenset[str]
    """Of Slack, that have an address of their own."""
    is_shared: bool
    """More than one account is served."""

    def all(self, asked: Sequence[Asked]) -> None:
        """Everything, in order. Endpoints are locked first and at once: numbers follow the order of commits."""
        slack = {name for one in asked if isinstance(one.wish, SlackWish) and (name := self._slack_name(one.wish))}
        names = {one.wish.endpoint for one in asked if isinstance(one.wish, WebhookWish)}
        locked = self.tx.lock_endpoints(sorted(names), sorted(slack)) if names or slack else {}
        numbers = {name: endpoint.number for name, endpoint in locked.items()}
        for at, one in enumerate(asked):
            told = Told(run=self.told, change=one.change, logs=self.logs)
            match one.wish:
                case SlackWish() as wish if not self._slack_name(wish):
                    self._refuse(one, Channel.SLACK, words.NO_SLACK)
                case SlackWish() as wish:
                    self._send(one, locked[self._slack_name(wish)], numbers, _slack_request(wish, told))
                case WebhookWish() as wish if not self._is_ours(locked.get(wish.endpoint)):
                    self._refuse(one, Channel.WEBHOOK, words.no_endpoint(wish.endpoint))
                case WebhookWish() as wish:
                    self._send(one, locked[wish.endpoint], numbers, _webhook_request(wish, told))
                case CommentWish() as wish:
                    self._comment(one, wish, told, at)
                case InboxWish() as wish:
                    self._show(
                        one, Channel.INBOX, title=wish.title, body=inbox_text(wish, told), severity=wish.severity
                    )
                case Unreadable() as wish:
                    self._refuse(one, wish.channel, wish.reason)

    def _slack_name(self, wish: SlackWish) -> str:
        """The endpoint of a message: its channel's own, else the one without a name; empty when there is neither."""
        keys = slack_keys(self.told.repository.owner, wish.channel_id)
        return next((slack_name(key) for key in keys if key in self.channels), "")

    def _is_ours(self, endpoint: Endpoint | None) -> bool:
        """True for a webhook that a policy of the run's account may name; another account's is as good as none."""
        if endpoint is None or endpoint.is_slack:
            return False
        return endpoint.takes(self.told.repository.owner, is_shared=self.is_shared)

    def _send(self, one: Asked, endpoint: Endpoint, numbers: dict[str, int], make: _Make) -> None:
        numbers[endpoint.name] += 1
        number, new_id = numbers[endpoint.name], self.tx.new_id()
        channel = Channel.SLACK if endpoint.is_slack else Channel.WEBHOOK
        self.tx.add_message(
            Message(
                id=new_id,
                run_id=self.told.run.id,
                step_id=one.change.step_id,
                channel=channel,
                policy=one.policy,
                outcome=Outcome.PENDING if endpoint.is_on else Outcome.DROPPED,
                to=endpoint.name,
                number=number,
                reason="" if endpoint.is_on else words.SWITCHED_OFF,
                request=make(number, new_id) if endpoint.is_on else None,
            )
        )

    def _comment(self, one: Asked, wish: CommentWish, told: Told, at: int) -> None:
        """What is said on a pull request is a report like any other: the newest text of its key stands there."""
        run = self.told.run
        unique = wish.key or f"{run.id}/{one.change.step_id}/{at}"
        is_veiled = self.told.stack.settings.veils(is_private=self.told.repository.is_private)
        shown = replace(told, logs=dict.fromkeys(LOGS, VEILED_LOG)) if is_veiled else told
        document = Notice(pull_number=one.pull_number, body=comment_body(wish, shown))
        subject = subject_of(one.pull_number, one.policy, unique)
        self.tx.want_report(
            ReportKind.NOTICE, run.repository_id, subject, run_id=None, document=msgspec.json.encode(document)
        )
        self._show(one, Channel.PULL_REQUEST, to=f"#{one.pull_number}")

    def _show(self, one: Asked, channel: Channel, **more: str) -> None:
        self._add(one, channel, Outcome.SHOWN, **more)

    def _refuse(self, one: Asked, channel: Channel, reason: str) -> None:
        outcome = Outcome.FAILED if channel is Channel.POLICY else Outcome.REFUSED
        self._add(one, channel, outcome, reason=reason)

    def _add(self, one: Asked, channel: Channel, outcome: Outcome, **more: str) -> None:
        self.tx.add_message(
            Message(
                id=self.tx.new_id(),
                run_id=self.told.run.id,
                step_id=one.change.step_id,
                channel=channel,
                policy=one.policy,
                outcome=outcome,
                to=more.get("to", ""),
                reason=more.get("reason", ""),
                title=more.get("title", ""),
                body=more.get("body", ""),
                severity=more.get("severity", ""),
            )
        )


def _slack_request(wish: SlackWish, told: Told) -> _Make:
    return lambda _number, _id: Request(body=slack_body(wish, told))


def _webhook_request(wish: WebhookWish, told: Told) -> _Make:
    def make(number: int, message_id: str) -> Request:
        body = webhook_body(wish, told, number=number, message_id=message_id)
        return Request(body=body, method=wish.method, headers=wish.headers)

    return make
