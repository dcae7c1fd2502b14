"""What a notification policy asks for, read from its rules: each object becomes a wish, or a refusal in words.

Pure. A policy's objects are as hostile as any text from outside: each key is looked at, each size has a bound.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from app.core.contract import RuleValue
from app.core.document import quoted
from app.core.names import is_sha
from app.core.notice import Channel

MAX_WISHES: Final = 20
"""Messages that one policy may ask for at one change of state; the rest is refused."""
MAX_TEXT: Final = 60_000
"""Characters of a text that is read at all."""
MAX_PAYLOAD_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 100
"""Lists and objects of a payload within each other: deeper ones could not be filled and sent."""
MAX_HEADERS: Final = 20
MAX_HEADER: Final = 1_000
"""Characters of one value."""
MAX_MENTIONS: Final = 20
MAX_KEY: Final = 200
METHODS: Final = ("POST", "PUT", "PATCH")
SEVERITIES: Final = ("INFO", "WARNING", "ERROR")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS: Final = re.compile(
    r"host|content-(length|type|encoding)|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect"
    r"|accept-encoding|cookie|forwarded|via|x-forwarded-.*|proxy-.*|x-signature.*|x-hub-.*|x-trackside-.*",
    re.IGNORECASE,
)
"""Headers that belong to the connection, or say who speaks: no policy sets them."""
_USER: Final = re.compile(r"[UW][A-Z0-9]{1,30}")
_GROUP: Final = re.compile(r"S[A-Z0-9]{1,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackWish:
    """A message to a channel."""

    message: str = ""
    """Empty: what we say of a run by ourselves."""
    channel_id: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookWish:
    """A request to an endpoint."""

    endpoint: str
    payload: object = None
    """JSON; None: what we say of a run by ourselves."""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentWish:
    """A comment on a pull request, found by its number, else by a commit, else by its branch."""

    number: int = 0
    sha: str = ""
    branch: str = ""
    body: str
    key: str = ""
    """The same key on the same pull request: the comment that is there is edited."""
    may_mention: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxWish:
    """A remark on the run's page."""

    title: str
    body: str = ""
    severity: str = "INFO"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """What a policy asked for and cannot have."""

    channel: Channel
    reason: str


Wish = SlackWish | WebhookWish | CommentWish | InboxWish | Unreadable
_Given = Mapping[str, object]


class _No(Exception):
    """Why an object cannot be read."""


def read_wishes(rules: Mapping[str, RuleValue]) -> list[Wish]:
    """What the rules of one policy ask for, rule by rule, in the order of the sets."""
    found: list[Wish] = []
    left_out = 0
    for rule, (channel, read) in _READERS.items():
        for given in _objects(rules.get(rule)):
            if len(found) < MAX_WISHES:
                found.append(_read(channel, read, given))
            else:
                left_out += 1
    if left_out:
        why = f"{left_out} more messages are left out: a policy may ask for {MAX_WISHES} at one change of state"
        found.append(Unreadable(channel=Channel.POLICY, reason=why))
    return found


def _objects(value: RuleValue) -> Iterable[_Given]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _read(channel: Channel, read: Callable[[_Given], Wish], given: _Given) -> Wish:
    try:
        return read(given)
    except _No as no:
        return Unreadable(channel=channel, reason=str(no))


def _slack(given: _Given) -> Wish:
    _only(given, "channel_id", "message", "mention_users", "mention_groups", "thread_key")
    return SlackWish(
        message=_text(given, "message"),
        channel_id=_text(given, "channel_id", limit=100).removeprefix("#"),
        users=_names(given, "mention_users", _USER),
        groups=_names(given, "mention_groups", _GROUP),
    )


def _webhook(given: _Given) -> Wish:
    _only(given, "endpoint_id", "payload", "method", "headers")
    endpoint = _text(given, "endpoint_id", limit=100)
    if not endpoint:
        raise _No("`endpoint_id` is missing: `input.webhook_endpoints` lists them")
    method = _text(given, "method", limit=20).upper() or "POST"
    if method not in METHODS:
        raise _No(f"the method {quoted(method)} is not sent; {', '.join(METHODS)} are")
    payload = given.get("payload")
    if _is_deep(payload):
        raise _No(f"the payload is nested deeper than {MAX_DEPTH}")
    if payload is not None and len(json.dumps(payload).encode()) > MAX_PAYLOAD_BYTES:
        raise _No(f"the payload is larger than {MAX_PAYLOAD_BYTES:,} bytes")
    return WebhookWish(endpoint=endpoint, payload=payload, method=method, headers=_headers(given.get("headers")))


def _is_deep(value: object) -> bool:
    """True for JSON that is nested deeper than MAX_DEPTH; looked at level by level, so that no depth stops it."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [part for one in level for part in _parts(one)]
    return any(isinstance(one, dict | list) for one in level)


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _headers(given: object) -> dict[str, str]:
    """Additional headers, each fit to be sent as it is."""
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > MAX_HEADERS:
        raise _No(f"`headers` is an object of at most {MAX_HEADERS} names and texts")
    for name, value in given.items():
        if not _TOKEN.fullmatch(name):
            raise _No(f"{quoted(name)} is no name of a header")
        if _OURS.fullmatch(name):
            raise _No(f"the header {quoted(name)} cannot be set by a policy")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > MAX_HEADER:
            raise _No(f"the header {quoted(name)} is not at most {MAX_HEADER:,} visible ASCII characters")
    return {name: value.strip() for name, value in given.items()}


def _comment(given: _Given) -> Wish:
    _only(given, "id", "commit", "branch", "body", "deduplication_key", "mentions")
    body, sha, branch = _text(given, "body"), _text(given, "commit", limit=100), _text(given, "branch", limit=250)
    if not body.strip():
        raise _No("`body` is missing")
    number = _number(given.get("id"))
    if not number and not sha and not branch:
        raise _No("none of `id`, `commit` and `branch` names the pull request")
    if sha and not is_sha(sha):
        raise _No(f"`commit` is {quoted(sha)}, which is no full SHA")
    return CommentWish(
        number=number,
        sha="" if number else sha,
        branch="" if number or sha else branch,
        body=lines_of(body),
        key=_text(given, "deduplication_key", limit=MAX_KEY),
        may_mention=given.get("mentions") is True,
    )


def lines_of(body: str) -> str:
    r"""The body with real line breaks: policies that were brought along write `\n` where they mean one."""
    return body.replace("\\n", "\n") if "\n" not in body else body


def _inbox(given: _Given) -> Wish:
    _only(given, "title", "body", "severity")
    severity = _text(given, "severity", limit=20).upper() or "INFO"
    if severity not in SEVERITIES:
        raise _No(f"the severity {quoted(severity)} is none of {', '.join(SEVERITIES)}")
    return InboxWish(title=_text(given, "title")[:200], body=lines_of(_text(given, "body")), severity=severity)


_READERS: Final[Mapping[str, tuple[Channel, Callable[[_Given], Wish]]]] = {
    "slack": (Channel.SLACK, _slack),
    "webhook": (Channel.WEBHOOK, _webhook),
    "pull_request": (Channel.PULL_REQUEST, _comment),
    "inbox": (Channel.INBOX, _inbox),
}


def _only(given: _Given, *known: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise _No(f"{quoted(unknown[0])} is no key of it; the keys are {', '.join(known)}")


def _text(given: _Given, key: str, *, limit: int = MAX_TEXT) -> str:
    value = given.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _No(f"`{key}` is not a text")
    if len(value) > limit and limit < MAX_TEXT:
        raise _No(f"`{key}` is longer than {limit} characters")
    return value[:limit]


def _number(value: object) -> int:
    """The number of a pull request; 0 when there is none."""
    if value is None or value == "":
        return 0
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise _No("`id` is no number of a pull request")
    return int(text)


def _names(given: _Given, key: str, form: re.Pattern[str]) -> tuple[str, ...]:
    value = given.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_MENTIONS:
        raise _No(f"`{key}` is a list of at most {MAX_MENTIONS} ids")
    for each in value:
        if not isinstance(each, str) or not form.fullmatch(each):
            raise _No(f"`{key}` holds {quoted(each)}, which is no id of Slack's")
    return tuple(value)
