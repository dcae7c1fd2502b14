"""The push event: a branch or a tag moved, appeared or went away."""

from typing import Final

import msgspec

from app.core.event import Ignored, Push
from app.core.names import ZERO_SHA, Sha
from app.github.payload_repository import AccountShape, InstallationShape, RepositoryShape, to_repository
from app.github.shapes import RefText, ShaText, clean_text, first_line

BRANCHES: Final = "refs/heads/"
TAGS: Final = "refs/tags/"
QUEUE: Final = "refs/heads/gh-readonly-queue/"
"""Where a merge queue keeps its groups; `merge_group` speaks for them.

Source: https://docs.github.com/webhooks/webhook-events-and-payloads#merge_group
"""


class _HeadCommit(msgspec.Struct, frozen=True):
    message: str | None = None


class _Pusher(msgspec.Struct, frozen=True):
    name: str | None = None


class _PushEvent(msgspec.Struct, frozen=True):
    ref: RefText
    before: ShaText
    after: ShaText
    repository: RepositoryShape
    installation: InstallationShape
    forced: bool | None = None
    deleted: bool | None = None
    head_commit: _HeadCommit | None = None
    sender: AccountShape | None = None
    pusher: _Pusher | None = None


class _RefOnly(msgspec.Struct, frozen=True):
    ref: RefText


_REF = msgspec.json.Decoder(_RefOnly)
_PUSH = msgspec.json.Decoder(_PushEvent)


def read_push(body: bytes) -> Push | Ignored:
    """A push, or why it is not for us. Refs are matched whole: `refs/tags/main` is not branch `main`."""
    ref = _REF.decode(body).ref
    if ref.startswith(QUEUE):
        return Ignored("push of a merge queue's branch: left to merge_group")
    if not any(ref.startswith(kind) and len(ref) > len(kind) for kind in (BRANCHES, TAGS)):
        return Ignored(f"push to {first_line(ref)}: neither a branch nor a tag")
    event = _PUSH.decode(body)
    return Push(
        repository=to_repository(event.repository, event.installation),
        ref=event.ref,
        before=Sha(event.before),
        after=Sha(event.after),
        is_forced=bool(event.forced),
        is_deleted=bool(event.deleted) or event.after == ZERO_SHA,
        sender=_sender(event),
        message=first_line((event.head_commit.message if event.head_commit else None) or ""),
    )


def _sender(event: _PushEvent) -> str:
    """The login; a deploy key's push may have only the pusher's name. Never asked for power: it is shown alone."""
    login = event.sender.login if event.sender else None
    return login or first_line(clean_text((event.pusher.name if event.pusher else None) or "", 100))
