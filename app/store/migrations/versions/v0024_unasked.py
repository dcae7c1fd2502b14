"""0024: runs whose trigger policies were never asked are found without reading all that were.

Expands what was there: an index.
"""

from typing import Any, Final

from alembic import op

revision = "0024"
down_revision = "0023"

INDEX: Final = "CREATE INDEX ix_triggerings_unasked ON triggerings (run_id) WHERE asked_at IS NULL"


def upgrade() -> None:
    """Add the index, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(INDEX)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
