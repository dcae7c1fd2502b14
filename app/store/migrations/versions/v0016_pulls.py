"""0016: the App's comment on a pull request: what is ticked in it, and the commit that the pull request became.

Expands what was there: a table, an index, a kind of report.
"""

from typing import Any, Final

from alembic import op

revision = "0016"
down_revision = "0015"

TABLES: Final = """
CREATE TABLE pulls (
    repository_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    landed_sha TEXT,
    ticks JSON DEFAULT '{}' NOT NULL,
    edits BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT pk_pulls PRIMARY KEY (repository_id, number),
    CONSTRAINT fk_pulls_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id),
    CONSTRAINT ck_pulls_landed_sha_hex CHECK (landed_sha ~ '^[0-9a-f]{40}$')
);
CREATE INDEX ix_pulls_landed ON pulls (repository_id, landed_sha) WHERE landed_sha IS NOT NULL;
CREATE INDEX ix_runs_pull ON runs (repository_id, pull_number, created_at DESC) WHERE pull_number IS NOT NULL;
ALTER TABLE reports
    DROP CONSTRAINT ck_reports_kind,
    ADD CONSTRAINT ck_reports_kind CHECK (kind IN ('run_check', 'deployment', 'check', 'summary', 'rehearsal',
        'comment', 'reply'));
"""


def upgrade() -> None:
    """Add the table, the indexes and the kind, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
