"""The door for the control plane's jobs: each runs one flow. Jobs carry ids, never documents, and may run twice.

The store defers them, in the transaction that causes them; procrastinate keeps order, retries and heartbeats.
"""

import asyncio
import os
import random
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import procrastinate
import structlog
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job
from procrastinate.utils import utcnow

from app.core.budget import again_priority
from app.core.errors import RetryableError, TracksideError
from app.core.names import DeliveryId, ReportId, RepositoryId, RunId

log = structlog.get_logger("jobs")

HEARTBEAT_S = 5.0
POLL_S = 0.1
"""procrastinate is told of new jobs, but not that a job which held a lock has ended: the next delivery of a repository,
or the next look at a report, waits for a poll."""
RESTART_S = 1.0
GRACE_S = 20.0
"""How long a job may go on when its process ends."""
ENDING_S = 25.0
MAX_TRIES = 200
"""Of a job that the outside world keeps from ending: GitHub gone for hours must not lose an event."""
MAX_TRIES_BROKEN = 5
"""Of a job that ends in an error of ours: it stays visible as failed, and is begun anew after a while."""
MAX_COUNTED = 10_000
"""Jobs whose errors of ours are remembered."""
MAX_BACKOFF_S = 60.0
_DICE = random.SystemRandom()
JITTER = 0.25
"""By which part a wait is shorter or longer."""
TIDY_EVERY_S = 3600.0
QUEUES = ("deliver", "publish")
NOTICES = "notify"
"""The queue of what tells of runs: receivers that are slow keep nothing else waiting."""
NOTICES_AT_ONCE = 4
NOTICES_POLL_S = 0.5


class Patience(BaseRetryStrategy):
    """Wait longer each time, at most about a minute, or as long as the other side said; each a little differently, so
    that what failed together does not come back together."""

    def __init__(self, *, is_yielding: bool) -> None:
        self._is_yielding = is_yielding
        """A waiting retry of a report must not hold back a newer job of the same report: it yields."""
        self._broken: dict[int | None, int] = {}
        """How often a job has ended in an error of ours, by its id; procrastinate counts tries of all kinds together.
        Of this process alone: another one, or a new one, gives a job its tries anew, and MAX_TRIES bounds them all."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to try again; None: not any more."""
        is_broken = not isinstance(exception, RetryableError)
        if job.attempts >= MAX_TRIES or (is_broken and not self._has_another_try(job)):
            return None
        priority = again_priority(job.priority) if self._is_yielding else None
        asked_s = exception.retry_after_s if isinstance(exception, RetryableError) else None
        if asked_s is not None:
            wait_s = min(asked_s, 3600.0) + _DICE.uniform(0, JITTER)
        else:
            wait_s = min(MAX_BACKOFF_S, 0.5 * 2 ** min(job.attempts, 8)) * _DICE.uniform(1 - JITTER, 1 + JITTER)
        return RetryDecision(retry_at=utcnow() + timedelta(seconds=max(1.0, wait_s)), priority=priority)

    def _has_another_try(self, job: Job) -> bool:
        """Count one more error of ours. What is known of a job is forgotten when it ends, or when it is the oldest."""
        count = self._broken.pop(job.id, 0)
        if count >= MAX_TRIES_BROKEN:
            return False
        self._broken[job.id] = count + 1
        if len(self._broken) > MAX_COUNTED:
            del self._broken[next(iter(self._broken))]
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """What each job runs."""

    deliver: Callable[[DeliveryId], None]
    publish: Callable[[ReportId], None]
    renew: Callable[[RepositoryId], None]
    """Takes a repository in again after its organisation's settings changed."""
    notify: Callable[[RunId], tuple[str, ...]]
    """Asks who is told of a run; what the log has to know."""
    trigger: Callable[[RunId], tuple[str, ...]]
    """Asks what runs when a run has ended; what the log has to know."""
    send: Callable[[str], tuple[str, ...]]
    """Sends what waits for an endpoint; what the log has to know."""
    sweep: Callable[[], int]
    """Ends holds whose lease ran out; how many."""
    rescue: Callable[[procrastinate.App], Awaitable[int]]
    """Puts jobs of dead processes back; how many."""
    revive: Callable[[procrastinate.App], Awaitable[int]]
    """Tries again what ended for good a while ago, and should not have; how many jobs."""
    sweep_every_s: float
    drift: Callable[[], int]
    """Has stacks compared whose schedule is due; how many runs were made."""
    tidy: Callable[[], int]
    """Lets go of what only history needs; how many things."""
    start_looks: Callable[[], None]
    """Something was down a moment ago: every repository is looked at."""
    looks: Mapping[str, Callable[[], int]]
    """Look for missed events when it is time, by the name of the path; how many turned out to be missed."""


def register(app: procrastinate.App, tasks: Tasks) -> procrastinate.App:
    """Give the tasks the names that the store defers them by."""

    def deliver(guid: str) -> None:
        tasks.deliver(DeliveryId(guid))

    def publish(report_id: str) -> None:
        tasks.publish(ReportId(report_id))

    def renew(repository_id: int) -> None:
        tasks.renew(RepositoryId(repository_id))

    def notify(run_id: str) -> None:
        _tell(tasks.notify(RunId(run_id)))

    def trigger(run_id: str) -> None:
        for remark in tasks.trigger(RunId(run_id)):
            log.warning("a run triggers nothing", run=run_id, why=remark)

    def send(endpoint: str) -> None:
        _tell(tasks.send(endpoint))

    app.task(name="notify", queue=NOTICES, retry=Patience(is_yielding=False))(notify)
    app.task(name="trigger", queue="deliver", retry=Patience(is_yielding=False))(trigger)
    app.task(name="send", queue=NOTICES, retry=Patience(is_yielding=False))(send)
    app.task(name="renew", queue="publish", retry=Patience(is_yielding=False))(renew)
    app.task(name="deliver", queue="deliver", retry=Patience(is_yielding=False))(deliver)
    app.task(name="publish", queue="publish", retry=Patience(is_yielding=True))(publish)
    return app


def _tell(remarks: tuple[str, ...]) -> None:
    for remark in remarks:
        log.warning("somebody is not told of a run", why=remark)


def run_jobs(
    make_app: Callable[[], procrastinate.App], tasks: Tasks, stop: threading.Event, *, concurrency: int = 8
) -> None:
    """Run jobs until `stop`. A worker that ends because PostgreSQL went away is started again."""
    while not stop.is_set():
        try:
            asyncio.run(_work(register(make_app(), tasks), tasks, stop, concurrency))
        except Exception as error:  # whatever it was, jobs go on: what is lost by it is run again
            log.warning("the job worker ended and is started again", error=f"{type(error).__name__}: {error}"[:300])
            stop.wait(RESTART_S)


async def _work(app: procrastinate.App, tasks: Tasks, stop: threading.Event, concurrency: int) -> None:
    async with app.open_async():
        workers = [
            asyncio.create_task(_run_worker(app, QUEUES, concurrency, POLL_S)),
            asyncio.create_task(_run_worker(app, (NOTICES,), NOTICES_AT_ONCE, NOTICES_POLL_S)),
        ]
        others = [asyncio.create_task(one) for one in _others(app, tasks, stop)]
        try:
            await asyncio.wait({*workers, *others}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (one for one in (*workers, *others) if one.done()):
                ended.result()
        finally:
            for one in (*others, *workers):
                one.cancel()
            await asyncio.wait(workers, timeout=ENDING_S)  # longer only while nobody takes how their jobs ended


def _others(app: procrastinate.App, tasks: Tasks, stop: threading.Event) -> list[Coroutine[None, None, None]]:
    """What goes on beside the workers."""
    return [_until(stop), _sweep(app, tasks), _tidy(tasks), _look(tasks), _look_for_drift(tasks)]


async def _run_worker(app: procrastinate.App, queues: Sequence[str], concurrency: int, poll_s: float) -> None:
    await app.run_worker_async(
        queues=list(queues),
        concurrency=concurrency,
        fetch_job_polling_interval=poll_s,
        update_heartbeat_interval=HEARTBEAT_S,
        shutdown_graceful_timeout=GRACE_S,
        install_signal_handlers=False,
        delete_jobs="successful",
    )


async def _until(stop: threading.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(0.1)


async def _sweep(app: procrastinate.App, tasks: Tasks) -> None:
    """What time does, every few seconds in every jobs process: it is idempotent, and the database says what is due.

    Not a periodic job: what puts the jobs of the dead back must not wait behind them.
    """
    while True:
        await asyncio.sleep(tasks.sweep_every_s)
        deeds: dict[str, Callable[[], Awaitable[int]]] = {
            "lost": partial(asyncio.to_thread, tasks.sweep),
            "stalled": partial(tasks.rescue, app),
            "revived": partial(tasks.revive, app),
        }
        found: dict[str, int] = {}
        for what, deed in deeds.items():
            try:
                found[what] = await deed()
            except TracksideError as error:  # neither the others nor the workers have anything to do with it
                log.warning("a sweep did not end; the next one tries again", what=what, error=str(error))
        if any(found.values()):
            log.info("a sweep found something", **found)


async def _tidy(tasks: Tasks) -> None:
    """What grows, once an hour, beside the sweep: a long list of artifacts must not keep lost leases waiting."""
    while True:
        await asyncio.sleep(TIDY_EVERY_S)
        try:
            found = await asyncio.to_thread(tasks.tidy)
        except TracksideError as error:
            log.warning("tidying did not end; the next time does it", error=str(error))
            continue
        if found:
            log.info("tidied", found=found)


async def _look_for_drift(tasks: Tasks) -> None:
    """Schedules of stacks, beside the sweep: many that are due at once must not keep lost leases waiting."""
    while True:
        await asyncio.sleep(tasks.sweep_every_s)
        try:
            made = await asyncio.to_thread(tasks.drift)
        except TracksideError as error:
            log.warning("a look for stacks that are due did not end; the next one goes on", error=str(error))
            continue
        if made:
            log.info("stacks are compared with what they have deployed", runs=made)


async def _look(tasks: Tasks) -> None:
    """Missed events, beside everything else: to wait for GitHub must keep no lease waiting. When it is time for which
    look, the database says, so that many processes look no oftener than one."""
    is_started = False
    while True:
        await asyncio.sleep(tasks.sweep_every_s)
        try:
            if not is_started:
                await asyncio.to_thread(tasks.start_looks)
                is_started = True
        except TracksideError as error:
            log.warning("looks were not begun; the next time does it", error=str(error))
        for path, look in tasks.looks.items():
            try:
                found = await asyncio.to_thread(look)
            except TracksideError as error:
                log.warning("a look for missed events did not end; the next one goes on", path=path, error=str(error))
                continue
            if found:
                log.info("missed events were found", path=path, found=found)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stop = threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():  # the second time, whoever sends it does not want to wait
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop
