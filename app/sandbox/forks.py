"""Forks: a person's copy of a repository, and how the commits of its pull requests reach the repository they are for.

Callers hold the mutex. Source: https://docs.github.com/pull-requests/collaborating-with-pull-requests/working-with-forks
"""

from app.sandbox.bare import BareRepository
from app.sandbox.errors import SandboxError, invalid
from app.sandbox.records import Pull, Repository, User
from app.sandbox.world import World


def fork(world: World, parent: Repository, by: User, name: str) -> Repository:
    """A person's copy of a repository, with its branches and tags. The App is not installed on it by this."""
    if parent.owner is by:
        raise SandboxError(f"{by.login} owns {parent.full_name} and cannot fork it")
    if world.find_repository(by.login, name):
        raise SandboxError(f"the repository {by.login}/{name} is there already")
    now = world.now()
    git = BareRepository(world.root / "repositories" / by.login / f"{name}.git", world.root)
    git.create(parent.default_branch)
    git.fetch(parent.git, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
    made = Repository(world.next_id(), by, name, parent.private, parent.default_branch, git, now, now, now)
    made.parent = parent
    world.repositories[made.id] = made
    return made


def find_head(world: World, repo: Repository, head: str) -> tuple[Repository, str]:
    """The repository and the branch that a pull request's head names: `topic`, or `owner:topic` of a fork.

    Raises: ApiError 422 as GitHub words it when there is no such fork.
    """
    owner, _, branch = head.rpartition(":")
    if owner.lower() in ("", repo.owner.login.lower()):
        return repo, branch
    for one in world.repositories.values():
        if one.parent is repo and one.owner.login.lower() == owner.lower():
            return one, branch
    raise invalid("PullRequest", "head")


def bring_head(repo: Repository, pull: Pull) -> None:
    """Set refs/pull/N/head, with the commits of a fork's branch fetched into the repository first."""
    ref = f"refs/pull/{pull.number}/head"
    if pull.head_repo in (None, repo):
        repo.git.set_ref(ref, pull.head_sha)
    elif pull.head_repo is not None:
        repo.git.fetch(pull.head_repo.git, f"{pull.head_sha}:{ref}")


def forget(world: World, gone: Repository) -> None:
    """A repository was deleted: pull requests from it lose their head repository, its forks their parent."""
    for one in world.repositories.values():
        one.parent = None if one.parent is gone else one.parent
        for pull in one.pulls.values():
            pull.head_repo = None if pull.head_repo is gone else pull.head_repo
