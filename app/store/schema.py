"""The tables, as SQLAlchemy Core sees them, by noun. The migrations make them; a test holds both equal.

Guards that no column can say (triggers) are in the migrations alone. Shape: ids are ULIDs as text, times timestamptz;
bytes named `sealed_…` are ciphertext.
"""

from app.store.schema_columns import (
    CLAIM_ORDER,
    CREATED,
    IS_CLAIMABLE,
    IS_LIVE,
    IS_REVIEWED,
    IS_STATE_CHANGING,
    metadata,
)
from app.store.schema_drift import drift_counts, drift_turns
from app.store.schema_identity import attestations, run_secrets, secrets, signing_keys
from app.store.schema_missed import known_refs, looks, missed_counts, missed_deliveries, ref_looks
from app.store.schema_notices import endpoints, messages, notice_counts, notices
from app.store.schema_outputs import run_inputs, stack_outputs
from app.store.schema_records import audit, budgets, pulls, remotes, reports, state_locks, state_versions
from app.store.schema_repositories import (
    config_versions,
    decision_inputs,
    decisions,
    deliveries,
    installations,
    organisation_versions,
    policy_texts,
    repositories,
    stacks,
)
from app.store.schema_runs import assignments, confirmations, log_chunks, plans, reviews, run_steps, runs, triggerings
from app.store.schema_setup import app_credentials, app_setups
from app.store.schema_visitors import logins, sessions
from app.store.schema_workers import drained_pools, workers

__all__ = [
    "CLAIM_ORDER",
    "CREATED",
    "IS_CLAIMABLE",
    "IS_LIVE",
    "IS_REVIEWED",
    "IS_STATE_CHANGING",
    "app_credentials",
    "app_setups",
    "assignments",
    "attestations",
    "audit",
    "budgets",
    "config_versions",
    "confirmations",
    "decision_inputs",
    "decisions",
    "deliveries",
    "drained_pools",
    "drift_counts",
    "drift_turns",
    "endpoints",
    "installations",
    "known_refs",
    "log_chunks",
    "logins",
    "looks",
    "messages",
    "metadata",
    "missed_counts",
    "missed_deliveries",
    "notice_counts",
    "notices",
    "organisation_versions",
    "plans",
    "policy_texts",
    "pulls",
    "ref_looks",
    "remotes",
    "reports",
    "repositories",
    "reviews",
    "run_inputs",
    "run_secrets",
    "run_steps",
    "runs",
    "secrets",
    "sessions",
    "signing_keys",
    "stack_outputs",
    "stacks",
    "state_locks",
    "state_versions",
    "triggerings",
    "workers",
]
