"""Pull requests, their reviews and merge groups, as payloads carry them; the first also as answers do.

Actions that push policies do not see are ignored by their name; so are new ones, since GitHub adds some every year.
"""

from typing import Annotated, Final

import msgspec

from app.core.event import Ignored, MergeGroup, PullChanged, PullReviewed
from app.core.names import RepositoryId, Sha
from app.core.pull import MergeGroupAction, PullAction, PullFacts, ReviewAction, ReviewState
from app.github.payload_repository import (
    AccountShape,
    InstallationShape,
    OwnerShape,
    RepositoryShape,
    to_repository,
)
from app.github.shapes import Login, Number, RefText, ShaText, Word, clean_text, first_line

MAX_LABELS: Final = 1000
"""GitHub takes a hundred on one pull request."""
MAX_LABEL_CHARS: Final = 100
"""GitHub takes fifty."""
_ACTIONS: Final = {action.value: action for action in PullAction if action is not PullAction.MERGED}
_REVIEW_ACTIONS: Final = {action.value: action for action in ReviewAction}
_REVIEW_STATES: Final = {state.value: state for state in ReviewState}
_GROUP_ACTIONS: Final = {action.value: action for action in MergeGroupAction}


class _SideRepository(msgspec.Struct, frozen=True):
    id: Number
    owner: OwnerShape


class _Head(msgspec.Struct, frozen=True):
    sha: ShaText
    ref: RefText
    repo: _SideRepository | None = None
    """None once the fork is gone."""


class _Base(msgspec.Struct, frozen=True):
    sha: ShaText
    ref: RefText


class _Label(msgspec.Struct, frozen=True):
    name: str | None = None


class PullShape(msgspec.Struct, frozen=True):
    """`pull_request`, in the fields that its full form shares with the shorter ones of reviews and lists."""

    number: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    state: Word
    head: _Head
    base: _Base
    title: str | None = None
    user: AccountShape | None = None
    draft: bool | None = None
    merged: bool | None = None
    merged_at: str | None = None
    merge_commit_sha: ShaText | None = None
    labels: Annotated[list[_Label], msgspec.Meta(max_length=MAX_LABELS)] | None = None


def to_facts(shape: PullShape) -> PullFacts:
    """The pull request by our names."""
    head, is_merged = shape.head, bool(shape.merged or shape.merged_at)
    merge = Sha(shape.merge_commit_sha) if shape.merge_commit_sha else None
    return PullFacts(
        number=shape.number,
        title=first_line(shape.title or ""),
        author=(shape.user.login if shape.user else None) or "",
        head_sha=Sha(head.sha),
        head_ref=head.ref,
        head_owner=head.repo.owner.login if head.repo else "",
        head_repository_id=RepositoryId(head.repo.id) if head.repo else None,
        base_sha=Sha(shape.base.sha),
        base_ref=shape.base.ref,
        is_draft=bool(shape.draft),
        is_closed=is_merged or shape.state != "open",
        is_merged=is_merged,
        merge_commit_sha=merge if is_merged else None,
        potential_merge_sha=None if is_merged else merge,
        labels=tuple(clean_text(label.name, MAX_LABEL_CHARS) for label in shape.labels or () if label.name),
    )


class _Sender(msgspec.Struct, frozen=True):
    login: Login


class _ActionOnly(msgspec.Struct, frozen=True):
    action: Word


class _PullEvent(msgspec.Struct, frozen=True):
    pull_request: PullShape
    repository: RepositoryShape
    installation: InstallationShape
    sender: _Sender


class _Review(msgspec.Struct, frozen=True):
    state: Word
    user: AccountShape | None = None


class _ReviewEvent(_PullEvent, frozen=True, kw_only=True):
    review: _Review


class _Group(msgspec.Struct, frozen=True):
    head_sha: ShaText
    head_ref: RefText
    base_sha: ShaText
    base_ref: RefText


class _GroupEvent(msgspec.Struct, frozen=True):
    merge_group: _Group
    repository: RepositoryShape
    installation: InstallationShape
    sender: AccountShape | None = None
    reason: Word | None = None


_ACTION = msgspec.json.Decoder(_ActionOnly)
_PULL = msgspec.json.Decoder(_PullEvent)
_REVIEW = msgspec.json.Decoder(_ReviewEvent)
_GROUP = msgspec.json.Decoder(_GroupEvent)


def read_pull_request(body: bytes) -> PullChanged | Ignored:
    """A pull request changed in a way that policies see, or why it is not for us."""
    name = _ACTION.decode(body).action
    action = _ACTIONS.get(name)
    if action is None:
        return Ignored(f"pull request {first_line(name)}: not seen by policies")
    event = _PULL.decode(body)
    facts = to_facts(event.pull_request)
    return PullChanged(
        repository=to_repository(event.repository, event.installation),
        action=PullAction.MERGED if action is PullAction.CLOSED and facts.is_merged else action,
        number=facts.number,
        pull=facts,
        sender=event.sender.login,
    )


def read_review(body: bytes) -> PullReviewed | Ignored:
    """A review came, changed or was dismissed, or why it is not for us."""
    name = _ACTION.decode(body).action
    action = _REVIEW_ACTIONS.get(name)
    if action is None:
        return Ignored(f"review {first_line(name)}: not seen by policies")
    event = _REVIEW.decode(body)
    state = _REVIEW_STATES.get(event.review.state.lower())
    if state is None:
        return Ignored(f"review that is {first_line(event.review.state)}: not seen by policies")
    return PullReviewed(
        repository=to_repository(event.repository, event.installation),
        pull=to_facts(event.pull_request),
        action=action,
        review_state=state,
        reviewer=(event.review.user.login if event.review.user else None) or "",
        sender=event.sender.login,
    )


def read_merge_group(body: bytes) -> MergeGroup | Ignored:
    """A merge queue's group came or went, or why it is not for us."""
    name = _ACTION.decode(body).action
    action = _GROUP_ACTIONS.get(name)
    if action is None:
        return Ignored(f"merge group {first_line(name)}: not seen by policies")
    event = _GROUP.decode(body)
    group = event.merge_group
    return MergeGroup(
        repository=to_repository(event.repository, event.installation),
        action=action,
        head_sha=Sha(group.head_sha),
        head_ref=group.head_ref,
        base_sha=Sha(group.base_sha),
        base_ref=group.base_ref,
        sender=(event.sender.login if event.sender else None) or "",
        reason=first_line(event.reason or ""),
    )
