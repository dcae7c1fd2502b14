"""The protection rules of a GitHub environment, as far as they say who may deploy to it.

Values only. GitHub enforces them for its own Actions alone; here whoever confirms a plan has to fulfil them.
Source: https://docs.github.com/actions/reference/workflows-and-actions/deployments-and-environments
"""

from dataclasses import dataclass

from app.core.globs import compile_glob


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The rules of one environment."""

    name: str
    users: tuple[str, ...] = ()
    """Required reviewers, by login."""
    teams: tuple[str, ...] = ()
    """Required reviewers: members of these teams, by slug."""
    is_self_review_prevented: bool = False
    """Nobody who asked for the deployment."""
    may_admins_bypass: bool = True
    """Admins of the repository may deploy without being reviewers."""
    branches: tuple[str, ...] | None = None
    """Patterns of the branches that may be deployed to it; None: no such rule."""
    tags: tuple[str, ...] = ()
    """Patterns of tags, beside `branches`."""
    is_for_protected_branches: bool = False
    """Only branches that GitHub protects may be deployed to it."""
    obstacles: tuple[str, ...] = ()
    """Rules that nobody here can fulfil, in words: `a wait timer of 30 minutes`."""

    @property
    def has_reviewers(self) -> bool:
        """True when somebody has to review."""
        return bool(self.users or self.teams)

    @property
    def asks_somebody(self) -> bool:
        """True when nothing is deployed to it without a person, or not at all."""
        return self.has_reviewers or bool(self.obstacles)

    def keeps_back(self, ref: str) -> bool:
        """True when a stack's `autodeploy` must not deploy that full ref to it: somebody is asked for, or it takes none
        such."""
        return self.asks_somebody or not self.takes(ref)

    def takes(self, ref: str) -> bool:
        """True when the rule on branches and tags lets that full ref be deployed."""
        if self.branches is None:
            return True
        if ref.startswith("refs/tags/"):
            return any(_fits(pattern, ref.removeprefix("refs/tags/")) for pattern in self.tags)
        return any(_fits(pattern, ref.removeprefix("refs/heads/")) for pattern in self.branches)


def _fits(pattern: str, name: str) -> bool:
    """As GitHub's own patterns: `*` stops at a slash. One that cannot be read fits nothing."""
    try:
        return any(glob.matches(name) for glob in compile_glob(pattern))
    except ValueError:
        return False
