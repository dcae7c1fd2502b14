"""Secrets, the keys that the control plane signs with, and attestations. Read `schema` for the rules of this room."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text, UniqueConstraint, text

from app.core.signing import Purpose
from app.store.schema_columns import column, enum_column, metadata, time_column

secrets = Table(
    "secrets",
    metadata,
    Column("id", Text, primary_key=True),
    column("owner"),
    Column("repository_id", ForeignKey("repositories.id")),
    Column("stack_id", ForeignKey("stacks.id")),
    column("name"),
    column("sealed_value", LargeBinary),
    time_column("updated_at"),
    column("updated_by"),
    UniqueConstraint("owner", "repository_id", "stack_id", "name", postgresql_nulls_not_distinct=True),
    CheckConstraint("(owner = '') = (repository_id IS NOT NULL)", name="owner"),
    CheckConstraint("stack_id IS NULL OR repository_id IS NOT NULL", name="stack"),
)

run_secrets = Table(
    "run_secrets",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    column("sealed_values", LargeBinary),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", Text, primary_key=True),
    enum_column("purpose", Purpose),
    column("public_jwk"),
    column("sealed_private", LargeBinary),
    time_column("created_at"),
    time_column("retired_at", nullable=True),
    Index("ux_signing_keys_live", "purpose", unique=True, postgresql_where=text("retired_at IS NULL")),
)

attestations = Table(
    "attestations",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("key_id", ForeignKey("signing_keys.id"), nullable=False),
    column("envelope"),
    time_column("created_at"),
)
