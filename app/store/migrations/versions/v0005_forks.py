"""0005: runs of forks' commits: proposed, validated alone, without plan and key; what they are never changes.

Expands what 0001 made: the new column has a default, and no run of before is of a fork.
"""

from typing import Any, Final

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES: Final = """
ALTER TABLE runs
    ADD COLUMN is_from_fork BOOLEAN DEFAULT false NOT NULL,
    ADD CONSTRAINT ck_runs_fork_proposed CHECK (NOT is_from_fork OR type = 'proposed'),
    ADD CONSTRAINT ck_runs_fork_unplanned
        CHECK (NOT is_from_fork OR (current_plan IS NULL AND sealed_data_key IS NULL));
CREATE TRIGGER runs_keep_fork BEFORE UPDATE ON runs FOR EACH ROW
    WHEN (NEW.is_from_fork <> OLD.is_from_fork) EXECUTE FUNCTION keep_run_identity();
ALTER TABLE assignments
    DROP CONSTRAINT ck_assignments_phase,
    ADD CONSTRAINT ck_assignments_phase CHECK (phase IN ('plan', 'apply', 'validate'));
"""


def upgrade() -> None:
    """Add a column, its guards, and a phase, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
