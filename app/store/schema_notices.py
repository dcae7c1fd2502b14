"""Who is told what of runs: what is still to be told, where to, and what became of it. Read `schema` for the rules."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)

from app.core.notice import Channel, Outcome
from app.store.schema_columns import column, enum_column, metadata, one_of, time_column, words_of

notices = Table(
    "notices",
    metadata,
    Column("step_id", BigInteger, primary_key=True, autoincrement=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Index("ix_notices_run", "run_id", "step_id"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("name", Text, primary_key=True),
    column("labels", JSON, default="'[]'"),
    column("accounts", JSON, default="'[]'"),
    Column("sealed_target", LargeBinary),
    column("is_on", Boolean, default="true"),
    column("failures", BigInteger, default="0"),
    column("number", BigInteger, default="0"),
    column("problem", default="''"),
    time_column("changed_at"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    column("step_id", BigInteger),
    enum_column("channel", Channel),
    column("policy"),
    enum_column("outcome", Outcome),
    column("target", default="''"),
    column("number", BigInteger, default="0"),
    column("reason", default="''"),
    Column("sealed_content", LargeBinary),
    column("tries", BigInteger, default="0"),
    time_column("created_at"),
    time_column("ended_at", nullable=True),
    CheckConstraint("(outcome = 'pending') = (ended_at IS NULL)", name="ended"),
    CheckConstraint("outcome IN ('pending', 'shown') OR sealed_content IS NULL", name="content"),
    Index("ix_messages_run", "run_id", "id"),
    Index("ix_messages_pending", "target", "number", postgresql_where=text("outcome = 'pending'")),
    Index("ix_messages_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
)

notice_counts = Table(
    "notice_counts",
    metadata,
    Column("channel", Text, CheckConstraint(one_of("channel", words_of(Channel)), name="channel"), primary_key=True),
    Column("outcome", Text, CheckConstraint(one_of("outcome", words_of(Outcome)), name="outcome"), primary_key=True),
    column("total", BigInteger),
)
