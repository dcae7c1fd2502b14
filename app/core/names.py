"""The identifiers of the house, each a type of its own, and the type that holds a secret.

Source: an identifier is made by the store (ULIDs) or by GitHub (numbers, GUIDs, SHAs); nobody else invents one.
"""

import re
from typing import Final, NewType

StackId = NewType("StackId", str)
"""ULID of a stack: immutable, used in URLs, state addresses and foreign keys."""
RunId = NewType("RunId", str)
"""ULID of a run."""
AssignmentId = NewType("AssignmentId", str)
"""ULID of one worker's hold on one run."""
DecisionId = NewType("DecisionId", str)
"""ULID of a decision record."""
ConfigVersionId = NewType("ConfigVersionId", str)
"""ULID of one reading of a repository's stacks file."""
OrganisationVersionId = NewType("OrganisationVersionId", str)
"""One accepted or refused reading of an organisation's settings."""
ReportId = NewType("ReportId", str)
"""ULID of one thing that should stand on GitHub."""
DeliveryId = NewType("DeliveryId", str)
"""GUID of a webhook delivery, as GitHub sent it."""
RepositoryId = NewType("RepositoryId", int)
"""GitHub's number of a repository: survives renames and transfers."""
AccountId = NewType("AccountId", int)
"""GitHub's number of an account; survives renames."""
InstallationId = NewType("InstallationId", int)
"""GitHub's number of an installation of the App."""
Sha = NewType("Sha", str)
"""A full commit SHA, 40 lower-case hex digits."""
Digest = NewType("Digest", str)
"""SHA-256 as 64 lower-case hex digits."""

UNKNOWN_ACCOUNT: Final = AccountId(0)
"""Of a repository that no event has named the owner of, since that is kept."""
ZERO_SHA: Final = Sha("0" * 40)
"""What GitHub sends for "no commit": the `before` of a new ref, the `after` of a deleted one."""

_SHA = re.compile(r"[0-9a-f]{40}")


def is_sha(text: str) -> bool:
    """True when the text is a full commit SHA in lower case."""
    return _SHA.fullmatch(text) is not None


class Secret:
    """A value that does not print: repr, str and format are `***`. `reveal()` is the one way to its text."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself: for the one call that needs it, never for a log, a URL or an argument vector."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
