"""What a waiting run is told of its stack's queue, and which waiting plans are due: asked of the database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy import text

from app.core.run import RunState, RunType, Step
from app.store.postgres import PostgresStore
from app.store.transaction_assignments import CLAIM
from tests.store.world import bring_to_unconfirmed, make_ready_run, make_run, make_stack, run_of, step


def test_a_queued_run_knows_its_place_and_a_proposed_one_has_none(store: PostgresStore) -> None:
    stack = make_stack(store)
    make_run(store, stack, state=RunState.READY, age_s=40)
    first = make_run(store, stack, age_s=30)
    proposed = make_run(store, stack, kind=RunType.PROPOSED, age_s=20)
    second = make_run(store, stack, age_s=10)
    with store.begin() as tx:
        places = {run.id: tx.get_run_facts(run).position for run in (first, second, proposed)}
        assert places == {first.id: 1, second.id: 2, proposed.id: 0}
        assert tx.get_run_facts(proposed).blocked_by is None, "it waits for no run"
        tx.change_run(first.id, step(Step.CANCEL))
        assert tx.get_run_facts(second).position == 1


def test_the_run_after_a_failed_one_is_told_and_nobody_else(store: PostgresStore) -> None:
    stack, other = make_stack(store), make_stack(store, "other")
    failed = make_run(store, stack, age_s=50)
    with store.begin() as tx:
        tx.change_run(failed.id, step(Step.FAIL))
    withdrawn = make_run(store, stack, age_s=40)
    with store.begin() as tx:
        tx.change_run(withdrawn.id, step(Step.CANCEL))
    after = make_run(store, stack, age_s=30)
    proposed = make_run(store, stack, kind=RunType.PROPOSED, age_s=20)
    elsewhere = make_run(store, other, age_s=10)
    with store.begin() as tx:
        facts = tx.get_run_facts(after)
        assert (facts.failed_before, facts.failed_before_sha) == (failed.id, failed.head_sha)
        assert tx.get_run_facts(failed).failed_before is None
        assert tx.get_run_facts(proposed).failed_before is None
        assert tx.get_run_facts(elsewhere).failed_before is None
        ended = tx.change_run(after.id, step(Step.CANCEL))
        assert tx.get_run_facts(ended).failed_before is None


def test_a_lock_of_somebody_else_is_what_a_run_waits_for(store: PostgresStore) -> None:
    stack = make_stack(store)
    run = make_run(store, stack)
    with store.begin() as tx:
        locked = replace(tx.lock_stack(stack.id), lock_owner="Ada", lock_note="today")
        tx.save_stack(locked)
        assert tx.find_stack(stack.id) == locked
        assert tx.get_run_facts(run).waits_for == "", "ada's own run"
        tx.save_stack(replace(locked, lock_owner="bob"))
        facts = tx.get_run_facts(run)
        assert facts.waits_for == "bob, who has locked the stack: today"
        assert (facts.lock_owner, facts.lock_note) == ("bob", "today")


def test_waiting_plans_are_due_a_day_before_and_when_their_announced_time_has_come(
    store: PostgresStore, database_url: str
) -> None:
    ready = make_ready_run(store)
    with store.begin() as tx:
        run = bring_to_unconfirmed(tx, ready.id)
    with psycopg.connect(database_url, autocommit=True) as sql:

        def due(age: str) -> list[str]:
            sql.execute("UPDATE runs SET updated_at = clock_timestamp() - CAST(%s AS interval)", (age,))
            with store.begin() as tx:
                return [one.id for one in tx.list_expiring(kept_days=7)]

        assert due("5 days 23 hours") == []
        assert due("6 days 1 minute") == [run.id]
        with store.begin() as tx:
            tx.lock_stack(run.stack_id)
            tx.announce_expiry(run.id, tx.now() + timedelta(hours=20))
            assert tx.get_run(run.id).expires_at is not None
        assert due("8 days") == [], "announced: it has its day"
        with store.begin() as tx:
            tx.announce_expiry(run.id, datetime(2020, 1, 1, tzinfo=UTC))
        assert due("8 days") == [run.id]
        with store.begin() as tx:
            tx.change_run(run.id, step(Step.DISCARD))
            tx.announce_expiry(run.id, tx.now())
            assert tx.list_expiring(kept_days=7) == []


def test_a_retry_is_found_among_the_stack_s_newest_runs(store: PostgresStore) -> None:
    stack = make_stack(store)
    first = make_run(store, stack, age_s=20)
    again = replace(run_of(stack, age_s=10), retry_of=first.id)
    with store.begin() as tx:
        assert tx.add_run(again, event_key=None)
        found = tx.list_stack_runs(stack.id, limit=10)
        assert [(run.id, run.retry_of) for run in found] == [(again.id, first.id), (first.id, None)]
        assert [run.id for run in tx.list_stack_runs(stack.id, limit=1)] == [again.id]


def test_a_claim_looks_at_what_waits_in_its_order_and_no_further_than_it_must(store: PostgresStore) -> None:
    """Of 40 runs that wait it looks up the stack of one; what another pool's worker has to take is passed over."""
    for number in range(40):
        make_run(store, make_stack(store, f"s{number}"), state=RunState.READY, age_s=number)
    make_run(store, make_stack(store, "apart", pool="apart"), state=RunState.READY, age_s=99)
    assert looked_up(store, "apart") == 1
    assert looked_up(store, "default") == 2, "the oldest is the other pool's"


def looked_up(store: PostgresStore, pool: str) -> int:
    """How many stacks a claim of that pool reads."""
    with store.begin() as tx:
        explained = text(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {CLAIM.text}")
        plan = tx._connection.execute(explained, {"pool": pool}).scalar_one()
    nodes = [plan[0]["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
    return sum(int(node["Actual Loops"]) for node in nodes if node.get("Relation Name") == "stacks")
