"""What must hold when things go wrong: killed processes, dead job workers, a stolen database."""

import asyncio
import signal
import subprocess
import sys
from queue import Queue

import psycopg

from app.core.names import DeliveryId
from app.core.plan import Action, Change, Kind, PlanSummary
from app.core.record import NewDelivery
from app.core.run import RunState, Step
from app.store.jobs_app import make_job_app, rescue_stalled
from app.store.listen import WorkSignal
from app.store.postgres import PostgresStore
from tests.database import made_store
from tests.store.world import bring_to_unconfirmed, hold_of, make_ready_run, make_run, make_stack, plan_of, step

HOLDER = """
import sys
from app.store.postgres import PostgresStore
from app.vault.keys import Keyring
from tests.store.world import hold_of, step
from app.core.run import Step
store = PostgresStore(sys.argv[1], sealer=Keyring([bytes(32)]), pool_size=1)
with store.begin() as tx:
    tx.lock_stack(sys.argv[2])
    assert tx.claim("default", hold_of(), step(Step.CLAIM)) is not None
    print("holding", flush=True)
    sys.stdin.read()
"""
CANARY = "CANARY-8f14e45f"


def test_a_process_killed_in_a_transaction_leaves_nothing_locked_or_written(
    store: PostgresStore, database_url: str
) -> None:
    run = make_ready_run(store)
    argv = [sys.executable, "-c", HOLDER, database_url, run.stack_id]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"holding\n"
        with store.begin() as tx:
            assert tx.claim("default", hold_of("w2"), step(Step.CLAIM)) is None
        child.send_signal(signal.SIGKILL)
    with store.begin() as tx:
        tx.lock_stack(run.stack_id)
        assert tx.get_run(run.id).state is RunState.READY
        assert tx.claim("default", hold_of("w2"), step(Step.CLAIM)) is not None


def test_nothing_sealed_is_found_in_a_dump_of_the_database(store: PostgresStore, database_url: str) -> None:
    run = make_ready_run(store)
    change = Change(number=1, kind=Kind.OUTPUT, action=Action.CREATE, address=CANARY)
    with store.begin() as tx:
        waiting = bring_to_unconfirmed(tx, run.id)
        tx.save_plan(run.id, plan_of(), PlanSummary(changes=(change,) * 50))
        tx.save_outputs(run.id, CANARY.encode())
        held = tx.claim("default", hold_of(), step(Step.CLAIM))
        assert held is None
    other = make_ready_run(store, "other")
    with store.begin() as tx:
        found = tx.claim("default", hold_of(), step(Step.CLAIM))
        assert found is not None
        tx.add_log(found[1].id, 0, CANARY.encode())
    assert CANARY.encode() in b"".join(chunk.text for chunk in store.read_log(other.id))
    with store.begin() as tx:
        assert tx.get_run_facts(waiting).outputs == CANARY.encode()
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"', binary=True).fetchall()  # noqa: S608 - our own tables
            assert CANARY not in str(rows), table


def test_jobs_of_a_dead_worker_are_put_back(store: PostgresStore, database_url: str) -> None:
    store.record_deliveries([NewDelivery(guid=DeliveryId("g-1"), event="push", body=b"{}")])
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute') RETURNING"
            " procrastinate_fetch_job_v2(NULL, id)"
        )

    async def rescue() -> int:
        app = make_job_app(database_url)
        async with app.open_async():
            return await rescue_stalled(app)

    assert asyncio.run(rescue()) == 1
    assert asyncio.run(rescue()) == 0
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT status::text, attempts FROM procrastinate_jobs").fetchall() == [("todo", 1)]


def test_a_job_that_was_deferred_is_run_by_the_app(store: PostgresStore, database_url: str) -> None:
    store.record_deliveries([NewDelivery(guid=DeliveryId("g-2"), event="push", body=b"{}")])
    done: list[str] = []

    async def run() -> None:
        app = make_job_app(database_url)

        @app.task(name="deliver", queue="deliver")
        def deliver(guid: str) -> None:
            done.append(guid)

        async with app.open_async():
            await app.run_worker_async(wait=False, install_signal_handlers=False)

    asyncio.run(run())
    assert done == ["g-2"]


def test_whoever_waits_for_work_is_woken_by_the_commit(store: PostgresStore, database_url: str) -> None:
    woken: Queue[str] = Queue()
    signals = WorkSignal(database_url)
    end = signals.subscribe(woken.put)
    try:
        assert woken.get(timeout=10) == ""
        run = make_run(store, make_stack(store, pool="big"))
        with store.begin() as tx:
            tx.change_run(run.id, step(Step.RELEASE))
        assert woken.get(timeout=10) == "big"
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        assert woken.get(timeout=10) == ""
        end()
    finally:
        signals.stop()


def test_a_connection_that_comes_back_after_the_end_is_closed(database_url: str) -> None:
    with made_store(database_url) as store, store.begin() as tx:
        driver = tx._connection.connection.driver_connection
        store.close()
        assert driver is not None
        assert not driver.closed
    assert driver.closed
