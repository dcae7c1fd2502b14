"""What the stand-in remembers: plain mutable records, guarded by the one mutex of `SandboxGitHub`.

Field names are GitHub's. Nothing here knows HTTP, git processes or webhooks.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.sandbox.bare import BareRepository


@dataclass(slots=True, eq=False)
class User:
    """An account: a person, an organisation or the App's bot."""

    id: int
    login: str
    type: str = "User"
    token: str = ""
    """The person's own access token, also their password for git over HTTP; empty: none."""

    @property
    def email(self) -> str:
        """The address that ties commits to the account."""
        return f"{self.id}+{self.login}@users.noreply.github.com"


@dataclass(slots=True, eq=False)
class Reaction:
    """One emoji of one account on one comment."""

    id: int
    user: User
    content: str
    created_at: datetime


@dataclass(slots=True, eq=False)
class IssueComment:
    """A comment in a pull request's conversation."""

    id: int
    number: int
    user: User
    body: str
    created_at: datetime
    updated_at: datetime
    by_app: bool = False
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class CommitComment:
    """A comment on a commit, on a line of it when path is set."""

    id: int
    commit_id: str
    user: User
    body: str
    created_at: datetime
    updated_at: datetime
    path: str | None = None
    position: int | None = None
    line: int | None = None
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Review:
    """What one person says of a pull request as a whole."""

    id: int
    user: User
    state: str
    """APPROVED, CHANGES_REQUESTED, COMMENTED or DISMISSED."""
    body: str
    commit_id: str
    """The head that was reviewed."""
    submitted_at: datetime


@dataclass(slots=True, eq=False)
class Pull:
    """A pull request, of a branch of its own repository or of a fork."""

    id: int
    number: int
    title: str
    body: str
    user: User
    head_owner: User
    head_repo: "Repository | None"
    """None: the fork was deleted."""
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    created_at: datetime
    updated_at: datetime
    draft: bool = False
    state: str = "open"
    mergeable: bool | None = None
    """None while GitHub has not computed it."""
    merge_commit_sha: str | None = None
    """The potential merge commit while open, the real one once merged."""
    merged_by: User | None = None
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    landed: tuple[str, ...] = ()
    """Commits that merging made on the base branch."""
    comments: list[IssueComment] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    """Oldest first."""


@dataclass(frozen=True, slots=True, eq=False)
class QueuedGroup:
    """A commit that a merge queue made to be checked before it lands: one pull request on what is before it."""

    number: int
    head_ref: str
    """The full ref, below `refs/heads/gh-readonly-queue/`."""
    head_sha: str
    base_ref: str
    """The full ref of the branch that it goes into."""
    base_sha: str


@dataclass(frozen=True, slots=True)
class Signed:
    """That a commit or a tag carries a signature which GitHub verified."""

    login: str
    at: datetime
    by_github: bool = False
    """With GitHub's own key, as for merges on the web."""


@dataclass(slots=True, eq=False)
class CheckSuite:
    """All check runs of one App on one commit."""

    id: int
    head_sha: str
    head_branch: str | None
    before: str | None
    created_at: datetime
    updated_at: datetime
    status: str = "queued"
    conclusion: str | None = None


@dataclass(slots=True, eq=False)
class CheckRun:
    """One check of one commit, with what it shows and which buttons it offers."""

    id: int
    suite: CheckSuite
    name: str
    head_sha: str
    status: str
    started_at: datetime
    conclusion: str | None = None
    completed_at: datetime | None = None
    details_url: str = ""
    external_id: str = ""
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, str]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class DeploymentStatus:
    """One step in a deployment's history."""

    id: int
    state: str
    description: str
    environment: str
    environment_url: str
    log_url: str
    creator: User
    by_app: bool
    created_at: datetime


@dataclass(slots=True, eq=False)
class Deployment:
    """A request to deploy a ref, and what became of it; statuses are oldest first."""

    id: int
    sha: str
    ref: str
    task: str
    payload: Any
    environment: str
    description: str | None
    creator: User
    by_app: bool
    transient_environment: bool
    production_environment: bool
    created_at: datetime
    updated_at: datetime
    statuses: list[DeploymentStatus] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The newest status, `pending` before the first."""
        return self.statuses[-1].state if self.statuses else "pending"


@dataclass(slots=True, eq=False)
class Team:
    """A team of an organisation."""

    slug: str
    members: dict[str, str]
    """Login in lower case to `active` or `pending`."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Environment:
    """A deployment environment with its protection rules."""

    id: int
    name: str
    created_at: datetime
    reviewers: tuple[str, ...] = ()
    """Required ones: `alice`, or a team, `acme/platform`."""
    prevent_self_review: bool = False
    can_admins_bypass: bool = True
    wait_minutes: int = 0
    branches: tuple[str, ...] | None = None
    """Patterns; None: any branch."""
    tags: tuple[str, ...] = ()
    protected_branches: bool = False
    custom_rules: tuple[str, ...] = ()
    """Slugs of the Apps whose rules are switched on."""
    unknown_rules: tuple[str, ...] = ()
    """Types that GitHub will think of one day."""


@dataclass(slots=True, eq=False)
class Repository:
    """A repository: its git store, its people, and everything that was said and checked in it."""

    id: int
    owner: User
    name: str
    private: bool
    default_branch: str
    git: BareRepository
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime
    description: str = ""
    archived: bool = False
    """Read-only: people push nothing, and the App writes nothing."""
    refuse_check_runs: bool = False
    """Trouble: every write of a check run is answered 403."""
    mergeable_is_pending: bool = False
    """Trouble: the API answers `mergeable: null`, as GitHub does until its background job has run."""
    required_approvals: int = 0
    """How many approving reviews by people with write access every branch asks for."""
    parent: "Repository | None" = None
    """What it is a fork of."""
    roles: dict[str, str] = field(default_factory=dict)
    custom_roles: dict[str, str] = field(default_factory=dict)
    """Login to the name of a role that the organisation invented; `roles` has what it is based on."""
    environments: dict[str, Environment] = field(default_factory=dict)
    """By name in lower case."""
    protected: set[str] = field(default_factory=set)
    """Branches that are protected."""
    labels: dict[str, int] = field(default_factory=dict)
    """Name to id."""
    queue: list[QueuedGroup] = field(default_factory=list)
    """Groups that wait for their checks, the first to land first."""
    next_number: int = 1
    pulls: dict[int, Pull] = field(default_factory=dict)
    commit_comments: list[CommitComment] = field(default_factory=list)
    suites: dict[str, CheckSuite] = field(default_factory=dict)
    check_runs: dict[int, CheckRun] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    """What Git LFS keeps of it, by SHA-256."""

    @property
    def full_name(self) -> str:
        """`owner/name`, as it is now."""
        return f"{self.owner.login}/{self.name}"


@dataclass(slots=True, eq=False)
class Installation:
    """The App on one account: which repositories, which permissions, which events."""

    id: int
    account: User
    permissions: dict[str, str]
    events: list[str]
    created_at: datetime
    updated_at: datetime
    repository_ids: set[int] | None = None
    """None: all of the account's repositories, also later ones."""
    suspended_at: datetime | None = None


@dataclass(slots=True, eq=False)
class LoginCode:
    """What somebody brings back from GitHub who has said that an App may know who they are."""

    user: User
    redirect_uri: str
    challenge: str
    """The proof key's SHA-256, in base64."""
    expires_at: datetime


@dataclass(slots=True, eq=False)
class UserToken:
    """With it the App is that person, as far as both may."""

    user: User
    expires_at: datetime


@dataclass(slots=True, eq=False)
class Token:
    """An installation access token, perhaps narrower than its installation."""

    value: str
    installation: Installation
    permissions: dict[str, str]
    repository_ids: set[int] | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One API request that was answered: for counting and for asserting."""

    method: str
    path: str
    status: int
    auth: str
    """app, installation, user, none or bad."""
