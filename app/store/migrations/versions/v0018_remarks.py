"""0018: a run that failed keeps the engine's errors with file and line, sealed, for its check's annotations.

Runs of before have none.
"""

from typing import Any, Final

from alembic import op

revision = "0018"
down_revision = "0017"

TABLES: Final = """
ALTER TABLE runs ADD COLUMN sealed_remarks BYTEA;
"""


def upgrade() -> None:
    """Add the column."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
