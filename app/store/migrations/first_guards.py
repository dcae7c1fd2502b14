"""The guards of the first version that no column can say: triggers, frozen like the tables beside them.

Each refuses with SQLSTATE 23001 (restrict_violation), which the store's wall turns into a BrokenError.
"""

from typing import Final

GUARDS: Final = """
CREATE SEQUENCE delivery_digest_seq;

-- History, audit, confirmations: appended, never changed.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END;
$$;
CREATE TRIGGER run_steps_append_only BEFORE UPDATE OR DELETE ON run_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER confirmations_append_only BEFORE UPDATE OR DELETE ON confirmations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE ON decisions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER run_steps_no_truncate BEFORE TRUNCATE ON run_steps EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit EXECUTE FUNCTION refuse_change();
CREATE TRIGGER runs_no_delete BEFORE DELETE ON runs FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A run that ended stays as it ended: afterwards its outputs may be filled in once and its key destroyed, nothing else.
CREATE FUNCTION keep_ended_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - '{sealed_outputs,sealed_data_key}'::text[]
            IS DISTINCT FROM to_jsonb(OLD) - '{sealed_outputs,sealed_data_key}'::text[]
        OR (OLD.sealed_outputs IS NOT NULL AND NEW.sealed_outputs IS DISTINCT FROM OLD.sealed_outputs)
        OR (NEW.sealed_data_key IS NOT NULL AND NEW.sealed_data_key IS DISTINCT FROM OLD.sealed_data_key)
    THEN
        RAISE EXCEPTION 'run % has ended as %', OLD.id, OLD.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER runs_keep_ended BEFORE UPDATE ON runs FOR EACH ROW
    WHEN (OLD.state IN ('finished', 'failed', 'stopped', 'canceled', 'discarded', 'skipped'))
    EXECUTE FUNCTION keep_ended_run();

-- What a run is about never changes.
CREATE FUNCTION keep_run_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'run %: what it is about cannot change', OLD.id USING ERRCODE = 'restrict_violation';
END;
$$;
CREATE TRIGGER runs_keep_identity BEFORE UPDATE ON runs FOR EACH ROW
    WHEN ((OLD.id, OLD.stack_id, OLD.repository_id, OLD.type, OLD.head_sha, OLD.source_sha)
            IS DISTINCT FROM
          (NEW.id, NEW.stack_id, NEW.repository_id, NEW.type, NEW.head_sha, NEW.source_sha)
        -- A plan is made with the settings in force when a worker takes the run; from then on they are bound.
        OR (NEW.stack_digest <> OLD.stack_digest AND OLD.state NOT IN ('ready', 'replan_requested'))
        OR NEW.fencing < OLD.fencing)
    EXECUTE FUNCTION keep_run_identity();

-- A plan that a person was shown stays what it was: only the moment of its publication is still to come.
CREATE FUNCTION keep_frozen_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.run_id, NEW.number, NEW.digest, NEW.delta, NEW.has_changes, NEW.engine, NEW.created_at, NEW.is_frozen)
            IS DISTINCT FROM
       (OLD.run_id, OLD.number, OLD.digest, OLD.delta, OLD.has_changes, OLD.engine, OLD.created_at, OLD.is_frozen)
        OR (OLD.sealed_summary IS NOT NULL AND NEW.sealed_summary IS DISTINCT FROM OLD.sealed_summary)
        OR (OLD.published_at IS NOT NULL AND NEW.published_at IS DISTINCT FROM OLD.published_at)
    THEN
        RAISE EXCEPTION 'plan % of run % was shown to a person', OLD.number, OLD.run_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER plans_keep_frozen BEFORE UPDATE ON plans FOR EACH ROW
    WHEN (OLD.is_frozen) EXECUTE FUNCTION keep_frozen_plan();

-- A confirmation is of this run's own commit and settings.
CREATE FUNCTION check_confirmation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM runs
        WHERE id = NEW.run_id AND head_sha = NEW.head_sha AND stack_digest = NEW.stack_digest
    ) THEN
        RAISE EXCEPTION 'confirmation of run %: another commit or other settings', NEW.run_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER confirmations_check BEFORE INSERT ON confirmations FOR EACH ROW EXECUTE FUNCTION check_confirmation();
"""
