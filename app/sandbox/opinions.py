"""What the reviews of a pull request amount to: each person's newest opinion, and GitHub's verdict on them.

Questions only; reviews are given in `reviews`.
"""

from typing import Final

from app.sandbox import permits
from app.sandbox.records import Pull, Repository, Review
from app.sandbox.world import World

_OPINIONS: Final = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")


def newest(world: World, repo: Repository, pull: Pull, *, writers_only: bool) -> list[Review]:
    """The newest opinion of each person, in the order in which they came; comments are none."""
    found: dict[str, Review] = {}
    for one in pull.reviews:
        role = permits.FOLDED[world.role(repo, one.user.login)]
        if one.state in _OPINIONS and (not writers_only or permits.reaches(role, "write")):
            found[one.user.login] = one
    return sorted(found.values(), key=lambda one: one.id)


def decision(world: World, repo: Repository, pull: Pull) -> str | None:
    """APPROVED, CHANGES_REQUESTED or REVIEW_REQUIRED; None where no approvals are required."""
    if repo.required_approvals < 1:
        return None
    states = [one.state for one in newest(world, repo, pull, writers_only=True)]
    if "CHANGES_REQUESTED" in states:
        return "CHANGES_REQUESTED"
    return "APPROVED" if states.count("APPROVED") >= repo.required_approvals else "REVIEW_REQUIRED"
