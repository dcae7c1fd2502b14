"""What reaches us from GitHub, once it is inside the house: our names only, and only the fields that are used.

The github room parses payloads into these; a delivery that becomes none of them ends as Ignored or Malformed, with a
reason that its row keeps.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from app.core.names import UNKNOWN_ACCOUNT, AccountId, InstallationId, RepositoryId, Sha
from app.core.pull import MergeGroupAction, PullAction, PullFacts, ReviewAction, ReviewState


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository as GitHub names it now; the number is what stays."""

    id: RepositoryId
    owner: str
    name: str
    default_branch: str
    is_private: bool
    installation_id: InstallationId
    owner_id: AccountId = UNKNOWN_ACCOUNT
    """GitHub's number of the owner; 0: not known."""
    told_at: datetime | None = field(default=None, compare=False)
    """When the event happened that tells this; None: it is told by no event."""

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A branch or a tag moved, appeared or went away."""

    repository: Repository
    ref: str
    """The full ref: `refs/heads/main`, `refs/tags/v1`."""
    before: Sha
    """ZERO_SHA for a new ref."""
    after: Sha
    """ZERO_SHA for a deleted ref. For an annotated tag: the tag object; the flow peels it."""
    is_forced: bool
    is_deleted: bool
    sender: str
    message: str
    """First line of the head commit's message; empty when there is none."""
    is_found: bool = False
    """GitHub never told of it: the ref was found where it is."""

    @property
    def branch(self) -> str:
        """The branch's name, or empty."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    @property
    def tag(self) -> str:
        """The tag's name, or empty."""
        return self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A person pressed a button of one of our check runs (`check_run.requested_action`)."""

    repository: Repository
    check_run_id: int
    identifier: str
    """As we gave it: a verb letter and 16 hex digits of the plan's digest."""
    head_sha: Sha
    sender: str
    external_id: str = ""
    """As we gave it: `RUN/PLAN`; names the run whose report was clicked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerequest:
    """A person asked for one of our check runs again, or for all of a commit (`rerequested`)."""

    repository: Repository
    head_sha: Sha
    sender: str
    is_bot: bool
    """Asked for by a bot account or an App: never obeyed."""
    check_name: str = ""
    """Empty: all of the commit."""
    external_id: str = ""
    """As we gave it: `RUN/PLAN`; empty: all of the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A new comment on a pull request or on a commit; exactly one of `pull_number` and `sha` is set."""

    repository: Repository
    comment_id: int
    pull_number: int | None
    sha: Sha | None
    body: str
    created_at: datetime
    sender: str
    is_bot: bool
    """Written by a bot account or through a GitHub App: never obeyed."""
    is_pull_open: bool | None = None
    """On a pull request: whether it was open when the comment came; None on a commit, and when GitHub did not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentEdited:
    """A comment of the App's on a pull request got another text, from somebody else."""

    repository: Repository
    comment_id: int
    pull_number: int
    old_body: str
    new_body: str
    edited_at: datetime
    sender: str
    is_bot: bool
    """By a bot account: never obeyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentDeleted:
    """A comment of the App's on a pull request was taken away."""

    repository: Repository
    comment_id: int
    pull_number: int
    sender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PullChanged:
    """A pull request was opened, moved, edited, labeled, closed, merged…"""

    repository: Repository
    """The one that it goes into."""
    action: PullAction
    number: int
    pull: PullFacts
    """As it was when GitHub sent this."""
    sender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReviewed:
    """A review of a pull request was submitted, edited or dismissed."""

    repository: Repository
    pull: PullFacts
    action: ReviewAction
    review_state: ReviewState
    """What the review says now: `dismissed` after a dismissal."""
    reviewer: str
    """Login of its author, who may be another than the sender; empty for an account that is gone."""
    sender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeGroup:
    """A merge queue made a commit to be checked, or is done with it."""

    repository: Repository
    action: MergeGroupAction
    head_sha: Sha
    """The commit to check: becomes the base branch's head when the group lands."""
    head_ref: str
    """The full ref of the group: `refs/heads/gh-readonly-queue/main/pr-1-…`."""
    base_sha: Sha
    """Its parent: the base branch's head, or the group before it in the queue."""
    base_ref: str
    """The full ref of the branch that it goes into: `refs/heads/main`."""
    sender: str
    """Login; empty when GitHub named nobody."""
    reason: str = ""
    """Of a destroyed one, GitHub's word: merged, invalidated, dequeued."""

    @property
    def base_branch(self) -> str:
        """The name of the branch that it goes into."""
        return self.base_ref.removeprefix("refs/heads/")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryMoved:
    """The repository was renamed, transferred, or its default branch changed: its row follows."""

    repository: Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationChanged:
    """The App was installed, suspended or removed on an account."""

    installation_id: InstallationId
    account: str
    is_active: bool
    is_gone: bool = False
    """The App was removed from the account, and from all its repositories with it."""


class Standing(StrEnum):
    """Whether a repository can be worked on."""

    HERE = "here"
    ARCHIVED = "archived"
    REMOVED = "removed"
    """The App may not see it any more: taken from the installation, or moved to an account without it."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryStands:
    """The repository was archived, came back, or was deleted."""

    repository: Repository
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoriesChosen:
    """Repositories were added to an installation of the App, or taken from it."""

    installation_id: InstallationId
    account: str
    added: tuple[RepositoryId, ...]
    removed: tuple[RepositoryId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRenamed:
    """An account on which the App is installed has another name now."""

    installation_id: InstallationId
    account: str
    before: str = ""
    """What it was called; empty: not said."""


Event = (
    Push
    | Click
    | Rerequest
    | Comment
    | CommentEdited
    | CommentDeleted
    | PullChanged
    | PullReviewed
    | MergeGroup
    | RepositoryMoved
    | RepositoryStands
    | InstallationChanged
    | RepositoriesChosen
    | AccountRenamed
)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A delivery that is none of our business, and why: `tag deleted`, `check run of another App`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A delivery that lacks what its kind must have, and what it lacks: `push: repository.id is missing`."""

    reason: str


MAX_DELIVERY_BYTES: Final = 25 * 1024 * 1024
"""GitHub never sends more. Source: GitHub's webhook documentation."""
HANDLED_EVENTS: Final = frozenset(
    {
        "push",
        "check_run",
        "issue_comment",
        "commit_comment",
        "repository",
        "installation",
        "installation_repositories",
        "installation_target",
        "pull_request",
        "pull_request_review",
        "merge_group",
        "check_suite",
        "ping",
    }
)
"""Events that are stored for a job; any other is answered 200 and its row says that it is not handled."""
