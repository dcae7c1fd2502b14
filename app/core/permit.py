"""Who may give which command: the one authoriser behind button, comment, page and command line.

Pure: the permission was asked from GitHub at the moment of the command, by the flow. Closed by default.
"""

from dataclasses import dataclass

from app.core.command import Verb
from app.core.stack import Permission


@dataclass(frozen=True, slots=True)
class Permitted:
    """The command may be carried out."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The command may not be carried out."""

    reason: str
    """In words, plain text: `alice has read permission on acme/infra: confirm needs write`."""


def needed(verb: Verb, required: Permission) -> Permission:
    """The least permission for a command on a stack whose `confirm.permission` is `required`; never below write."""
    match verb:
        case Verb.HELP | Verb.WHY:
            return Permission.READ
        case Verb.PLAN | Verb.STOP | Verb.CANCEL | Verb.RETRY | Verb.LOCK | Verb.UNLOCK | Verb.APPROVE | Verb.REJECT:
            return Permission.WRITE
        case Verb.CONFIRM | Verb.DISCARD | Verb.REPLAN | Verb.DEPLOY:
            return max(required, Permission.WRITE, key=lambda permission: permission.rank)


def may(
    verb: Verb,
    *,
    permission: Permission,
    required: Permission,
    actor: str = "the sender",
    repository: str = "this repository",
) -> Permitted | Refused:
    """Whether somebody with that permission may give the command on a stack that requires `required`."""
    least = needed(verb, required)
    if permission.rank >= least.rank:
        return Permitted()
    return Refused(f"{actor} has {permission.value} permission on {repository}: {verb.value} needs {least.value}")


def may_unlock(owner: str, *, permission: Permission, actor: str) -> bool:
    """Whether somebody who may unlock may take that lock away: one's own, or any as an admin.

    `owner` is the login of the person who took it; empty for a policy's lock, which is nobody's own.
    """
    return permission is Permission.ADMIN or (bool(owner) and owner.lower() == actor.lower())
