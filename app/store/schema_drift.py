"""When drift is looked for, and what came of it. Read `schema` for the rules of this room."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Table, Text, text

from app.core.drift import DriftResult
from app.store.schema_columns import column, metadata, one_of, time_column, words_of

drift_turns = Table(
    "drift_turns",
    metadata,
    Column("stack_id", ForeignKey("stacks.id"), primary_key=True),
    time_column("due_at", nullable=True),
    column("told", default="''"),
    time_column("told_at", nullable=True),
    CheckConstraint("(told = '') = (told_at IS NULL)", name="told"),
    Index("ix_drift_turns_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
)
"""Of each stack that has, or had, a schedule. Written with the stack locked."""

drift_counts = Table(
    "drift_counts",
    metadata,
    Column("result", Text, CheckConstraint(one_of("result", words_of(DriftResult)), name="result"), primary_key=True),
    column("total", BigInteger),
)
