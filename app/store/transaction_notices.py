"""Who is told what of runs, inside a transaction: changes of state to be told, endpoints, and messages.

Knows nothing of policies and of receivers. What a message says, and where it goes, lies sealed. Lock order: whatever
else the transaction locks comes first, then endpoints by name.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.errors import BrokenError
from app.core.names import RunId, Secret
from app.core.notice import Channel, Endpoint, Message, Outcome, Request, StateChange
from app.core.run import RunState
from app.store.schema import endpoints, messages, notice_counts, notices, run_steps
from app.store.wire import Wire, safe_text, sealed_as

MAX_TOLD: Final = 50
"""Changes of one run that are told at once."""
MAX_STEPS: Final = 20_000
MAX_ENDPOINTS: Final = 1_000
MAX_OF_RUN: Final = 200
DEFER_TRIGGER: Final = """
    SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
        'deliver', 'trigger', 0, 'trigger:' || workflow, NULL, jsonb_build_object('run_id', run_id), NULL
    )::procrastinate_job_to_defer_v1]) AS ids
"""
"""One after the other within a workflow: which of two runs ended last is told by it."""
DEFER_NOTIFY: Final = """
    SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
        'notify', 'notify', 0, 'notify:' || run_id, NULL, jsonb_build_object('run_id', run_id), NULL
    )::procrastinate_job_to_defer_v1]) AS ids
"""
_DEFER_SEND: Final = text("""
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
    'notify', 'send', 0, 'endpoint:' || CAST(:name AS text), NULL,
    jsonb_build_object('endpoint', CAST(:name AS text)), NULL
)::procrastinate_job_to_defer_v1])
""")
_NEXT: Final = text("""
UPDATE messages SET tries = tries + 1 WHERE id = (
    SELECT id FROM messages WHERE target = :name AND outcome = 'pending' ORDER BY number LIMIT 1
) RETURNING *
""")
_SWEEP: Final = text("""
DELETE FROM messages WHERE id IN (
    SELECT id FROM messages WHERE ended_at < clock_timestamp() - make_interval(days => :days) LIMIT :limit
)
""")


class _Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What lies sealed in a message."""

    body: bytes = b""
    method: str = ""
    headers: dict[str, str] = {}
    title: str = ""
    text: str = ""
    severity: str = ""


class NoticeWrites(Wire):
    """Transaction methods about notifications."""

    def list_changes(self, run_id: RunId) -> list[StateChange]:
        """The changes of a run that are still to be told, oldest first (at most MAX_TOLD)."""
        waiting = select(notices.c.step_id).where(notices.c.run_id == run_id).order_by(notices.c.step_id)
        wanted = {row.step_id for row in self._all(waiting.limit(MAX_TOLD))}
        if not wanted:
            return []
        history = select(run_steps).where(run_steps.c.run_id == run_id).order_by(run_steps.c.id).limit(MAX_STEPS)
        return [one for one in state_changes(self._all(history)) if one.step_id in wanted]

    def take_changes(self, run_id: RunId, step_ids: Sequence[int]) -> set[int]:
        """Those of the changes that nobody else has told; from now on they are told."""
        mine = (notices.c.run_id == run_id) & notices.c.step_id.in_(list(step_ids))
        return {row.step_id for row in self._all(delete(notices).where(mine).returning(notices.c.step_id))}

    def list_endpoints(self) -> list[Endpoint]:
        """Every endpoint, by name."""
        return [self._endpoint(row) for row in self._all(select(endpoints).order_by(endpoints.c.name))]

    def lock_endpoints(self, names: Sequence[str], slack: Sequence[str]) -> dict[str, Endpoint]:
        """The endpoints of those names, locked; those of Slack are made when they are not there. Shape: by name."""
        for name in sorted(slack):
            self._execute(insert(endpoints).values(name=safe_text(name)).on_conflict_do_nothing())
        wanted = select(endpoints).where(endpoints.c.name.in_([safe_text(name) for name in (*names, *slack)]))
        rows = self._all(wanted.order_by(endpoints.c.name).with_for_update())
        return {row.name: self._endpoint(row) for row in rows}

    def save_endpoint(self, endpoint: Endpoint) -> bool:
        """Set an endpoint up, or replace it: it is on, without failures, and its numbers go on; True when it was there.

        Raises: BrokenError when there are MAX_ENDPOINTS already.
        """
        found = self.lock_endpoints([endpoint.name], []).get(endpoint.name)
        if found is None and int(self._scalar(select(func.count()).select_from(endpoints))) >= MAX_ENDPOINTS:
            raise BrokenError(f"setting up endpoint {endpoint.name}: there are {MAX_ENDPOINTS} already")
        target = json.dumps({"url": endpoint.url.reveal(), "signing": endpoint.signing.reveal()}).encode()
        newest = select(func.coalesce(func.max(messages.c.number), 0)).where(messages.c.target == endpoint.name)
        values = {
            "labels": [safe_text(label) for label in endpoint.labels],
            "accounts": list(endpoint.accounts),
            "sealed_target": self._sealer.seal(target, sealed_as("endpoints.target", endpoint.name)),
            "is_on": True,
            "failures": 0,
            "problem": "",
            "changed_at": func.clock_timestamp(),
        }
        number = self._scalar(newest)  # of one that was removed: numbers never go back
        statement = insert(endpoints).values(name=endpoint.name, number=number, **values)
        self._execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
        return found is not None

    def rename_account(self, before: str, after: str) -> None:
        """An account has another name: its endpoints are those of the new one. Names in lower case."""
        for endpoint in self.list_endpoints():
            if before in endpoint.accounts:
                accounts = sorted({after if one == before else one for one in endpoint.accounts})
                mine = update(endpoints).where(endpoints.c.name == endpoint.name)
                self._execute(mine.values(accounts=[safe_text(one) for one in accounts]))

    def remove_endpoint(self, name: str, reason: str) -> bool:
        """Forget an endpoint, secret and all; what waited for it is dropped. False when there is none."""
        if not self._execute(delete(endpoints).where(endpoints.c.name == safe_text(name))).rowcount:
            return False
        self.drop_messages(name, reason)
        return True

    def drop_messages(self, name: str, reason: str) -> int:
        """What waits for an endpoint is not sent; how many."""
        mine = (messages.c.target == safe_text(name)) & (messages.c.outcome == Outcome.PENDING.value)
        rows = self._all(
            update(messages).where(mine).values(_end(Outcome.DROPPED, reason)).returning(messages.c.channel)
        )
        for row in rows:
            self._count(Channel(row.channel), Outcome.DROPPED)
        return len(rows)

    def turn_endpoint(self, name: str, *, is_on: bool) -> bool:
        """Switch an endpoint on, its failures forgotten, or off; False when there is none."""
        values = {"is_on": is_on, "changed_at": func.clock_timestamp()} | ({"failures": 0} if is_on else {})
        return self._execute(update(endpoints).where(endpoints.c.name == safe_text(name)).values(values)).rowcount > 0

    def note_failure(self, name: str, problem: str) -> int:
        """A message to the endpoint failed; how many in a row that makes."""
        values = {"failures": endpoints.c.failures + 1, "problem": safe_text(problem, 500)}
        statement = update(endpoints).where(endpoints.c.name == safe_text(name)).values(values)
        return int(self._scalar(statement.returning(endpoints.c.failures)) or 0)

    def note_success(self, name: str) -> None:
        """A message to the endpoint was taken."""
        mine = (endpoints.c.name == safe_text(name)) & (endpoints.c.failures > 0)
        self._execute(update(endpoints).where(mine).values(failures=0, problem=""))

    def add_message(self, message: Message) -> None:
        """Keep a message; one that is pending gets its job. Call it with its endpoint locked."""
        is_pending = message.outcome is Outcome.PENDING
        values = {
            "id": message.id,
            "run_id": message.run_id,
            "step_id": message.step_id,
            "channel": message.channel.value,
            "policy": safe_text(message.policy, 200),
            "outcome": message.outcome.value,
            "target": safe_text(message.to, 200),
            "number": message.number,
            "reason": safe_text(message.reason, 500),
            "sealed_content": self._seal(message),
            "ended_at": None if is_pending else func.clock_timestamp(),
        }
        self._execute(insert(messages).values(values))
        if message.number:
            numbered = update(endpoints).where(endpoints.c.name == message.to).values(number=message.number)
            self._execute(numbered)
        if is_pending:
            self._execute(_DEFER_SEND, {"name": message.to})
        else:
            self._count(message.channel, message.outcome)

    def next_message(self, name: str) -> Message | None:
        """The oldest message that waits for the endpoint, one more try counted; or None."""
        row = self._first(_NEXT, {"name": safe_text(name)})
        return self._message(row) if row is not None else None

    def find_endpoint(self, name: str) -> Endpoint | None:
        """The endpoint, or None."""
        row = self._first(select(endpoints).where(endpoints.c.name == safe_text(name)))
        return self._endpoint(row) if row is not None else None

    def end_message(self, message: Message, outcome: Outcome, reason: str = "") -> bool:
        """What became of a pending message; what it said is forgotten. False when it had ended already."""
        mine = (messages.c.id == message.id) & (messages.c.outcome == Outcome.PENDING.value)
        if not self._execute(update(messages).where(mine).values(_end(outcome, reason))).rowcount:
            return False
        self._count(message.channel, outcome)
        return True

    def list_messages(self, run_id: RunId) -> list[Message]:
        """The messages of a run, oldest first (the newest MAX_OF_RUN), without what is to be sent."""
        wanted = select(messages).where(messages.c.run_id == safe_text(run_id))
        rows = self._all(wanted.order_by(messages.c.created_at.desc(), messages.c.id.desc()).limit(MAX_OF_RUN))
        return [replace(self._message(row), request=None) for row in reversed(rows)]

    def sweep_messages(self, *, kept_days: int, limit: int) -> int:
        """Let go of messages that ended and are older; how many."""
        return self._execute(_SWEEP, {"days": kept_days, "limit": limit}).rowcount

    def _count(self, channel: Channel, outcome: Outcome) -> None:
        statement = insert(notice_counts).values(channel=channel.value, outcome=outcome.value, total=1)
        more = {"total": notice_counts.c.total + 1}
        self._execute(statement.on_conflict_do_update(index_elements=["channel", "outcome"], set_=more))

    def _endpoint(self, row: Row[Any]) -> Endpoint:
        target = {"url": "", "signing": ""}
        if row.sealed_target is not None:
            clear = self._sealer.open(bytes(row.sealed_target), sealed_as("endpoints.target", row.name))
            target = json.loads(clear)
        return Endpoint(
            name=row.name,
            labels=tuple(row.labels),
            accounts=tuple(row.accounts),
            url=Secret(target["url"]),
            signing=Secret(target["signing"]),
            is_on=row.is_on,
            failures=row.failures,
            number=row.number,
            problem=row.problem,
            changed_at=row.changed_at,
        )

    def _seal(self, message: Message) -> bytes | None:
        """What the message says, sealed; None for what nobody will send or read."""
        if message.outcome not in (Outcome.PENDING, Outcome.SHOWN):
            return None
        request = message.request
        content = _Content(
            body=request.body if request is not None else b"",
            method=request.method if request is not None else "",
            headers=dict(request.headers) if request is not None else {},
            title=message.title,
            text=message.body,
            severity=message.severity,
        )
        return self._sealer.seal(msgspec.msgpack.encode(content), sealed_as("messages.content", message.id))

    def _message(self, row: Row[Any]) -> Message:
        content = _Content()
        if row.sealed_content is not None:
            clear = self._sealer.open(bytes(row.sealed_content), sealed_as("messages.content", row.id))
            content = msgspec.msgpack.decode(clear, type=_Content)
        is_request = bool(content.method)
        return Message(
            id=row.id,
            run_id=RunId(row.run_id),
            step_id=row.step_id,
            channel=Channel(row.channel),
            policy=row.policy,
            outcome=Outcome(row.outcome),
            to=row.target,
            number=row.number,
            reason=row.reason,
            title=content.title,
            body=content.text,
            severity=content.severity,
            tries=row.tries,
            created_at=row.created_at,
            request=Request(body=content.body, method=content.method, headers=content.headers) if is_request else None,
        )


def _end(outcome: Outcome, reason: str) -> Mapping[str, object]:
    return {
        "outcome": outcome.value,
        "reason": safe_text(reason, 500),
        "sealed_content": None,
        "ended_at": func.clock_timestamp(),
    }


def state_changes(rows: Sequence[Row[Any]]) -> list[StateChange]:
    """The lines of a run's history as changes of its state, each with what was before it."""
    found: list[StateChange] = []
    since: list[tuple[RunState, float]] = []
    entered: tuple[RunState, datetime] | None = None
    for version, row in enumerate(rows, start=1):
        if entered is not None:
            since.append((entered[0], max(0.0, (row.at - entered[1]).total_seconds())))
        state = RunState(row.after)
        entered = (state, row.at)
        found.append(
            StateChange(
                step_id=row.id,
                version=version,
                state=state,
                by=row.by,
                at=row.at,
                cause=row.cause if row.before is not None else "",
                since=tuple(since),
            )
        )
    return found
