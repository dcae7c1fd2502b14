"""0013: what commands, forks and identity brought in holds in SQL too: what may wait and apply, what a confirmation
and an assignment are of, and which of a run's and a plan's facts never change.

Rows of before fit: nothing that wrote them could make others. One column, empty for every repository of before.
"""

from typing import Any, Final

from alembic import op

revision = "0013"
down_revision = "0012"

TABLES: Final = """
-- A preview or a drift run is never offered to be applied, never confirmed, never applied.
ALTER TABLE runs
    ADD CONSTRAINT ck_runs_applies CHECK (type IN ('destroy', 'tracked')
        OR NOT (state IN ('unconfirmed', 'confirmed', 'preparing_apply', 'applying')));

-- Where the default branch was when its stacks file was read last: an older push that comes later brings back nothing.
ALTER TABLE repositories
    ADD COLUMN config_sha TEXT CONSTRAINT ck_repositories_config_sha_hex CHECK (config_sha ~ '^[0-9a-f]{40}$');
"""
GUARDS: Final = """
-- What a run is about never changes: nor where it stands among the commits of its stack, what it is a retry of, and
-- whose it is, which a person's lock asks for.
DROP TRIGGER runs_keep_identity ON runs;
CREATE TRIGGER runs_keep_identity BEFORE UPDATE ON runs FOR EACH ROW
    WHEN ((OLD.id, OLD.stack_id, OLD.repository_id, OLD.type, OLD.head_sha, OLD.source_sha, OLD.head_seq, OLD.retry_of,
           OLD.ref, OLD.triggered_by)
            IS DISTINCT FROM
          (NEW.id, NEW.stack_id, NEW.repository_id, NEW.type, NEW.head_sha, NEW.source_sha, NEW.head_seq, NEW.retry_of,
           NEW.ref, NEW.triggered_by)
        OR (NEW.stack_digest <> OLD.stack_digest AND OLD.state NOT IN ('ready', 'replan_requested'))
        OR NEW.fencing < OLD.fencing)
    EXECUTE FUNCTION keep_run_identity();

-- What a waiting plan is restricted to belongs to it, as everything that a person was shown.
CREATE FUNCTION keep_targeting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'run %: what its plan is restricted to cannot change', OLD.id
        USING ERRCODE = 'restrict_violation';
END;
$$;
CREATE TRIGGER runs_keep_targeting BEFORE UPDATE ON runs FOR EACH ROW
    WHEN (NEW.current_plan = OLD.current_plan AND NEW.targeting::text IS DISTINCT FROM OLD.targeting::text)
    EXECUTE FUNCTION keep_targeting();

-- A plan that a person was shown keeps the state that it was made from: staleness is told by it.
CREATE FUNCTION keep_state_point() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'plan % of run % was shown to a person', OLD.number, OLD.run_id
        USING ERRCODE = 'restrict_violation';
END;
$$;
CREATE TRIGGER plans_keep_state_point BEFORE UPDATE ON plans FOR EACH ROW
    WHEN (OLD.is_frozen
        AND (NEW.state_serial, NEW.state_lineage) IS DISTINCT FROM (OLD.state_serial, OLD.state_lineage))
    EXECUTE FUNCTION keep_state_point();

-- A confirmation is of this run's own commit and settings, and of its newest plan: while that waits for a person, or
-- while it is made, for a stack that confirms by itself.
CREATE OR REPLACE FUNCTION check_confirmation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM runs
        WHERE id = NEW.run_id AND head_sha = NEW.head_sha AND stack_digest = NEW.stack_digest
    ) THEN
        RAISE EXCEPTION 'confirmation of run %: another commit or other settings', NEW.run_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM runs
        WHERE id = NEW.run_id AND plan_number = NEW.plan_number AND type IN ('destroy', 'tracked')
            AND state IN ('planning', 'unconfirmed')
    ) THEN
        RAISE EXCEPTION 'confirmation of run %: plan % does not wait for one', NEW.run_id, NEW.plan_number
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;

-- An assignment is for what its run is at: a fork's commit is validated alone, an apply belongs to a confirmed run, and
-- what changes no state cannot write any.
CREATE FUNCTION check_assignment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM runs
        WHERE id = NEW.run_id AND stack_id = NEW.stack_id
            AND (NEW.phase = 'validate') = is_from_fork
            AND (NEW.phase = 'apply') = (state = 'preparing_apply')
            AND (NEW.is_state_read_only OR type IN ('destroy', 'tracked'))
    ) THEN
        RAISE EXCEPTION 'assignment %: its run is not there to %', NEW.id, NEW.phase
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER assignments_check BEFORE INSERT ON assignments FOR EACH ROW EXECUTE FUNCTION check_assignment();

-- What an assignment is for never changes; its token is at most taken away; one that has ended stays ended; read-only
-- credentials stay so.
CREATE FUNCTION keep_assignment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'assignment %: what it is for, and its end, cannot change', OLD.id
        USING ERRCODE = 'restrict_violation';
END;
$$;
CREATE TRIGGER assignments_keep BEFORE UPDATE ON assignments FOR EACH ROW
    WHEN ((OLD.id, OLD.run_id, OLD.stack_id, OLD.phase, OLD.fencing, OLD.pool)
            IS DISTINCT FROM
          (NEW.id, NEW.run_id, NEW.stack_id, NEW.phase, NEW.fencing, NEW.pool)
        OR (NEW.token_hash <> OLD.token_hash AND NEW.token_hash <> '')
        OR (OLD.ended_at IS NOT NULL AND NEW.ended_at IS DISTINCT FROM OLD.ended_at)
        OR (OLD.is_state_read_only AND NOT NEW.is_state_read_only))
    EXECUTE FUNCTION keep_assignment();
"""


def upgrade() -> None:
    """Add the guards, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    for script in (TABLES, GUARDS):
        driver.execute(script)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
