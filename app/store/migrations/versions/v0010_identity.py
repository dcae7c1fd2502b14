"""0010: secrets of owners, repositories and stacks; keys that sign tokens and attestations; how a plan was confirmed.

Expands what was there: new tables, and one column with a default.
"""

from typing import Any, Final

from alembic import op

revision = "0010"
down_revision = "0009"

TABLES: Final = """
CREATE TABLE secrets (
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    repository_id BIGINT,
    stack_id TEXT,
    name TEXT NOT NULL,
    sealed_value BYTEA NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_by TEXT NOT NULL,
    CONSTRAINT pk_secrets PRIMARY KEY (id),
    CONSTRAINT uq_secrets_owner_repository_id_stack_id_name
        UNIQUE NULLS NOT DISTINCT (owner, repository_id, stack_id, name),
    CONSTRAINT ck_secrets_owner CHECK ((owner = '') = (repository_id IS NOT NULL)),
    CONSTRAINT ck_secrets_stack CHECK (stack_id IS NULL OR repository_id IS NOT NULL),
    CONSTRAINT fk_secrets_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id),
    CONSTRAINT fk_secrets_stack_id FOREIGN KEY(stack_id) REFERENCES stacks (id)
);
CREATE TABLE run_secrets (
    run_id TEXT NOT NULL,
    sealed_values BYTEA NOT NULL,
    CONSTRAINT pk_run_secrets PRIMARY KEY (run_id),
    CONSTRAINT fk_run_secrets_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE signing_keys (
    id TEXT NOT NULL,
    purpose TEXT NOT NULL CONSTRAINT ck_signing_keys_purpose CHECK (purpose IN ('oidc', 'attestation')),
    public_jwk TEXT NOT NULL,
    sealed_private BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    retired_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_signing_keys PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ux_signing_keys_live ON signing_keys (purpose) WHERE retired_at IS NULL;
CREATE TABLE attestations (
    run_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    envelope TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_attestations PRIMARY KEY (run_id),
    CONSTRAINT fk_attestations_run_id FOREIGN KEY(run_id) REFERENCES runs (id),
    CONSTRAINT fk_attestations_key_id FOREIGN KEY(key_id) REFERENCES signing_keys (id)
);
CREATE TRIGGER attestations_append_only BEFORE UPDATE OR DELETE ON attestations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER attestations_no_truncate BEFORE TRUNCATE ON attestations EXECUTE FUNCTION refuse_change();
ALTER TABLE confirmations ADD COLUMN source TEXT DEFAULT '' NOT NULL;
"""


def upgrade() -> None:
    """Add tables, their guards and a column, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TABLES)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
