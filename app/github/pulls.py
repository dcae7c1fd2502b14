"""Pull requests: where they end and what merged them, whether they can be merged, which of them a commit or branch has.

Source: https://docs.github.com/rest/pulls/pulls and https://docs.github.com/rest/commits/commits
"""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from app.core.event import Repository
from app.core.names import Sha
from app.core.pull import PullDetail, PullFacts
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.payload_pull import PullShape, to_facts
from app.github.refusals import NotFoundError
from app.github.shapes import Number, ShaText, first_line

READ: Final = "pull_requests: read"
PAGE: Final = 100
"""A commit or a branch is the head of one pull request, seldom of a few: more than a page are not looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request."""

    number: int
    head_sha: Sha
    merge_commit_sha: Sha | None
    """The merge (or squashed, or last rebased) commit once merged. None before: GitHub names a trial merge then."""


class _Head(msgspec.Struct, frozen=True):
    sha: ShaText


class _Pull(msgspec.Struct, frozen=True):
    number: Number
    head: _Head
    merged: bool | None = None
    merged_at: str | None = None
    merge_commit_sha: ShaText | None = None


class _Detail(PullShape, frozen=True, kw_only=True):
    mergeable: bool | None = None
    mergeable_state: str | None = None


_Pulls = Annotated[list[PullShape], msgspec.Meta(max_length=PAGE)]


def find(caller: Caller, repository: Repository, number: int) -> PullRequest | None:
    """The pull request, or None when there is none of that number (also when it is an issue)."""
    ask = _ask(repository, number)
    try:
        pull = read_answer(ask, caller.as_installation(repository, ask), _Pull)
    except NotFoundError:
        return None
    merged = bool(pull.merged or pull.merged_at) and pull.merge_commit_sha
    return PullRequest(
        number=pull.number, head_sha=Sha(pull.head.sha), merge_commit_sha=Sha(merged) if merged else None
    )


def read(caller: Caller, repository: Repository, number: int) -> PullDetail | None:
    """The pull request as it is now, or None. Asking makes GitHub compute `is_mergeable` when it has not yet."""
    ask = _ask(repository, number)
    try:
        pull = read_answer(ask, caller.as_installation(repository, ask), _Detail)
    except NotFoundError:
        return None
    facts = to_facts(pull)
    return PullDetail(
        facts=facts,
        is_mergeable=None if facts.is_closed else pull.mergeable,
        mergeable_state=first_line(pull.mergeable_state or "unknown"),
    )


def list_of_commit(caller: Caller, repository: Repository, sha: Sha) -> tuple[PullFacts, ...]:
    """The open pull requests whose head is that commit, by number; those of forks included."""
    ask = Ask(
        doing=f"listing the pull requests of commit {sha} of {repository.full_name}",
        method="GET",
        route="/repos/{owner}/{repo}/commits/{sha}/pulls",
        values=of_repository(repository, sha=sha),
        query={"per_page": PAGE},
        needs=READ,
    )
    found = _list(caller, repository, ask)
    return tuple(pull for pull in found if not pull.is_closed and pull.head_sha == sha)


def list_of_branch(caller: Caller, repository: Repository, branch: str) -> tuple[PullFacts, ...]:
    """The open pull requests of a branch of the repository itself, by number. GitHub ignores a filter that it cannot
    read, so the answer is filtered once more.
    """
    ask = Ask(
        doing=f"listing the open pull requests of {repository.full_name}",
        method="GET",
        route="/repos/{owner}/{repo}/pulls",
        values=of_repository(repository),
        query={"state": "open", "head": f"{repository.owner}:{branch}", "per_page": PAGE},
        needs=READ,
    )
    found = _list(caller, repository, ask)
    return tuple(one for one in found if one.head_ref == branch and not one.is_from_fork(repository.id))


def _ask(repository: Repository, number: int) -> Ask:
    return Ask(
        doing=f"reading {repository.full_name}#{number}",
        method="GET",
        route="/repos/{owner}/{repo}/pulls/{number}",
        values=of_repository(repository, number=number),
        needs=READ,
    )


def _list(caller: Caller, repository: Repository, ask: Ask) -> list[PullFacts]:
    answer = read_answer(ask, caller.as_installation(repository, ask), _Pulls)
    return sorted((to_facts(pull) for pull in answer), key=lambda pull: pull.number)
