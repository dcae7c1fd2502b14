"""0021: what is known of a repository and of an installation is as new as the event that told it; and a plan that takes
another's place in the App's comment counts as shown from then on.

Expands what was there: columns that are empty until the next event, and a guard that allows what it always should have.
"""

from typing import Any, Final

from alembic import op

revision = "0021"
down_revision = "0020"

TABLES: Final = """
-- When the event happened that told what is known: one that is older, and comes later, changes nothing.
ALTER TABLE repositories ADD COLUMN told_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE installations ADD COLUMN told_at TIMESTAMP WITH TIME ZONE;
"""
GUARDS: Final = """
-- A plan that a person was shown stays what it was: only the moment from which on a command can mean it is still to
-- come, and may come later, where another text has yet to show it.
CREATE OR REPLACE FUNCTION keep_frozen_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.run_id, NEW.number, NEW.digest, NEW.delta, NEW.has_changes, NEW.engine, NEW.created_at, NEW.is_frozen)
            IS DISTINCT FROM
       (OLD.run_id, OLD.number, OLD.digest, OLD.delta, OLD.has_changes, OLD.engine, OLD.created_at, OLD.is_frozen)
        OR (OLD.sealed_summary IS NOT NULL AND NEW.sealed_summary IS DISTINCT FROM OLD.sealed_summary)
        OR (OLD.published_at IS NOT NULL AND coalesce(NEW.published_at < OLD.published_at, true))
    THEN
        RAISE EXCEPTION 'plan % of run % was shown to a person', OLD.number, OLD.run_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
"""


def upgrade() -> None:
    """Add the columns and mend the guard, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    for script in (TABLES, GUARDS):
        driver.execute(script)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
