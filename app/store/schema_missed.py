"""What missed events are caught up with. Read `schema` for the rules of this room."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, Table, Text, text

from app.core.missed import Outcome, Path
from app.store.schema_columns import column, is_hex, metadata, one_of, time_column, words_of

looks = Table(
    "looks",
    metadata,
    Column("path", Text, CheckConstraint(one_of("path", words_of(Path)), name="path"), primary_key=True),
    time_column("seen_until", nullable=True),
    time_column("began_at", nullable=True),
    time_column("ended_at", nullable=True),
    column("cursor", default="''"),
    time_column("rests_until", nullable=True),
)

missed_counts = Table(
    "missed_counts",
    metadata,
    Column("path", Text, CheckConstraint(one_of("path", words_of(Path)), name="path"), primary_key=True),
    Column("outcome", Text, CheckConstraint(one_of("outcome", words_of(Outcome)), name="outcome"), primary_key=True),
    column("total", BigInteger),
)

missed_deliveries = Table(
    "missed_deliveries",
    metadata,
    Column("guid", Text, primary_key=True),
    column("event"),
    column("attempt_id", BigInteger),
    Column("delivered_at", DateTime(timezone=True), nullable=False),
    time_column("found_at"),
    column("asked", BigInteger, default="0"),
    time_column("asked_at", nullable=True),
    time_column("next_ask_at"),
    Column(
        "outcome",
        Text,
        CheckConstraint(one_of("outcome", ("missing", "recovered", "given_up")), name="outcome"),
        nullable=False,
        server_default=text("'missing'"),
    ),
    Index("ix_missed_deliveries_missing", "next_ask_at", postgresql_where=text("outcome = 'missing'")),
    Index("ix_missed_deliveries_asked", "asked_at", postgresql_where=text("asked_at IS NOT NULL")),
    Index("ix_missed_deliveries_found", "found_at"),
)

ref_looks = Table(
    "ref_looks",
    metadata,
    Column("repository_id", ForeignKey("repositories.id"), primary_key=True),
    time_column("first_at", nullable=True),
    time_column("due_at"),
    Index("ix_ref_looks_due", "due_at"),
)

known_refs = Table(
    "known_refs",
    metadata,
    Column("repository_id", ForeignKey("repositories.id"), primary_key=True),
    Column("ref", Text, primary_key=True),
    column("sha"),
    Column("new_sha", Text),
    time_column("new_since", nullable=True),
    Column("found_base", Text),
    is_hex("sha", 40),
    CheckConstraint("(new_sha IS NULL) = (new_since IS NULL)", name="new"),
)
