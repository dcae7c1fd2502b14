"""0012: what missed events are caught up with: how far was looked, what was asked for again, which refs are known.

Expands what was there: new tables, and columns with defaults.
"""

from typing import Any, Final

from alembic import op

revision = "0012"
down_revision = "0011"

TABLES: Final = """
CREATE TABLE looks (
    path TEXT NOT NULL CONSTRAINT ck_looks_path CHECK (path IN ('delivery_log', 'heads', 'comments')),
    seen_until TIMESTAMP WITH TIME ZONE,
    began_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    cursor TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_looks PRIMARY KEY (path)
);
CREATE TABLE missed_counts (
    path TEXT NOT NULL CONSTRAINT ck_missed_counts_path CHECK (path IN ('delivery_log', 'heads', 'comments')),
    outcome TEXT NOT NULL CONSTRAINT ck_missed_counts_outcome
        CHECK (outcome IN ('found', 'asked', 'recovered', 'given_up', 'unanswered')),
    total BIGINT NOT NULL,
    CONSTRAINT pk_missed_counts PRIMARY KEY (path, outcome)
);
CREATE TABLE missed_deliveries (
    guid TEXT NOT NULL,
    event TEXT NOT NULL,
    attempt_id BIGINT NOT NULL,
    delivered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    found_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    asked BIGINT DEFAULT 0 NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE,
    next_ask_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    outcome TEXT DEFAULT 'missing' NOT NULL CONSTRAINT ck_missed_deliveries_outcome
        CHECK (outcome IN ('missing', 'recovered', 'given_up')),
    CONSTRAINT pk_missed_deliveries PRIMARY KEY (guid)
);
CREATE INDEX ix_missed_deliveries_missing ON missed_deliveries (next_ask_at) WHERE outcome = 'missing';
CREATE INDEX ix_missed_deliveries_asked ON missed_deliveries (asked_at) WHERE asked_at IS NOT NULL;
CREATE INDEX ix_missed_deliveries_found ON missed_deliveries (found_at);
CREATE TABLE ref_looks (
    repository_id BIGINT NOT NULL,
    first_at TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_ref_looks PRIMARY KEY (repository_id),
    CONSTRAINT fk_ref_looks_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
CREATE INDEX ix_ref_looks_due ON ref_looks (due_at);
CREATE TABLE known_refs (
    repository_id BIGINT NOT NULL,
    ref TEXT NOT NULL,
    sha TEXT NOT NULL,
    new_sha TEXT,
    new_since TIMESTAMP WITH TIME ZONE,
    found_base TEXT,
    CONSTRAINT pk_known_refs PRIMARY KEY (repository_id, ref),
    CONSTRAINT fk_known_refs_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id),
    CONSTRAINT ck_known_refs_sha_hex CHECK (sha ~ '^[0-9a-f]{40}$'),
    CONSTRAINT ck_known_refs_new CHECK ((new_sha IS NULL) = (new_since IS NULL))
);
ALTER TABLE deliveries ADD COLUMN subject TEXT;
CREATE INDEX ix_deliveries_subject ON deliveries (subject) WHERE subject IS NOT NULL;
ALTER TABLE repositories ADD COLUMN standing TEXT DEFAULT 'here' NOT NULL
    CONSTRAINT ck_repositories_standing CHECK (standing IN ('here', 'archived', 'removed', 'deleted'));
"""


def upgrade() -> None:
    """Add tables and columns, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
