"""0007: runs know which policy set which flag; flags of older runs have no owner."""

from typing import Any, Final

from alembic import op

revision = "0007"
down_revision = "0006"

OWNERS: Final = "ALTER TABLE runs ADD COLUMN flag_owners JSON DEFAULT '{}' NOT NULL"


def upgrade() -> None:
    """Add one column with a default."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(OWNERS)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
