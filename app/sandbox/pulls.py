"""Pull requests: opened, moved with their branches, merged in GitHub's three ways, closed.

Branches of one repository only. Callers hold the mutex; `by` is who acts and becomes the event's sender.
"""

from dataclasses import dataclass
from typing import Final

from app.core.names import ZERO_SHA
from app.sandbox import events
from app.sandbox.bare import Commit, NewCommit
from app.sandbox.errors import ApiError, invalid
from app.sandbox.records import Pull, Repository, User
from app.sandbox.world import World

METHODS: Final = ("merge", "squash", "rebase")
_SCRATCH: Final = "refs/sandbox/scratch"


@dataclass(frozen=True, slots=True)
class NewPull:
    """What a person fills in to open a pull request."""

    head: str
    base: str
    title: str
    body: str = ""
    draft: bool = False


def _head(ref: str) -> str:
    return f"refs/heads/{ref}"


def open_pull(world: World, repo: Repository, new: NewPull, by: User) -> Pull:
    """Open a pull request. Raises: ApiError 422 as GitHub words it when the branches do not make one."""
    head_sha, base_sha = repo.git.find_ref(_head(new.head)), repo.git.find_ref(_head(new.base))
    if not new.title:
        raise invalid("PullRequest", "title", "missing_field")
    if head_sha is None or base_sha is None:
        raise invalid("PullRequest", "head" if head_sha is None else "base")
    if any(
        pull.state == "open" and (pull.head_ref, pull.base_ref) == (new.head, new.base) for pull in repo.pulls.values()
    ):
        text = f"A pull request already exists for {repo.owner.login}:{new.head}."
        raise ApiError(
            422, "Validation Failed", errors=[{"resource": "PullRequest", "code": "custom", "message": text}]
        )
    if repo.git.is_ancestor(head_sha, base_sha):
        text = f"No commits between {new.base} and {new.head}"
        raise ApiError(
            422, "Validation Failed", errors=[{"resource": "PullRequest", "code": "custom", "message": text}]
        )
    number, repo.next_number = repo.next_number, repo.next_number + 1
    now = world.now()
    pull = Pull(
        world.next_id(), number, new.title, new.body, by, new.head, head_sha, new.base, base_sha, now, now, new.draft
    )
    repo.pulls[number] = pull
    _refresh(world, repo, pull)
    events.pull_request(world, repo, pull, "opened", by)
    return pull


def _refresh(world: World, repo: Repository, pull: Pull) -> None:
    """Compute the potential merge commit, and set refs/pull/N/head and /merge as GitHub does."""
    git, number = repo.git, pull.number
    base = git.find_ref(_head(pull.base_ref)) or pull.base_sha
    git.set_ref(f"refs/pull/{number}/head", pull.head_sha)
    tree = git.merge_tree(base, pull.head_sha)
    pull.mergeable = tree is not None
    if tree is None:
        pull.merge_commit_sha = None
        if git.find_ref(f"refs/pull/{number}/merge"):
            git.set_ref(f"refs/pull/{number}/merge", ZERO_SHA)
        return
    message = f"Merge {pull.head_sha} into {base}"
    merge = NewCommit(message, world.signature(pull.user), tree=tree, parents=(base, pull.head_sha))
    pull.merge_commit_sha = git.write(f"refs/pull/{number}/merge", [merge], start=None)[0]


def follow(world: World, repo: Repository, branch: str, tip: str, by: User) -> None:
    """Bring the open pull requests of a branch up to a push to it."""
    for pull in [one for one in repo.pulls.values() if one.state == "open"]:
        if pull.head_ref == branch:
            _follow_head(world, repo, pull, tip, by)
        elif pull.base_ref == branch:
            _follow_base(world, repo, pull, tip, by)


def _follow_head(world: World, repo: Repository, pull: Pull, tip: str, by: User) -> None:
    if tip == ZERO_SHA:
        close(world, repo, pull, by)
        return
    before, pull.head_sha = pull.head_sha, tip
    pull.base_sha = repo.git.find_ref(_head(pull.base_ref)) or pull.base_sha
    pull.updated_at = world.now()
    _refresh(world, repo, pull)
    events.pull_request(world, repo, pull, "synchronize", by, before=before, after=tip)


def _follow_base(world: World, repo: Repository, pull: Pull, tip: str, by: User) -> None:
    if tip == ZERO_SHA:
        close(world, repo, pull, by)
    elif repo.git.is_ancestor(pull.head_sha, tip):
        _landed(
            world, repo, pull, (pull.head_sha,), by
        )  # somebody pushed its commits to the base: GitHub calls it merged
    else:
        _refresh(world, repo, pull)


def close(world: World, repo: Repository, pull: Pull, by: User) -> None:
    """Close without merging."""
    pull.state, pull.closed_at = "closed", world.now()
    pull.updated_at = pull.closed_at
    events.pull_request(world, repo, pull, "closed", by)


def reopen(world: World, repo: Repository, pull: Pull, by: User) -> None:
    """Open a closed one again. Raises: ApiError 422 when it was merged or its branch is gone."""
    tip = repo.git.find_ref(_head(pull.head_ref))
    if pull.merged_at or tip is None:
        raise invalid("PullRequest", "state", message="state cannot be changed")
    pull.state, pull.closed_at, pull.head_sha, pull.updated_at = "open", None, tip, world.now()
    _refresh(world, repo, pull)
    events.pull_request(world, repo, pull, "reopened", by)


def merge(world: World, repo: Repository, pull: Pull, method: str, by: User) -> tuple[str, str]:
    """Merge into the base branch and send `closed`; the base's SHA before and after, for the push that follows.

    Raises: ApiError 405 when it cannot be merged, as GitHub words it.
    """
    base = repo.git.find_ref(_head(pull.base_ref))
    tree = repo.git.merge_tree(base, pull.head_sha) if base else None
    if pull.state != "open" or pull.draft or base is None or tree is None:
        raise ApiError(405, "Pull Request is not mergeable")
    made = _write_merge(world, repo, pull, method, by, base, tree)
    _landed(world, repo, pull, tuple(made), by)
    return base, made[-1]


def _write_merge(world: World, repo: Repository, pull: Pull, method: str, by: User, base: str, tree: str) -> list[str]:
    git, ref, who = repo.git, _head(pull.base_ref), world.signature(by)
    if method == "merge":
        message = f"Merge pull request #{pull.number} from {repo.owner.login}/{pull.head_ref}\n\n{pull.title}"
        return git.write(ref, [NewCommit(message, who, tree=tree, parents=(base, pull.head_sha))], start=base)
    if method == "squash":
        return git.write(
            ref,
            [NewCommit(f"{pull.title} (#{pull.number})", world.signature(pull.user), tree=tree, committer=who)],
            start=base,
        )
    commits = git.log("--reverse", "--no-merges", f"{base}..{pull.head_sha}")
    picked: list[str] = []
    for commit in commits:
        onto = picked[-1] if picked else base
        made = NewCommit(commit.message, commit.author, tree=_picked_tree(repo, commit, onto), committer=who)
        picked += git.write(ref, [made], start=onto)
    return picked


def _picked_tree(repo: Repository, commit: Commit, onto: str) -> str:
    """The tree after applying one commit upon another: a merge whose base is the commit's parent.

    git before 2.40 cannot be told the merge base, so a small history with just those three trees is made for it.
    """
    git, who = repo.git, commit.author
    parent = git.commit(commit.parents[0]).tree
    root, ours, theirs = git.write(
        _SCRATCH,
        [
            NewCommit("base", who, tree=parent, parents=()),
            NewCommit("ours", who, tree=git.commit(onto).tree, parents=(":1",)),
            NewCommit("theirs", who, tree=commit.tree, parents=(":1",)),
        ],
        start=None,
    )
    git.set_ref(_SCRATCH, ZERO_SHA)
    tree = git.merge_tree(ours, theirs)
    if tree is None:
        raise ApiError(405, f"This branch can't be rebased: {commit.sha[:7]} conflicts ({root[:7]})")
    return tree


def _landed(world: World, repo: Repository, pull: Pull, made: tuple[str, ...], by: User) -> None:
    pull.state, pull.merged_at, pull.merged_by = "closed", world.now(), by
    pull.closed_at = pull.updated_at = pull.merged_at
    pull.merge_commit_sha, pull.landed = made[-1], made
    if repo.git.find_ref(f"refs/pull/{pull.number}/merge"):
        repo.git.set_ref(f"refs/pull/{pull.number}/merge", ZERO_SHA)
    events.pull_request(world, repo, pull, "closed", by)
