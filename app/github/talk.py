"""Comments on pull requests and commits, and reactions to comments.

Source: https://docs.github.com/rest/issues/comments and https://docs.github.com/rest/commits/comments
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from app.core.errors import BrokenError
from app.core.event import Repository
from app.core.missed import FoundComment
from app.core.names import Sha
from app.core.reply import OwnComment
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.checks import CreatedShape
from app.github.refusals import NotFoundError
from app.github.shapes import Number, clean_text

ON_PULL: Final = "/repos/{owner}/{repo}/issues/{number}/comments"
ONE: Final = "/repos/{owner}/{repo}/issues/comments/{comment}"
ON_COMMIT: Final = "/repos/{owner}/{repo}/commits/{sha}/comments"
REACTIONS: Final = ONE + "/reactions"
TALK: Final = "pull_requests: write"
EMOJI: Final = frozenset({"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"})
PAGE: Final = 100
MAX_PAGES: Final = 10
MAX_COMMENTS: Final = 10_000
"""Of one repository after one outage."""
LOOK_BACK: Final = timedelta(days=3)
"""How old a lost comment can be: as old as a delivery that is still given again."""


class _App(msgspec.Struct, frozen=True):
    id: Number


class _Author(msgspec.Struct, frozen=True):
    login: str | None = None
    type: str | None = None


class _Comment(msgspec.Struct, frozen=True):
    id: Number
    body: str | None = None
    user: _Author | None = None
    performed_via_github_app: _App | None = None

    def is_by(self, app_id: int) -> bool:
        """True when that App wrote it."""
        return self.performed_via_github_app is not None and self.performed_via_github_app.id == app_id


class _Written(_Comment, frozen=True, kw_only=True):
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    issue_url: Annotated[str, msgspec.Meta(max_length=2000)]


_AllWritten = Annotated[list[_Written], msgspec.Meta(max_length=PAGE)]
_Comments = Annotated[list[_Comment], msgspec.Meta(max_length=PAGE)]


def comment_on_pull(caller: Caller, repository: Repository, number: int, body: str) -> int:
    """Say something in a pull request's conversation; the comment's number."""
    ask = Ask(
        doing=f"commenting on {repository.full_name}#{number}",
        method="POST",
        route=ON_PULL,
        values=of_repository(repository, number=number),
        body={"body": body},
        needs=TALK,
    )
    return read_answer(ask, caller.as_installation(repository, ask), CreatedShape).id


def comment_on_commit(caller: Caller, repository: Repository, sha: Sha, body: str) -> int:
    """Say something on a commit; the comment's number."""
    ask = Ask(
        doing=f"commenting on commit {sha} of {repository.full_name}",
        method="POST",
        route=ON_COMMIT,
        values=of_repository(repository, sha=sha),
        body={"body": body},
        needs="contents: read",
    )
    return read_answer(ask, caller.as_installation(repository, ask), CreatedShape).id


def react(caller: Caller, repository: Repository, comment_id: int, content: str) -> None:
    """React to a pull request's comment; the same again changes nothing."""
    if content not in EMOJI:
        raise BrokenError(f"reacting to comment {comment_id}: GitHub has no reaction {content!r}")
    ask = Ask(
        doing=f"reacting to comment {comment_id} of {repository.full_name}",
        method="POST",
        route=REACTIONS,
        values=of_repository(repository, comment=comment_id),
        body={"content": content},
        needs=TALK,
    )
    caller.as_installation(repository, ask)


def edit(caller: Caller, repository: Repository, comment_id: int, body: str) -> bool:
    """Give a comment of our own another text; False when it is there no more."""
    ask = Ask(
        doing=f"editing comment {comment_id} of {repository.full_name}",
        method="PATCH",
        route=ONE,
        values=of_repository(repository, comment=comment_id),
        body={"body": body},
        needs=TALK,
    )
    try:
        caller.as_installation(repository, ask)
    except NotFoundError:
        return False
    return True


def find_on_pull(caller: Caller, repository: Repository, number: int, body: str, *, now: datetime) -> int | None:
    """The newest comment of our own with that text in a pull request, or None."""
    ours = list_own(caller, repository, number, now=now)
    return max((one.id for one in ours if _says(one.body, body)), default=None)


def list_own(caller: Caller, repository: Repository, number: int, *, now: datetime) -> list[OwnComment]:
    """Our own comments in a pull request that were written or changed in the last days, oldest first."""
    since = (now - LOOK_BACK).strftime("%Y-%m-%dT%H:%M:%SZ")
    ask = Ask(
        doing=f"looking for a comment on {repository.full_name}#{number}",
        method="GET",
        route=ON_PULL,
        values=of_repository(repository, number=number),
        query={"since": since, "per_page": PAGE},
        needs="pull_requests: read",
    )
    found = _list(caller, repository, ask)
    return [OwnComment(id=one.id, body=one.body or "") for one in found if one.is_by(caller.app_id)]


def find_on_commit(caller: Caller, repository: Repository, sha: Sha, body: str, *, bot: str) -> int | None:
    """The newest comment of our own with that text on a commit, or None. GitHub names no App there, but its account."""
    ask = Ask(
        doing=f"looking for a comment on commit {sha} of {repository.full_name}",
        method="GET",
        route=ON_COMMIT,
        values=of_repository(repository, sha=sha),
        query={"per_page": PAGE},
        needs="contents: read",
    )
    found = _list(caller, repository, ask)
    ours = (one for one in found if one.user and one.user.login == bot)
    return max((one.id for one in ours if _says(one.body or "", body)), default=None)


def list_since(caller: Caller, repository: Repository, since: datetime) -> list[FoundComment]:
    """Comments by people on the repository's issues and pull requests that were written since then, oldest first; no
    more than MAX_COMMENTS.

    Source: https://docs.github.com/rest/issues/comments#list-issue-comments-for-a-repository
    """
    ask = Ask(
        doing=f"listing the comments of {repository.full_name}",
        method="GET",
        route="/repos/{owner}/{repo}/issues/comments",
        values=of_repository(repository),
        query={
            "since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sort": "created",
            "direction": "asc",
            "per_page": PAGE,
        },
        needs="pull_requests: read",
    )
    found: list[FoundComment] = []
    for page in range(1, MAX_COMMENTS // PAGE + 1):
        asked = replace(ask, query={**ask.query, "page": page})
        written = read_answer(asked, caller.as_installation(repository, asked), _AllWritten)
        found += [_found(one, repository) for one in written if one.created_at >= since and _is_by_person(one)]
        if len(written) < PAGE:
            break
    return [one for one in found if one.pull_number]


def _is_by_person(one: _Written) -> bool:
    """Neither a bot's nor an App's; an account that is gone has no say either."""
    login = (one.user.login if one.user else None) or ""
    is_person = one.user is not None and one.user.type != "Bot" and not login.endswith("[bot]")
    return bool(login) and is_person and one.performed_via_github_app is None


def _found(one: _Written, repository: Repository) -> FoundComment:
    number = one.issue_url.rpartition("/")[2]
    return FoundComment(
        repository_id=repository.id,
        comment_id=one.id,
        pull_number=int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0,
        body=clean_text(one.body or ""),
        sender=(one.user.login if one.user else None) or "",
        created_at=one.created_at,
    )


def _list(caller: Caller, repository: Repository, ask: Ask) -> list[_Comment]:
    """All pages, oldest first, up to a thousand."""
    found: list[_Comment] = []
    for page in range(1, MAX_PAGES + 1):
        asked = replace(ask, query={**ask.query, "page": page})
        comments = read_answer(asked, caller.as_installation(repository, asked), _Comments)
        found += comments
        if len(comments) < PAGE:
            break
    return found


def _says(written: str, body: str) -> bool:
    """GitHub may give line ends and blanks at the end back differently."""
    return written.replace("\r\n", "\n").strip() == body.replace("\r\n", "\n").strip()
