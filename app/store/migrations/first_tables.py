"""The tables of the first version, as they were on the day: frozen text, whatever app.store.schema says later.

A change is a new migration, never an edit here. Shape: SQL statements, in order.
"""

from typing import Final

TABLES: Final = """
CREATE TABLE deliveries (
    guid TEXT NOT NULL,
    event TEXT NOT NULL,
    body BYTEA NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    outcome TEXT NOT NULL CONSTRAINT ck_deliveries_outcome CHECK (outcome IN ('pending', 'event',
        'ignored', 'malformed')),
    reason TEXT DEFAULT '' NOT NULL,
    body_digest TEXT,
    digest_seq BIGINT,
    CONSTRAINT pk_deliveries PRIMARY KEY (guid)
);
CREATE INDEX ix_deliveries_digest ON deliveries (body_digest, digest_seq) WHERE body_digest IS NOT NULL;
CREATE INDEX ix_deliveries_pending ON deliveries (received_at) WHERE outcome = 'pending';
CREATE TABLE installations (
    id BIGINT NOT NULL,
    account TEXT NOT NULL,
    is_active BOOLEAN NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_installations PRIMARY KEY (id)
);
CREATE TABLE repositories (
    id BIGINT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    default_branch TEXT NOT NULL,
    is_private BOOLEAN NOT NULL,
    installation_id BIGINT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_repositories PRIMARY KEY (id)
);
CREATE TABLE workers (
    pool TEXT NOT NULL,
    name TEXT NOT NULL,
    last_seen TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_workers PRIMARY KEY (pool, name)
);
CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor TEXT NOT NULL,
    source TEXT NOT NULL,
    command TEXT NOT NULL,
    run_id TEXT,
    repository_id BIGINT,
    is_allowed BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (id)
);
CREATE INDEX ix_audit_run ON audit (run_id) WHERE run_id IS NOT NULL;
CREATE TABLE config_versions (
    id TEXT NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    repository_id BIGINT NOT NULL,
    sha TEXT NOT NULL,
    digest TEXT NOT NULL,
    is_valid BOOLEAN NOT NULL,
    problems JSON NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_config_versions PRIMARY KEY (id),
    CONSTRAINT uq_config_versions_repository_id_sha UNIQUE (repository_id, sha),
    CONSTRAINT ck_config_versions_sha_hex CHECK (sha ~ '^[0-9a-f]{40}$'),
    CONSTRAINT fk_config_versions_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
CREATE INDEX ix_config_versions_valid ON config_versions (repository_id, seq DESC) WHERE is_valid;
CREATE TABLE stacks (
    id TEXT NOT NULL,
    repository_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    policy_id TEXT DEFAULT '' NOT NULL,
    settings TEXT NOT NULL,
    worker_pool TEXT NOT NULL,
    policies JSON NOT NULL,
    config_version_id TEXT NOT NULL,
    is_detached BOOLEAN DEFAULT false NOT NULL,
    state_mode TEXT CONSTRAINT ck_stacks_state_mode CHECK (state_mode IN ('managed', 'external')),
    head_sha TEXT,
    head_seq BIGINT DEFAULT 0 NOT NULL,
    hold_reason TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_stacks PRIMARY KEY (id),
    CONSTRAINT ex_stacks_name EXCLUDE USING btree (repository_id WITH =, name WITH =) WHERE (NOT
        is_detached) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT fk_stacks_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id),
    CONSTRAINT fk_stacks_config_version_id FOREIGN KEY(config_version_id) REFERENCES config_versions (id)
);
CREATE INDEX ix_stacks_repository ON stacks (repository_id, name);
CREATE TABLE decisions (
    id TEXT NOT NULL,
    stack_id TEXT NOT NULL,
    stack_name TEXT NOT NULL,
    ref TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    before TEXT NOT NULL,
    config_version_id TEXT,
    policy TEXT NOT NULL,
    input JSON NOT NULL,
    verdict TEXT NOT NULL CONSTRAINT ck_decisions_verdict CHECK (verdict IN ('track', 'propose',
        'ignore', 'fail')),
    reason TEXT NOT NULL,
    rules JSON NOT NULL,
    note TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_decisions PRIMARY KEY (id),
    CONSTRAINT uq_decisions_stack_id_ref_before_head_sha UNIQUE (stack_id, ref, before, head_sha),
    CONSTRAINT ck_decisions_head_sha_hex CHECK (head_sha ~ '^[0-9a-f]{40}$'),
    CONSTRAINT ck_decisions_before_hex CHECK (before ~ '^[0-9a-f]{40}$'),
    CONSTRAINT fk_decisions_stack_id FOREIGN KEY(stack_id) REFERENCES stacks (id),
    CONSTRAINT fk_decisions_config_version_id FOREIGN KEY(config_version_id) REFERENCES config_versions (id)
);
CREATE INDEX ix_decisions_head ON decisions (head_sha);
CREATE TABLE runs (
    id TEXT NOT NULL,
    stack_id TEXT NOT NULL,
    stack_name TEXT NOT NULL,
    repository_id BIGINT NOT NULL,
    type TEXT NOT NULL CONSTRAINT ck_runs_type CHECK (type IN ('tracked', 'proposed', 'destroy', 'drift')),
    state TEXT NOT NULL CONSTRAINT ck_runs_state CHECK (state IN ('queued', 'ready', 'preparing',
        'initializing', 'planning', 'pending_review', 'unconfirmed', 'replan_requested',
        'preparing_replan', 'confirmed', 'preparing_apply', 'applying', 'finished', 'failed', 'stopped',
        'canceled', 'discarded', 'skipped')),
    head_sha TEXT NOT NULL,
    source_sha TEXT NOT NULL,
    ref TEXT NOT NULL,
    head_seq BIGINT NOT NULL,
    stack_digest TEXT NOT NULL,
    config_version_id TEXT NOT NULL,
    decision_id TEXT,
    trigger TEXT NOT NULL CONSTRAINT ck_runs_trigger CHECK (trigger IN ('push', 'tag', 'command')),
    triggered_by TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    fencing BIGINT DEFAULT 0 NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    plan_number INTEGER DEFAULT 1 NOT NULL,
    current_plan INTEGER,
    confirmed_digest TEXT,
    reason TEXT DEFAULT '' NOT NULL,
    is_outcome_unknown BOOLEAN DEFAULT false NOT NULL,
    decided_by TEXT DEFAULT '' NOT NULL,
    event_key TEXT,
    sealed_outputs BYTEA,
    sealed_data_key BYTEA,
    CONSTRAINT pk_runs PRIMARY KEY (id),
    CONSTRAINT uq_runs_event_key UNIQUE (event_key),
    CONSTRAINT ck_runs_head_sha_hex CHECK (head_sha ~ '^[0-9a-f]{40}$'),
    CONSTRAINT ck_runs_source_sha_hex CHECK (source_sha ~ '^[0-9a-f]{40}$'),
    CONSTRAINT ck_runs_stack_digest_hex CHECK (stack_digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT ck_runs_confirmed_by_digest CHECK (NOT (state IN ('confirmed', 'preparing_apply',
        'applying')) OR (confirmed_digest IS NOT NULL AND current_plan IS NOT NULL)),
    CONSTRAINT fk_runs_stack_id FOREIGN KEY(stack_id) REFERENCES stacks (id),
    CONSTRAINT fk_runs_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id),
    CONSTRAINT fk_runs_config_version_id FOREIGN KEY(config_version_id) REFERENCES config_versions (id),
    CONSTRAINT fk_runs_decision_id FOREIGN KEY(decision_id) REFERENCES decisions (id)
);
CREATE INDEX ix_runs_recent ON runs (created_at DESC);
CREATE INDEX ix_runs_stack ON runs (stack_id, created_at DESC);
CREATE UNIQUE INDEX ux_runs_one_state_changing ON runs (stack_id) WHERE type IN ('destroy', 'tracked') AND
    NOT (state IN ('canceled', 'discarded', 'failed', 'finished', 'skipped', 'stopped')) AND state <>
    'queued';
CREATE INDEX ix_runs_live ON runs (stack_id, created_at, id) WHERE NOT (state IN ('canceled', 'discarded',
    'failed', 'finished', 'skipped', 'stopped'));
CREATE INDEX ix_runs_at ON runs (repository_id, head_sha, created_at DESC);
CREATE INDEX ix_runs_claim ON runs ((CASE state WHEN 'confirmed' THEN 0 WHEN 'replan_requested' THEN 1 ELSE
    2 END), (CASE type WHEN 'proposed' THEN 1 WHEN 'drift' THEN 2 ELSE 0 END), created_at, id) WHERE state
    IN ('confirmed', 'ready', 'replan_requested');
CREATE TABLE run_steps (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    run_id TEXT NOT NULL,
    before TEXT CONSTRAINT ck_run_steps_before CHECK (before IN ('queued', 'ready', 'preparing',
        'initializing', 'planning', 'pending_review', 'unconfirmed', 'replan_requested',
        'preparing_replan', 'confirmed', 'preparing_apply', 'applying', 'finished', 'failed', 'stopped',
        'canceled', 'discarded', 'skipped')),
    step TEXT NOT NULL CONSTRAINT ck_run_steps_step CHECK (step IN ('release', 'claim', 'initialize',
        'plan', 'review', 'await', 'confirm', 'discard', 'expire', 'replan', 'apply', 'finish', 'fail',
        'stop', 'cancel', 'skip', 'lose', 'create')),
    after TEXT NOT NULL CONSTRAINT ck_run_steps_after CHECK (after IN ('queued', 'ready', 'preparing',
        'initializing', 'planning', 'pending_review', 'unconfirmed', 'replan_requested',
        'preparing_replan', 'confirmed', 'preparing_apply', 'applying', 'finished', 'failed', 'stopped',
        'canceled', 'discarded', 'skipped')),
    by TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    cause TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_run_steps PRIMARY KEY (id),
    CONSTRAINT fk_run_steps_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE INDEX ix_run_steps_run ON run_steps (run_id, id);
CREATE TABLE plans (
    run_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    digest TEXT NOT NULL,
    delta TEXT NOT NULL,
    has_changes BOOLEAN NOT NULL,
    engine TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE,
    is_frozen BOOLEAN DEFAULT false NOT NULL,
    sealed_summary BYTEA,
    CONSTRAINT pk_plans PRIMARY KEY (run_id, number),
    CONSTRAINT uq_plans_run_id_number_digest UNIQUE (run_id, number, digest),
    CONSTRAINT ck_plans_digest_hex CHECK (digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT ck_plans_number CHECK (number > 0),
    CONSTRAINT fk_plans_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE assignments (
    id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    stack_id TEXT NOT NULL,
    phase TEXT NOT NULL CONSTRAINT ck_assignments_phase CHECK (phase IN ('plan', 'apply')),
    fencing BIGINT NOT NULL,
    worker TEXT NOT NULL,
    pool TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    state_token_hash TEXT NOT NULL,
    is_state_read_only BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    stop_requested BOOLEAN DEFAULT false NOT NULL,
    log_bytes BIGINT DEFAULT 0 NOT NULL,
    sealed_clone_token BYTEA DEFAULT '' NOT NULL,
    CONSTRAINT pk_assignments PRIMARY KEY (id),
    CONSTRAINT uq_assignments_run_id_fencing UNIQUE (run_id, fencing),
    CONSTRAINT fk_assignments_run_id FOREIGN KEY(run_id) REFERENCES runs (id),
    CONSTRAINT fk_assignments_stack_id FOREIGN KEY(stack_id) REFERENCES stacks (id)
);
CREATE UNIQUE INDEX ux_assignments_live ON assignments (run_id) WHERE ended_at IS NULL;
CREATE INDEX ix_assignments_lease ON assignments (lease_until) WHERE ended_at IS NULL;
CREATE TABLE reports (
    id TEXT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_reports_kind CHECK (kind IN ('run_check', 'deployment', 'check', 'reply')),
    repository_id BIGINT NOT NULL,
    subject TEXT NOT NULL,
    run_id TEXT,
    document BYTEA NOT NULL,
    wanted BIGINT DEFAULT 1 NOT NULL,
    published BIGINT DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_reports PRIMARY KEY (id),
    CONSTRAINT uq_reports_kind_repository_id_subject UNIQUE (kind, repository_id, subject),
    CONSTRAINT ck_reports_published CHECK (published <= wanted),
    CONSTRAINT fk_reports_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id),
    CONSTRAINT fk_reports_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE INDEX ix_reports_run ON reports (run_id, kind) WHERE run_id IS NOT NULL;
CREATE INDEX ix_reports_behind ON reports (created_at) WHERE published < wanted;
CREATE TABLE confirmations (
    run_id TEXT NOT NULL,
    plan_number INTEGER NOT NULL,
    plan_digest TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    stack_digest TEXT NOT NULL,
    actor TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_confirmations PRIMARY KEY (run_id, plan_number),
    CONSTRAINT uq_confirmations_run_id_plan_number_plan_digest UNIQUE (run_id, plan_number, plan_digest),
    CONSTRAINT fk_confirmations_run_id_plan_number_plan_digest FOREIGN KEY(run_id, plan_number,
        plan_digest) REFERENCES plans (run_id, number, digest) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT fk_confirmations_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE log_chunks (
    assignment_id TEXT NOT NULL,
    offset_bytes BIGINT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sealed_text BYTEA NOT NULL,
    CONSTRAINT pk_log_chunks PRIMARY KEY (assignment_id, offset_bytes),
    CONSTRAINT ck_log_chunks_range CHECK (offset_bytes >= 0 AND size_bytes > 0),
    CONSTRAINT fk_log_chunks_assignment_id FOREIGN KEY(assignment_id) REFERENCES assignments (id)
);
CREATE TABLE state_versions (
    id TEXT NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    stack_id TEXT NOT NULL,
    serial BIGINT NOT NULL,
    lineage TEXT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    artifact_key TEXT NOT NULL,
    assignment_id TEXT,
    is_quarantined BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_state_versions PRIMARY KEY (id),
    CONSTRAINT uq_state_versions_artifact_key UNIQUE (artifact_key),
    CONSTRAINT ck_state_versions_digest_hex CHECK (digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT fk_state_versions_stack_id FOREIGN KEY(stack_id) REFERENCES stacks (id),
    CONSTRAINT fk_state_versions_assignment_id FOREIGN KEY(assignment_id) REFERENCES assignments (id)
);
CREATE INDEX ix_state_versions_current ON state_versions (stack_id, seq DESC) WHERE NOT is_quarantined;
CREATE TABLE state_locks (
    stack_id TEXT NOT NULL,
    lock_id TEXT NOT NULL,
    info BYTEA NOT NULL,
    assignment_id TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_state_locks PRIMARY KEY (stack_id),
    CONSTRAINT ck_state_locks_info_size CHECK (octet_length(info) <= 16384),
    CONSTRAINT fk_state_locks_stack_id FOREIGN KEY(stack_id) REFERENCES stacks (id),
    CONSTRAINT fk_state_locks_assignment_id FOREIGN KEY(assignment_id) REFERENCES assignments (id)
);
CREATE TABLE remotes (
    report_id TEXT NOT NULL,
    external_id TEXT NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    remote_id BIGINT,
    published TEXT DEFAULT '' NOT NULL,
    is_completed BOOLEAN DEFAULT false NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_remotes PRIMARY KEY (report_id, external_id),
    CONSTRAINT fk_remotes_report_id FOREIGN KEY(report_id) REFERENCES reports (id)
);
ALTER TABLE runs ADD CONSTRAINT fk_runs_id_current_plan_confirmed_digest FOREIGN KEY(id, current_plan,
    confirmed_digest) REFERENCES confirmations (run_id, plan_number, plan_digest) DEFERRABLE INITIALLY
    DEFERRED;
ALTER TABLE runs ADD CONSTRAINT fk_runs_id_current_plan FOREIGN KEY(id, current_plan) REFERENCES plans
    (run_id, number) DEFERRABLE INITIALLY DEFERRED;
"""
