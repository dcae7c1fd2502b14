"""0002: policies with their texts, decisions about every event, proposed runs, locks by key, external dependencies.

Expands what 0001 made: every new column has a default, so rows of the first version stay readable as they are.
"""

from typing import Any, Final

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES: Final = """
-- The texts of policies, by the SHA-256 of their bytes: stacks name the ones in force.
CREATE TABLE policy_texts (
    digest TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_policy_texts PRIMARY KEY (digest),
    CONSTRAINT ck_policy_texts_digest_hex CHECK (digest ~ '^[0-9a-f]{64}$')
);

-- What all stacks were asked about one event; each decision keeps only what is its own.
CREATE TABLE decision_inputs (
    guid TEXT NOT NULL,
    document JSON NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_decision_inputs PRIMARY KEY (guid)
);
CREATE INDEX ix_decision_inputs_created ON decision_inputs (created_at);

ALTER TABLE decisions
    ADD COLUMN guid TEXT,
    ADD COLUMN event TEXT DEFAULT 'push' NOT NULL CONSTRAINT ck_decisions_event CHECK (event IN ('push', 'tag',
        'pull_request', 'pull_request_review', 'comment', 'merge_group')),
    ADD COLUMN action TEXT DEFAULT '' NOT NULL,
    ADD COLUMN pull_number BIGINT,
    ADD COLUMN policies JSON DEFAULT '[]' NOT NULL,
    ADD COLUMN elapsed_s DOUBLE PRECISION DEFAULT 0 NOT NULL,
    ADD COLUMN is_sampled BOOLEAN DEFAULT false NOT NULL,
    DROP CONSTRAINT uq_decisions_stack_id_ref_before_head_sha,
    ADD CONSTRAINT uq_decisions_stack_id_guid UNIQUE (stack_id, guid);
CREATE INDEX ix_decisions_created ON decisions (created_at);
CREATE INDEX ix_decisions_pull ON decisions (pull_number, created_at DESC) WHERE pull_number IS NOT NULL;

ALTER TABLE stacks
    ADD COLUMN lock_key TEXT DEFAULT '' NOT NULL,
    ADD COLUMN locked_by TEXT DEFAULT '' NOT NULL;

ALTER TABLE runs
    ADD COLUMN pull_number BIGINT,
    ADD COLUMN is_prioritized BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN lock_key TEXT DEFAULT '' NOT NULL,
    ADD COLUMN flags JSON DEFAULT '[]' NOT NULL,
    ADD COLUMN externals JSON DEFAULT '{}' NOT NULL,
    ADD COLUMN note TEXT DEFAULT '' NOT NULL,
    DROP CONSTRAINT ck_runs_trigger,
    ADD CONSTRAINT ck_runs_trigger CHECK (trigger IN ('push', 'tag', 'pull_request', 'comment', 'merge_group',
        'command'));
CREATE INDEX ix_runs_decision ON runs (decision_id) WHERE decision_id IS NOT NULL;
CREATE INDEX ix_runs_live_ref ON runs (repository_id, ref) WHERE NOT (state IN ('canceled', 'discarded', 'failed',
    'finished', 'skipped', 'stopped'));
DROP INDEX ix_runs_claim;
CREATE INDEX ix_runs_claim ON runs ((CASE state WHEN 'confirmed' THEN 0 WHEN 'replan_requested' THEN 1 ELSE 2 END),
    (CASE WHEN is_prioritized THEN 0 ELSE 1 END), (CASE type WHEN 'proposed' THEN 1 WHEN 'drift' THEN 2 ELSE 0 END),
    created_at, id) WHERE state IN ('confirmed', 'ready', 'replan_requested');
"""

GUARDS: Final = """
-- A decision never changes. After a day its input may be emptied, and the record of one that made no run may go.
CREATE FUNCTION keep_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.created_at > clock_timestamp() - interval '1 day' THEN
        RAISE EXCEPTION 'decision % is append-only', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF NEW.input::text <> '{}' OR to_jsonb(NEW) - '{input}'::text[] IS DISTINCT FROM to_jsonb(OLD) - '{input}'::text[]
    THEN
        RAISE EXCEPTION 'decision % is append-only', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
DROP TRIGGER decisions_append_only ON decisions;
CREATE TRIGGER decisions_keep BEFORE UPDATE OR DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION keep_decision();

-- A text is what its digest says.
CREATE TRIGGER policy_texts_append_only BEFORE UPDATE OR DELETE ON policy_texts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A run that ended stays as it ended; its pull request may become known once, when its event comes after the push's.
CREATE OR REPLACE FUNCTION keep_ended_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - '{sealed_outputs,sealed_data_key,pull_number}'::text[]
            IS DISTINCT FROM to_jsonb(OLD) - '{sealed_outputs,sealed_data_key,pull_number}'::text[]
        OR (OLD.sealed_outputs IS NOT NULL AND NEW.sealed_outputs IS DISTINCT FROM OLD.sealed_outputs)
        OR (NEW.sealed_data_key IS NOT NULL AND NEW.sealed_data_key IS DISTINCT FROM OLD.sealed_data_key)
        OR (OLD.pull_number IS NOT NULL AND NEW.pull_number IS DISTINCT FROM OLD.pull_number)
    THEN
        RAISE EXCEPTION 'run % has ended as %', OLD.id, OLD.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
"""


def upgrade() -> None:
    """Add it, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    for script in (TABLES, GUARDS):
        driver.execute(script)


def downgrade() -> None:
    """Refused: the first version could not read what this one decides.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
