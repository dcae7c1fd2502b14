"""The job workers are woken after the commit; a wake that is lost loses nothing."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from app.core.names import DeliveryId
from app.core.record import DeliveryOutcome, NewDelivery
from app.store.jobs_app import make_job_app
from app.store.postgres import PostgresStore
from app.store.wake import APPLICATION
from tests.database import made_store

NEVER_S = 3600.0
QUEUE = "procrastinate_queue_v1#deliver"


def keep(store: PostgresStore, number: int, outcome: DeliveryOutcome = DeliveryOutcome.PENDING) -> None:
    store.record_deliveries([NewDelivery(guid=DeliveryId(f"guid-{number}"), event="push", body=b"{}", outcome=outcome)])


@contextmanager
def job_worker(url: str, *, poll_s: float) -> Iterator["Carried"]:
    """A job worker in a thread that does nothing with each delivery but remember it."""
    carried = Carried()
    thread = threading.Thread(target=lambda: asyncio.run(carried.work(url, poll_s)))
    thread.start()
    try:
        carried.wait("up", "a job worker is ready")
        yield carried
    finally:
        carried.stop()
        thread.join(30)


class Carried:
    """The deliveries that were carried out."""

    def __init__(self) -> None:
        self._seen: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._stop: Callable[[], object] = lambda: None

    def stop(self) -> None:
        self._stop()

    def wait(self, guid: str, what: str) -> None:
        assert self._event(guid).wait(20), what

    def _event(self, guid: str) -> threading.Event:
        with self._lock:
            return self._seen.setdefault(guid, threading.Event())

    async def work(self, url: str, poll_s: float) -> None:
        app = make_job_app(url)

        @app.task(name="deliver", queue="deliver")
        def deliver(guid: str) -> None:
            self._event(guid).set()

        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=["deliver"], fetch_job_polling_interval=poll_s, install_signal_handlers=False
                )
            )
            loop = asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(worker.cancel)
            # What comes between a worker's first look and its LISTEN is found by a poll, and this one never polls.
            while not self._event("up").is_set():
                await deliver.defer_async(guid="up")
                await asyncio.wait({worker}, timeout=0.2)
            await asyncio.wait({worker})


def test_a_delivery_is_carried_out_at_once_by_a_worker_that_never_polls(
    store: PostgresStore, database_url: str
) -> None:
    with job_worker(database_url, poll_s=NEVER_S) as carried:
        for number in range(3):
            keep(store, number)
            carried.wait(f"guid-{number}", "it was woken")


def test_without_a_wake_a_poll_finds_the_delivery_and_the_next_wake_works_again(database_url: str) -> None:
    with made_store(database_url) as store, job_worker(database_url, poll_s=0.1) as carried:
        keep(store, 1)
        carried.wait("guid-1", "carried out")
        with psycopg.connect(database_url, autocommit=True) as operator:
            gone = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
            assert operator.execute(gone, [APPLICATION]).fetchall() == [(True,)]
        keep(store, 2)
        carried.wait("guid-2", "found by a poll")
        with listening(database_url) as heard:
            while not next(heard.notifies(timeout=1, stop_after=1), None):
                keep(store, 3)


def test_many_deliveries_share_a_wake_and_one_without_a_job_has_none(store: PostgresStore, database_url: str) -> None:
    with listening(database_url) as heard:
        keep(store, 1000, DeliveryOutcome.IGNORED)
        assert not list(heard.notifies(timeout=0.2))
        for number in range(300):
            keep(store, number)
        told = list(heard.notifies(timeout=1))
        assert 1 <= len(told) < 150
        assert {note.payload for note in told} == {'{"type": "job_inserted"}'}


@contextmanager
def listening(url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A connection that hears what a job worker hears."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'LISTEN "{QUEUE}"')
        yield connection
