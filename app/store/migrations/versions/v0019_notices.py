"""0019: who is told what of runs: changes of state that are to be told, endpoints, messages, and their counts.

Expands what was there: new tables, and one more kind of report.
"""

from typing import Any, Final

from alembic import op

revision = "0019"
down_revision = "0018"

TABLES: Final = """
CREATE TABLE notices (
    step_id BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    CONSTRAINT pk_notices PRIMARY KEY (step_id),
    CONSTRAINT fk_notices_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE INDEX ix_notices_run ON notices (run_id, step_id);
CREATE TABLE endpoints (
    name TEXT NOT NULL,
    labels JSON DEFAULT '[]' NOT NULL,
    sealed_target BYTEA,
    is_on BOOLEAN DEFAULT true NOT NULL,
    failures BIGINT DEFAULT 0 NOT NULL,
    number BIGINT DEFAULT 0 NOT NULL,
    problem TEXT DEFAULT '' NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_endpoints PRIMARY KEY (name)
);
CREATE TABLE messages (
    id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step_id BIGINT NOT NULL,
    channel TEXT NOT NULL CONSTRAINT ck_messages_channel
        CHECK (channel IN ('slack', 'webhook', 'pull_request', 'inbox', 'policy')),
    policy TEXT NOT NULL,
    outcome TEXT NOT NULL CONSTRAINT ck_messages_outcome
        CHECK (outcome IN ('pending', 'sent', 'failed', 'dropped', 'refused', 'shown')),
    target TEXT DEFAULT '' NOT NULL,
    number BIGINT DEFAULT 0 NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    sealed_content BYTEA,
    tries BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_messages PRIMARY KEY (id),
    CONSTRAINT fk_messages_run_id FOREIGN KEY(run_id) REFERENCES runs (id),
    CONSTRAINT ck_messages_ended CHECK ((outcome = 'pending') = (ended_at IS NULL)),
    CONSTRAINT ck_messages_content CHECK (outcome IN ('pending', 'shown') OR sealed_content IS NULL)
);
CREATE INDEX ix_messages_run ON messages (run_id, id);
CREATE INDEX ix_messages_pending ON messages (target, number) WHERE outcome = 'pending';
CREATE INDEX ix_messages_ended ON messages (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE notice_counts (
    channel TEXT NOT NULL CONSTRAINT ck_notice_counts_channel
        CHECK (channel IN ('slack', 'webhook', 'pull_request', 'inbox', 'policy')),
    outcome TEXT NOT NULL CONSTRAINT ck_notice_counts_outcome
        CHECK (outcome IN ('pending', 'sent', 'failed', 'dropped', 'refused', 'shown')),
    total BIGINT NOT NULL,
    CONSTRAINT pk_notice_counts PRIMARY KEY (channel, outcome)
);
ALTER TABLE reports
    DROP CONSTRAINT ck_reports_kind,
    ADD CONSTRAINT ck_reports_kind CHECK (kind IN ('run_check', 'deployment', 'check', 'summary', 'rehearsal',
        'comment', 'reply', 'notice'));
"""


def upgrade() -> None:
    """Add tables and the kind, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
