"""0026: dependencies between stacks: what a run waits for above, what outputs were last, what a plan was given of them.

Expands what was there: columns with defaults, two tables, and one more cause of a run.
"""

from typing import Any, Final

from alembic import op

revision = "0026"
down_revision = "0025"

TABLES: Final = """
ALTER TABLE runs
    ADD COLUMN upstreams JSON DEFAULT '{}' NOT NULL,
    ADD COLUMN changed_outputs JSON DEFAULT '[]' NOT NULL,
    DROP CONSTRAINT ck_runs_trigger,
    ADD CONSTRAINT ck_runs_trigger CHECK (trigger IN ('push', 'tag', 'pull_request', 'comment', 'merge_group',
        'command', 'policy', 'dependency')),
    DROP CONSTRAINT ck_runs_caused,
    ADD CONSTRAINT ck_runs_caused CHECK ((trigger IN ('policy', 'dependency')) = (caused_by IS NOT NULL));
CREATE TABLE stack_outputs (
    stack_id TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed_value BYTEA,
    is_sensitive BOOLEAN NOT NULL,
    run_id TEXT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_stack_outputs PRIMARY KEY (stack_id, name),
    CONSTRAINT fk_stack_outputs_stack_id FOREIGN KEY(stack_id) REFERENCES stacks (id),
    CONSTRAINT fk_stack_outputs_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE run_inputs (
    run_id TEXT NOT NULL,
    sealed_values BYTEA NOT NULL,
    CONSTRAINT pk_run_inputs PRIMARY KEY (run_id),
    CONSTRAINT fk_run_inputs_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
"""


def upgrade() -> None:
    """Add columns and tables, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
