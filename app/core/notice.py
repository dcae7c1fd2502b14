"""Who is told what of a run: changes of state that are to be told, the endpoints that the operator set up, and what
became of each message. Values only.

A policy says what; where to is the operator's alone: a policy names an endpoint, never an address.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from app.core.names import RunId, Secret
from app.core.run import RunState

FAILURES_OFF: Final = 10
"""After so many failed messages in a row an endpoint is switched off."""
RETRY_AFTER_S: Final = (2.0, 15.0, 60.0)
"""How long a message waits before each of its three further tries, when nobody, or a broken server, answered."""
MAX_REASON: Final = 300
MAX_LABELS: Final = 20
MAX_ACCOUNTS: Final = 100
MAX_URL: Final = 2_000
MIN_SIGNING_CHARS: Final = 16
SLACK: Final = "slack"
"""The endpoint of SLACK_WEBHOOK_URL; one for a channel is called `slack:CHANNEL`, an account's `slack:ACCOUNT/…`."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_LABEL: Final = re.compile(r"[^\x00-\x1f\x7f,]{1,100}")
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_CHANNEL: Final = re.compile(r"[A-Z0-9]{1,30}")

_NOT_SET: Final = Secret("")


class Channel(StrEnum):
    """By which way somebody is told."""

    SLACK = "slack"
    WEBHOOK = "webhook"
    PULL_REQUEST = "pull_request"
    INBOX = "inbox"
    """The run's own page."""
    POLICY = "policy"
    """Nobody is told: the policy itself gave no answer."""


class Outcome(StrEnum):
    """What became of a message."""

    PENDING = "pending"
    """It waits for its turn, or for its next try."""
    SENT = "sent"
    """The other side took it."""
    FAILED = "failed"
    """The other side refused it, or never answered."""
    DROPPED = "dropped"
    """Its endpoint is switched off."""
    REFUSED = "refused"
    """What the policy asked for cannot be done."""
    SHOWN = "shown"
    """It stands on the run's page, or is among what the App says on the pull request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """One change of a run's state that is to be told."""

    step_id: int
    """Its line of the history."""
    version: int
    """1 for the first state of the run, then counted up: what comes late can be told from what is new."""
    state: RunState
    by: str
    at: datetime
    cause: str = ""
    since: tuple[tuple[RunState, float], ...] = ()
    """The states before, oldest first, and how many seconds each took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where messages go: a signed webhook, or a channel of Slack."""

    name: str
    labels: tuple[str, ...] = ()
    """What policies choose it by."""
    accounts: tuple[str, ...] = ()
    """Whose policies may name it: logins in lower case; empty: of the one account that is served."""
    url: Secret = _NOT_SET
    """Empty for Slack: its addresses are settings. May hold a token in its path, so it is sealed at rest."""
    signing: Secret = _NOT_SET
    """What its messages are signed with; empty for Slack."""
    is_on: bool = True
    failures: int = 0
    """Failed messages in a row."""
    number: int = 0
    """Of its newest message."""
    problem: str = ""
    """Why the newest message failed; empty when it did not."""
    changed_at: datetime | None = None
    """When it was set up, switched off or on."""

    @property
    def is_slack(self) -> bool:
        """True for a channel of Slack."""
        return is_slack_name(self.name)

    @property
    def channel(self) -> str:
        """Of Slack; empty: the one that has no name."""
        return self.name.partition(":")[2]

    def takes(self, owner: str, *, is_shared: bool) -> bool:
        """True when a policy of that account may name it. `is_shared`: more than one account is served."""
        return owner.lower() in self.accounts if self.accounts else not is_shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent: a body, and what a policy adds to its headers."""

    body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, and what became of it. What it said is kept no longer than it takes to send it."""

    id: str
    """ULID; sent along, the same at each try."""
    run_id: RunId
    step_id: int
    channel: Channel
    policy: str
    outcome: Outcome
    to: str = ""
    """The endpoint, or `#7`; empty when there is none."""
    number: int = 0
    """Its place among all messages to its endpoint, from 1; 0 for what has no endpoint."""
    reason: str = ""
    """Why it failed, was dropped or refused."""
    title: str = ""
    body: str = ""
    """Of what stands on the run's page; hostile text."""
    severity: str = ""
    tries: int = 0
    created_at: datetime | None = None
    request: Request | None = field(default=None, repr=False)
    """What is to be sent; None once it was, or never is."""


class Kind(StrEnum):
    """How the other side took a message."""

    TAKEN = "taken"
    REFUSED = "refused"
    """It will not take it the next time either."""
    UNANSWERED = "unanswered"
    """Nobody answered, or a broken server did: the next try may be better."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, in words without the address."""

    kind: Kind
    words: str = ""
    retry_after_s: float | None = None
    """What the other side asked for."""
    is_about_message: bool = False
    """Of a refusal: this message is at fault, which its policy wrote; the endpoint may take any other."""


def is_endpoint_name(text: str) -> bool:
    """True for what an endpoint may be called; Slack's names are its own."""
    return _NAME.fullmatch(text) is not None and not is_slack_name(text)


def is_account(text: str) -> bool:
    """True for what an account can be called, in lower case."""
    return _ACCOUNT.fullmatch(text) is not None


def is_slack_name(text: str) -> bool:
    """True for the names of Slack's channels."""
    return text.partition(":")[0] == SLACK


def slack_name(channel: str) -> str:
    """What the endpoint of a channel is called; empty: the one without a name."""
    return f"{SLACK}:{channel}" if channel else SLACK


def slack_keys(owner: str, channel: str) -> tuple[str, ...]:
    """The entries of SLACK_WEBHOOK_URL that take an account's message to a channel, the nearest first. What is no
    channel's id, also an entry's own spelling, means no channel."""
    own = f"{owner.lower()}/"
    return (f"{own}{channel}", channel, own, "") if is_slack_channel(channel) else (own, "")


def is_slack_channel(text: str) -> bool:
    """True for the id of a channel."""
    return _CHANNEL.fullmatch(text) is not None


def is_label(text: str) -> bool:
    """True for a word that policies may choose endpoints by."""
    return _LABEL.fullmatch(text) is not None


def shown_url(url: Secret) -> str:
    """The address as far as it may be shown: without its path and query, where tokens stand."""
    parts = urlsplit(url.reveal())
    return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")


def is_fit_address(url: str) -> bool:
    """True for an address that messages may go to: https, or plain on this machine; without user name and fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
    is_bare = bool(host) and parts.username is None and not parts.fragment
    return is_plain and is_bare and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host)))


def _is_here(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_over(tries: int) -> bool:
    """True when a message that got no answer is not tried again."""
    return tries > len(RETRY_AFTER_S)


def next_try_s(tries: int, asked_s: float | None) -> float:
    """How long to wait before the next try."""
    wait_s = RETRY_AFTER_S[min(max(tries, 1), len(RETRY_AFTER_S)) - 1]
    return max(wait_s, min(asked_s, 600.0)) if asked_s is not None else wait_s
