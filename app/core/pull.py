"""A pull request as GitHub tells of it: in a payload, in an answer, its reviews; and who signed a commit or a tag.

Values only. A payload shows what was true when it was sent; what a decision rests on is asked for at its moment.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.core.names import RepositoryId, Sha


class PullAction(StrEnum):
    """What happened to a pull request; the words are those that push policies see."""

    OPENED = "opened"
    REOPENED = "reopened"
    SYNCHRONIZE = "synchronize"
    """Its head moved."""
    LABELED = "labeled"
    UNLABELED = "unlabeled"
    EDITED = "edited"
    """Its title, its text, or the branch that it goes into."""
    CLOSED = "closed"
    """Without merging."""
    MERGED = "merged"
    """GitHub says `closed`, too, and marks the pull request as merged."""
    READY_FOR_REVIEW = "ready_for_review"
    CONVERTED_TO_DRAFT = "converted_to_draft"


class ReviewAction(StrEnum):
    """What happened to a review."""

    SUBMITTED = "submitted"
    EDITED = "edited"
    DISMISSED = "dismissed"


class ReviewState(StrEnum):
    """What a review says, in lower case; payloads write it so, answers in capitals."""

    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    COMMENTED = "commented"
    DISMISSED = "dismissed"


class ReviewDecision(StrEnum):
    """What the reviews of a pull request amount to, where its base branch requires some."""

    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    REVIEW_REQUIRED = "review_required"
    NOT_REQUIRED = "not_required"
    """No rule of the base branch asks for reviews."""


class MergeGroupAction(StrEnum):
    """What happened to a group of a merge queue."""

    CHECKS_REQUESTED = "checks_requested"
    DESTROYED = "destroyed"
    """Landed, invalidated or taken out: its branch is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullFacts:
    """What every mention of a pull request says about it."""

    number: int
    title: str
    """One line, at most 300 characters, without control characters."""
    author: str
    """Login; empty for an account that is gone."""
    head_sha: Sha
    head_ref: str
    """The branch's name, without `refs/heads/`, in the head repository."""
    head_owner: str
    """Login of the head repository's owner; empty when that repository is gone."""
    head_repository_id: RepositoryId | None
    """None when the head repository is gone."""
    base_sha: Sha
    """Where GitHub last saw the base branch for this pull request: may lag behind the branch."""
    base_ref: str
    """The branch's name, without `refs/heads/`."""
    is_draft: bool
    is_closed: bool
    """Merged or not."""
    is_merged: bool
    merge_commit_sha: Sha | None = None
    """The merge (or squashed, or last rebased) commit once merged; None before."""
    potential_merge_sha: Sha | None = None
    """Before: the merge commit that GitHub made to try, None when it made none. May lag: look at its parents."""
    labels: tuple[str, ...] = ()
    """In GitHub's order."""

    @property
    def landed_sha(self) -> Sha | None:
        """The commit of the base branch that it became; None before it is merged, or when GitHub does not say."""
        return self.merge_commit_sha if self.is_merged else None

    def own_sha(self, repository_id: RepositoryId) -> Sha | None:
        """The commit that it stands for in that repository: what landed of a merged one, the head of another.

        None where GitHub does not say what landed of a fork's: its head is no commit of ours.
        """
        if self.is_merged and self.is_from_fork(repository_id):
            return self.landed_sha
        return self.landed_sha or self.head_sha

    def is_from_fork(self, repository_id: RepositoryId) -> bool:
        """True unless its head is in that repository, the one that it goes into; true for a head that is gone."""
        return self.head_repository_id != repository_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PullDetail:
    """A pull request as it was a moment ago, with what GitHub computes for one at a time."""

    facts: PullFacts
    is_mergeable: bool | None
    """False on conflict; None while GitHub computes it, and once merged or closed."""
    mergeable_state: str
    """GitHub's word, which grows: clean, has_hooks, unstable, blocked, behind, dirty, draft, unknown."""

    @property
    def may_be_merged(self) -> bool | None:
        """Free of conflicts and with the base branch's protection satisfied; None while GitHub computes it.

        `unstable` (a check that nobody requires fails) and `has_hooks` can be merged; a word that is not known cannot.
        """
        if self.is_mergeable is None or self.mergeable_state == "unknown":
            return None
        return self.is_mergeable and self.mergeable_state in {"clean", "has_hooks", "unstable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The newest word of one person about a pull request; comments alone change no opinion and are left out."""

    reviewer: str
    """Login; empty for an account that is gone."""
    state: ReviewState
    sha: Sha | None
    """The head that was reviewed; None when that commit is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """The reviews of a pull request, as far as they count: by people with write access."""

    decision: ReviewDecision
    newest: tuple[Review, ...] = ()
    """The newest opinion of each person, ordered by login; at most a hundred."""

    @property
    def is_approved(self) -> bool:
        """At least one approval, no change request outstanding, and what the base branch requires is met.

        GitHub answers for the last part (`decision`: number of approvals, code owners), which an App cannot read.
        """
        states = {review.state for review in self.newest}
        if ReviewState.APPROVED not in states or ReviewState.CHANGES_REQUESTED in states:
            return False
        return self.decision in {ReviewDecision.APPROVED, ReviewDecision.NOT_REQUIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Whether GitHub could verify the signature of a commit or a tag, and whose it is."""

    is_verified: bool
    """False for what is not signed."""
    signer: str = ""
    """Login; empty without a verified signature, and where GitHub does not tell: for tags, and by REST alone."""
    is_by_github: bool = False
    """Signed with GitHub's own key, as merges on the web are: it tells that GitHub made it, not who asked."""
