"""The post: signed webhook deliveries, sent in order by one thread, each attempt kept in the App's delivery log.

Knows payloads as dictionaries only. As GitHub does it: ten seconds a try, nothing is sent again by itself.
Source: https://docs.github.com/webhooks/using-webhooks/handling-failed-webhook-deliveries
"""

import hashlib
import hmac
import json
import queue
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from app.sandbox.clock import Clock
from app.sandbox.errors import SandboxError

TIMEOUT_S: Final = 10.0
LOG_KEPT: Final = timedelta(days=3)
_FIRST_DELIVERY: Final = 90_000_001
_ANSWER_KEPT: Final = 4000


@dataclass(slots=True, eq=False)
class Delivery:
    """One attempt to deliver one event. Attempts of the same event share the GUID."""

    id: int
    guid: str
    event: str
    action: str | None
    payload: dict[str, Any]
    body: bytes
    delivered_at: datetime
    redelivery: bool
    installation_id: int | None
    repository_id: int | None
    url: str
    duration_s: float = 0.0
    status: str = ""
    """Empty while it waits to be sent, then `OK` or what went wrong, in GitHub's words."""
    status_code: int = 0
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""

    @property
    def ok(self) -> bool:
        """True when the App answered with a success."""
        return 200 <= self.status_code < 300


class Post:
    """The App's webhook: an address, a secret, a queue and a log.

    Knobs: `url`, `secret`, `hold`, `double`, `lose`, `refuse`, `drop`.
    """

    def __init__(self, clock: Clock, *, app_id: int, hook_id: int, url: str | None, secret: str) -> None:
        self.url = url
        self.secret = secret
        self.double = False
        """Trouble: everything arrives twice, under one GUID."""
        self.lose = 0
        """Trouble: that many of the next deliveries are logged as timed out and never sent."""
        self.refuse = 0
        """Trouble: that many of the next deliveries are logged as answered with 500, and never reach the App."""
        self.drop = 0
        """Trouble: that many of the next events are lost altogether; not even the log knows of them."""
        self._clock = clock
        self._app_id = app_id
        self._hook_id = hook_id
        self._log: list[Delivery] = []
        self._held: list[Delivery] | None = None
        self._queue: queue.Queue[Delivery | None] = queue.Queue()
        self._lock = threading.RLock()
        self._next_id = _FIRST_DELIVERY
        self._thread: threading.Thread | None = None
        self._client: httpx.Client | None = None

    def move(self, *, app_id: int, hook_id: int, url: str | None, secret: str) -> None:
        """Be another App's webhook from now on; the log begins anew."""
        with self._lock:
            self._app_id, self._hook_id, self.url, self.secret = app_id, hook_id, url, secret
            self._log.clear()

    def send(self, event: str, payload: dict[str, Any]) -> Delivery | None:
        """Put an event in the queue; None when the App has no webhook address."""
        if self.url is None:
            return None
        if self.drop > 0:
            self.drop -= 1
            return None
        delivery = self._make(event, payload, str(uuid.uuid4()), redelivery=False)
        self._enqueue(delivery)
        if self.double:
            self._enqueue(self._make(event, payload, delivery.guid, redelivery=False))
        return delivery

    def redeliver(self, delivery_id: int) -> Delivery:
        """Send a delivery of the log again: same GUID, same body, a new entry in the log."""
        old = self.get(delivery_id)
        again = self._make(old.event, old.payload, old.guid, redelivery=True)
        self._enqueue(again)
        return again

    def get(self, delivery_id: int) -> Delivery:
        """One entry of the log. Raises: SandboxError when there is none or it is too old."""
        found = next((one for one in self.log() if one.id == delivery_id), None)
        if found is None:
            raise SandboxError(f"there is no delivery {delivery_id} in the log")
        return found

    def log(self) -> list[Delivery]:
        """Attempts of the last three days that have ended, newest first."""
        oldest = self._clock.now() - LOG_KEPT
        with self._lock:
            return [one for one in reversed(self._log) if one.status and one.delivered_at > oldest]

    def hold(self) -> None:
        """Keep deliveries back, in order, until `release`."""
        with self._lock:
            self._held = self._held or []

    def release(self, *, reverse: bool = False) -> None:
        """Send what was held back, the newest first if asked for."""
        with self._lock:
            held, self._held = self._held or [], None
            for delivery in reversed(held) if reverse else held:
                self._enqueue(delivery)

    def wait(self, timeout_s: float = 30.0) -> None:
        """Return when nothing is under way, held ones not counted. Raises: SandboxError after `timeout_s`."""
        end = time.monotonic() + timeout_s
        with self._queue.all_tasks_done:
            while self._queue.unfinished_tasks:
                left = end - time.monotonic()
                if left <= 0:
                    raise SandboxError(f"waiting for deliveries: not done after {timeout_s:g} s")
                self._queue.all_tasks_done.wait(left)

    def close(self) -> None:
        """Stop the thread once the queue is empty."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(TIMEOUT_S + 1)
        if self._client is not None:
            self._client.close()

    def _make(self, event: str, payload: dict[str, Any], guid: str, *, redelivery: bool) -> Delivery:
        with self._lock:
            number, self._next_id = self._next_id, self._next_id + 1
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
        installation, repository = payload.get("installation") or {}, payload.get("repository") or {}
        return Delivery(
            id=number,
            guid=guid,
            event=event,
            action=payload.get("action"),
            payload=payload,
            body=body,
            delivered_at=self._clock.now(),
            redelivery=redelivery,
            installation_id=installation.get("id"),
            repository_id=repository.get("id"),
            url=self.url or "",
        )

    def _enqueue(self, delivery: Delivery) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append(delivery)
                return
            self._log.append(delivery)
            self._queue.put(delivery)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="sandbox-post", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (delivery := self._queue.get()) is not None:
            try:
                self._attempt(delivery)
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _attempt(self, delivery: Delivery) -> None:
        delivery.delivered_at = self._clock.now()
        delivery.request_headers = self._headers(delivery)
        if self.lose > 0:
            self.lose -= 1
            delivery.status, delivery.duration_s = "timed out", TIMEOUT_S
            return
        if self.refuse > 0:
            self.refuse -= 1
            delivery.status, delivery.status_code = "Invalid HTTP Response: 500", 500
            return
        started = time.monotonic()
        try:
            answer = self._http().post(delivery.url, content=delivery.body, headers=delivery.request_headers)
        except httpx.TimeoutException:
            status, code = "timed out", 0
        except httpx.HTTPError:
            status, code = "failed to connect to host", 0
        else:
            code = answer.status_code
            status = "OK" if answer.is_success else f"Invalid HTTP Response: {code}"
            delivery.response_headers = dict(answer.headers)
            delivery.response_body = answer.text[:_ANSWER_KEPT]
        delivery.duration_s = round(time.monotonic() - started, 2)
        delivery.status_code, delivery.status = code, status

    def _http(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False)
        return self._client

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        key = self.secret.encode()
        signature = hmac.new(key, delivery.body, hashlib.sha256).hexdigest()
        old_signature = hmac.new(key, delivery.body, hashlib.sha1).hexdigest()  # GitHub still sends both
        return {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/5ab0d0d",
            "X-GitHub-Delivery": delivery.guid,
            "X-GitHub-Event": delivery.event,
            "X-GitHub-Hook-ID": str(self._hook_id),
            "X-GitHub-Hook-Installation-Target-ID": str(self._app_id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature": f"sha1={old_signature}",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
