"""POST /webhooks/github: size, headers, signature on the raw bytes, JSON syntax, stored; then, and only then, 202.

Nothing else happens here. A delivery with a wrong signature is not stored; any other that we cannot use is, with why.
Plain ASGI outside of every middleware: this door decides how many events a second an installation can take.
"""

import asyncio
import hmac
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from app.core.errors import TracksideError
from app.core.event import HANDLED_EVENTS, MAX_DELIVERY_BYTES
from app.core.names import DeliveryId, Secret
from app.core.record import DeliveryOutcome, NewDelivery
from app.web.answers import Constant
from app.web.body import BodyRefused, declared_length, read_body
from app.web.doors import RecordDeliveries
from app.web.gathering import Gathering
from app.web.metrics import Metrics

READ_WITHIN_S: Final = 15.0
"""GitHub itself gives up after 10 s. Source: GitHub, best practices for using webhooks."""
INLINE_BYTES: Final = 256 * 1024
"""Up to here the signature is checked in the event loop (0.2 ms), and bodies are stored together; above on a thread of
their own."""
LARGE_BYTES: Final = 1024 * 1024
MAX_LARGE: Final = 8
"""Bodies over LARGE_BYTES, or of unknown length, that are held at once: their sender is not known before their end."""
MAX_WAITING: Final = 1000
"""Deliveries that wait to be stored; more means that the database does not keep up."""

_GUID: Final = re.compile(rb"[A-Za-z0-9-]{1,64}")
_EVENT: Final = re.compile(rb"[a-z_]{1,64}")
_SIGNATURE: Final = re.compile(rb"sha256=[0-9a-f]{64}")
_check_syntax: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Numbered(msgspec.Struct):
    id: int


_read_number: Final = msgspec.json.Decoder(_Numbered).decode

_log = structlog.get_logger("web.webhook")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way in which a delivery can end at this door."""

    name: str
    """Label of the metric."""
    answer: Constant


def _outcome(name: str, status: int, text: str, headers: dict[str, str] | None = None) -> Outcome:
    key = "error" if status >= 400 else "outcome"
    return Outcome(name, Constant(status, {key: text}, headers))


STORED: Final = _outcome("stored", 202, "stored")
SEEN: Final = _outcome("seen", 200, "seen before")
IGNORED: Final = _outcome("ignored", 200, "ignored: this event is not handled")
MALFORMED: Final = _outcome("malformed", 400, "reading the body: it is not a JSON object; set the content type to JSON")
NO_GUID: Final = _outcome("bad_header", 400, "reading X-GitHub-Delivery: it is missing or not a GUID")
NO_EVENT: Final = _outcome("bad_header", 400, "reading X-GitHub-Event: it is missing or not an event's name")
UNSIGNED: Final = _outcome("bad_signature", 401, "checking X-Hub-Signature-256: it is missing or wrong")
NOT_POST: Final = _outcome("bad_method", 405, "this address takes POST alone", {"allow": "POST"})
BROKEN_OFF: Final = _outcome("broken_off", 400, "reading the body: the connection broke off")
TOO_SLOW: Final = _outcome("too_slow", 408, f"reading the body: no end after {READ_WITHIN_S:g} s")
TOO_LARGE: Final = _outcome("too_large", 413, "reading the body: it is larger than 25 MB")
BUSY: Final = _outcome("busy", 503, "storing the delivery: too many wait already", {"retry-after": "10"})
NOT_STORED: Final = _outcome("not_stored", 503, "storing the delivery: not possible now", {"retry-after": "10"})

_REFUSED: Final = {400: BROKEN_OFF, 408: TOO_SLOW, 413: TOO_LARGE}


@dataclass(frozen=True, slots=True)
class Examined:
    """A genuine body: what to store of it and what to answer."""

    outcome: DeliveryOutcome
    reason: str
    answer: Outcome
    lane: str = ""
    """Deliveries of one lane are carried out in their order of arrival: one lane for each repository."""


class Webhook:
    """The door as an ASGI app. `close` waits for what is being stored."""

    def __init__(
        self, record: RecordDeliveries, secrets: tuple[Secret, ...], *, connections: int, metrics: Metrics
    ) -> None:
        self._record = record
        self._keys = tuple(secret.reveal().encode() for secret in secrets if secret)
        self._threads = ThreadPoolExecutor(connections, "webhook")
        self._gathering = Gathering(record, self._threads)
        self._counter = metrics.deliveries
        self._waiting = 0
        self._large = 0

    def close(self) -> None:
        """Stop the threads once they are idle."""
        self._threads.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        outcome = await self._take(scope, receive)
        self._counter.labels(outcome.name).inc()
        await outcome.answer.send(send)

    async def _take(self, scope: Scope, receive: Receive) -> Outcome:
        length = declared_length(scope)
        if length is not None and length > MAX_DELIVERY_BYTES:
            return TOO_LARGE
        if scope["method"] != "POST":
            return NOT_POST
        headers = dict(scope["headers"])
        guid, event = headers.get(b"x-github-delivery", b""), headers.get(b"x-github-event", b"")
        signature = headers.get(b"x-hub-signature-256", b"")
        if not _GUID.fullmatch(guid):
            return NO_GUID
        if not _EVENT.fullmatch(event):
            return NO_EVENT
        if not _SIGNATURE.fullmatch(signature):
            return UNSIGNED
        if length is not None and length <= LARGE_BYTES:
            return await self._read(scope, receive, guid.decode(), event.decode(), signature)
        if self._large >= MAX_LARGE:
            return BUSY
        self._large += 1
        try:
            return await self._read(scope, receive, guid.decode(), event.decode(), signature)
        finally:
            self._large -= 1

    async def _read(self, scope: Scope, receive: Receive, guid: str, event: str, signature: bytes) -> Outcome:
        body = await read_body(scope, receive, max_bytes=MAX_DELIVERY_BYTES, within_s=READ_WITHIN_S)
        if isinstance(body, BodyRefused):
            return _REFUSED[body.status]
        if len(body) <= INLINE_BYTES:
            examined = self._examine(event, body, signature)
        else:
            loop = asyncio.get_running_loop()
            examined = await loop.run_in_executor(self._threads, self._examine, event, body, signature)
        if examined is None:
            _log.warning("delivery refused", guid=guid, webhook_event=event, why="signature", size_bytes=len(body))
            return UNSIGNED
        return await self._store(guid, event, body, examined)

    def _examine(self, event: str, body: bytes, signature: bytes) -> Examined | None:
        """What the body is; None when nobody who knows a secret signed it."""
        if not any(self._signed(key, body, signature) for key in self._keys):
            return None
        try:
            payload = _check_syntax(body)
        except (ValueError, RecursionError) as error:
            return Examined(DeliveryOutcome.MALFORMED, f"body is not a JSON object: {error}"[:300], MALFORMED)
        if event not in HANDLED_EVENTS:
            return Examined(DeliveryOutcome.IGNORED, f"event {event} is not handled", IGNORED)
        return Examined(DeliveryOutcome.PENDING, "", STORED, _lane(payload))

    @staticmethod
    def _signed(key: bytes, body: bytes, signature: bytes) -> bool:
        expected = b"sha256=" + hmac.digest(key, body, "sha256").hex().encode()
        return hmac.compare_digest(expected, signature)

    async def _store(self, guid: str, event: str, body: bytes, examined: Examined) -> Outcome:
        if self._waiting >= MAX_WAITING:
            return BUSY
        delivery = NewDelivery(
            guid=DeliveryId(guid),
            event=event,
            body=body,
            outcome=examined.outcome,
            reason=examined.reason,
            lane=examined.lane,
        )
        self._waiting += 1
        try:
            if len(body) <= INLINE_BYTES:
                is_new = await self._gathering.store(delivery)
            else:
                new = await asyncio.get_running_loop().run_in_executor(self._threads, self._record, [delivery])
                is_new = bool(new)
        except TracksideError as error:
            _log.error("delivery not stored", guid=guid, webhook_event=event, error=str(error))
            return NOT_STORED
        except Exception:  # whatever it was: it is not stored, so GitHub must not hear that it is
            _log.exception("delivery not stored", guid=guid, webhook_event=event)
            return NOT_STORED
        finally:
            self._waiting -= 1
        if not is_new and examined.answer is not MALFORMED:
            return SEEN
        return examined.answer


def _lane(payload: dict[str, msgspec.Raw]) -> str:
    """The lane of a payload: its repository's number, or none of its own."""
    try:
        return f"repository:{_read_number(payload['repository']).id}"
    except (KeyError, msgspec.MsgspecError):
        return ""
