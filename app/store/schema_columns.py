"""What every table is made of: the metadata, the kinds of columns, and the words of checks in SQL."""

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    MetaData,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

from app.core.run import CLAIMABLE, TERMINAL, RunState, RunType

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

CREATED = "create"
"""The word of a run's first line of history, before its first step."""
STATE_CHANGING = tuple(sorted(kind for kind in RunType if kind.is_state_changing))
NEEDS_CONFIRMATION = (RunState.CONFIRMED, RunState.PREPARING_APPLY, RunState.APPLYING)
REVIEWED = (RunState.UNCONFIRMED, RunState.PENDING_REVIEW)
"""Where a run is that people may review."""
APPLIABLE = (RunState.UNCONFIRMED, *NEEDS_CONFIRMATION)
"""Where a run waits to be applied, or is: a preview or a drift run never gets there."""


def one_of(column: str, words: tuple[str, ...]) -> str:
    """SQL that is true when the column holds one of the words (enum values of ours, never text from outside)."""
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


def words_of(enum: type[StrEnum]) -> tuple[str, ...]:
    """The values of an enum, in its order."""
    return tuple(member.value for member in enum)


IS_TERMINAL = one_of("state", tuple(sorted(TERMINAL)))
IS_LIVE = f"NOT ({IS_TERMINAL})"
IS_CLAIMABLE = one_of("state", tuple(sorted(CLAIMABLE)))
IS_REVIEWED = one_of("state", REVIEWED)
IS_STATE_CHANGING = one_of("type", STATE_CHANGING)
CLAIM_ORDER = (
    "CASE state WHEN 'confirmed' THEN 0 WHEN 'replan_requested' THEN 1 ELSE 2 END",
    "CASE WHEN is_prioritized THEN 0 ELSE 1 END",
    "CASE type WHEN 'proposed' THEN 1 WHEN 'drift' THEN 2 ELSE 0 END",
)
"""What is claimed first; `created_at` and `id` follow."""


def enum_column(
    name: str, enum: type[StrEnum], *, nullable: bool = False, more: tuple[str, ...] = (), default: str | None = None
) -> Column[str]:
    check = CheckConstraint(one_of(name, (*words_of(enum), *more)), name=name)
    return Column(name, Text, check, nullable=nullable, server_default=text(default) if default is not None else None)


def column(
    name: str, kind: type[TypeEngine[Any]] | TypeEngine[Any] = Text, *, default: str | None = None
) -> Column[object]:
    return Column(name, kind, nullable=False, server_default=text(default) if default is not None else None)


def time_column(name: str, *, nullable: bool = False) -> Column[object]:
    default = None if nullable else text("clock_timestamp()")
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default)


def is_hex(column: str, digits: int) -> CheckConstraint:
    return CheckConstraint(f"{column} ~ '^[0-9a-f]{{{digits}}}$'", name=f"{column}_hex")
