"""A message over HTTP, signed as GitHub signs its own: one request, no redirect, bounded in time and in size.

Never raises: what went wrong is an answer in words, without the address, which may hold a token.
"""

import hashlib
import hmac
import math
import time
from collections.abc import Mapping
from typing import Final

import httpx

from app.core.names import Secret
from app.core.notice import MAX_REASON, Answer, Endpoint, Kind, Message, is_fit_address

CONNECT_S: Final = 5.0
SILENCE_S: Final = 10.0
"""Between two signs of life of the other side."""
WHOLE_S: Final = 20.0
"""From the request to the last byte of the answer that is read: a timeout alone ends silence, not a trickle."""
MAX_ANSWER_BYTES: Final = 64 * 1024
"""Of an answer that is read; it is not looked at, but for connections to be used again."""
_TOO_MANY: Final = 429
_REFUSED: Final = 400
_BROKEN: Final = 500
_REDIRECT: Final = 300
_ABOUT_MESSAGE: Final = frozenset({400, 405, 413, 415, 422})
"""Method, headers and body are the policy's."""


class HttpReceivers:
    """The endpoints, over HTTP. Thread-safe; close it at the end. `slack`: channel to its address; `""`: of others."""

    def __init__(self, slack: Mapping[str, Secret]) -> None:
        self._slack = dict(slack)
        self._client: Final = httpx.Client(
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=20, keepalive_expiry=30),
            follow_redirects=False,
            trust_env=False,
        )

    @property
    def channels(self) -> frozenset[str]:
        """The channels of Slack that have an address of their own; the empty one takes the others."""
        return frozenset(self._slack)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, message: Message, endpoint: Endpoint) -> Answer:
        """What the endpoint said to a message."""
        url = self._slack.get(endpoint.channel, Secret("")) if endpoint.is_slack else endpoint.url
        if message.request is None or not url:
            return Answer(Kind.REFUSED, "it has no address any more")
        if not is_fit_address(url.reveal()):
            return Answer(Kind.REFUSED, "its address is neither https nor on this machine")
        try:
            return self._exchange(url, message, endpoint)
        except httpx.TimeoutException:
            return Answer(Kind.UNANSWERED, "no answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
            return Answer(Kind.UNANSWERED, f"no answer ({type(error).__name__})"[:MAX_REASON])

    def _exchange(self, url: Secret, message: Message, endpoint: Endpoint) -> Answer:
        if message.request is None:
            raise ValueError("a message without a request")
        ends_at = time.monotonic() + WHOLE_S
        headers, body = headers_of(message, endpoint), message.request.body
        with self._client.stream(message.request.method, url.reveal(), content=body, headers=headers) as answer:
            size = 0
            for chunk in answer.iter_raw():
                size += len(chunk)
                if size > MAX_ANSWER_BYTES:
                    break
                if time.monotonic() > ends_at:
                    raise httpx.ReadTimeout("no end")
            return read_answer(answer.status_code, answer.headers, is_slack=endpoint.is_slack)


def read_answer(status: int, headers: Mapping[str, str], *, is_slack: bool) -> Answer:
    """What a status means. Slack asks by 429 to come back later; from others that is a refusal like any of 4xx.

    Source: https://api.slack.com/docs/rate-limits
    """
    if status < _REDIRECT:
        return Answer(Kind.TAKEN)
    if status >= _BROKEN or (is_slack and status == _TOO_MANY):
        return Answer(Kind.UNANSWERED, f"it answers {status}", _seconds(headers.get("retry-after", "")))
    if status < _REFUSED:
        return Answer(Kind.REFUSED, f"it answers {status}: redirects are not followed")
    return Answer(Kind.REFUSED, f"it answers {status}", is_about_message=not is_slack and status in _ABOUT_MESSAGE)


def headers_of(message: Message, endpoint: Endpoint) -> dict[str, str]:
    """The headers of a message: those of its policy, and ours, which win. Slack's carry neither signature nor number.

    Source: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
    """
    if message.request is None:
        raise ValueError("a message without a request")
    ours = {"Content-Type": "application/json", "User-Agent": "trackside", "Accept-Encoding": "identity"}
    if endpoint.is_slack:
        return ours
    mark = signature(endpoint.signing, message.request.body)
    ours |= {
        "X-Signature-256": mark,
        "X-Hub-Signature-256": mark,
        "X-Trackside-Delivery": message.id,
        "X-Trackside-Order": str(message.number),
    }
    known = {name.lower() for name in ours} - {"user-agent"}
    theirs = {name: value for name, value in message.request.headers.items() if name.lower() not in known}
    if any(name.lower() == "user-agent" for name in theirs):
        del ours["User-Agent"]
    return {**theirs, **ours}


def signature(key: Secret, body: bytes) -> str:
    """`sha256=` and the HMAC of the body in hex."""
    return "sha256=" + hmac.new(key.reveal().encode(), body, hashlib.sha256).hexdigest()


def _seconds(text: str) -> float | None:
    """What a `retry-after` says, when it is a number; None: no wish, or one that cannot be read."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return max(0.0, min(seconds, 600.0)) if math.isfinite(seconds) else None
