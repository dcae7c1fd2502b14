"""Reviews of pull requests: given, edited, dismissed. What they amount to is in `opinions`.

Callers hold the mutex. Source: https://docs.github.com/rest/pulls/reviews
"""

from typing import Final

from app.sandbox import events
from app.sandbox.errors import ApiError, invalid
from app.sandbox.records import Pull, Repository, Review, User
from app.sandbox.world import World

STATES: Final = ("APPROVED", "CHANGES_REQUESTED", "COMMENTED")


def review(world: World, repo: Repository, pull: Pull, state: str, body: str, by: User) -> Review:
    """Say something of the whole pull request. Raises: ApiError 422 for one's own, closed ones, and empty remarks."""
    if state not in STATES:
        raise invalid("PullRequestReview", "event")
    if state != "COMMENTED" and pull.user is by:
        verb = "approve" if state == "APPROVED" else "request changes on"
        raise ApiError(422, "Unprocessable Entity", errors=[f"Can not {verb} your own pull request"])
    if state != "APPROVED" and not body.strip():
        raise ApiError(422, "Unprocessable Entity", errors=["Review body can't be blank"])
    made = Review(world.next_id(), by, state, body, pull.head_sha, world.now())
    pull.reviews.append(made)
    pull.updated_at = made.submitted_at
    events.review(world, repo, pull, made, "submitted", by)
    return made


def edit(world: World, repo: Repository, pull: Pull, one: Review, body: str, by: User) -> None:
    """Give a review another text; sends `edited`."""
    old, one.body = one.body, body
    events.review(world, repo, pull, one, "edited", by, changes={"body": {"from": old}})


def dismiss(world: World, repo: Repository, pull: Pull, one: Review, by: User) -> None:
    """Take away what a review counts; sends `dismissed`. Raises: ApiError 422 for a mere comment."""
    if one.state not in ("APPROVED", "CHANGES_REQUESTED"):
        raise ApiError(422, "Unprocessable Entity", errors=["Can not dismiss a review that has no opinion"])
    one.state = "DISMISSED"
    events.review(world, repo, pull, one, "dismissed", by)
