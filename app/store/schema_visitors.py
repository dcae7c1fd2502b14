"""Who is logged in, and who is about to be. Read `schema` for the rules of this room."""

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from app.store.schema_columns import column, is_hex, metadata, time_column

sessions = Table(
    "sessions",
    metadata,
    Column("key", Text, is_hex("key", 64), primary_key=True),
    column("sealed", LargeBinary),
    time_column("created_at"),
    time_column("used_at"),
    Index("ix_sessions_used_at", "used_at"),
)

logins = Table(
    "logins",
    metadata,
    Column("key", Text, is_hex("key", 64), primary_key=True),
    column("browser"),
    column("sealed", LargeBinary),
    time_column("created_at"),
    Index("ix_logins_created_at", "created_at"),
)
