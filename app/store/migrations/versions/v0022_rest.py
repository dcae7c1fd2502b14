"""0022: how much of the whole plan a plan of a part leaves undone, and what pull requests are called.

Expands what was there: of plans from before it is not known, and titles come with the next event of each pull request.
"""

from typing import Any, Final

from alembic import op

revision = "0022"
down_revision = "0021"

COLUMNS: Final = """
ALTER TABLE plans
    ADD COLUMN rest_least INTEGER,
    ADD COLUMN rest_most INTEGER,
    ADD CONSTRAINT ck_plans_rest
        CHECK ((rest_least IS NULL) = (rest_most IS NULL) AND rest_least BETWEEN 0 AND rest_most);
ALTER TABLE pulls ADD COLUMN title TEXT NOT NULL DEFAULT '';
"""


def upgrade() -> None:
    """Add the columns, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(COLUMNS)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
