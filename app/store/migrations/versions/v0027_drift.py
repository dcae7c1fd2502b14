"""0027: drift is looked for on a schedule: when each stack is due, what came of it, and one more cause of a run.

Expands what was there: two tables, and indexes for the newest run that changed a stack or compared it.
"""

from typing import Any, Final

from alembic import op

revision = "0027"
down_revision = "0026"

CHANGES: Final = """
ALTER TABLE runs
    DROP CONSTRAINT ck_runs_trigger,
    ADD CONSTRAINT ck_runs_trigger CHECK (trigger IN ('push', 'tag', 'pull_request', 'comment', 'merge_group',
        'command', 'policy', 'dependency', 'drift'));
CREATE INDEX ix_runs_changing ON runs (stack_id, created_at DESC, id DESC) WHERE type IN ('destroy', 'tracked');
CREATE INDEX ix_runs_settled ON runs (stack_id, updated_at DESC)
    WHERE type IN ('destroy', 'tracked') AND state = 'finished';
CREATE INDEX ix_runs_drift ON runs (stack_id, created_at DESC, id DESC) WHERE type = 'drift';
CREATE TABLE drift_turns (
    stack_id TEXT NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    told TEXT DEFAULT '' NOT NULL,
    told_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_drift_turns PRIMARY KEY (stack_id),
    CONSTRAINT ck_drift_turns_told CHECK ((told = '') = (told_at IS NULL)),
    CONSTRAINT fk_drift_turns_stack_id FOREIGN KEY(stack_id) REFERENCES stacks (id)
);
CREATE INDEX ix_drift_turns_due ON drift_turns (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE drift_counts (
    result TEXT NOT NULL,
    total BIGINT NOT NULL,
    CONSTRAINT pk_drift_counts PRIMARY KEY (result),
    CONSTRAINT ck_drift_counts_result CHECK (result IN ('clean', 'found', 'failed', 'passed_over'))
);
"""


def upgrade() -> None:
    """Add both tables, the indexes and the word, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(CHANGES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
