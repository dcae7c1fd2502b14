"""0015: what plan and approval policies said of a plan, and what people said of it; no plan is confirmed against them.

Expands what was there: plans of before were judged by no policy, since none was carried out.
"""

from typing import Any, Final

from alembic import op

revision = "0015"
down_revision = "0014"

TABLES: Final = """
ALTER TABLE plans
    ADD COLUMN rulings JSON NOT NULL DEFAULT '[]',
    ADD COLUMN verdict TEXT NOT NULL DEFAULT 'none'
        CONSTRAINT ck_plans_verdict CHECK (verdict IN ('none', 'passed', 'warned', 'denied')),
    ADD COLUMN approvals JSON NOT NULL DEFAULT '[]',
    ADD COLUMN approval TEXT NOT NULL DEFAULT 'none'
        CONSTRAINT ck_plans_approval CHECK (approval IN ('none', 'undecided', 'approved', 'rejected'));

CREATE TABLE reviews (
    id BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_reviews PRIMARY KEY,
    run_id TEXT NOT NULL CONSTRAINT fk_reviews_run_id REFERENCES runs (id),
    plan_number INTEGER NOT NULL,
    state TEXT NOT NULL CONSTRAINT ck_reviews_state CHECK (state IN ('unconfirmed', 'pending_review')),
    author TEXT NOT NULL,
    is_approval BOOLEAN NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    role TEXT NOT NULL DEFAULT '',
    teams JSON NOT NULL DEFAULT '[]',
    source TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    CONSTRAINT fk_reviews_run_id_plan_number FOREIGN KEY (run_id, plan_number) REFERENCES plans (run_id, number)
);
CREATE INDEX ix_reviews_run ON reviews (run_id, id);
"""
GUARDS: Final = """
-- What a person said stays said.
CREATE TRIGGER reviews_append_only BEFORE UPDATE OR DELETE ON reviews
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER reviews_no_truncate BEFORE TRUNCATE ON reviews EXECUTE FUNCTION refuse_change();

-- A review is of the plan that its run waits with.
CREATE FUNCTION check_review() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM runs WHERE id = NEW.run_id AND current_plan = NEW.plan_number AND state = NEW.state
    ) THEN
        RAISE EXCEPTION 'review of run %: plan % does not wait for one', NEW.run_id, NEW.plan_number
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER reviews_check BEFORE INSERT ON reviews FOR EACH ROW EXECUTE FUNCTION check_review();

-- What plan policies said of a plan that a person was shown belongs to it.
CREATE FUNCTION keep_rulings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'plan % of run % was shown to a person', OLD.number, OLD.run_id
        USING ERRCODE = 'restrict_violation';
END;
$$;
CREATE TRIGGER plans_keep_rulings BEFORE UPDATE ON plans FOR EACH ROW
    WHEN (OLD.is_frozen AND (NEW.verdict <> OLD.verdict OR NEW.rulings::text <> OLD.rulings::text))
    EXECUTE FUNCTION keep_rulings();

-- A confirmation is of a plan that no policy denied, that every plan policy of its stack has judged, and that the
-- approval policies approve.
CREATE FUNCTION check_confirmed_plan() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    judged plans%ROWTYPE;
    attached JSONB;
BEGIN
    SELECT * INTO judged FROM plans WHERE run_id = NEW.run_id AND number = NEW.plan_number;
    IF judged.verdict = 'denied' OR judged.approval NOT IN ('none', 'approved') THEN
        RAISE EXCEPTION 'confirmation of run %: its policies say % and %', NEW.run_id, judged.verdict, judged.approval
            USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT policies::jsonb INTO attached FROM stacks JOIN runs ON runs.stack_id = stacks.id WHERE runs.id = NEW.run_id;
    IF EXISTS (
        SELECT FROM jsonb_array_elements(attached) AS policy
        WHERE policy ->> 'type' = 'plan' AND NOT EXISTS (
            SELECT FROM jsonb_array_elements(judged.rulings::jsonb) AS ruling
            WHERE ruling ->> 'name' = policy ->> 'name' AND ruling ->> 'digest' = policy ->> 'digest'
        )
    ) OR (judged.approval = 'none' AND attached @> '[{"type": "approval"}]') THEN
        RAISE EXCEPTION 'confirmation of run %: a policy of its stack was not asked about plan %', NEW.run_id,
            NEW.plan_number USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER confirmations_check_plan BEFORE INSERT ON confirmations FOR EACH ROW
    EXECUTE FUNCTION check_confirmed_plan();
"""


def upgrade() -> None:
    """Add the columns, the table and the guards, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    for script in (TABLES, GUARDS):
        driver.execute(script)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
