"""0009: what a run's plan is restricted to, the state that a plan was made from, and what an engine met beforehand.

Expands what was there: columns that are null for every run and plan of before.
"""

from typing import Any, Final

from alembic import op

revision = "0009"
down_revision = "0008"

COLUMNS: Final = """
ALTER TABLE runs
    ADD COLUMN targeting JSON,
    ADD COLUMN obstacle TEXT CONSTRAINT ck_runs_obstacle CHECK (obstacle IN ('stale', 'locked'));

ALTER TABLE plans
    ADD COLUMN state_serial BIGINT,
    ADD COLUMN state_lineage TEXT;

-- By assignment: what a lost worker wrote afterwards is shown on its run.
CREATE INDEX ix_state_versions_quarantined ON state_versions (assignment_id) WHERE is_quarantined;
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
