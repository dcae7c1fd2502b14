"""New comments on pull requests and on commits, and what others do to the App's own. Other edited and deleted ones, and
those on plain issues, are not for us.
"""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import msgspec

from app.core.event import Comment, CommentDeleted, CommentEdited, Ignored
from app.core.names import Sha
from app.github.payload_repository import AccountShape, InstallationShape, RepositoryShape, to_repository
from app.github.shapes import Login, Number, ShaText, Word, clean_text

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Sender(msgspec.Struct, frozen=True):
    login: Login
    type: Word | None = None


class _Issue(msgspec.Struct, frozen=True):
    number: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    pull_request: dict[str, msgspec.Raw] | None = None
    state: Word | None = None

    @property
    def is_open(self) -> bool | None:
        """None when the payload does not say."""
        return None if self.state is None else self.state == "open"


class _IssueEnvelope(msgspec.Struct, frozen=True):
    action: Word
    issue: _Issue


class _ActionOnly(msgspec.Struct, frozen=True):
    action: Word


class _App(msgspec.Struct, frozen=True):
    id: Number


class _Before(msgspec.Struct, frozen=True):
    from_: str | None = msgspec.field(name="from", default=None)


class _Changes(msgspec.Struct, frozen=True):
    body: _Before | None = None


class _CommentBody(msgspec.Struct, frozen=True):
    id: Number
    created_at: Moment
    body: str | None = None
    user: AccountShape | None = None
    performed_via_github_app: _App | None = None
    updated_at: Moment | None = None


class _CommitCommentBody(_CommentBody, frozen=True, kw_only=True):
    commit_id: ShaText


class _IssueCommentEvent(msgspec.Struct, frozen=True):
    comment: _CommentBody
    repository: RepositoryShape
    installation: InstallationShape
    sender: _Sender
    changes: _Changes | None = None


class _CommitCommentEvent(msgspec.Struct, frozen=True):
    comment: _CommitCommentBody
    repository: RepositoryShape
    installation: InstallationShape
    sender: _Sender


_ISSUE = msgspec.json.Decoder(_IssueEnvelope)
_ACTION = msgspec.json.Decoder(_ActionOnly)
_ISSUE_COMMENT = msgspec.json.Decoder(_IssueCommentEvent)
_COMMIT_COMMENT = msgspec.json.Decoder(_CommitCommentEvent)


def read_issue_comment(body: bytes, *, app_id: int) -> Comment | CommentEdited | CommentDeleted | Ignored:
    """A new comment in a pull request's conversation, or what somebody did to one of ours; else why it is not for us.

    Ours is what GitHub says was written through that App, whatever stands in it.
    """
    envelope = _ISSUE.decode(body)
    if envelope.action not in ("created", "edited", "deleted"):
        return Ignored(f"comment {envelope.action}: only new comments are read")
    if envelope.issue.pull_request is None:
        return Ignored("comment on an issue that is not a pull request")
    if envelope.action != "created":
        return _of_ours(_ISSUE_COMMENT.decode(body), envelope, app_id)
    found = _comment(_ISSUE_COMMENT.decode(body), pull_number=envelope.issue.number, sha=None)
    return replace(found, is_pull_open=envelope.issue.is_open)


def read_commit_comment(body: bytes) -> Comment | Ignored:
    """A new comment on a commit, or why it is not for us."""
    action = _ACTION.decode(body).action
    if action != "created":
        return Ignored(f"commit comment {action}: only new comments are read")
    event = _COMMIT_COMMENT.decode(body)
    return _comment(event, pull_number=None, sha=Sha(event.comment.commit_id))


def _of_ours(
    event: _IssueCommentEvent, envelope: _IssueEnvelope, app_id: int
) -> CommentEdited | CommentDeleted | Ignored:
    """What somebody else did to a comment of ours."""
    comment, action = event.comment, envelope.action
    if comment.performed_via_github_app is None or comment.performed_via_github_app.id != app_id:
        return Ignored(f"comment {action}: only new comments are read")
    if comment.user is not None and comment.user.login == event.sender.login:
        return Ignored(f"a comment of our own, {action} by ourselves")
    repository = to_repository(event.repository, event.installation)
    if action == "deleted":
        return CommentDeleted(
            repository=repository,
            comment_id=comment.id,
            pull_number=envelope.issue.number,
            sender=event.sender.login,
        )
    before = event.changes.body.from_ if event.changes is not None and event.changes.body is not None else None
    if before is None:
        return Ignored("comment edited: its text stayed what it was")
    return CommentEdited(
        repository=repository,
        comment_id=comment.id,
        pull_number=envelope.issue.number,
        old_body=clean_text(before),
        new_body=clean_text(comment.body or ""),
        edited_at=comment.updated_at or comment.created_at,
        sender=event.sender.login,
        is_bot=AccountShape(login=event.sender.login, type=event.sender.type).is_bot,
    )


def _comment(event: _IssueCommentEvent | _CommitCommentEvent, *, pull_number: int | None, sha: Sha | None) -> Comment:
    """The sender is who acts, whoever the author is: their permission will be asked."""
    comment, sender = event.comment, AccountShape(login=event.sender.login, type=event.sender.type)
    is_authors_bot = comment.user is not None and comment.user.is_bot
    return Comment(
        repository=to_repository(event.repository, event.installation),
        comment_id=comment.id,
        pull_number=pull_number,
        sha=sha,
        body=clean_text(comment.body or ""),
        created_at=comment.created_at,
        sender=event.sender.login,
        is_bot=sender.is_bot or is_authors_bot or comment.performed_via_github_app is not None,
    )
