"""Workers: seen once for all of their slots, drained and forgotten; what they hold, and what waits for them."""

from datetime import timedelta

import psycopg

from app.core.run import RunState, Step
from app.core.workers import Drained, SeenWorker, WorkerFacts, WorkerState
from app.store.postgres import PostgresStore
from tests.store.world import hold_of, make_ready_run, make_run, make_stack, step

FACTS = WorkerFacts(pool="default", name="host", version="0.1.0", engines=("terraform 1.11.4", "tofu 1.10.0"), slots=4)


def see(store: PostgresStore, facts: WorkerFacts = FACTS) -> Drained | None:
    """The worker claims."""
    with store.begin() as tx:
        return tx.see_worker(facts)


def claim(store: PostgresStore, worker: str = "host/1") -> str:
    """A slot takes the oldest run; the assignment."""
    with store.begin() as tx:
        claimed = tx.claim("default", hold_of(worker), step(Step.CLAIM))
    assert claimed is not None
    return claimed[1].id


def age(database_url: str, days: int, name: str = "host") -> None:
    """Make a worker unseen for days."""
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute(
            "UPDATE workers SET last_seen = last_seen - make_interval(days => %s) WHERE name = %s", (days, name)
        )


def only(store: PostgresStore) -> SeenWorker:
    (worker,) = store.list_workers()
    return worker


def test_a_worker_is_listed_as_what_it_says_it_is(store: PostgresStore) -> None:
    assert see(store) is None
    worker = only(store)
    assert (worker.facts, worker.state, worker.holds) == (FACTS, WorkerState.IDLE, ())
    assert worker.now >= worker.last_seen >= worker.first_seen


def test_what_it_says_newly_counts_at_once(store: PostgresStore) -> None:
    see(store)
    newer = WorkerFacts(pool="default", name="host", version="0.2.0", engines=("terraform 1.12.0",), slots=8)
    see(store, newer)
    assert only(store).facts == newer


def test_the_runs_of_all_its_slots_are_its_own(store: PostgresStore) -> None:
    see(store)
    see(store, WorkerFacts(pool="default", name="ho"))
    for name in ("network", "storage"):
        make_ready_run(store, name)
    claim(store, "host/1")
    claim(store, "host/12")
    first, second = store.list_workers()
    assert [(hold.stack_name, hold.state) for hold in second.holds] != []
    assert {hold.stack_name for hold in second.holds} == {"network", "storage"}
    assert (first.facts.name, first.holds, second.state) == ("ho", (), WorkerState.BUSY)


def test_a_heartbeat_is_a_sign_of_the_worker(store: PostgresStore, database_url: str) -> None:
    see(store)
    make_ready_run(store)
    assignment = claim(store)
    age(database_url, 1)
    assert only(store).state is WorkerState.GONE
    with store.begin() as tx:
        record = tx.find_assignment(assignment)  # type: ignore[arg-type] # an id is an id
        assert record is not None
        tx.renew_lease(record.id, record.fencing, 60)
    assert only(store).state is WorkerState.BUSY


def test_a_drained_worker_stays_so_over_restarts_until_it_is_resumed(store: PostgresStore) -> None:
    see(store)
    with store.begin() as tx:
        tx.drain_worker(FACTS, "ops")
    drained = see(store, WorkerFacts(pool="default", name="host", version="0.2.0"))
    assert drained == Drained(pool="default", name="host", by="ops", is_pool=False)
    assert see(store, WorkerFacts(pool="other", name="host")) is None
    assert [worker.state for worker in store.list_workers()] == [WorkerState.DRAINED, WorkerState.IDLE]
    with store.begin() as tx:
        tx.drain_worker(FACTS, "")
    assert see(store) is None


def test_a_drained_pool_is_drained_for_those_to_come_too(store: PostgresStore) -> None:
    with store.begin() as tx:
        assert tx.drain_pool("default", "ops")
        assert not tx.drain_pool("default", "somebody else")
    assert see(store) == Drained(pool="default", name="host", by="ops", is_pool=True)
    assert only(store).state is WorkerState.DRAINED
    assert store.list_drained_pools() == {"default": "ops"}
    with store.begin() as tx:
        assert tx.list_pools() == ["default"]
        assert tx.drain_pool("default", "")
        assert not tx.drain_pool("default", "")
    assert see(store) is None


def test_a_hold_that_is_disowned_runs_out_by_its_lease(store: PostgresStore) -> None:
    see(store)
    run = make_ready_run(store)
    claim(store)
    with store.begin() as tx:
        (hold,) = tx.lock_holds(FACTS)
        assert (hold.run_id, hold.state) == (run.id, RunState.PREPARING)
        assert tx.count_holds("default") == 1
        tx.disown_assignment(hold.assignment_id)
        tx.forget_worker(FACTS)
        record = tx.find_assignment(hold.assignment_id)
    assert record is not None
    assert (record.token_hash, record.ended_at) == ("", None)
    assert record.state_token_hash != "", "what its engine still writes is judged as ever"
    assert store.list_workers() == []


def test_who_is_not_seen_for_long_is_forgotten_unless_a_person_drained_it(
    store: PostgresStore, database_url: str
) -> None:
    for name in ("gone", "drained", "here"):
        see(store, WorkerFacts(pool="default", name=name))
    with store.begin() as tx:
        tx.drain_worker(WorkerFacts(pool="default", name="drained"), "ops")
    age(database_url, 8, "gone")
    age(database_url, 8, "drained")
    with store.begin() as tx:
        assert tx.forget_unseen_workers(timedelta(days=7)) == 1
    assert [worker.facts.name for worker in store.list_workers()] == ["drained", "here"]


def test_the_queue_of_each_pool_is_what_a_worker_of_it_could_take(store: PostgresStore) -> None:
    assert store.list_queues() == []
    make_ready_run(store, "network")
    make_run(store, make_stack(store, "storage", pool="big"), state=RunState.READY)
    make_run(store, make_stack(store, "later", pool="big"), state=RunState.QUEUED)
    queues = store.list_queues()
    assert [(queue.pool, queue.length) for queue in queues] == [("big", 1), ("default", 1)]
    assert all(queue.oldest_wait_s > 0 for queue in queues)
    claim(store)
    assert [queue.pool for queue in store.list_queues()] == ["big"]
    assert store.count_assignments() == {"plan": 1}
