"""0025: people log in to the pages: logins under way, and sessions.

Expands what was there: two tables.
"""

from typing import Any, Final

from alembic import op

revision = "0025"
down_revision = "0024"

TABLES: Final = """
CREATE TABLE sessions (
    key TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_sessions PRIMARY KEY (key),
    CONSTRAINT ck_sessions_key_hex CHECK (key ~ '^[0-9a-f]{64}$')
);
CREATE INDEX ix_sessions_used_at ON sessions (used_at);
CREATE TABLE logins (
    key TEXT NOT NULL,
    browser TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_logins PRIMARY KEY (key),
    CONSTRAINT ck_logins_key_hex CHECK (key ~ '^[0-9a-f]{64}$')
);
CREATE INDEX ix_logins_created_at ON logins (created_at);
"""


def upgrade() -> None:
    """Add the tables, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
