"""0014: a managed state is written by an apply alone, or by a person on the server: that holds in SQL too. And a look
for missed events rests as long as GitHub asks.

Rows of before fit: a trigger looks at what is written from now on, and no look rests.
"""

from typing import Any, Final

from alembic import op

revision = "0014"
down_revision = "0013"

TABLES: Final = """
-- GitHub said when to come again: until then the path asks nothing.
ALTER TABLE looks ADD COLUMN rests_until TIMESTAMP WITH TIME ZONE;
"""
GUARDS: Final = """
-- What a worker writes becomes current only while its run is applying, and is its own.
CREATE FUNCTION check_state_writer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM assignments JOIN runs ON runs.id = assignments.run_id
        WHERE assignments.id = NEW.assignment_id AND assignments.stack_id = NEW.stack_id
            AND assignments.ended_at IS NULL AND NOT assignments.is_state_read_only
            AND assignments.fencing = runs.fencing AND runs.state = 'applying'
    ) THEN
        RAISE EXCEPTION 'state version %: assignment % does not apply', NEW.id, NEW.assignment_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER state_versions_check BEFORE INSERT OR UPDATE OF is_quarantined, assignment_id, stack_id
    ON state_versions FOR EACH ROW
    WHEN (NEW.assignment_id IS NOT NULL AND NOT NEW.is_quarantined)
    EXECUTE FUNCTION check_state_writer();
"""


def upgrade() -> None:
    """Add the column and the guard, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    for script in (TABLES, GUARDS):
        driver.execute(script)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
