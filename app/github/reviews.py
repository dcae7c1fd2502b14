"""What the reviews of a pull request amount to. By GraphQL: REST knows neither who may write nor what is required.

Source: https://docs.github.com/graphql/reference/objects#pullrequest
"""

from typing import Annotated, Final

import msgspec

from app.core.event import Repository
from app.core.names import Sha
from app.core.pull import Review, ReviewDecision, Reviews, ReviewState
from app.github.caller import Caller
from app.github.queries import ask_query
from app.github.shapes import Login, ShaText

MOST: Final = 100
QUERY: Final = """
query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewDecision
      latestOpinionatedReviews(first: 100, writersOnly: true) {
        nodes { state author { login } commit { oid } }
      }
    }
  }
}
"""
_STATES: Final = {state.value.upper(): state for state in ReviewState}
_DECISIONS: Final = {decision.value.upper(): decision for decision in ReviewDecision}


class _Author(msgspec.Struct, frozen=True):
    login: Login


class _Commit(msgspec.Struct, frozen=True):
    oid: ShaText


class _Review(msgspec.Struct, frozen=True):
    state: str
    author: _Author | None = None
    commit: _Commit | None = None


class _Reviews(msgspec.Struct, frozen=True):
    nodes: Annotated[list[_Review | None], msgspec.Meta(max_length=MOST)]


class _Pull(msgspec.Struct, frozen=True, rename="camel"):
    review_decision: str | None
    latest_opinionated_reviews: _Reviews | None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    pull_request: _Pull | None


def read(caller: Caller, repository: Repository, number: int) -> Reviews | None:
    """The newest opinion of each person who may write, and GitHub's verdict; None without such a pull request."""
    doing = f"reading the reviews of {repository.full_name}#{number}"
    answer = ask_query(caller, repository, doing, (QUERY, {"number": number}), _Answer)
    if answer is None or answer.pull_request is None:
        return None
    pull = answer.pull_request
    nodes = pull.latest_opinionated_reviews.nodes if pull.latest_opinionated_reviews else []
    newest = [_to_review(node, _STATES[node.state]) for node in nodes if node is not None and node.state in _STATES]
    return Reviews(decision=_decision(pull), newest=tuple(sorted(newest, key=lambda one: one.reviewer)))


def _to_review(node: _Review, state: ReviewState) -> Review:
    return Review(
        reviewer=node.author.login if node.author else "",
        state=state,
        sha=Sha(node.commit.oid) if node.commit else None,
    )


def _decision(pull: _Pull) -> ReviewDecision:
    """A word that is not known counts as "not enough yet"."""
    if pull.review_decision is None:
        return ReviewDecision.NOT_REQUIRED
    return _DECISIONS.get(pull.review_decision, ReviewDecision.REVIEW_REQUIRED)
