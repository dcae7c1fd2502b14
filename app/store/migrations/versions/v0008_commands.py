"""0008: what commands need: a run's retry and expiry, a person's lock of a stack, who asked an assignment to stop."""

from typing import Any, Final

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES: Final = """
ALTER TABLE runs
    ADD COLUMN retry_of TEXT CONSTRAINT fk_runs_retry_of REFERENCES runs (id),
    ADD COLUMN expires_at TIMESTAMP WITH TIME ZONE;
CREATE INDEX ix_runs_retry ON runs (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX ix_runs_unconfirmed ON runs (updated_at) WHERE state = 'unconfirmed';

ALTER TABLE stacks
    ADD COLUMN lock_owner TEXT DEFAULT '' NOT NULL,
    ADD COLUMN lock_note TEXT DEFAULT '' NOT NULL;

ALTER TABLE assignments
    ADD COLUMN stop_by TEXT DEFAULT '' NOT NULL,
    ADD COLUMN stop_cause TEXT DEFAULT '' NOT NULL;
"""


def upgrade() -> None:
    """Add it, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
