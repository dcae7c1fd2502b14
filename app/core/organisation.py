"""An organisation's settings, as values: what they make of a repository's configuration, and what they allow.

Pure. `organisationfile` reads them; flows keep them and ask what follows.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from app.core.document import quoted
from app.core.names import (
    AccountId,
    Digest,
    OrganisationVersionId,
    RepositoryId,
    Sha,
)
from app.core.stack import (
    ORGANISATION_PREFIX,
    Configuration,
    ConfirmRules,
    Permission,
    PolicySpec,
    Problem,
    StackSpec,
    Tool,
)

ORGANISATION_REPOSITORY: Final = ".trackside"
"""The name of the owner's repository that holds them."""
ORGANISATION_PATH: Final = "stacks.yml"
EVERY: Final = "*"
MAX_LABELS: Final = 200
"""Labels of a stack, those of the organisation included."""
_PREFIXES: Final = ("ro_", "wo_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Settings of stacks that do not say themselves; None: there is no default."""

    tool: Tool | None = None
    version: str = ""
    autodeploy: bool | None = None
    confirm_permission: Permission | None = None
    """None: there is no default of `confirm` at all; the keys below belong to it."""
    confirm_roles: tuple[str, ...] = ()
    confirm_teams: tuple[str, ...] = ()
    confirm_not_author: bool = False
    worker_pool: str = ""
    labels: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """As those of a stack: variable to the secret's name, which every stack looks for in its own scope."""
    has_no_deployments: bool = False

    def under(self, spec: StackSpec) -> StackSpec:
        """The entry with what it does not say itself. Its own word always wins; labels are added."""
        own, given = spec.settings, spec.given
        tool = own.tool if "tool" in given or self.tool is None else self.tool
        is_same_tool = tool is (self.tool or Tool.TERRAFORM)
        confirm = own.confirm_rules if "confirm" in given or self.confirm_permission is None else self._confirm()
        variables = _merged(_both(self.environment, self.secrets), _both(own.environment, own.secrets))
        settings = replace(
            own,
            tool=tool,
            version=own.version if "version" in given or not is_same_tool else self.version or own.version,
            autodeploy=own.autodeploy if "autodeploy" in given or self.autodeploy is None else self.autodeploy,
            confirm_permission=confirm.permission,
            confirm_roles=confirm.roles,
            confirm_teams=confirm.teams,
            confirm_not_author=confirm.not_author,
            worker_pool=own.worker_pool if "worker_pool" in given or not self.worker_pool else self.worker_pool,
            labels=tuple(dict.fromkeys((*own.labels, *self.labels)))[:MAX_LABELS],
            environment={name: text for name, (text, is_secret) in variables.items() if not is_secret},
            secrets={name: text for name, (text, is_secret) in variables.items() if is_secret},
            github_environment=None
            if self.has_no_deployments and "github_environment" not in given
            else own.github_environment,
        )
        return replace(spec, settings=settings)

    def _confirm(self) -> ConfirmRules:
        """Who confirms by default."""
        return ConfirmRules(
            permission=self.confirm_permission or Permission.WRITE,
            roles=self.confirm_roles,
            teams=self.confirm_teams,
            not_author=self.confirm_not_author,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A valid stacks.yml of a `.trackside` repository. Names of repositories are in lower case."""

    defaults: Defaults = Defaults()
    policies: tuple[PolicySpec, ...] = ()
    """Named `.trackside/NAME`: no repository can give one of its own such a name."""
    module_repositories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Shape: repository, or `*`, to what its runs may read as well, which may be `*`."""
    pools: Mapping[str, tuple[str, ...]] | None = None
    """Shape: pool to the repositories that it serves; None: every pool serves all."""

    def serves(self, pool: str, repository: str) -> bool:
        """True when the pool's workers may run stacks of that repository."""
        if self.pools is None:
            return True
        served = self.pools.get(pool, ())
        return EVERY in served or repository.lower() in served

    def modules_of(self, repository: str) -> tuple[str, ...]:
        """What runs of that repository may read beside it, by name; `("*",)`: all of the owner's."""
        listed = (*self.module_repositories.get(EVERY, ()), *self.module_repositories.get(repository.lower(), ()))
        if EVERY in listed:
            return (EVERY,)
        return tuple(name for name in dict.fromkeys(listed) if name != repository.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationVersion:
    """One reading of an organisation's settings."""

    id: OrganisationVersionId
    owner_id: AccountId
    repository_id: RepositoryId
    """The `.trackside` repository that it was read in."""
    sha: Sha
    digest: Digest
    """SHA-256 over the file and its policies."""
    is_valid: bool
    problems: tuple[Problem, ...] = ()
    organisation: Organisation | None = None
    """Set exactly when it is valid."""


def is_organisation_repository(name: str) -> bool:
    """True for the name that the owner's settings are kept under. GitHub's names ignore case."""
    return name.lower() == ORGANISATION_REPOSITORY


def organisation_policy_name(name: str) -> str:
    """The name of an organisation's policy everywhere but in its own file."""
    return f"{ORGANISATION_PREFIX}{name}"


def effective(configuration: Configuration, organisation: Organisation | None) -> Configuration:
    """The repository's configuration with the organisation's defaults and policies."""
    if organisation is None:
        return configuration
    return Configuration(
        stacks=tuple(organisation.defaults.under(spec) for spec in configuration.stacks),
        policies=(*configuration.policies, *organisation.policies),
    )


def pool_problems(
    configuration: Configuration, organisation: Organisation | None, repository: str
) -> tuple[Problem, ...]:
    """The stacks of an effective configuration whose pool does not serve their repository."""
    if organisation is None or organisation.pools is None:
        return ()
    serving = [pool for pool in organisation.pools if organisation.serves(pool, repository)]
    return tuple(
        _unserved(spec, serving)
        for spec in configuration.stacks
        if not organisation.serves(spec.settings.worker_pool, repository)
    )


def _unserved(spec: StackSpec, serving: list[str]) -> Problem:
    pool = spec.settings.worker_pool
    is_given = "worker_pool" in spec.given
    close = difflib.get_close_matches(pool, serving, 1, 0.6)
    if close:
        remedy = f"did you mean `worker_pool: {close[0]}`?"
    elif serving:
        remedy = f"pools that do: {', '.join(f'`{one}`' for one in serving[:6])}"
    else:
        remedy = "no pool does: an owner adds the repository to `pools` in the organisation's stacks.yml"
    return Problem(
        line=spec.pool_line if is_given else spec.line,
        message=f"the worker pool {quoted(pool)} of stack {quoted(spec.settings.name)} does not serve this repository"
        + ("" if is_given else " (it is the default)"),
        remedy=remedy,
    )


_Value = tuple[str, bool]
"""The text of a variable, or the name of the secret that it is (True)."""


def _both(plain: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, _Value]:
    return {name: (text, False) for name, text in plain.items()} | {
        name: (each, True) for name, each in secrets.items()
    }


def _merged(defaults: Mapping[str, _Value], own: Mapping[str, _Value]) -> dict[str, _Value]:
    """The organisation's variables and the stack's own, which win: a plain one over every form of its name, one with a
    prefix over the same prefix."""
    hidden = {f"{prefix}{name}" for name in own for prefix in _PREFIXES if not name.startswith(_PREFIXES)}
    return {name: value for name, value in defaults.items() if name not in own and name not in hidden} | dict(own)


def served_nowhere(pool: str, repository: str) -> str:
    """Why a run is not carried out: its pool does not serve its repository any more."""
    return (
        f"the worker pool {pool} does not serve {repository}: `pools` in the organisation's stacks.yml says which "
        "repositories it serves"
    )
