"""0017: what the outbox counts: each installation's writes and pauses, how far an apply is, how old a check run is.

Expands what was there: a new table, and columns with defaults. A check run of before counts as made now.
"""

from typing import Any, Final

from alembic import op

revision = "0017"
down_revision = "0016"

TABLES: Final = """
CREATE TABLE budgets (
    installation_id BIGINT NOT NULL,
    taken TIMESTAMP WITH TIME ZONE[] DEFAULT '{}' NOT NULL,
    answers_from TIMESTAMP WITH TIME ZONE,
    conclusions_from TIMESTAMP WITH TIME ZONE,
    progress_from TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_budgets PRIMARY KEY (installation_id)
);
ALTER TABLE remotes
    ADD COLUMN made_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ADD COLUMN updates INTEGER DEFAULT 0 NOT NULL;
CREATE INDEX ix_remotes_working ON remotes (made_at) WHERE NOT is_completed;
ALTER TABLE assignments
    ADD COLUMN done INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN told_at TIMESTAMP WITH TIME ZONE;
"""


def upgrade() -> None:
    """Add the table and the columns, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
