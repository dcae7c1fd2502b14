"""What a person may do in a repository, asked at the moment when it matters.

Source: https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user
"""

import re
from typing import Final

import msgspec

from app.core.event import Repository
from app.core.stack import Permission
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.refusals import NotFoundError

_LOGIN: Final = re.compile(r"[A-Za-z0-9_-]{1,90}(\[bot\])?")
_ROLES: Final = {
    "none": Permission.NONE,
    "read": Permission.READ,
    "triage": Permission.READ,
    "write": Permission.WRITE,
    "maintain": Permission.WRITE,
    "admin": Permission.ADMIN,
}


class _Answer(msgspec.Struct, frozen=True):
    permission: str
    role_name: str | None = None


def ask_permission(caller: Caller, repository: Repository, login: str) -> Permission:
    """The person's permission, folded. Who GitHub does not know, or whose login cannot be one, has none."""
    if _LOGIN.fullmatch(login) is None:
        return Permission.NONE
    ask = Ask(
        doing=f"asking for the permission of {login} on {repository.full_name}",
        method="GET",
        route="/repos/{owner}/{repo}/collaborators/{login}/permission",
        values=of_repository(repository, login=login),
        needs="metadata: read",
    )
    try:
        answer = read_answer(ask, caller.as_installation(repository, ask), _Answer)
    except NotFoundError:
        return Permission.NONE
    return fold(answer.permission, answer.role_name)


def fold(permission: str, role_name: str | None) -> Permission:
    """The lower of GitHub's two words; a role that an organisation invented counts by `permission` alone."""
    base = _ROLES.get(permission, Permission.NONE)
    role = _ROLES.get(role_name or "", base)
    return min(base, role, key=lambda one: one.rank)
