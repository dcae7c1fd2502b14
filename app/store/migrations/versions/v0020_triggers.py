"""0020: trigger policies: what a run that has ended makes run, and of which workflow a run is.

Expands what was there: columns that no run of before needs, a table, and one more cause of a run.
"""

from typing import Any, Final

from alembic import op

revision = "0020"
down_revision = "0019"

TABLES: Final = """
ALTER TABLE runs
    ADD COLUMN caused_by TEXT CONSTRAINT fk_runs_caused_by REFERENCES runs (id),
    ADD COLUMN workflow_id TEXT CONSTRAINT fk_runs_workflow_id REFERENCES runs (id),
    ADD COLUMN generation BIGINT DEFAULT 0 NOT NULL,
    DROP CONSTRAINT ck_runs_trigger,
    ADD CONSTRAINT ck_runs_trigger CHECK (trigger IN ('push', 'tag', 'pull_request', 'comment', 'merge_group',
        'command', 'policy')),
    ADD CONSTRAINT ck_runs_caused CHECK ((trigger = 'policy') = (caused_by IS NOT NULL)),
    ADD CONSTRAINT ck_runs_workflow CHECK (caused_by IS NULL OR (workflow_id IS NOT NULL AND generation > 0));
CREATE INDEX ix_runs_workflow ON runs (workflow_id, created_at) WHERE workflow_id IS NOT NULL;
CREATE TABLE triggerings (
    run_id TEXT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE,
    told JSON DEFAULT '[]' NOT NULL,
    CONSTRAINT pk_triggerings PRIMARY KEY (run_id),
    CONSTRAINT fk_triggerings_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);

-- What made a run, and of which workflow it is, never changes: the bound on workflows stands on it.
CREATE FUNCTION keep_run_cause() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'run %: what made it cannot change', OLD.id USING ERRCODE = 'restrict_violation';
END;
$$;
CREATE TRIGGER runs_keep_cause BEFORE UPDATE ON runs FOR EACH ROW
    WHEN ((OLD.trigger, OLD.caused_by, OLD.workflow_id, OLD.generation)
        IS DISTINCT FROM (NEW.trigger, NEW.caused_by, NEW.workflow_id, NEW.generation))
    EXECUTE FUNCTION keep_run_cause();
"""


def upgrade() -> None:
    """Add columns, the table and their guard, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
