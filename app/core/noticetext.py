"""What messages say: Slack's text, the payload of a webhook, the body of a comment. Bounded, inert where it must be.

Pure. A policy's author is trusted with the form of a text (Markdown, a payload's keys); what came from a commit, a
plan or a log and stands in it is not: it mentions nobody and closes no fence.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from app.core.markdown import cut, fence, tail
from app.core.notice import StateChange
from app.core.noticeask import CommentWish, InboxWish, SlackWish, WebhookWish
from app.core.noticeinput import RunTold, delta_document, seconds
from app.core.pushinput import Document, stack_id_of
from app.core.words_notice import run_line

MAX_SLACK: Final = 3_000
"""Characters of a message's text. Source: https://api.slack.com/methods/chat.postMessage, sections of 3,000."""
MAX_COMMENT: Final = 60_000
"""Characters of a comment, of the 65,536 that GitHub takes."""
MAX_LOG: Final = 8_000
"""Characters of a log in a comment or a payload; its end is shown."""
LOG_ROOM: Final = MAX_LOG * 3 // 2 + 300
"""What a log may take in a comment, once every `@` in it is made inert."""
MAX_SLACK_LOG: Final = 1_500
MAX_LOGS: Final = 4
"""Logs in one text: one of each kind."""
MAX_INBOX: Final = 4_000
LOGS: Final = ("initializing", "preparing", "planning", "applying")
VEILED_LOG: Final = "(everybody can read this, so the log is on the run's page alone)"
"""In place of a log, on a public repository whose stack does not show its plans."""
_PLACEHOLDER: Final = re.compile(rf"(?:spacelift|trackside)::logs::({'|'.join(LOGS)})")
_MENTION: Final = re.compile(r"@(?=[A-Za-z0-9])")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_SECTION: Final = re.compile(r"── (.{1,200}) ──")
_STEPS: Final = {
    "fetch": "preparing",
    "init": "initializing",
    "plan": "planning",
    "show": "planning",
    "store": "planning",
    "validate": "planning",
    "apply": "applying",
    "outputs": "applying",
}
"""A worker's steps, by what the run is doing meanwhile; what is not here belongs to the step before."""
_INERT_AT: Final = "@\u200b"
"""GitHub reads no name behind it, and a reader sees none of it: an entity would be read as the sign itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A change of a run's state, with the logs that a text may show. Shape of `logs`: name of LOGS to redacted text."""

    run: RunTold
    change: StateChange
    logs: Mapping[str, str] = field(default_factory=dict)


def wants_logs(text: str) -> bool:
    """True when the text has a place for a log."""
    return _PLACEHOLDER.search(text) is not None


def split_log(planned: str, applied: str) -> dict[str, str]:
    """What a run logged, by what it was doing: each step of a worker has a header in the log.

    `planned`: while it was planned, `applied`: by the worker that applied what another had planned. Shape: name of LOGS
    to text; all of them are there.
    """
    parts: dict[str, list[str]] = {name: [] for name in LOGS}
    at = "preparing"
    for line in planned.split("\n"):
        section = _SECTION.fullmatch(line)
        if section is not None:
            at = _STEPS.get(section[1].partition(":")[0].removeprefix("before_").removeprefix("after_"), at)
        parts[at].append(line)
    parts["applying"].append(applied)
    return {name: "\n".join(lines).strip("\n") for name, lines in parts.items()}


def slack_body(wish: SlackWish, told: Told) -> bytes:
    """The JSON of an incoming webhook: text that mentions nobody but whom the policy names, and a link to the run.

    Source: https://api.slack.com/reference/surfaces/formatting#escaping
    """
    run = told.run.run
    words = wish.message.strip() or run_line(run, told.change, told.run.repository.full_name)
    words = _Places(lambda name: _code_of(told.logs.get(name, ""))).fill(cut(words, MAX_SLACK))
    mentions = [f"<@{user}>" for user in wish.users] + [f"<!subteam^{group}>" for group in wish.groups]
    link = f"<{told.run.url}|{slack_text(run.stack_name)}>"
    text = " ".join([*mentions, slack_text(words), link])
    return _json({"text": text, "unfurl_links": False, "unfurl_media": False})


def slack_text(text: str) -> str:
    """The text as Slack shows it literally: no link, no mention, no channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code_of(log: str) -> str:
    shown = tail(log, MAX_SLACK_LOG).replace("```", "'''")
    return f"```\n{shown}\n```"


def webhook_body(wish: WebhookWish, told: Told, *, number: int, message_id: str) -> bytes:
    """The JSON that is sent: the policy's payload, else ours with the message's number and id."""
    if wish.payload is None:
        return _json({**run_payload(told), "order": number, "delivery": message_id})
    places = _Places(lambda name: tail(told.logs.get(name, ""), MAX_LOG))
    return _json(places.fill_all(wish.payload))


def run_payload(told: Told) -> Document:
    """What is said of a run when a policy does not say: the payload that receivers know. Times are Unix seconds."""
    asked, run, change = told.run, told.run.run, told.change
    repository = asked.repository
    return {
        "account": repository.owner,
        "state": change.state.value.upper(),
        "stateVersion": change.version,
        "timestamp": seconds(change.at),
        "run": {
            "id": run.id,
            "branch": asked.branch,
            "commit": {
                "authorLogin": run.triggered_by,
                "authorName": run.triggered_by,
                "hash": run.head_sha,
                "message": run.message,
                "timestamp": seconds(run.created_at),
                "url": f"{asked.web_url}/{repository.full_name}/commit/{run.head_sha}",
            },
            "createdAt": seconds(run.created_at),
            "delta": delta_document(asked),
            "triggeredBy": run.asked_by,
            "type": run.type.value.upper(),
            "url": asked.url,
        },
        "stack": {
            "id": stack_id_of(asked.stack, repository),
            "name": asked.stack.name,
            "description": "",
            "labels": list(asked.stack.settings.labels),
        },
    }


def comment_body(wish: CommentWish, told: Told) -> str:
    """The Markdown of a comment: every fence closed, at most MAX_COMMENT characters, nobody mentioned unless the policy
    says so."""
    text = wish.body if wish.may_mention else mentions_nobody(wish.body)
    logs = min(len(_PLACEHOLDER.findall(text)), MAX_LOGS)
    places = _Places(lambda name: _without_fence(tail(told.logs.get(name, ""), MAX_LOG) or "(no log)"))
    body, held = list[str](), ""
    for line in cut(text, MAX_COMMENT - logs * LOG_ROOM).split("\n"):
        body.append(places.fill(line, str if held else _fenced))
        held = _held_after(line, held)
    filled = "\n".join([*body, held] if held else body)
    return (filled if wish.may_mention else mentions_nobody(filled)).strip()


def _without_fence(log: str) -> str:
    """The log with nothing in it that ends a fence, be it ours or the policy's own around it."""
    return log.replace("```", "'''").replace("~~~", "---")


def _fenced(log: str) -> str:
    return f"\n\n{fence(log)}\n\n"


def _held_after(line: str, held: str) -> str:
    """The mark of the fence that stands open after a line; empty: none."""
    found = _FENCE.fullmatch(line)
    if found is None:
        return held
    mark, rest = found[1], found[2]
    if not held:
        return "" if mark[0] == "`" and "`" in rest else mark
    return "" if mark[0] == held[0] and len(mark) >= len(held) and not rest.strip() else held


def inbox_text(wish: InboxWish, told: Told) -> str:
    """What stands on the run's page."""
    return cut(_Places(lambda name: tail(told.logs.get(name, ""), MAX_LOG)).fill(wish.body), MAX_INBOX)


def mentions_nobody(text: str) -> str:
    """The text with every `@name` as words."""
    return _MENTION.sub(_INERT_AT, text)


class _Places:
    """Fills the places for logs of one message, the first ones; further ones stay empty."""

    def __init__(self, show: Callable[[str], str]) -> None:
        self._show, self._left = show, MAX_LOGS

    def fill(self, text: str, dress: Callable[[str], str] = str) -> str:
        """A text with its places filled; `dress`: what a log is put into."""
        return _PLACEHOLDER.sub(lambda match: self._next(match, dress), text)

    def fill_all(self, value: object) -> object:
        """A JSON value with the places of each of its texts filled."""
        match value:
            case str():
                return self.fill(value)
            case list():
                return [self.fill_all(each) for each in value]
            case dict():
                return {key: self.fill_all(each) for key, each in value.items()}
            case _:
                return value

    def _next(self, match: re.Match[str], dress: Callable[[str], str]) -> str:
        self._left -= 1
        return dress(self._show(match[1])) if self._left >= 0 else ""


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
