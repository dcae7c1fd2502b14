"""The jobs process goes on, whatever becomes of one thing that it does."""

from contextlib import suppress
from threading import Event, Thread

import procrastinate

from app.core.errors import BrokenError
from app.jobs import Tasks, run_jobs
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
