"""The jobs process goes on, whatever becomes of one thing that it does."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any, Final

import procrastinate
import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from structlog.testing import capture_logs

from app.core.errors import BrokenError, RetryableError
from app.core.names import DeliveryId
from app.core.record import NewDelivery
from app.jobs import MAX_TRIES, MAX_TRIES_BROKEN, Patience, Tasks, run_jobs
from app.store.jobs_app import make_job_app
from app.store.postgres import PostgresStore
from tests.driver import wait_until


def nothing(*_given: object) -> None:
    """Of what no test here is about."""


async def none(_app: procrastinate.App) -> int:
    """Nothing was found."""
    return 0


def tasks_with(**given: Any) -> Tasks:
    """Tasks that do nothing but what is given."""
    idle: dict[str, Any] = {
        "deliver": nothing,
        "publish": nothing,
        "renew": nothing,
        "trigger": lambda _run: (),
        "notify": lambda _run: (),
        "send": lambda _name: (),
        "sweep": lambda: 0,
        "rescue": none,
        "revive": none,
        "sweep_every_s": 60,
        "tidy": lambda: 0,
        "drift": lambda: 0,
        "start_looks": nothing,
        "looks": {},
    }
    return Tasks(**idle | given)


@contextmanager
def at_work(tasks: Tasks, url: str) -> Iterator[None]:
    """A jobs process, as a thread."""
    stop = Event()
    jobs = Thread(target=run_jobs, args=(lambda: make_job_app(url), tasks, stop), daemon=True)
    jobs.start()
    try:
        yield
    finally:
        stop.set()
        jobs.join(60)


CUT: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%finish_job%'
"""


def test_how_a_job_ended_is_said_until_the_database_has_taken_it(store: PostgresStore, database_url: str) -> None:
    """The connection is lost as a job's end is written, and its process lives: what waits behind its lock goes on."""
    for guid in ("g-1", "g-2"):
        store.record_deliveries([NewDelivery(guid=DeliveryId(guid), event="push", body=b"{}", lane="repository")])
    done, cut = list[str](), list[int]()
    in_the_way = psycopg.connect(database_url)

    def deliver(guid: str) -> None:
        done.append(guid)
        if len(done) == 1:
            in_the_way.execute("SELECT 1 FROM procrastinate_jobs WHERE status = 'doing' FOR UPDATE")

    def is_cut() -> bool:
        with psycopg.connect(database_url) as connection:
            cut.extend(row[0] for row in connection.execute(CUT).fetchall())
        return bool(cut)

    def left() -> list[tuple[str]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute("SELECT status::text FROM procrastinate_jobs").fetchall()

    with at_work(tasks_with(deliver=deliver), database_url):
        wait_until(is_cut, "the end of the first job is being written")
        in_the_way.close()
        wait_until(lambda: left() == [], "both jobs have ended", 20, found=left)
    assert done == ["g-1", "g-2"]


def test_what_the_database_refuses_is_not_said_again(database_url: str) -> None:
    async def finish(job_id: int) -> None:
        app = make_job_app(database_url)
        async with app.open_async():
            done = app.job_manager.finish_job_by_id_async(job_id, Status.SUCCEEDED, delete_job=True)
            await asyncio.wait_for(done, 20)

    with pytest.raises(ConnectorException):
        asyncio.run(finish(2**70))
    with capture_logs() as logs:
        asyncio.run(finish(7))  # rescued while this process stood still, and ended by another
    assert [(line["job"], line["log_level"]) for line in logs] == [(7, "warning")]


def test_a_sweep_that_breaks_ends_neither_the_other_ones_nor_the_workers(database_url: str) -> None:
    stop, made, revived = Event(), list[procrastinate.App](), list[procrastinate.App]()
    compared: list[int] = []

    def make_app() -> procrastinate.App:
        made.append(make_job_app(database_url))
        return made[-1]

    def sweep() -> int:
        raise BrokenError("ending a hold: its key cannot be opened")

    def drift() -> int:
        compared.append(1)
        raise BrokenError("comparing a stack: its settings cannot be read")

    async def rescue(_app: procrastinate.App) -> int:
        return 0

    async def revive(app: procrastinate.App) -> int:
        revived.append(app)
        if len(revived) >= 3 and len(compared) >= 2:
            stop.set()
        return 0

    tasks = tasks_with(sweep=sweep, drift=drift, rescue=rescue, revive=revive, sweep_every_s=0.05)
    jobs = Thread(target=run_jobs, args=(make_app, tasks, stop), daemon=True)
    jobs.start()
    with suppress(TimeoutError):
        stop.wait(20)
    stop.set()
    jobs.join(30)
    assert len(made) == 1
    assert len(revived) >= 3
    assert len(compared) >= 2


def _job(attempts: int) -> Job:
    return Job(id=7, queue="deliver", lock=None, queueing_lock=None, task_name="deliver", attempts=attempts)


def test_what_the_world_outside_kept_from_ending_is_no_try_of_an_error_of_ours() -> None:
    patience, away, broken = Patience(is_yielding=False), RetryableError("GitHub is away"), BrokenError("odd")
    assert patience.get_retry_decision(exception=away, job=_job(MAX_TRIES_BROKEN + 1))
    first = MAX_TRIES_BROKEN + 2
    tries = [patience.get_retry_decision(exception=broken, job=_job(first + n)) for n in range(MAX_TRIES_BROKEN + 1)]
    assert [bool(one) for one in tries] == [True] * MAX_TRIES_BROKEN + [False]
    assert patience.get_retry_decision(exception=broken, job=_job(MAX_TRIES)) is None
    assert patience.get_retry_decision(exception=away, job=_job(MAX_TRIES)) is None
