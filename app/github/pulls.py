"""Pull requests, as far as commands on them need: where they end, and what merged them.

Source: https://docs.github.com/rest/pulls/pulls#get-a-pull-request
"""

from dataclasses import dataclass

import msgspec

from app.core.event import Repository
from app.core.names import Sha
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.refusals import NotFoundError
from app.github.shapes import Number, ShaText


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


def find(caller: Caller, repository: Repository, number: int) -> PullRequest | None:
    """The pull request, or None when there is none of that number (also when it is an issue)."""
    ask = Ask(
        doing=f"reading {repository.full_name}#{number}",
        method="GET",
        route="/repos/{owner}/{repo}/pulls/{number}",
        values=of_repository(repository, number=number),
        needs="pull_requests: read",
    )
    try:
        pull = read_answer(ask, caller.as_installation(repository, ask), _Pull)
    except NotFoundError:
        return None
    merged = bool(pull.merged or pull.merged_at) and pull.merge_commit_sha
    return PullRequest(
        number=pull.number, head_sha=Sha(pull.head.sha), merge_commit_sha=Sha(merged) if merged else None
    )
