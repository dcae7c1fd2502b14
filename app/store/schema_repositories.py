"""What GitHub told, repositories, configurations, stacks and decisions. Read `schema` for the rules of this room."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, ExcludeConstraint

from app.core.decision import EventKind, Verdict
from app.core.event import Standing
from app.core.record import DeliveryOutcome
from app.core.stack import StateMode
from app.store.schema_columns import column, enum_column, is_hex, metadata, one_of, time_column, words_of

deliveries = Table(
    "deliveries",
    metadata,
    Column("guid", Text, primary_key=True),
    column("event"),
    column("body", LargeBinary),
    time_column("received_at"),
    enum_column("outcome", DeliveryOutcome),
    column("reason", default="''"),
    Column("body_digest", Text),
    Column("digest_seq", BigInteger),
    Column("subject", Text),
    Index("ix_deliveries_pending", "received_at", postgresql_where=text("outcome = 'pending'")),
    Index("ix_deliveries_digest", "body_digest", "digest_seq", postgresql_where=text("body_digest IS NOT NULL")),
    Index("ix_deliveries_subject", "subject", postgresql_where=text("subject IS NOT NULL")),
)

installations = Table(
    "installations",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    column("account"),
    column("is_active", Boolean),
    time_column("updated_at"),
    time_column("told_at", nullable=True),
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    column("owner"),
    column("name"),
    column("default_branch"),
    column("is_private", Boolean),
    column("installation_id", BigInteger),
    time_column("updated_at"),
    column("owner_id", BigInteger, default="0"),
    Column(
        "standing",
        Text,
        CheckConstraint(one_of("standing", words_of(Standing)), name="standing"),
        nullable=False,
        server_default=text("'here'"),
    ),
    Column("config_sha", Text),
    time_column("told_at", nullable=True),
    is_hex("config_sha", 40),
    Index("ix_repositories_owner", "owner_id"),
)

config_versions = Table(
    "config_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    column("sha"),
    column("digest"),
    column("is_valid", Boolean),
    column("problems", JSON),
    time_column("created_at"),
    Column("configuration", Text),
    UniqueConstraint("repository_id", "sha"),
    is_hex("sha", 40),
    Index("ix_config_versions_valid", "repository_id", text("seq DESC"), postgresql_where=text("is_valid")),
)

organisation_versions = Table(
    "organisation_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    column("owner_id", BigInteger),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    column("sha"),
    column("digest"),
    column("is_valid", Boolean),
    column("problems", JSON),
    Column("organisation", Text),
    time_column("created_at"),
    CheckConstraint("is_valid = (organisation IS NOT NULL)", name="organisation"),
    CheckConstraint("owner_id > 0", name="owner"),
    is_hex("sha", 40),
    is_hex("digest", 64),
    Index("ix_organisation_versions_valid", "owner_id", text("seq DESC"), postgresql_where=text("is_valid")),
)

policy_texts = Table(
    "policy_texts",
    metadata,
    Column("digest", Text, primary_key=True),
    column("text"),
    time_column("created_at"),
    is_hex("digest", 64),
)

stacks = Table(
    "stacks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    column("name"),
    column("policy_id", default="''"),
    column("settings"),
    column("worker_pool"),
    column("policies", JSON),
    Column("config_version_id", ForeignKey("config_versions.id"), nullable=False),
    column("is_detached", Boolean, default="false"),
    enum_column("state_mode", StateMode, nullable=True),
    Column("head_sha", Text),
    column("head_seq", BigInteger, default="0"),
    column("hold_reason", default="''"),
    time_column("created_at"),
    column("lock_key", default="''"),
    column("locked_by", default="''"),
    Column("organisation_version_id", ForeignKey("organisation_versions.id")),
    column("lock_owner", default="''"),
    column("lock_note", default="''"),
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
    column("stack_name"),
    column("ref"),
    column("head_sha"),
    column("before"),
    Column("config_version_id", ForeignKey("config_versions.id")),
    column("policy"),
    column("input", JSON),
    enum_column("verdict", Verdict),
    column("reason"),
    column("rules", JSON),
    column("note", default="''"),
    time_column("created_at"),
    Column("guid", Text),
    Column(
        "event",
        Text,
        CheckConstraint(one_of("event", words_of(EventKind)), name="event"),
        nullable=False,
        server_default=text("'push'"),
    ),
    column("action", default="''"),
    Column("pull_number", BigInteger),
    column("policies", JSON, default="'[]'"),
    column("elapsed_s", Double, default="0"),
    column("is_sampled", Boolean, default="false"),
    Column("organisation_version_id", ForeignKey("organisation_versions.id")),
    UniqueConstraint("stack_id", "guid"),
    is_hex("head_sha", 40),
    is_hex("before", 40),
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
    column("document", JSON),
    time_column("created_at"),
    Index("ix_decision_inputs_created", "created_at"),
)
