"""A run made once more: which ones can be, and what the new one takes over.

Pure. A retry is a run of its own: same commit, same type, everything that its event gave it; nothing of what became of
the first.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from app.core.names import ConfigVersionId, Digest, RunId
from app.core.run import ExternalState, Run, RunState, Trigger

RETRYABLE: Final = frozenset(
    {RunState.FAILED, RunState.STOPPED, RunState.CANCELED, RunState.DISCARDED, RunState.SKIPPED}
)
"""Ends that a person may want otherwise. What finished is planned or deployed anew, by a command of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What is new about a retry."""

    id: RunId
    actor: str
    at: datetime
    stack_name: str
    stack_digest: Digest
    config_version_id: ConfigVersionId


def can_retry(run: Run) -> bool:
    """True when the run ended so that it can be made once more."""
    return run.state in RETRYABLE


def retry(run: Run, again: Again) -> Run:
    """The queued run that makes `run` once more. What it waited for outside and failed, it waits for again; for runs
    above it does not wait."""
    pending = {
        name: ExternalState.PENDING if state is ExternalState.FAILED else state for name, state in run.externals.items()
    }
    return replace(
        run,
        id=again.id,
        retry_of=run.id,
        caused_by=None,
        state=RunState.QUEUED,
        stack_name=again.stack_name,
        stack_digest=again.stack_digest,
        config_version_id=again.config_version_id,
        trigger=Trigger.COMMAND,
        triggered_by=again.actor,
        created_at=again.at,
        updated_at=again.at,
        fencing=0,
        attempts=0,
        plan_number=1,
        plan=None,
        confirmed_digest=None,
        reason="",
        is_outcome_unknown=False,
        decided_by="",
        externals=pending,
        expires_at=None,
        targeting=None,
        obstacle=None,
        upstreams={},
        changed_outputs=(),
    )


def run_mark(run_id: RunId) -> Digest:
    """SHA-256 of the run's id: what the button of a run sends that may have no plan."""
    return Digest(hashlib.sha256(run_id.encode()).hexdigest())
