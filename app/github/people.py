"""What people may do in a repository and who made a commit, asked at the moment of the command. Closed by default: what
is not known is none.

GitHub folds maintain into write and triage into read in `permission`, and has the rest in `role_name`.
Source: https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user
"""

import re
from dataclasses import replace
from typing import Annotated, Final

import msgspec

from app.core.errors import UserError
from app.core.event import Repository
from app.core.names import Sha
from app.core.permit import Access
from app.core.stack import Permission
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.refusals import NotFoundError
from app.github.shapes import Number

MAX_PULLS: Final = 100
"""Pull requests of one commit that are listed: with that many, there may be more."""
MAX_COMMITS: Final = 250
"""Commits of a pull request that GitHub lists: with that many, there may be more."""
_PAGE: Final = 100
_MAX_PAGES: Final = 3
_LOGIN: Final = re.compile(r"[A-Za-z0-9_-]{1,90}(\[bot\])?")
_ROLES: Final = {
    "none": Permission.NONE,
    "read": Permission.READ,
    "triage": Permission.READ,
    "write": Permission.WRITE,
    "maintain": Permission.WRITE,
    "admin": Permission.ADMIN,
}


class _Account(msgspec.Struct, frozen=True):
    login: str = ""
    type: str = ""


class _Answer(msgspec.Struct, frozen=True):
    permission: str
    role_name: str | None = None
    user: _Account | None = None


class _Commit(msgspec.Struct, frozen=True):
    author: _Account | None = None
    committer: _Account | None = None


class _Pull(msgspec.Struct, frozen=True):
    number: Number
    user: _Account | None = None


_Commits = Annotated[list[_Commit], msgspec.Meta(max_length=_PAGE)]
_Pulls = Annotated[list[_Pull], msgspec.Meta(max_length=MAX_PULLS)]


def is_login(text: str) -> bool:
    """True for what an account can be called; nothing else is put into an address."""
    return _LOGIN.fullmatch(text) is not None


def ask_access(caller: Caller, repository: Repository, login: str) -> Access:
    """The person's permission, folded, with the role behind it. Who GitHub does not know, or whose login cannot be one,
    has none."""
    if not is_login(login):
        return Access(permission=Permission.NONE)
    ask = Ask(
        doing=f"asking for the permission of {login} on {repository.full_name}",
        method="GET",
        route="/repos/{owner}/{repo}/collaborators/{login}/permission",
        values=of_repository(repository, login=login),
        needs="metadata: read",
    )
    is_bot = login.endswith("[bot]")
    try:
        answer = read_answer(ask, caller.as_installation(repository, ask), _Answer)
    except NotFoundError:
        return Access(permission=Permission.NONE, is_bot=is_bot)
    return Access(
        permission=fold(answer.permission, answer.role_name),
        role=(answer.role_name or answer.permission)[:100],
        is_bot=is_bot or (answer.user is not None and answer.user.type == "Bot"),
    )


def fold(permission: str, role_name: str | None) -> Permission:
    """The lower of GitHub's two words; a role that an organisation invented counts by `permission` alone."""
    base = _ROLES.get(permission, Permission.NONE)
    role = _ROLES.get(role_name or "", base)
    return min(base, role, key=lambda one: one.rank)


def list_authors(caller: Caller, repository: Repository, sha: Sha) -> tuple[str, ...]:
    """Logins behind a commit: its author, its committer, and of the pull requests that it is in or that it landed those
    who opened them, and author and committer of each of their commits; those without an account have none. Sorted.

    Raises: UserError when they cannot all be known.
    Source: https://docs.github.com/rest/commits/commits#list-pull-requests-associated-with-a-commit
    """
    ask = Ask(
        doing=f"reading commit {sha[:7]} of {repository.full_name}",
        method="GET",
        route="/repos/{owner}/{repo}/commits/{sha}",
        values=of_repository(repository, sha=sha),
        query={"per_page": 1},
        needs="contents: read",
    )
    commit = read_answer(ask, caller.as_installation(repository, ask), _Commit)
    of_pulls = Ask(
        doing=f"listing the pull requests of {sha[:7]} of {repository.full_name}",
        method="GET",
        route="/repos/{owner}/{repo}/commits/{sha}/pulls",
        values=of_repository(repository, sha=sha),
        query={"per_page": MAX_PULLS},
        needs="pull_requests: read",
    )
    pulls = read_answer(of_pulls, caller.as_installation(repository, of_pulls), _Pulls)
    if len(pulls) >= MAX_PULLS:
        raise UserError(f"{of_pulls.doing}: there are {MAX_PULLS} or more, so not everybody who made it is known")
    commits = [commit, *(one for pull in pulls for one in _commits_of(caller, repository, pull.number))]
    accounts = [pull.user for pull in pulls]
    accounts += [account for one in commits for account in (one.author, one.committer)]
    return tuple(sorted({account.login for account in accounts if account is not None and account.login}))


def _commits_of(caller: Caller, repository: Repository, number: int) -> list[_Commit]:
    """All commits of a pull request. Raises: UserError when GitHub may not list all of them.

    Source: https://docs.github.com/rest/pulls/pulls#list-commits-on-a-pull-request
    """
    ask = Ask(
        doing=f"listing the commits of {repository.full_name}#{number}",
        method="GET",
        route="/repos/{owner}/{repo}/pulls/{number}/commits",
        values=of_repository(repository, number=number),
        query={"per_page": _PAGE},
        needs="pull_requests: read",
    )
    found: list[_Commit] = []
    for page in range(1, _MAX_PAGES + 1):
        asked = replace(ask, query={**ask.query, "page": page})
        commits = read_answer(asked, caller.as_installation(repository, asked), _Commits)
        found += commits
        if len(commits) < _PAGE:
            break
    if len(found) >= MAX_COMMITS:
        raise UserError(f"{ask.doing}: there are {MAX_COMMITS} or more, so not everybody who made them is known")
    return found
