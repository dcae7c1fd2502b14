"""Merging pull requests in GitHub's three ways.

Callers hold the mutex; the push to the base branch is theirs to announce.
"""

from typing import Final

from app.core.names import ZERO_SHA
from app.sandbox import opinions, pulls
from app.sandbox.bare import Commit, NewCommit
from app.sandbox.errors import ApiError
from app.sandbox.records import Pull, Repository, User
from app.sandbox.world import World

METHODS: Final = ("merge", "squash", "rebase")
_SCRATCH: Final = "refs/sandbox/scratch"


def merge(world: World, repo: Repository, pull: Pull, method: str, by: User) -> tuple[str, str]:
    """Merge into the base branch and send `closed`; the base's SHA before and after, for the push that follows.

    Raises: ApiError 405 when it cannot be merged, as GitHub words it.
    """
    base = repo.git.find_ref(f"refs/heads/{pull.base_ref}")
    tree = repo.git.merge_tree(base, pull.head_sha) if base else None
    if pull.state != "open" or pull.draft or base is None or tree is None:
        raise ApiError(405, "Pull Request is not mergeable")
    if opinions.decision(world, repo, pull) not in (None, "APPROVED"):
        raise ApiError(
            405, f"At least {repo.required_approvals} approving review is required by reviewers with write access."
        )
    made = _write_merge(world, repo, pull, method, by, base, tree)
    if method != "rebase":
        world.sign_as_github(made)
    pulls.land(world, repo, pull, tuple(made), by)
    return base, made[-1]


def _write_merge(world: World, repo: Repository, pull: Pull, method: str, by: User, base: str, tree: str) -> list[str]:
    git, ref, who = repo.git, f"refs/heads/{pull.base_ref}", world.signature(by)
    if method == "merge":
        return git.write(
            ref, [NewCommit(merge_message(pull), who, tree=tree, parents=(base, pull.head_sha))], start=base
        )
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


def merge_message(pull: Pull) -> str:
    """What GitHub writes into a merge commit."""
    return f"Merge pull request #{pull.number} from {pull.head_owner.login}/{pull.head_ref}\n\n{pull.title}"
