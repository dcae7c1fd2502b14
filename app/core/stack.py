"""The stack: one Terraform root with its settings, its identity and its head. Values only.

`app.core.config` reads stacks.yml into StackSpec; the flow that accepts a configuration turns specs into stacks.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Final

from app.core.dependency import Dependency
from app.core.names import ConfigVersionId, Digest, OrganisationVersionId, RepositoryId, Sha, StackId


class Tool(StrEnum):
    """The engine of a stack."""

    TERRAFORM = "terraform"
    OPENTOFU = "opentofu"


class StateMode(StrEnum):
    """Where a stack's state lives."""

    MANAGED = "managed"
    """Kept by Trackside, at /state/<stack id>."""
    EXTERNAL = "external"
    """Kept by the backend of the configuration."""


class Comments(StrEnum):
    """Whether a stack's runs are told of in the App's comment on a pull request."""

    ON = "on"
    OFF = "off"
    CHANGES = "changes"
    """Only once a plan changes something, or a run fails."""


class Permission(StrEnum):
    """A repository permission as GitHub folds it: maintain acts as write, triage as read."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0 for none to 3 for admin."""
        return list(Permission).index(self)


HOOK_MOMENTS: Final = (
    "before_init",
    "after_init",
    "before_plan",
    "after_plan",
    "before_apply",
    "after_apply",
    "after_run",
)
"""When a stack's hooks run, in their order."""
LATER: Final = frozenset(
    {
        "hooks",
        "secrets",
        "oidc_audience",
        "submodules",
        "lfs",
        "confirm_roles",
        "confirm_teams",
        "confirm_not_author",
        "public_plans",
        "depends_on",
        "drift_schedules",
        "drift_timezone",
        "drift_reconcile",
        "drift_ignore_state",
    }
)
"""Settings that came after the first version."""


TOLD_ALONE: Final = frozenset({"comments", "public_plans"})
"""Settings that change what is said, and nothing that is planned or applied."""
UNBOUND: Final = TOLD_ALONE | {"drift_schedules", "drift_timezone", "drift_reconcile", "drift_ignore_state"}
"""These, and those that change when runs are made: a confirmation binds none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRules:
    """Who may confirm a stack's plans: whoever fulfils every one of these."""

    permission: Permission = Permission.WRITE
    roles: tuple[str, ...] = ()
    """One of these roles on the repository, by GitHub's `role_name`; empty: any."""
    teams: tuple[str, ...] = ()
    """Active member of one of these teams of the owner, by slug; empty: nobody has to be."""
    not_author: bool = False
    """Nobody who made the change: of the commit, of its pull request, of the run."""

    @property
    def is_refined(self) -> bool:
        """True when more than the permission is asked for."""
        return bool(self.roles or self.teams or self.not_author)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """The effective settings of one stack: what a run uses and a confirmation binds (`digest`)."""

    name: str
    project_root: str = ""
    """Path from the repository's root, without slashes at its ends; empty: the root itself."""
    branch: str = ""
    """The tracked branch, resolved (never empty once accepted)."""
    additional_project_globs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tool: Tool = Tool.TERRAFORM
    version: str = ""
    workspace: str = "default"
    var_files: tuple[str, ...] = ()
    backend_config: tuple[str, ...] = ()
    state: StateMode | None = None
    autodeploy: bool = False
    allow_promotion: bool = False
    """A pull request's head may be deployed before it is merged."""
    environment: dict[str, str] = field(default_factory=dict)
    """Plain values by name as written, ro_ and wo_ prefixes included."""
    confirm_permission: Permission = Permission.WRITE
    github_environment: str | None = None
    """Deployment environment; None: no deployments. Resolved: the stack's name by default."""
    worker_pool: str = "default"
    hooks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Lines of shell by moment, of HOOK_MOMENTS; a moment without lines is not there."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Variables by name as written, prefixes included, whose value is a secret; to the secret's name."""
    oidc_audience: tuple[str, ...] = ()
    """Whom the identity tokens of its runs are for; empty: the host of PUBLIC_URL."""
    submodules: bool = False
    """Fetch git submodules."""
    lfs: bool = False
    """Fetch the files that Git LFS keeps."""
    confirm_roles: tuple[str, ...] = ()
    confirm_teams: tuple[str, ...] = ()
    confirm_not_author: bool = False
    public_plans: bool = False
    """On a public repository, checks and comments carry the plan's changes and outputs, for everybody to read."""
    comments: Comments = Comments.ON
    """Whether its runs are told of in the App's comment on a pull request."""
    drift_schedules: tuple[str, ...] = ()
    """When drift is looked for, each of cron's five fields; empty: never."""
    drift_timezone: str = ""
    """The time zone of the schedules; empty: UTC."""
    drift_reconcile: bool = False
    """Drift that was found by schedule makes a tracked run."""
    drift_ignore_state: bool = False
    """Drift is looked for also while a run waits, and after one that failed."""
    depends_on: tuple[Dependency, ...] = ()
    """The stacks above it, in the file's order."""

    def veils(self, *, is_private: bool) -> bool:
        """True when everybody reads the repository, and the plans are for those who may write there."""
        return not is_private and not self.public_plans

    @property
    def confirm_rules(self) -> ConfirmRules:
        """Who may confirm."""
        return ConfirmRules(
            permission=self.confirm_permission,
            roles=self.confirm_roles,
            teams=self.confirm_teams,
            not_author=self.confirm_not_author,
        )

    def canonical_json(self) -> str:
        """The settings as canonical JSON: sorted keys, no blanks.

        A key of `LATER` is there only when it says something: digests of before it existed stay what they are.
        """
        return _canonical(asdict(self))

    def digest(self) -> Digest:
        """SHA-256 of the canonical JSON but for what changes no plan (`UNBOUND`): what a confirmation binds."""
        bound = {name: value for name, value in asdict(self).items() if name not in UNBOUND}
        return Digest(hashlib.sha256(_canonical(bound).encode()).hexdigest())


def _canonical(settings: Mapping[str, object]) -> str:
    told = {name: value for name, value in settings.items() if value or name not in LATER}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


_LISTS: Final = (
    "additional_project_globs",
    "labels",
    "var_files",
    "backend_config",
    "oidc_audience",
    "confirm_roles",
    "confirm_teams",
    "drift_schedules",
)


def settings_from_json(text: str) -> StackSettings:
    """The settings that `canonical_json` wrote. Keys that this version does not know are an error: nothing is guessed.

    Raises: ValueError (with TypeError and KeyError inside it) when the text is not such a document.
    """
    try:
        raw = json.loads(text)
        state, confirm = raw.get("state"), raw.get("confirm_permission", "write")
        for key in _LISTS:
            raw[key] = tuple(raw.get(key, ()))
        raw["hooks"] = {moment: tuple(lines) for moment, lines in raw.get("hooks", {}).items()}
        raw["tool"] = Tool(raw.get("tool", "terraform"))
        raw["state"] = StateMode(state) if state else None
        raw["confirm_permission"] = Permission(confirm)
        raw["comments"] = Comments(raw.get("comments", "on"))
        raw["depends_on"] = tuple(Dependency(**one) for one in raw.get("depends_on", ()))
        return StackSettings(**raw)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"reading stack settings: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSpec:
    """One entry of stacks.yml: settings plus what identifies the stack."""

    settings: StackSettings
    policy_id: str = ""
    """`id:` of the file: what policies see; empty: owner/repo/name."""
    renamed_from: str = ""
    line: int = 0
    """1-based line of the entry, for messages."""
    pool_line: int = field(default=0, compare=False)
    """The line of its `worker_pool`, or the entry's."""
    given: frozenset[str] = field(default=frozenset(), compare=False)
    """Which of the keys that an organisation has defaults for (`DEFAULTABLE`) the entry sets itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """One entry of `policies:`; attached to stacks by name, by label, or to all."""

    name: str
    type: str
    path: str
    attach_names: tuple[str, ...] = ()
    attach_labels: tuple[str, ...] = ()
    attach_all: bool = False
    dialect: str = "auto"
    line: int = 0
    digest: str = ""
    """SHA-256 of its text at the commit of the configuration; empty: not known, so it can give no answer."""

    @property
    def is_of_organisation(self) -> bool:
        """True for one that the owner's `.trackside` repository brings; no repository can give such a name."""
        return self.name.startswith(ORGANISATION_PREFIX)

    def is_attached_to(self, settings: StackSettings) -> bool:
        """True when the policy speaks about that stack."""
        return (
            self.attach_all
            or settings.name in self.attach_names
            or any(label in self.attach_labels for label in settings.labels)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A valid stacks.yml."""

    stacks: tuple[StackSpec, ...]
    policies: tuple[PolicySpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in stacks.yml: where, what, and the way out."""

    line: int
    """1-based; 1 when the file as a whole is meant."""
    message: str
    remedy: str
    path: str = ""
    """The file that the line is of; empty: stacks.yml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack as the store keeps it."""

    id: StackId
    repository_id: RepositoryId
    settings: StackSettings
    policies: tuple[PolicySpec, ...]
    """The policies attached to it by the configuration in force."""
    config_version_id: ConfigVersionId
    is_detached: bool
    state_mode: StateMode | None
    """Resolved at the first run; None before."""
    head_sha: Sha | None
    """The commit of its newest event with verdict track; never the branch's tip."""
    head_seq: int
    """Counts the moves of the head."""
    hold_reason: str = ""
    """Not empty: nothing of it becomes ready until a person resolves it."""
    policy_id: str = ""
    """What policies see as `stack.id`; empty: owner/repo/name."""
    lock_key: str = ""
    """Not empty: a push policy locked it, and only state-changing runs with that key become ready."""
    locked_by: str = ""
    """Which policy, and for whom, in words."""
    organisation_version_id: OrganisationVersionId | None = None
    """The version of the organisation's settings that is in these settings and policies; None: there was none."""
    lock_owner: str = ""
    """Not empty: this person has the stack for themselves; only their state-changing runs go ahead."""
    lock_note: str = ""
    """What they said about it; hostile text."""

    def is_kept_from(self, login: str) -> bool:
        """True while somebody else has the stack for themselves."""
        return bool(self.lock_owner) and self.lock_owner.lower() != login.lower()

    def policies_of(self, type_: str) -> tuple[PolicySpec, ...]:
        """The policies of that type, in their order."""
        return tuple(policy for policy in self.policies if policy.type == type_)

    @property
    def push_policies(self) -> tuple[PolicySpec, ...]:
        """The policies that decide what an event means for it."""
        return self.policies_of("push")

    @property
    def plan_policies(self) -> tuple[PolicySpec, ...]:
        """The policies that judge its plans."""
        return self.policies_of("plan")

    @property
    def approval_policies(self) -> tuple[PolicySpec, ...]:
        """The policies that say whether reviews are enough."""
        return self.policies_of("approval")

    @property
    def trigger_policies(self) -> tuple[PolicySpec, ...]:
        """The policies that say what runs when one of its runs has ended."""
        return self.policies_of("trigger")

    @property
    def notification_policies(self) -> tuple[PolicySpec, ...]:
        """The policies that say who is told what of its runs."""
        return tuple(policy for policy in self.policies if policy.type == "notification")

    @property
    def name(self) -> str:
        """Unique in the repository."""
        return self.settings.name


CONFIG_PATH: Final = ".trackside/stacks.yml"
ORGANISATION_PREFIX: Final = ".trackside/"
"""How names of an organisation's policies begin."""
DEFAULTABLE: Final = frozenset(
    {
        "tool",
        "version",
        "autodeploy",
        "confirm",
        "worker_pool",
        "labels",
        "environment",
        "github_environment",
    }
)
"""Keys of a stack that an organisation may have defaults for."""
MAX_CONFIG_BYTES: Final = 1024 * 1024
MAX_STACKS: Final = 10_000
