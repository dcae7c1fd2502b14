"""The set-up in the browser, and the App's credentials that it stored: a row each. Read `schema` for the rules of this
room."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, LargeBinary, SmallInteger, Table

from app.store.schema_columns import column, metadata, time_column

ONE_ROW = "id = 1"

app_setups = Table(
    "app_setups",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    column("code_hash"),
    Column("code_expires_at", DateTime(timezone=True), nullable=False),
    column("wrong", BigInteger, default="0"),
    time_column("paused_until", nullable=True),
    column("session_hash", default="''"),
    time_column("session_expires_at", nullable=True),
    column("state_hash", default="''"),
    CheckConstraint(ONE_ROW, name="one"),
)

app_credentials = Table(
    "app_credentials",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    column("app_id", BigInteger),
    column("slug"),
    column("owner"),
    column("client_id"),
    column("html_url"),
    column("server_url"),
    column("sealed_secrets", LargeBinary),
    time_column("created_at"),
    CheckConstraint(ONE_ROW, name="one"),
)
