"""0001: every table of the first version, their guards, and procrastinate's schema.

Source: procrastinate's own schema file, as installed; a test fails when an upgrade brings migrations of its own.
"""

from typing import Any

from alembic import op
from procrastinate.schema import SchemaManager

from app.store.migrations.first_guards import GUARDS
from app.store.migrations.first_tables import TABLES

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    for script in (TABLES, GUARDS, SchemaManager.get_schema()):
        driver.execute(script)


def downgrade() -> None:
    """Refused: a database full of runs is restored from a backup, never emptied.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: there is nothing before the first version")
