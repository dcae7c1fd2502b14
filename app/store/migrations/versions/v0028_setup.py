"""0028: the set-up in the browser that is under way, and the App's credentials that it stored.

Expands what was there: two tables of one row each.
"""

from typing import Any, Final

from alembic import op

revision = "0028"
down_revision = "0027"

TABLES: Final = """
CREATE TABLE app_setups (
    id SMALLINT NOT NULL,
    code_hash TEXT NOT NULL,
    code_expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    wrong BIGINT DEFAULT 0 NOT NULL,
    paused_until TIMESTAMP WITH TIME ZONE,
    session_hash TEXT DEFAULT '' NOT NULL,
    session_expires_at TIMESTAMP WITH TIME ZONE,
    state_hash TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_app_setups PRIMARY KEY (id),
    CONSTRAINT ck_app_setups_one CHECK (id = 1)
);
CREATE TABLE app_credentials (
    id SMALLINT NOT NULL,
    app_id BIGINT NOT NULL,
    slug TEXT NOT NULL,
    owner TEXT NOT NULL,
    client_id TEXT NOT NULL,
    html_url TEXT NOT NULL,
    server_url TEXT NOT NULL,
    sealed_secrets BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_app_credentials PRIMARY KEY (id),
    CONSTRAINT ck_app_credentials_one CHECK (id = 1)
);
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
