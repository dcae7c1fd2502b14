"""0006: the settings of an organisation, and what takes them in: owners, stacks, decisions, configurations as read.

Expands what was there: every new column has a default or may be empty, so older rows stay readable as they are.
"""

from typing import Any, Final

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES: Final = """
ALTER TABLE repositories ADD COLUMN owner_id BIGINT DEFAULT 0 NOT NULL;
CREATE INDEX ix_repositories_owner ON repositories (owner_id);

-- What an owner's repository .trackside says; the newest valid one is in force.
CREATE TABLE organisation_versions (
    id TEXT NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY NOT NULL,
    owner_id BIGINT NOT NULL,
    repository_id BIGINT NOT NULL,
    sha TEXT NOT NULL,
    digest TEXT NOT NULL,
    is_valid BOOLEAN NOT NULL,
    problems JSON NOT NULL,
    organisation TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_organisation_versions PRIMARY KEY (id),
    CONSTRAINT fk_organisation_versions_repository_id FOREIGN KEY (repository_id) REFERENCES repositories (id),
    CONSTRAINT ck_organisation_versions_organisation CHECK (is_valid = (organisation IS NOT NULL)),
    CONSTRAINT ck_organisation_versions_owner CHECK (owner_id > 0),
    CONSTRAINT ck_organisation_versions_sha_hex CHECK (sha ~ '^[0-9a-f]{40}$'),
    CONSTRAINT ck_organisation_versions_digest_hex CHECK (digest ~ '^[0-9a-f]{64}$')
);
CREATE INDEX ix_organisation_versions_valid ON organisation_versions (owner_id, seq DESC) WHERE is_valid;

ALTER TABLE config_versions ADD COLUMN configuration TEXT;
ALTER TABLE stacks
    ADD COLUMN organisation_version_id TEXT CONSTRAINT fk_stacks_organisation_version_id
        REFERENCES organisation_versions (id);
ALTER TABLE decisions
    ADD COLUMN organisation_version_id TEXT CONSTRAINT fk_decisions_organisation_version_id
        REFERENCES organisation_versions (id);
"""


def upgrade() -> None:
    """Add the table and the columns, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
