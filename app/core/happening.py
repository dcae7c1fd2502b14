"""One event of a repository that is decided for every stack: a push, a tag, a pull request, its review, a comment, a
merge group, brought into one form.

Pure. `look` asks git about it, `judge` the policies; nothing here knows GitHub's payloads.
"""

from dataclasses import dataclass
from typing import Final

from app.core.decision import EventKind
from app.core.event import Comment, MergeGroup, PullChanged, PullReviewed, Push, Repository
from app.core.names import ZERO_SHA, Sha
from app.core.pull import PullAction, PullFacts
from app.core.run import Trigger

QUEUE_REFS: Final = "refs/heads/gh-readonly-queue/"
"""Branches of merge queues: what a push of one means is left to the merge group's own event."""
_TRIGGERS: Final = {
    EventKind.PUSH: Trigger.PUSH,
    EventKind.TAG: Trigger.TAG,
    EventKind.PULL_REQUEST: Trigger.PULL_REQUEST,
    EventKind.REVIEW: Trigger.PULL_REQUEST,
    EventKind.COMMENT: Trigger.COMMENT,
    EventKind.MERGE_GROUP: Trigger.MERGE_GROUP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What happened, in our names."""

    repository: Repository
    kind: EventKind
    action: str
    """Empty for a push; else as policies see it: `synchronize`, `merged`, `approved`, `commented`."""
    sender: str
    ref: str
    """The full ref that a run of it carries; of a pull request its head's, `refs/pull/N/head` for a fork's."""
    after: Sha
    """The commit to decide about; of an annotated tag the tag's own object."""
    before: Sha = ZERO_SHA
    """What the ref was before, or what a merge group stands on; ZERO_SHA when there was nothing."""
    is_forced: bool = False
    is_found: bool = False
    """GitHub never told of it: the ref was found where it is."""
    is_passed: bool = False
    """It reaches us long after it happened, and its branch has moved on since: newer runs of the branch stay."""
    pull: PullFacts | None = None
    comment: str = ""
    """The comment's text."""

    @property
    def branch(self) -> str:
        """The branch that policies see: of a pull request its head's, once merged the one that it went into."""
        if self.pull is not None and not self.pull.is_merged:
            return self.pull.head_ref
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    @property
    def tag(self) -> str:
        """The tag's name, or empty."""
        return self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else ""

    @property
    def is_from_fork(self) -> bool:
        """True when its commit comes from another repository, and was not merged."""
        pull = self.pull
        return pull is not None and self.after != pull.landed_sha and pull.is_from_fork(self.repository.id)

    @property
    def is_new_head(self) -> bool:
        """True when the event brings a commit, not only words about one."""
        moved = {PullAction.OPENED, PullAction.REOPENED, PullAction.SYNCHRONIZE, PullAction.MERGED}
        return self.kind in (EventKind.PUSH, EventKind.TAG, EventKind.MERGE_GROUP) or self.action in moved

    @property
    def pull_number(self) -> int | None:
        """The pull request's number, or None."""
        return self.pull.number if self.pull is not None else None

    @property
    def trigger(self) -> Trigger:
        """Why a run of it exists."""
        return _TRIGGERS[self.kind]


def of_push(push: Push) -> Happening:
    """A branch or a tag that was pushed."""
    return Happening(
        repository=push.repository,
        kind=EventKind.TAG if push.tag else EventKind.PUSH,
        action="",
        sender=push.sender,
        ref=push.ref,
        after=push.after,
        before=push.before,
        is_forced=push.is_forced,
        is_found=push.is_found,
    )


def of_pull(event: PullChanged) -> Happening:
    """A pull request that changed."""
    return _of_facts(event.repository, event.pull, event.action.value, event.sender, EventKind.PULL_REQUEST)


def of_review(event: PullReviewed) -> Happening:
    """A review: its action is what the review says now."""
    action = event.action.value if event.action.value == "dismissed" else event.review_state.value
    return _of_facts(event.repository, event.pull, action, event.sender, EventKind.REVIEW)


def of_comment(event: Comment, pull: PullFacts) -> Happening:
    """A comment on a pull request."""
    return _of_facts(event.repository, pull, "commented", event.sender, EventKind.COMMENT, comment=event.body)


def of_group(event: MergeGroup) -> Happening:
    """A commit of a merge queue."""
    return Happening(
        repository=event.repository,
        kind=EventKind.MERGE_GROUP,
        action=event.action.value,
        sender=event.sender,
        ref=event.head_ref,
        after=event.head_sha,
        before=event.base_sha,
    )


def _of_facts(
    repository: Repository, pull: PullFacts, action: str, sender: str, kind: EventKind, *, comment: str = ""
) -> Happening:
    merged = pull.landed_sha
    own = f"refs/pull/{pull.number}/head" if pull.is_from_fork(repository.id) else f"refs/heads/{pull.head_ref}"
    return Happening(
        repository=repository,
        kind=kind,
        action=action,
        sender=sender,
        ref=f"refs/heads/{pull.base_ref}" if merged else own,
        after=merged or pull.head_sha,
        before=pull.base_sha,
        pull=pull,
        comment=comment,
    )
