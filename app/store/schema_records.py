"""Managed state, the outbox and the audit log. Read `schema` for the rules of this room."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.core.record import ReportKind
from app.store.schema_columns import column, enum_column, is_hex, metadata, time_column

state_versions = Table(
    "state_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("stack_id", ForeignKey("stacks.id"), nullable=False),
    column("serial", BigInteger),
    column("lineage"),
    column("digest"),
    column("size_bytes", BigInteger),
    column("artifact_key"),
    Column("assignment_id", ForeignKey("assignments.id")),
    column("is_quarantined", Boolean),
    time_column("created_at"),
    UniqueConstraint("artifact_key"),
    is_hex("digest", 64),
    Index("ix_state_versions_current", "stack_id", text("seq DESC"), postgresql_where=text("NOT is_quarantined")),
    Index("ix_state_versions_quarantined", "assignment_id", postgresql_where=text("is_quarantined")),
)

state_locks = Table(
    "state_locks",
    metadata,
    Column("stack_id", ForeignKey("stacks.id"), primary_key=True),
    column("lock_id"),
    column("info", LargeBinary),
    Column("assignment_id", ForeignKey("assignments.id"), nullable=False),
    time_column("created_at"),
    CheckConstraint("octet_length(info) <= 16384", name="info_size"),
)

reports = Table(
    "reports",
    metadata,
    Column("id", Text, primary_key=True),
    enum_column("kind", ReportKind),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    column("subject"),
    Column("run_id", ForeignKey("runs.id")),
    column("document", LargeBinary),
    column("wanted", BigInteger, default="1"),
    column("published", BigInteger, default="0"),
    time_column("created_at"),
    UniqueConstraint("kind", "repository_id", "subject"),
    CheckConstraint("published <= wanted", name="published"),
    Index("ix_reports_behind", "created_at", postgresql_where=text("published < wanted")),
    Index("ix_reports_run", "run_id", "kind", postgresql_where=text("run_id IS NOT NULL")),
)

remotes = Table(
    "remotes",
    metadata,
    Column("report_id", ForeignKey("reports.id"), primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("remote_id", BigInteger),
    column("published", default="''"),
    column("is_completed", Boolean, default="false"),
    time_column("published_at", nullable=True),
    time_column("made_at"),
    column("updates", Integer, default="0"),
    Index("ix_remotes_working", "made_at", postgresql_where=text("NOT is_completed")),
)

budgets = Table(
    "budgets",
    metadata,
    Column("installation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("taken", ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'")),
    time_column("answers_from", nullable=True),
    time_column("conclusions_from", nullable=True),
    time_column("progress_from", nullable=True),
)

pulls = Table(
    "pulls",
    metadata,
    Column("repository_id", ForeignKey("repositories.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("landed_sha", Text),
    column("ticks", JSON, default="'{}'"),
    column("edits", BigInteger, default="0"),
    column("title", default="''"),
    is_hex("landed_sha", 40),
    Index("ix_pulls_landed", "repository_id", "landed_sha", postgresql_where=text("landed_sha IS NOT NULL")),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    column("actor"),
    column("source"),
    column("command"),
    Column("run_id", Text),
    Column("repository_id", BigInteger),
    column("is_allowed", Boolean),
    column("reason"),
    Index("ix_audit_run", "run_id", postgresql_where=text("run_id IS NOT NULL")),
)
