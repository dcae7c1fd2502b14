"""What was decided is kept as it was, found again whole, and let go of when it is old."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection

from app.core.decision import Answer, Decision, EventKind, PolicyOutcome, Verdict
from app.core.errors import BrokenError
from app.core.flags import FlagOwners
from app.core.names import ZERO_SHA, DeliveryId
from app.core.run import ExternalState, RunState, RunType, Step
from app.core.stack import Stack
from app.store.postgres import PostgresStore
from tests.store.world import CONFIG, HEAD, REPOSITORY, hold_of, make_run, make_stack, run_of, step

GUID = DeliveryId("11111111-1111-1111-1111-111111111111")
SHARED: dict[str, object] = {"push": {"branch": "main", "affected_files": ["a\x00b.tf"]}, "pull_request": None}


@pytest.fixture
def sql(database_url: str) -> Iterator[Connection]:
    """A connection beside the store's."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def decision_of(stack: Stack) -> Decision:
    """A decision by a policy."""
    return Decision(
        stack_id=stack.id,
        stack_name=stack.name,
        ref="refs/heads/main",
        head_sha=HEAD,
        before=ZERO_SHA,
        config_version_id=CONFIG,
        policy="mine",
        input={"stack": {"id": "acme/infra/network"}},
        answer=Answer(verdict=Verdict.TRACK, reason="policy mine said track (line 3)", rules={"track": True}),
        event=EventKind.PULL_REQUEST,
        action="labeled",
        pull_number=7,
        policies=(PolicyOutcome(name="mine", rules={"track": True}, fired=(("track", 3),), prints=("3: hello",)),),
        elapsed_s=0.25,
        is_sampled=True,
        note="forced push",
    )


def test_a_decision_is_found_with_all_that_was_asked(store: PostgresStore) -> None:
    """What all stacks were asked lies once; text that PostgreSQL cannot keep is mended."""
    one, two = make_stack(store, "one"), make_stack(store, "two")
    with store.begin() as tx:
        assert not tx.is_decided(GUID)
        tx.add_decisions(GUID, SHARED, [decision_of(one), decision_of(two)])
        assert tx.is_decided(GUID)
    found = store.list_decisions(REPOSITORY.id, HEAD)
    whole = {"push": {"branch": "main", "affected_files": ["a\ufffdb.tf"]}, "pull_request": None}
    assert found == [
        replace(decision_of(one), input=whole | decision_of(one).input),
        replace(decision_of(two), input=whole | decision_of(two).input),
    ]


def test_one_delivery_is_decided_once(store: PostgresStore) -> None:
    stack = make_stack(store)
    with store.begin() as tx:
        tx.add_decisions(GUID, SHARED, [decision_of(stack)])
    with pytest.raises(BrokenError, match="decisions"), store.begin() as tx:
        tx.add_decisions(GUID, SHARED, [decision_of(stack)])


def test_decisions_are_guarded_for_a_day_and_swept_when_they_are_old(store: PostgresStore, sql: Connection) -> None:
    """The record of a run stays, without what was asked; a record that made none goes."""
    stack = make_stack(store)
    with store.begin() as tx:
        made, _ignored = tx.add_decisions(GUID, SHARED, [decision_of(stack), decision_of(make_other(store))])
        tx.add_run(replace(run_of(stack), decision_id=made), event_key=None)
    for statement in ("DELETE FROM decisions", "UPDATE decisions SET input = '{}'", "UPDATE decisions SET reason = ''"):
        with pytest.raises(psycopg.errors.RestrictViolation):
            sql.execute(statement)
    with store.begin() as tx:
        assert tx.sweep_decisions(kept_days=1) == 0
    sql.execute("SET session_replication_role = replica")
    sql.execute("UPDATE decisions SET created_at = created_at - interval '40 days'")
    sql.execute("UPDATE decision_inputs SET created_at = created_at - interval '40 days'")
    sql.execute("SET session_replication_role = origin")
    with store.begin() as tx:
        assert tx.sweep_decisions(kept_days=60) == 0
        assert tx.sweep_decisions(kept_days=30) == 3
        assert tx.sweep_decisions(kept_days=30) == 0
    (kept,) = store.list_decisions(REPOSITORY.id, HEAD)
    assert (kept.stack_name, kept.input, kept.answer.reason) == (stack.name, {}, "policy mine said track (line 3)")
    with pytest.raises(psycopg.errors.RestrictViolation):
        sql.execute("UPDATE decisions SET reason = 'another'")


def make_other(store: PostgresStore) -> Stack:
    """Another stack of the repository."""
    return make_stack(store, "other")


def test_a_policys_text_is_kept_once_and_never_changes(store: PostgresStore, sql: Connection) -> None:
    text = "package trackside\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    for _ in range(2):
        with store.begin() as tx:
            tx.save_policy_texts({digest: text})
            assert tx.find_policy_texts([digest, "0" * 64]) == {digest: text}
            assert tx.find_policy_texts([]) == {}
    with pytest.raises(psycopg.errors.RestrictViolation):
        sql.execute("UPDATE policy_texts SET text = ''")


def test_a_run_learns_its_pull_request_once_also_when_it_has_ended(store: PostgresStore) -> None:
    run = make_run(store, make_stack(store), kind=RunType.PROPOSED)
    with store.begin() as tx:
        tx.change_run(run.id, step(Step.CANCEL))
        tx.note_pull(run.id, 7)
        tx.note_pull(run.id, 8)
        assert tx.get_run(run.id).pull_number == 7


def test_what_a_run_waits_for_is_part_of_it(store: PostgresStore) -> None:
    """The facts say what keeps it back: something outside, or the stack's lock."""
    stack = make_stack(store)
    waiting = {"image": ExternalState.PENDING, "scan": ExternalState.SKIPPED}
    noted: FlagOwners = {"a": ("one", "two"), "b": ()}
    run = replace(run_of(stack), externals=waiting, flag_owners=noted, is_prioritized=True, lock_key="mine", note="why")
    with store.begin() as tx:
        tx.add_run(run, event_key=None)
        assert tx.get_run(run.id) == run
        assert tx.get_run_facts(run).waits_for == "image outside of Trackside"
        tx.save_externals(run.id, {**waiting, "image": ExternalState.FINISHED})
        freed = tx.get_run(run.id)
        assert freed.waits_for == ()
        assert tx.get_run_facts(freed).waits_for == ""
        tx.save_stack(replace(tx.lock_stack(stack.id), lock_key="PR_5", locked_by="policy locks"))
        assert tx.get_run_facts(freed).waits_for == "the stack's lock PR_5, taken by policy locks"


def test_flags_of_a_run_that_has_ended_are_history(store: PostgresStore, sql: psycopg.Connection) -> None:
    """While it is live they are replaced; a flag of the time before owners were known has none."""
    run = make_run(store, make_stack(store), kind=RunType.PROPOSED)
    with store.begin() as tx:
        tx.save_flags(run.id, {"a": ("one",)})
        assert tx.get_run(run.id).flag_owners == {"a": ("one",)}
    sql.execute('UPDATE runs SET flags = \'["a", "old"]\'')
    with store.begin() as tx:
        assert tx.get_run(run.id).flag_owners == {"a": ("one",), "old": ()}
        tx.change_run(run.id, step(Step.CANCEL))
        tx.save_flags(run.id, {})
        assert tx.get_run(run.id).flags == ("a", "old")


def test_a_prioritized_run_is_claimed_before_older_ones_of_other_stacks(store: PostgresStore) -> None:
    make_run(store, make_stack(store, "old"), state=RunState.READY, age_s=60)
    urgent = replace(run_of(make_stack(store, "new"), state=RunState.READY), is_prioritized=True)
    with store.begin() as tx:
        tx.add_run(urgent, event_key=None)
        claimed = tx.claim("default", hold_of(), step(Step.CLAIM))
    assert claimed is not None
    assert claimed[0].id == urgent.id


def test_waiting_and_proposed_runs_of_a_repository_are_listed(store: PostgresStore) -> None:
    stack = make_stack(store)
    queued, proposed = make_run(store, stack, age_s=9), make_run(store, stack, kind=RunType.PROPOSED)
    with store.begin() as tx:
        assert [run.id for run in tx.list_waiting_runs(REPOSITORY.id)] == [queued.id, proposed.id]
        assert [run.id for run in tx.list_live_proposed(REPOSITORY.id, "refs/heads/main")] == [proposed.id]
        assert tx.list_live_proposed(REPOSITORY.id, "refs/heads/work") == []
        assert tx.list_stack_states([stack.id]) == {stack.id: RunState.QUEUED}
        assert tx.find_event_run("no such key") is None
