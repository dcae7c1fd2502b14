"""Who may give which command: the one authoriser behind button, comment, page and command line.

Pure: the permission was asked from GitHub at the moment of the command, by the flow. Closed by default.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from app.core.command import Verb
from app.core.environment import Environment
from app.core.missed import FOUND_BY
from app.core.names import Sha
from app.core.stack import ConfirmRules, Permission


@dataclass(frozen=True, slots=True)
class Permitted:
    """The command may be carried out."""

    by_force: str = ""
    """What an admin passes over by it, in words; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The command may not be carried out."""

    reason: str
    """In words, plain text: `alice has read permission on acme/infra, and confirm needs write`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What GitHub says of an account on a repository, at this moment."""

    permission: Permission
    role: str = ""
    """GitHub's `role_name`: one of its five, or one that an organisation invented."""
    is_bot: bool = False
    """A machine: an App's account."""
    account_id: int = 0
    """GitHub's number of the account; 0: GitHub did not say."""


BOTS_NEVER: Final = "a bot gives no commands"
_NOBODY_KNOWS: Final = "who pushed this is not known, since GitHub sent no event of it"
_ORDER: Final = "discard the run, then somebody orders one with deploy, and another confirms that"


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
    has = "no" if permission is Permission.NONE else permission.value
    return Refused(f"{actor} has {has} permission on {repository}, and {verb.value} needs {least.value}")


def may_read(permission: Permission, *, is_veiled: bool) -> bool:
    """Whether somebody with that permission may read plans and logs. `is_veiled`: the repository is public and its
    stack does not show its plans, so that reading, which everybody may, is not enough."""
    least = Permission.WRITE if is_veiled else Permission.READ
    return permission.rank >= least.rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Commits that a run would apply: those behind `head` that are not behind `since`."""

    since: Sha | None
    """None: nobody knows where it began."""
    head: Sha


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirming:
    """Somebody is about to confirm a plan: what GitHub says of them, and of the change, at this moment."""

    actor: str
    permission: Permission
    role: str
    """GitHub's `role_name`."""
    owner: str
    """Whose teams are meant."""
    stack: str
    ref: str
    """The full ref of the run's event; empty for a command."""
    teams: frozenset[str] = frozenset()
    """Of the teams that were asked about, those in which the person is active; a pending member is not."""
    authors: frozenset[str] = frozenset()
    """Who made the change, in lower case: of its commits and their pull requests; and who pushed it, or asked for the
    run."""
    starters: frozenset[str] = frozenset()
    """Of them, who asked for the run; FOUND_BY among them: nobody knows who pushed."""
    environment: Environment | None = None
    """None: the stack has none, or GitHub knows none of that name."""


def may_confirm(rules: ConfirmRules, asked: Confirming) -> Permitted | Refused:
    """Whether the person fulfils the stack's rules and those of its GitHub environment. The permission is `may`'s."""
    who = asked.actor
    if rules.roles and asked.role not in rules.roles:
        has = f"has the role {asked.role or 'none'}"
        return Refused(f"{who} {has}: stack {asked.stack} is confirmed by {_one_of(rules.roles)}")
    if rules.teams and asked.teams.isdisjoint(rules.teams):
        teams = _one_of(f"{asked.owner}/{team}" for team in rules.teams)
        return Refused(f"{who} is no active member of {teams}, which confirms stack {asked.stack}")
    if rules.not_author and who.lower() in asked.authors:
        return Refused(f"{who} made this change or asked for this run: stack {asked.stack} is confirmed by another")
    if rules.not_author and FOUND_BY in asked.starters:
        return Refused(f"{_NOBODY_KNOWS}, so nobody can confirm stack {asked.stack} as another than they: {_ORDER}")
    return _may_deploy_to(asked.environment, asked) if asked.environment is not None else Permitted()


def _may_deploy_to(environment: Environment, asked: Confirming) -> Permitted | Refused:
    """The environment's own rules; what GitHub lets admins pass over, admins pass over here."""
    name = f"GitHub's environment {environment.name}"
    if environment.obstacles:
        return Refused(f"{name} has rules that cannot be fulfilled here ({'; '.join(environment.obstacles)})")
    if not environment.takes(asked.ref):
        return Refused(f"{name} takes no deployment of {asked.ref or 'a commit without a branch'}")
    why = ""
    if environment.has_reviewers:
        is_reviewer = asked.actor.lower() in {user.lower() for user in environment.users}
        if not is_reviewer and asked.teams.isdisjoint(environment.teams):
            people = [*environment.users, *(f"{asked.owner}/{team}" for team in environment.teams)]
            why = f"{asked.actor} is no required reviewer of {name} ({_one_of(people)})"
        elif environment.is_self_review_prevented and asked.actor.lower() in asked.starters:
            why = f"{asked.actor} asked for this run, and {name} lets nobody review their own"
        elif environment.is_self_review_prevented and FOUND_BY in asked.starters:
            why = f"{_NOBODY_KNOWS}, and {name} lets nobody review their own: {_ORDER}"
    if not why:
        return Permitted()
    if environment.may_admins_bypass and asked.permission is Permission.ADMIN:
        return Permitted(by_force=why)
    return Refused(why)


def _one_of(names: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def may_unlock(owner: str, *, permission: Permission, actor: str) -> bool:
    """Whether somebody who may unlock may take that lock away: one's own, or any as an admin.

    `owner` is the login of the person who took it; empty for a policy's lock, which is nobody's own.
    """
    return permission is Permission.ADMIN or (bool(owner) and owner.lower() == actor.lower())
