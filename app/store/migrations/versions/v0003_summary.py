"""0003: reports of kind `summary`, the summary checks of a commit."""

from typing import Any, Final

from alembic import op

revision = "0003"
down_revision = "0002"

KINDS: Final = """
ALTER TABLE reports
    DROP CONSTRAINT ck_reports_kind,
    ADD CONSTRAINT ck_reports_kind CHECK (kind IN ('run_check', 'deployment', 'check', 'summary', 'reply'));
"""


def upgrade() -> None:
    """Admit the new kind, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(KINDS)


def downgrade() -> None:
    """Refused: the version before could not read its reports.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
