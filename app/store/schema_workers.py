"""Workers, and which of them get no new runs. Read `schema` for the rules of this room."""

from sqlalchemy import Column, Integer, Table, Text

from app.store.schema_columns import column, metadata, time_column

workers = Table(
    "workers",
    metadata,
    Column("pool", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    time_column("last_seen"),
    time_column("first_seen"),
    column("version", default="''"),
    column("protocol", Integer, default="1"),
    column("engines", default="''"),
    column("slots", Integer, default="1"),
    column("drained_by", default="''"),
)

drained_pools = Table(
    "drained_pools",
    metadata,
    Column("pool", Text, primary_key=True),
    column("drained_by"),
    time_column("drained_at"),
)
