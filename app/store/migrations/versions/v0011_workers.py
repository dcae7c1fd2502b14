"""0011: workers say what they are, and may be drained: one row for a process, where there was one for each slot.

Expands what 0001 made: every new column has a default. Rows of slots go; each worker's next claim makes its own.
"""

from typing import Any, Final

from alembic import op

revision = "0011"
down_revision = "0010"

TABLES: Final = """
ALTER TABLE workers
    ADD COLUMN first_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ADD COLUMN version TEXT DEFAULT '' NOT NULL,
    ADD COLUMN protocol INTEGER DEFAULT 1 NOT NULL,
    ADD COLUMN engines TEXT DEFAULT '' NOT NULL,
    ADD COLUMN slots INTEGER DEFAULT 1 NOT NULL,
    ADD COLUMN drained_by TEXT DEFAULT '' NOT NULL;
DELETE FROM workers WHERE name ~ '/[0-9]+$';

-- Pools whose workers get no new runs, those that come later too.
CREATE TABLE drained_pools (
    pool TEXT NOT NULL,
    drained_by TEXT NOT NULL,
    drained_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_drained_pools PRIMARY KEY (pool)
);
"""


def upgrade() -> None:
    """Add columns and a table, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
