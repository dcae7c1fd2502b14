"""The merge queue: each pull request becomes a commit on the group before it, is checked there, and lands as it is.

Callers hold the mutex. Source: https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue
"""

from typing import Final

from app.core.names import ZERO_SHA
from app.sandbox import events, merging, opinions, pulls, refs
from app.sandbox.bare import NewCommit
from app.sandbox.errors import SandboxError
from app.sandbox.records import Pull, QueuedGroup, Repository, User
from app.sandbox.world import World

BRANCHES: Final = "refs/heads/gh-readonly-queue/"
REASONS: Final = {"dequeued": "MANUAL", "invalidated": "CI_FAILURE"}
"""What `merge_group` says of a group that ended without landing, and what `pull_request` dequeued says then."""


def enqueue(world: World, repo: Repository, pull: Pull, by: User) -> QueuedGroup:
    """A new last group: one merge commit on the group before it, else on the base branch.

    Raises: SandboxError for what cannot be merged there, or waits already.
    """
    base_ref = refs.HEADS + pull.base_ref
    waiting = [group for group in repo.queue if group.base_ref == base_ref]
    base = waiting[-1].head_sha if waiting else repo.git.find_ref(base_ref)
    tree = repo.git.merge_tree(base, pull.head_sha) if base else None
    is_approved = opinions.decision(world, repo, pull) in (None, "APPROVED")
    if pull.state != "open" or pull.draft or base is None or tree is None or not is_approved:
        raise SandboxError(f"#{pull.number} cannot be merged into {pull.base_ref} after what waits there")
    if any(group.number == pull.number for group in waiting):
        raise SandboxError(f"#{pull.number} waits in the merge queue already")
    head_ref = f"{BRANCHES}{pull.base_ref}/pr-{pull.number}-{base}"
    commit = NewCommit(merging.merge_message(pull), world.signature(by), tree=tree, parents=(base, pull.head_sha))
    made = repo.git.write(head_ref, [commit], start=None)[0]
    world.sign_as_github([made])
    group = QueuedGroup(pull.number, head_ref, made, base_ref, base)
    repo.queue.append(group)
    events.pull_request(world, repo, pull, "enqueued", by)
    refs.announce(world, repo, [refs.RefChange(head_ref, ZERO_SHA, made)], by)
    events.merge_group(world, repo, group, "checks_requested", by)
    return group


def land(world: World, repo: Repository, group: QueuedGroup, by: User) -> str:
    """Move the base branch to the group's commit; its pull request is merged. The base branch's new SHA.

    Raises: SandboxError unless the group is the first and the base branch is still where it was.
    """
    if group not in repo.queue or repo.git.find_ref(group.base_ref) != group.base_sha:
        raise SandboxError(f"the group of #{group.number} cannot land: {group.base_ref} is not at {group.base_sha[:7]}")
    repo.git.set_ref(group.base_ref, group.head_sha)
    pulls.land(world, repo, repo.pulls[group.number], (group.head_sha,), by)
    refs.announce(world, repo, [refs.RefChange(group.base_ref, group.base_sha, group.head_sha)], by)
    _end(world, repo, group, "merged", by)
    return group.head_sha


def destroy(world: World, repo: Repository, group: QueuedGroup, reason: str, by: User) -> None:
    """Take a group out of the queue. Raises: SandboxError for one that others build on, and for unknown reasons."""
    if reason not in REASONS:
        raise SandboxError(f"there is no reason {reason!r}; reasons: {', '.join(REASONS)}")
    if group not in repo.queue or any(one.base_sha == group.head_sha for one in repo.queue):
        raise SandboxError(f"the group of #{group.number} is not the last one of the queue")
    events.pull_request(world, repo, repo.pulls[group.number], "dequeued", by, reason=REASONS[reason])
    _end(world, repo, group, reason, by)


def _end(world: World, repo: Repository, group: QueuedGroup, reason: str, by: User) -> None:
    """GitHub tells that the group is gone, then deletes its branch."""
    repo.queue.remove(group)
    events.merge_group(world, repo, group, "destroyed", by, reason=reason)
    repo.git.set_ref(group.head_ref, ZERO_SHA)
    refs.announce(world, repo, [refs.RefChange(group.head_ref, group.head_sha, ZERO_SHA)], by)
