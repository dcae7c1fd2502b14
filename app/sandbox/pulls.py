"""Pull requests: opened, moved with their branches, edited, labeled, closed; also those of forks.

Callers hold the mutex; `by` is who acts and becomes the event's sender. Merging them is in `merging`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from app.core.names import ZERO_SHA
from app.sandbox import events, forks, shapes_talk
from app.sandbox.bare import NewCommit
from app.sandbox.errors import ApiError, SandboxError, invalid
from app.sandbox.records import Pull, Repository, User
from app.sandbox.world import World

LONGEST_LABEL: Final = 50


@dataclass(frozen=True, slots=True)
class NewPull:
    """What a person fills in to open a pull request; `head` is a branch, or `owner:branch` of a fork."""

    head: str
    base: str
    title: str
    body: str = ""
    draft: bool = False


def _head(ref: str) -> str:
    return f"refs/heads/{ref}"


def open_pull(world: World, repo: Repository, new: NewPull, by: User) -> Pull:
    """Open a pull request. Raises: ApiError 422 as GitHub words it when the branches do not make one."""
    head_repo, branch = forks.find_head(world, repo, new.head)
    head_sha, base_sha = head_repo.git.find_ref(_head(branch)), repo.git.find_ref(_head(new.base))
    if not new.title:
        raise invalid("PullRequest", "title", "missing_field")
    if head_sha is None or base_sha is None:
        raise invalid("PullRequest", "head" if head_sha is None else "base")
    wanted = (head_repo, branch, new.base)
    if any((one.head_repo, one.head_ref, one.base_ref) == wanted for one in _open(repo)):
        raise _refused(f"A pull request already exists for {head_repo.owner.login}:{branch}.")
    now, number = world.now(), repo.next_number
    pull = Pull(
        id=world.next_id(),
        number=number,
        title=new.title,
        body=new.body,
        user=by,
        head_owner=head_repo.owner,
        head_repo=head_repo,
        head_ref=branch,
        head_sha=head_sha,
        base_ref=new.base,
        base_sha=base_sha,
        created_at=now,
        updated_at=now,
        draft=new.draft,
    )
    forks.bring_head(repo, pull)
    if repo.git.is_ancestor(head_sha, base_sha):
        repo.git.set_ref(f"refs/pull/{number}/head", ZERO_SHA)
        raise _refused(f"No commits between {new.base} and {new.head}")
    repo.next_number += 1
    repo.pulls[number] = pull
    _refresh(world, repo, pull)
    events.pull_request(world, repo, pull, "opened", by)
    return pull


def _refused(text: str) -> ApiError:
    error = {"resource": "PullRequest", "code": "custom", "message": text}
    return ApiError(422, "Validation Failed", errors=[error])


def _refresh(world: World, repo: Repository, pull: Pull) -> None:
    """Compute the potential merge commit, and set refs/pull/N/head and /merge as GitHub does."""
    git, number = repo.git, pull.number
    base = git.find_ref(_head(pull.base_ref)) or pull.base_sha
    forks.bring_head(repo, pull)
    tree = git.merge_tree(base, pull.head_sha)
    pull.mergeable = tree is not None
    if tree is None:
        pull.merge_commit_sha = None
        _drop_merge_ref(repo, pull)
        return
    message = f"Merge {pull.head_sha} into {base}"
    merge = NewCommit(message, world.signature(pull.user), tree=tree, parents=(base, pull.head_sha))
    pull.merge_commit_sha = git.write(f"refs/pull/{number}/merge", [merge], start=None)[0]


def _drop_merge_ref(repo: Repository, pull: Pull) -> None:
    if repo.git.find_ref(f"refs/pull/{pull.number}/merge"):
        repo.git.set_ref(f"refs/pull/{pull.number}/merge", ZERO_SHA)


def follow(world: World, repo: Repository, branch: str, tip: str, by: User) -> None:
    """Bring the open pull requests of a branch, also those into the repository's parent, up to a push to it."""
    for pull in _open(repo):
        if pull.head_repo is repo and pull.head_ref == branch:
            _follow_head(world, repo, pull, tip, by)
        elif pull.base_ref == branch:
            _follow_base(world, repo, pull, tip, by)
    if repo.parent is not None:
        for pull in _open(repo.parent):
            if pull.head_repo is repo and pull.head_ref == branch:
                _follow_head(world, repo.parent, pull, tip, by)


def _open(repo: Repository) -> list[Pull]:
    return [pull for pull in repo.pulls.values() if pull.state == "open"]


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
        # somebody pushed its commits to the base: GitHub calls it merged
        land(world, repo, pull, (pull.head_sha,), by)
    else:
        _refresh(world, repo, pull)


def close(world: World, repo: Repository, pull: Pull, by: User) -> None:
    """Close without merging."""
    pull.state, pull.closed_at = "closed", world.now()
    pull.updated_at = pull.closed_at
    events.pull_request(world, repo, pull, "closed", by)


def reopen(world: World, repo: Repository, pull: Pull, by: User) -> None:
    """Open a closed one again. Raises: ApiError 422 when it was merged or its branch is gone."""
    tip = pull.head_repo.git.find_ref(_head(pull.head_ref)) if pull.head_repo else None
    if pull.merged_at or tip is None:
        raise invalid("PullRequest", "state", message="state cannot be changed")
    pull.state, pull.closed_at, pull.head_sha, pull.updated_at = "open", None, tip, world.now()
    _refresh(world, repo, pull)
    events.pull_request(world, repo, pull, "reopened", by)


def edit(world: World, repo: Repository, pull: Pull, by: User, *, title: str, base: str) -> None:
    """Give it another title, or another branch to go into; empty texts leave what is. Sends `edited` for a change."""
    changes: dict[str, Any] = {}
    if title and title != pull.title:
        changes["title"], pull.title = {"from": pull.title}, title
    if base and base != pull.base_ref:
        sha = repo.git.find_ref(_head(base))
        if sha is None or pull.state != "open":
            raise invalid("PullRequest", "base")
        changes["base"] = {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}
        pull.base_ref, pull.base_sha = base, sha
        _refresh(world, repo, pull)
    if changes:
        pull.updated_at = world.now()
        events.pull_request(world, repo, pull, "edited", by, changes=changes)


def set_draft(world: World, repo: Repository, pull: Pull, by: User, *, draft: bool) -> None:
    """Make it a draft, or ready for review. Raises: SandboxError when it is so already, or closed."""
    if pull.draft == draft or pull.state != "open":
        raise SandboxError(f"#{pull.number} is {'a draft' if pull.draft else 'no draft'} and {pull.state}")
    pull.draft, pull.updated_at = draft, world.now()
    events.pull_request(world, repo, pull, "converted_to_draft" if draft else "ready_for_review", by)


def label(world: World, repo: Repository, pull: Pull, names: Iterable[str], by: User) -> None:
    """Add labels, made where there are none of that name; each that is new sends `labeled`."""
    for name in dict.fromkeys(names):
        if not name.strip() or len(name) > LONGEST_LABEL:
            raise invalid("Label", "name")
        if name in pull.labels:
            continue
        repo.labels.setdefault(name, world.next_id())
        pull.labels.append(name)
        pull.updated_at = world.now()
        events.pull_request(world, repo, pull, "labeled", by, label=shapes_talk.label(world, repo, name))


def unlabel(world: World, repo: Repository, pull: Pull, name: str, by: User) -> None:
    """Take a label off. Raises: ApiError 404 when it is not on."""
    if name not in pull.labels:
        raise ApiError(404, "Label does not exist")
    pull.labels.remove(name)
    pull.updated_at = world.now()
    events.pull_request(world, repo, pull, "unlabeled", by, label=shapes_talk.label(world, repo, name))


def land(world: World, repo: Repository, pull: Pull, made: tuple[str, ...], by: User) -> None:
    """Its commits are on the base branch: it is closed as merged by the last of those that merging made."""
    pull.state, pull.merged_at, pull.merged_by = "closed", world.now(), by
    pull.closed_at = pull.updated_at = pull.merged_at
    pull.merge_commit_sha, pull.landed = made[-1], made
    _drop_merge_ref(repo, pull)
    events.pull_request(world, repo, pull, "closed", by)
