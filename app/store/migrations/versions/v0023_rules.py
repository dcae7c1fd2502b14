"""0023: previews that wait for reviews expire as plans do, and endpoints know whose messages they take.

Expands what was there: one more index, and a column. An endpoint of before has no account: it takes messages as long as
one account is served.
"""

from typing import Any, Final

from alembic import op

revision = "0023"
down_revision = "0022"

CHANGES: Final = """
CREATE INDEX ix_runs_reviewed ON runs (updated_at) WHERE state IN ('unconfirmed', 'pending_review');
ALTER TABLE endpoints ADD COLUMN accounts JSON DEFAULT '[]' NOT NULL;
"""


def upgrade() -> None:
    """Add both, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(CHANGES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
