"""Secrets of stacks: their names, the scopes in which they are known, and which one a variable means. Values only.

A secret's value is a `Secret`; what lies at rest is sealed, and neither is part of a stack's settings or its digest.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.core.errors import UserError
from app.core.names import RepositoryId, StackId

NAME_FORM: Final = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
MIN_SECRET_CHARS: Final = 4
"""A shorter value cannot be kept out of logs: what is looked for there would be everywhere."""
MAX_SECRET_CHARS: Final = 32_768
NO_SECRETS: Final = "no secrets yet: `trackside secret set NAME --scope OWNER/REPO` sets one"
_NAME: Final = re.compile(NAME_FORM)


def is_secret_name(text: str) -> bool:
    """True for what a secret may be called: as a variable is."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a secret is known: to all stacks of an owner, to those of a repository, or to one stack."""

    owner: str = ""
    """Login in lower case, of an owner's secret alone: repositories and stacks keep theirs under any owner."""
    repository_id: RepositoryId | None = None
    stack_id: StackId | None = None

    @property
    def nearness(self) -> int:
        """The larger one wins: stack 2, repository 1, owner 0."""
        return 2 if self.stack_id is not None else 1 if self.repository_id is not None else 0

    def context(self, name: str) -> dict[str, str]:
        """What a sealed value is bound to: moved to another scope or name, it does not open."""
        return {
            "table": "secrets",
            "owner": self.owner,
            "repository": str(self.repository_id or ""),
            "stack": self.stack_id or "",
            "name": name,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """A secret as the store keeps it."""

    scope: Scope
    name: str
    sealed_value: bytes
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedScope:
    """A scope in people's words, `OWNER[/REPO[/STACK]]`."""

    owner: str
    repository: str = ""
    stack: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.owner, self.repository, self.stack) if part)


def read_scope(text: str) -> NamedScope:
    """The scope that a person wrote; a stack's name may hold slashes.

    Raises: UserError when it has none of the three forms.
    """
    owner, *rest = text.split("/", 2)
    repository, stack = (*rest, "", "")[:2]
    if not owner or (rest and not repository) or (len(rest) == 2 and not stack) or not text.isprintable():
        raise UserError(f"reading the scope {text[:100]!r}: write OWNER, OWNER/REPO or OWNER/REPO/STACK")
    return NamedScope(owner=owner, repository=repository, stack=stack)


def nearest(found: Iterable[StoredSecret]) -> dict[str, StoredSecret]:
    """The secret that each name means: the stack's own before its repository's before the owner's."""
    meant: dict[str, StoredSecret] = {}
    for secret in sorted(found, key=lambda one: one.scope.nearness):
        meant[secret.name] = secret
    return meant


def missing_secret(variable: str, name: str, scope: NamedScope) -> str:
    """What a run says that needs a secret which nobody has set."""
    return (
        f"variable {variable} is the secret {name}, and stack {scope.stack} has none of that name: set it on the "
        f"server with `trackside secret set {name} --scope {scope}` (or for all of {scope.owner}/{scope.repository}, "
        f"or {scope.owner})"
    )
