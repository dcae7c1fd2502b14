"""A run made once more: which can be, and what the new one takes over."""

from dataclasses import fields, replace

import pytest

from app.core.choice import Targeting
from app.core.names import ConfigVersionId, Digest, RunId
from app.core.retry import Again, can_retry, retry, run_mark
from app.core.run import TERMINAL, ExternalState, Run, RunState, RunType, Trigger
from app.core.statepoint import Obstacle
from tests.core.made import CONFIRMED, NOW, SETTINGS, run_in

NEW = RunId("01JDV3F4K5M6N7P8Q9R0S1T2V5")
AGAIN = Again(
    id=NEW,
    actor="bob",
    at=NOW,
    stack_name="net",
    stack_digest=Digest("9" * 64),
    config_version_id=ConfigVersionId("01JDV3F4K5M6N7P8Q9R0S1T2C2"),
)
FAILED = replace(
    CONFIRMED,
    state=RunState.FAILED,
    type=RunType.PROPOSED,
    fencing=3,
    attempts=20,
    plan_number=2,
    reason="terraform apply exited 1",
    is_outcome_unknown=True,
    pull_number=7,
    is_prioritized=True,
    lock_key="key",
    flag_owners={"a": ("push",)},
    externals={"ci": ExternalState.FAILED, "qa": ExternalState.FINISHED},
    note="planned the merge",
    expires_at=NOW,
    targeting=Targeting(chosen=("terraform_data.web",), of_plan=1),
    obstacle=Obstacle.STALE,
)


@pytest.mark.parametrize("state", RunState)
def test_only_a_run_that_ended_without_success_is_made_once_more(state: RunState) -> None:
    assert can_retry(run_in(state)) is (state in TERMINAL and state is not RunState.FINISHED)


def test_a_retry_is_of_the_same_commit_and_type_and_begins_at_the_beginning() -> None:
    made = retry(FAILED, AGAIN)
    fresh = {
        "id": NEW,
        "retry_of": FAILED.id,
        "state": RunState.QUEUED,
        "stack_name": "net",
        "stack_digest": AGAIN.stack_digest,
        "config_version_id": AGAIN.config_version_id,
        "trigger": Trigger.COMMAND,
        "triggered_by": "bob",
        "created_at": NOW,
        "updated_at": NOW,
        "fencing": 0,
        "attempts": 0,
        "plan_number": 1,
        "plan": None,
        "confirmed_digest": None,
        "reason": "",
        "is_outcome_unknown": False,
        "decided_by": "",
        "externals": {"ci": ExternalState.PENDING, "qa": ExternalState.FINISHED},
        "expires_at": None,
        "targeting": None,
        "obstacle": None,
    }
    kept = {field.name for field in fields(Run)} - set(fresh)
    assert {name: getattr(made, name) for name in fresh} == fresh
    assert {name: getattr(made, name) for name in kept} == {name: getattr(FAILED, name) for name in kept}
    assert {"head_sha", "source_sha", "type", "head_seq", "ref", "lock_key", "note"} <= kept


def test_the_mark_of_a_run_is_its_own_and_looks_like_a_digest() -> None:
    assert run_mark(NEW) != run_mark(FAILED.id)
    assert len(run_mark(NEW)) == len(SETTINGS)
