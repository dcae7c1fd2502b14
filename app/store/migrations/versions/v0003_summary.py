"""0003: reports that are computed from decisions (`summary`, `rehearsal`), and events found by their delivery."""

from typing import Any, Final

from alembic import op

revision = "0003"
down_revision = "0002"

KINDS: Final = """
ALTER TABLE reports
    DROP CONSTRAINT ck_reports_kind,
    ADD CONSTRAINT ck_reports_kind CHECK (kind IN ('run_check', 'deployment', 'check', 'summary', 'rehearsal',
        'reply'));
CREATE INDEX ix_decisions_guid ON decisions (guid) WHERE guid IS NOT NULL;
"""


def upgrade() -> None:
    """Admit the new kinds, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(KINDS)


def downgrade() -> None:
    """Refused: the version before could not read its reports.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
