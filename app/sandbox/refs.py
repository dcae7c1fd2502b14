"""What follows when refs move: push events, check suites, pull requests that follow their branches.

Callers have moved the refs already and hold the mutex. Source: https://docs.github.com/webhooks/webhook-events-and-payloads#push
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.core.names import ZERO_SHA
from app.sandbox import checks, events, pulls
from app.sandbox.records import Repository, User
from app.sandbox.world import World

MOST_TAGS: Final = 3
"""A push of more tags than that sends no event for them (GitHub documents it)."""
MOST_COMMITS: Final = 2048
HEADS: Final = "refs/heads/"
TAGS: Final = "refs/tags/"


@dataclass(frozen=True, slots=True)
class RefChange:
    """One ref of one push; the all-zero SHA stands for "was not there" and "is gone"."""

    ref: str
    before: str
    after: str

    @property
    def created(self) -> bool:
        """True when the ref is new."""
        return self.before == ZERO_SHA

    @property
    def deleted(self) -> bool:
        """True when the ref is gone."""
        return self.after == ZERO_SHA


def differences(before: dict[str, str], after: dict[str, str]) -> list[RefChange]:
    """What differs between two readings of a repository's refs, ordered by name."""
    names = sorted(before.keys() | after.keys())
    pairs = [RefChange(name, before.get(name, ZERO_SHA), after.get(name, ZERO_SHA)) for name in names]
    return [change for change in pairs if change.before != change.after]


def announce(world: World, repo: Repository, changes: Sequence[RefChange], by: User) -> None:
    """Tell the App of one push, move the pull requests of its branches, and close those that it ended."""
    repo.pushed_at = world.now()
    tags = [change for change in changes if change.ref.startswith(TAGS)]
    branches = [change for change in changes if change.ref.startswith(HEADS)]
    for change in [*branches, *(tags if len(tags) <= MOST_TAGS else ())]:
        events.push(world, repo, by, push_payload(world, repo, change))
    for change in branches:
        branch = change.ref.removeprefix(HEADS)
        if not change.deleted:
            checks.open_suite(world, repo, change.after, branch=branch, before=change.before, by=by)
        pulls.follow(world, repo, branch, change.after, by)


def push_payload(world: World, repo: Repository, change: RefChange) -> dict[str, Any]:
    """What `push` says about one ref. For an annotated tag `after` is the tag object, `head_commit` its commit."""
    git = repo.git
    forced = not (change.created or change.deleted or change.ref.startswith(TAGS)) and not _fast_forward(repo, change)
    commits = [] if change.deleted else _commits(world, repo, change)
    head = None
    if not change.deleted:
        tip = git.find(change.after) or change.after
        known = next((one for one in commits if one["id"] == tip), None)
        head = known or events.pushed_commit(world, repo, git.commit(tip), distinct=not change.ref.startswith(TAGS))
    return {
        "ref": change.ref,
        "before": change.before,
        "after": change.after,
        "created": change.created,
        "deleted": change.deleted,
        "forced": forced,
        "base_ref": _base_ref(repo, change),
        "compare": events.compare_url(world, repo, change.before, change.after),
        "commits": commits,
        "head_commit": head,
    }


def _fast_forward(repo: Repository, change: RefChange) -> bool:
    return repo.git.is_ancestor(change.before, change.after)


def _commits(world: World, repo: Repository, change: RefChange) -> list[dict[str, Any]]:
    """The commits that the push added to the branch, oldest first; a new branch counts from all other branches."""
    if change.ref.startswith(TAGS):
        return []
    others = [sha for ref, sha in repo.git.refs(HEADS).items() if ref != change.ref]
    bounds = _not(others) if change.created else _not([change.before])
    found = repo.git.log(f"-{MOST_COMMITS}", change.after, *bounds)[::-1]
    news = {one.sha for one in found}
    if others and not change.created:
        listed = repo.git.git("rev-list", change.after, *bounds, *_not(others)).stdout.decode()
        news = set(listed.split())
    return [events.pushed_commit(world, repo, one, distinct=one.sha in news) for one in found]


def _not(shas: Iterable[str]) -> list[str]:
    return [f"^{sha}" for sha in shas]


def _base_ref(repo: Repository, change: RefChange) -> str | None:
    """The branch at whose tip a new ref was made, the default branch first."""
    if not change.created:
        return None
    tip = repo.git.find(change.after)
    at_tip = [ref for ref, sha in repo.git.refs(HEADS).items() if sha == tip and ref != change.ref]
    default = HEADS + repo.default_branch
    return default if default in at_tip else next(iter(at_tip), None)
