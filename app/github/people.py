"""What people may do in a repository, asked at the moment of the command. Closed by default: what is not known is none.

GitHub folds maintain into write and triage into read in `permission`, and has the rest in `role_name`.
Source: https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user
"""

import re
from typing import Final

import msgspec

from app.core.event import Repository
from app.core.permit import Access
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


class _Account(msgspec.Struct, frozen=True):
    id: int = 0
    login: str = ""
    type: str = ""


class _Answer(msgspec.Struct, frozen=True):
    permission: str
    role_name: str | None = None
    user: _Account | None = None


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
        account_id=answer.user.id if answer.user is not None else 0,
    )


def fold(permission: str, role_name: str | None) -> Permission:
    """The lower of GitHub's two words; a role that an organisation invented counts by `permission` alone."""
    base = _ROLES.get(permission, Permission.NONE)
    role = _ROLES.get(role_name or "", base)
    return min(base, role, key=lambda one: one.rank)
