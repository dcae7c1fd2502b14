"""The tables, as SQLAlchemy Core sees them. The migrations make them; a test holds both equal.

Guards that no column can say (triggers) are in the migrations alone. Shape: ids are ULIDs as text, times timestamptz;
bytes named `sealed_…` are ciphertext.
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, ExcludeConstraint
from sqlalchemy.types import TypeEngine

from app.core.decision import EventKind, Verdict
from app.core.protocol import Phase
from app.core.record import DeliveryOutcome, ReportKind
from app.core.run import CLAIMABLE, TERMINAL, RunState, RunType, Step, Trigger
from app.core.stack import StateMode

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


def one_of(column: str, words: tuple[str, ...]) -> str:
    """SQL that is true when the column holds one of the words (enum values of ours, never text from outside)."""
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


def words_of(enum: type[StrEnum]) -> tuple[str, ...]:
    """The values of an enum, in its order."""
    return tuple(member.value for member in enum)


IS_TERMINAL = one_of("state", tuple(sorted(TERMINAL)))
IS_LIVE = f"NOT ({IS_TERMINAL})"
IS_CLAIMABLE = one_of("state", tuple(sorted(CLAIMABLE)))
IS_STATE_CHANGING = one_of("type", STATE_CHANGING)
CLAIM_ORDER = (
    "CASE state WHEN 'confirmed' THEN 0 WHEN 'replan_requested' THEN 1 ELSE 2 END",
    "CASE WHEN is_prioritized THEN 0 ELSE 1 END",
    "CASE type WHEN 'proposed' THEN 1 WHEN 'drift' THEN 2 ELSE 0 END",
)
"""What is claimed first; `created_at` and `id` follow."""


def _enum(name: str, enum: type[StrEnum], *, nullable: bool = False, more: tuple[str, ...] = ()) -> Column[str]:
    check = CheckConstraint(one_of(name, (*words_of(enum), *more)), name=name)
    return Column(name, Text, check, nullable=nullable)


def _col(
    name: str, kind: type[TypeEngine[Any]] | TypeEngine[Any] = Text, *, default: str | None = None
) -> Column[object]:
    return Column(name, kind, nullable=False, server_default=text(default) if default is not None else None)


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    default = None if nullable else text("clock_timestamp()")
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default)


def _hex(column: str, digits: int) -> CheckConstraint:
    return CheckConstraint(f"{column} ~ '^[0-9a-f]{{{digits}}}$'", name=f"{column}_hex")


deliveries = Table(
    "deliveries",
    metadata,
    Column("guid", Text, primary_key=True),
    _col("event"),
    _col("body", LargeBinary),
    _time("received_at"),
    _enum("outcome", DeliveryOutcome),
    _col("reason", default="''"),
    Column("body_digest", Text),
    Column("digest_seq", BigInteger),
    Index("ix_deliveries_pending", "received_at", postgresql_where=text("outcome = 'pending'")),
    Index("ix_deliveries_digest", "body_digest", "digest_seq", postgresql_where=text("body_digest IS NOT NULL")),
)

installations = Table(
    "installations",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    _col("account"),
    _col("is_active", Boolean),
    _time("updated_at"),
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    _col("owner"),
    _col("name"),
    _col("default_branch"),
    _col("is_private", Boolean),
    _col("installation_id", BigInteger),
    _time("updated_at"),
)

config_versions = Table(
    "config_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    _col("sha"),
    _col("digest"),
    _col("is_valid", Boolean),
    _col("problems", JSON),
    _time("created_at"),
    UniqueConstraint("repository_id", "sha"),
    _hex("sha", 40),
    Index("ix_config_versions_valid", "repository_id", text("seq DESC"), postgresql_where=text("is_valid")),
)

policy_texts = Table(
    "policy_texts",
    metadata,
    Column("digest", Text, primary_key=True),
    _col("text"),
    _time("created_at"),
    _hex("digest", 64),
)

stacks = Table(
    "stacks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    _col("name"),
    _col("policy_id", default="''"),
    _col("settings"),
    _col("worker_pool"),
    _col("policies", JSON),
    Column("config_version_id", ForeignKey("config_versions.id"), nullable=False),
    _col("is_detached", Boolean, default="false"),
    _enum("state_mode", StateMode, nullable=True),
    Column("head_sha", Text),
    _col("head_seq", BigInteger, default="0"),
    _col("hold_reason", default="''"),
    _time("created_at"),
    _col("lock_key", default="''"),
    _col("locked_by", default="''"),
    ExcludeConstraint(
        ("repository_id", "="),
        ("name", "="),
        using="btree",
        where=text("NOT is_detached"),
        name="ex_stacks_name",
        deferrable=True,
        initially="DEFERRED",
    ),
    Index("ix_stacks_repository", "repository_id", "name"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stack_id", ForeignKey("stacks.id"), nullable=False),
    _col("stack_name"),
    _col("ref"),
    _col("head_sha"),
    _col("before"),
    Column("config_version_id", ForeignKey("config_versions.id")),
    _col("policy"),
    _col("input", JSON),
    _enum("verdict", Verdict),
    _col("reason"),
    _col("rules", JSON),
    _col("note", default="''"),
    _time("created_at"),
    Column("guid", Text),
    Column(
        "event",
        Text,
        CheckConstraint(one_of("event", words_of(EventKind)), name="event"),
        nullable=False,
        server_default=text("'push'"),
    ),
    _col("action", default="''"),
    Column("pull_number", BigInteger),
    _col("policies", JSON, default="'[]'"),
    _col("elapsed_s", Double, default="0"),
    _col("is_sampled", Boolean, default="false"),
    UniqueConstraint("stack_id", "guid"),
    _hex("head_sha", 40),
    _hex("before", 40),
    Index("ix_decisions_head", "head_sha"),
    Index("ix_decisions_created", "created_at"),
    Index("ix_decisions_guid", "guid", postgresql_where=text("guid IS NOT NULL")),
    Index(
        "ix_decisions_pull",
        "pull_number",
        text("created_at DESC"),
        postgresql_where=text("pull_number IS NOT NULL"),
    ),
)

decision_inputs = Table(
    "decision_inputs",
    metadata,
    Column("guid", Text, primary_key=True),
    _col("document", JSON),
    _time("created_at"),
    Index("ix_decision_inputs_created", "created_at"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stack_id", ForeignKey("stacks.id"), nullable=False),
    _col("stack_name"),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    _enum("type", RunType),
    _enum("state", RunState),
    _col("head_sha"),
    _col("source_sha"),
    _col("ref"),
    _col("head_seq", BigInteger),
    _col("stack_digest"),
    Column("config_version_id", ForeignKey("config_versions.id"), nullable=False),
    Column("decision_id", ForeignKey("decisions.id")),
    _enum("trigger", Trigger),
    _col("triggered_by"),
    _col("message"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    _col("fencing", BigInteger, default="0"),
    _col("attempts", Integer, default="0"),
    _col("plan_number", Integer, default="1"),
    Column("current_plan", Integer),
    Column("confirmed_digest", Text),
    _col("reason", default="''"),
    _col("is_outcome_unknown", Boolean, default="false"),
    _col("decided_by", default="''"),
    Column("event_key", Text),
    Column("sealed_outputs", LargeBinary),
    Column("sealed_data_key", LargeBinary),
    Column("pull_number", BigInteger),
    _col("is_prioritized", Boolean, default="false"),
    _col("lock_key", default="''"),
    _col("flags", JSON, default="'[]'"),
    _col("externals", JSON, default="'{}'"),
    _col("note", default="''"),
    UniqueConstraint("event_key"),
    _hex("head_sha", 40),
    _hex("source_sha", 40),
    _hex("stack_digest", 64),
    CheckConstraint(
        f"NOT ({one_of('state', NEEDS_CONFIRMATION)}) OR (confirmed_digest IS NOT NULL AND current_plan IS NOT NULL)",
        name="confirmed_by_digest",
    ),
    ForeignKeyConstraint(
        ["id", "current_plan"], ["plans.run_id", "plans.number"], deferrable=True, initially="DEFERRED", use_alter=True
    ),
    ForeignKeyConstraint(
        ["id", "current_plan", "confirmed_digest"],
        ["confirmations.run_id", "confirmations.plan_number", "confirmations.plan_digest"],
        deferrable=True,
        initially="DEFERRED",
        use_alter=True,
    ),
    Index("ix_runs_live", "stack_id", "created_at", "id", postgresql_where=text(IS_LIVE)),
    Index(
        "ux_runs_one_state_changing",
        "stack_id",
        unique=True,
        postgresql_where=text(f"{IS_STATE_CHANGING} AND {IS_LIVE} AND state <> 'queued'"),
    ),
    Index(
        "ix_runs_claim",
        *(text(f"({part})") for part in CLAIM_ORDER),
        "created_at",
        "id",
        postgresql_where=text(IS_CLAIMABLE),
    ),
    Index("ix_runs_at", "repository_id", "head_sha", text("created_at DESC")),
    Index("ix_runs_stack", "stack_id", text("created_at DESC")),
    Index("ix_runs_recent", text("created_at DESC")),
    Index("ix_runs_decision", "decision_id", postgresql_where=text("decision_id IS NOT NULL")),
    Index("ix_runs_live_ref", "repository_id", "ref", postgresql_where=text(IS_LIVE)),
)

run_steps = Table(
    "run_steps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("before", Text, CheckConstraint(one_of("before", words_of(RunState)), name="before")),
    _enum("step", Step, more=(CREATED,)),
    Column("after", Text, CheckConstraint(one_of("after", words_of(RunState)), name="after"), nullable=False),
    _col("by"),
    Column("at", DateTime(timezone=True), nullable=False),
    _col("cause", default="''"),
    Index("ix_run_steps_run", "run_id", "id"),
)

plans = Table(
    "plans",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    _col("digest"),
    _col("delta"),
    _col("has_changes", Boolean),
    _col("engine"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    _time("published_at", nullable=True),
    _col("is_frozen", Boolean, default="false"),
    Column("sealed_summary", LargeBinary),
    UniqueConstraint("run_id", "number", "digest"),
    _hex("digest", 64),
    CheckConstraint("number > 0", name="number"),
)

confirmations = Table(
    "confirmations",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("plan_number", Integer, primary_key=True, autoincrement=False),
    _col("plan_digest"),
    _col("head_sha"),
    _col("stack_digest"),
    _col("actor"),
    Column("at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("run_id", "plan_number", "plan_digest"),
    ForeignKeyConstraint(
        ["run_id", "plan_number", "plan_digest"],
        ["plans.run_id", "plans.number", "plans.digest"],
        deferrable=True,
        initially="DEFERRED",
    ),
)

assignments = Table(
    "assignments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("stack_id", ForeignKey("stacks.id"), nullable=False),
    _enum("phase", Phase),
    _col("fencing", BigInteger),
    _col("worker"),
    _col("pool"),
    _col("token_hash"),
    _col("state_token_hash"),
    _col("is_state_read_only", Boolean),
    _time("created_at"),
    Column("lease_until", DateTime(timezone=True), nullable=False),
    _time("ended_at", nullable=True),
    _col("stop_requested", Boolean, default="false"),
    _col("log_bytes", BigInteger, default="0"),
    _col("sealed_clone_token", LargeBinary, default="''"),
    UniqueConstraint("run_id", "fencing"),
    Index("ux_assignments_live", "run_id", unique=True, postgresql_where=text("ended_at IS NULL")),
    Index("ix_assignments_lease", "lease_until", postgresql_where=text("ended_at IS NULL")),
)

workers = Table(
    "workers",
    metadata,
    Column("pool", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    _time("last_seen"),
)

log_chunks = Table(
    "log_chunks",
    metadata,
    Column("assignment_id", ForeignKey("assignments.id"), primary_key=True),
    Column("offset_bytes", BigInteger, primary_key=True, autoincrement=False),
    _col("size_bytes", Integer),
    _col("sealed_text", LargeBinary),
    CheckConstraint("offset_bytes >= 0 AND size_bytes > 0", name="range"),
)

state_versions = Table(
    "state_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("stack_id", ForeignKey("stacks.id"), nullable=False),
    _col("serial", BigInteger),
    _col("lineage"),
    _col("digest"),
    _col("size_bytes", BigInteger),
    _col("artifact_key"),
    Column("assignment_id", ForeignKey("assignments.id")),
    _col("is_quarantined", Boolean),
    _time("created_at"),
    UniqueConstraint("artifact_key"),
    _hex("digest", 64),
    Index("ix_state_versions_current", "stack_id", text("seq DESC"), postgresql_where=text("NOT is_quarantined")),
)

state_locks = Table(
    "state_locks",
    metadata,
    Column("stack_id", ForeignKey("stacks.id"), primary_key=True),
    _col("lock_id"),
    _col("info", LargeBinary),
    Column("assignment_id", ForeignKey("assignments.id"), nullable=False),
    _time("created_at"),
    CheckConstraint("octet_length(info) <= 16384", name="info_size"),
)

reports = Table(
    "reports",
    metadata,
    Column("id", Text, primary_key=True),
    _enum("kind", ReportKind),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    _col("subject"),
    Column("run_id", ForeignKey("runs.id")),
    _col("document", LargeBinary),
    _col("wanted", BigInteger, default="1"),
    _col("published", BigInteger, default="0"),
    _time("created_at"),
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
    _col("published", default="''"),
    _col("is_completed", Boolean, default="false"),
    _time("published_at", nullable=True),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    _col("actor"),
    _col("source"),
    _col("command"),
    Column("run_id", Text),
    Column("repository_id", BigInteger),
    _col("is_allowed", Boolean),
    _col("reason"),
    Index("ix_audit_run", "run_id", postgresql_where=text("run_id IS NOT NULL")),
)
