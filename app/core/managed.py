"""Managed state as its door and its flow speak of it: who asks, and the answers that are expected ends."""

from dataclasses import dataclass, field

from app.core.names import AssignmentId, Secret, StackId


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCaller:
    """Who asks for a managed state: the credentials of one assignment, not checked yet."""

    stack_id: StackId
    assignment_id: AssignmentId
    password: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class StateFound:
    """The current version's bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StateMissing:
    """There is no version yet."""


@dataclass(frozen=True, slots=True)
class StateDone:
    """It was written, locked or unlocked; or it was so already."""


@dataclass(frozen=True, slots=True)
class StateLockHeld:
    """Another lock is in the way."""

    info: bytes
    """Terraform's JSON of whoever holds it; empty when nobody does and one was needed."""


@dataclass(frozen=True, slots=True)
class StateQuarantined:
    """The write was kept apart and is not current."""

    reason: str


@dataclass(frozen=True, slots=True)
class StateReadOnly:
    """These credentials may not change it (now)."""

    reason: str
    """In words: why, and what changes it."""


StateWrite = StateDone | StateLockHeld | StateQuarantined | StateReadOnly
StateLocking = StateDone | StateLockHeld | StateReadOnly
