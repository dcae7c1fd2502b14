"""The jobs process goes on, whatever becomes of one thing that it does."""

from contextlib import suppress
from threading import Event, Thread

import procrastinate
from procrastinate.jobs import Job

from app.core.errors import BrokenError, RetryableError
from app.jobs import MAX_TRIES, MAX_TRIES_BROKEN, Patience, Tasks, run_jobs
from app.store.jobs_app import make_job_app


def nothing(*_given: object) -> None:
    """Of what no test here is about."""


def test_a_sweep_that_breaks_ends_neither_the_other_ones_nor_the_workers(database_url: str) -> None:
    stop, made, revived = Event(), list[procrastinate.App](), list[procrastinate.App]()

    def make_app() -> procrastinate.App:
        made.append(make_job_app(database_url))
        return made[-1]

    def sweep() -> int:
        raise BrokenError("ending a hold: its key cannot be opened")

    async def rescue(_app: procrastinate.App) -> int:
        return 0

    async def revive(app: procrastinate.App) -> int:
        revived.append(app)
        if len(revived) == 3:
            stop.set()
        return 0

    tasks = Tasks(
        deliver=nothing,
        publish=nothing,
        renew=nothing,
        trigger=lambda _run: (),
        notify=lambda _run: (),
        send=lambda _name: (),
        sweep=sweep,
        rescue=rescue,
        revive=revive,
        sweep_every_s=0.05,
        tidy=lambda: 0,
        start_looks=nothing,
        looks={},
    )
    jobs = Thread(target=run_jobs, args=(make_app, tasks, stop), daemon=True)
    jobs.start()
    with suppress(TimeoutError):
        stop.wait(20)
    stop.set()
    jobs.join(30)
    assert (len(made), len(revived)) == (1, 3)


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
