"""The control plane's job runner on the same database: procrastinate, opened here, given its tasks by `app.jobs`.

Knows no task. Jobs are deferred elsewhere in this room, in the transactions that cause them.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final

import procrastinate
import procrastinate.manager
import psycopg
import stamina
import structlog
from procrastinate import exceptions, utils

from app.core.errors import RetryableError
from app.store.transaction_missed import CAN_BE_ASKED
from app.store.url import conninfo

HEARTBEAT_S: Final = 5.0
"""How often a job worker says that it lives."""
SILENT_S: Final = 15.0
"""After how long without a word it counts as dead: three heartbeats."""
POLL_S: Final = 5.0
"""How often it looks for jobs whose notification was missed, and for scheduled ones."""
AGAIN_S: Final = 2.0
"""How long it waits at most before it says once more how a job ended."""
CONNECTIONS: Final = 5
"""Of one jobs process: two that listen, one for each kind of queue, and three for everything else."""
log = structlog.get_logger(__name__)


class PatientManager(procrastinate.manager.JobManager):
    """Says how a job ended until the database has taken it.

    procrastinate says it once: a job whose end is lost stays "doing" under a worker that lives, so that nobody rescues
    it, and everything behind its lock waits for ever.
    """

    async def finish_job_by_id_async(self, job_id: int, status: procrastinate.jobs.Status, delete_job: bool) -> None:
        """Once, however often it has to be said."""
        await _until_taken(job_id, partial(super().finish_job_by_id_async, job_id, status, delete_job))

    async def retry_job_by_id_async(
        self,
        job_id: int,
        retry_at: datetime,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Once, however often it has to be said."""
        await _until_taken(job_id, partial(super().retry_job_by_id_async, job_id, retry_at, priority, queue, lock))


async def _until_taken(job_id: int, say: Callable[[], Awaitable[None]]) -> None:
    """Say it until the database answers. A process that stood still for longer than SILENT_S says it of a job that is
    another's by then: nothing of it is lost, since jobs are safe to run twice."""
    async for attempt in stamina.retry_context(on=_is_away, attempts=None, timeout=None, wait_max=AGAIN_S):
        with attempt:
            try:
                await say()
            except exceptions.ConnectorException as error:
                if not isinstance(error.__cause__, psycopg.errors.RaiseException):
                    raise
                if attempt.num == 1:  # else it was taken before, and only the answer was lost
                    log.warning("the end of a job came too late: it was given to another process", job=job_id)
                return


def _is_away(error: Exception) -> bool:
    """True when the database does not answer, or lost the connection; what it refuses, it refuses again."""
    away = (psycopg.OperationalError, psycopg.InterfaceError)
    return isinstance(error, exceptions.ConnectorException) and isinstance(error.__cause__, away)


def make_job_app(url: str) -> procrastinate.App:
    """An unopened procrastinate App on that database: register tasks on it, then `open_async`, `run_worker_async`."""
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=conninfo(url), min_size=CONNECTIONS, max_size=CONNECTIONS),
        worker_defaults={
            "update_heartbeat_interval": HEARTBEAT_S,
            "stalled_worker_timeout": SILENT_S,
            "fetch_job_polling_interval": POLL_S,
            "delete_jobs": "successful",
        },
    )
    app.job_manager = PatientManager(app.connector)
    return app


_REVIVE: Final = f"""
WITH behind AS (
    SELECT reports.id FROM reports JOIN repositories ON repositories.id = reports.repository_id
    WHERE published < wanted AND {CAN_BE_ASKED}
        AND (kind NOT IN ('reply', 'notice') OR reports.created_at > clock_timestamp() - interval '3 days')
        AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs AS job
        WHERE job.task_name = 'publish' AND job.args ->> 'report_id' = reports.id AND (
            job.status IN ('todo', 'doing')
            OR EXISTS (
                SELECT 1 FROM procrastinate_events AS event
                WHERE event.job_id = job.id AND event.at > clock_timestamp() - interval '10 minutes'
            )
        )
    ) LIMIT 100
), gone AS (
    DELETE FROM procrastinate_jobs WHERE task_name = 'publish' AND status NOT IN ('todo', 'doing')
        AND args ->> 'report_id' IN (SELECT id FROM behind)
)
SELECT count(procrastinate_defer_jobs_v1(ARRAY[ROW(
    'publish', 'publish', -10, 'report:' || id, NULL, jsonb_build_object('report_id', id), NULL
)::procrastinate_job_to_defer_v1])) AS revived FROM behind
"""  # noqa: S608 - our own words only
"""Reports that stand behind without a job that would mend it: GitHub refused them for good, ten minutes ago or more.
A permission that was granted since is found out only by trying again. What is said to somebody is given up after three
days: on a pull request that is not there, a policy could say as much as it likes. The job before makes way."""


def _again(task: str, argument: str, queue: str, waiting: str) -> str:
    """The statement that defers a task again: for `waiting`, a selection of the argument's value and the lock, when its
    job ended in an error of ours ten minutes ago or more."""
    return f"""
WITH waiting AS ({waiting}), behind AS (
    SELECT value, lock FROM waiting WHERE NOT EXISTS (
        SELECT FROM procrastinate_jobs AS job
        WHERE job.task_name = '{task}' AND job.args ->> '{argument}' = waiting.value AND (
            job.status IN ('todo', 'doing') OR EXISTS (
                SELECT FROM procrastinate_events AS event
                WHERE event.job_id = job.id AND event.at > clock_timestamp() - interval '10 minutes'
            )
        )
    ) LIMIT 100
), gone AS (
    DELETE FROM procrastinate_jobs WHERE task_name = '{task}' AND status NOT IN ('todo', 'doing')
        AND args ->> '{argument}' IN (SELECT value FROM behind)
)
SELECT count(procrastinate_defer_jobs_v1(ARRAY[ROW(
    '{queue}', '{task}', -5, lock, NULL, jsonb_build_object('{argument}', value), NULL
)::procrastinate_job_to_defer_v1])) AS revived FROM behind
"""  # noqa: S608 - our own words only


_REVIVE_DELIVERIES: Final = _again(
    "deliver",
    "guid",
    "deliver",
    """
    SELECT DISTINCT ON (deliveries.guid) deliveries.guid AS value, job.lock FROM deliveries
    JOIN procrastinate_jobs AS job ON job.task_name = 'deliver' AND job.args ->> 'guid' = deliveries.guid
    WHERE deliveries.outcome = 'pending' AND deliveries.received_at > clock_timestamp() - interval '3 days'
        AND job.status NOT IN ('todo', 'doing')
    ORDER BY deliveries.guid
    """,
)
"""Deliveries of the last days that were never carried out, and whose job ended in an error of ours ten minutes ago or
more: a disk that was full has room again, a release that could not do it was replaced. Newer ones go before them."""
_REVIVE_TRIGGERS: Final = _again(
    "trigger",
    "run_id",
    "deliver",
    """
    SELECT runs.id AS value, 'trigger:' || coalesce(runs.workflow_id, runs.id) AS lock FROM triggerings
    JOIN runs ON runs.id = triggerings.run_id
    WHERE triggerings.asked_at IS NULL AND runs.updated_at > clock_timestamp() - interval '3 days'
    """,
)
"""Runs of the last days that have ended and whose trigger policies were never asked: until they are, the rest of the
workflow takes the run for one that has not ended."""
_REVIVE_NOTICES: Final = _again(
    "notify",
    "run_id",
    "notify",
    """
    SELECT DISTINCT notices.run_id AS value, 'notify:' || notices.run_id AS lock FROM notices
    JOIN run_steps ON run_steps.id = notices.step_id WHERE run_steps.at > clock_timestamp() - interval '3 days'
    """,
)
"""Runs of which something of the last days is still to be told, and nobody is at it."""
_REVIVE_MESSAGES: Final = _again(
    "send",
    "endpoint",
    "notify",
    """
    SELECT DISTINCT target AS value, 'endpoint:' || target AS lock FROM messages
    WHERE outcome = 'pending' AND created_at > clock_timestamp() - interval '3 days'
    """,
)
"""Endpoints for which messages of the last days wait, and nobody sends them."""


async def revive_reports(app: procrastinate.App) -> int:
    """Try again what GitHub refused for good; how many reports.

    Raises: RetryableError when the database does not answer.
    """
    return await _revive(app, _REVIVE, "looking for reports that stand behind")


async def revive_deliveries(app: procrastinate.App) -> int:
    """Try again what an error of ours kept from being carried out; how many deliveries.

    Raises: RetryableError when the database does not answer.
    """
    return await _revive(app, _REVIVE_DELIVERIES, "looking for deliveries that were not carried out")


async def revive_of_runs(app: procrastinate.App) -> int:
    """Try again what an error of ours kept from following a run: trigger and notification policies that were to be
    asked, and messages that were to be sent; how many jobs.

    Raises: RetryableError when the database does not answer.
    """
    triggers = await _revive(app, _REVIVE_TRIGGERS, "looking for runs whose trigger policies were not asked")
    notices = await _revive(app, _REVIVE_NOTICES, "looking for runs of which nobody was told")
    return triggers + notices + await _revive(app, _REVIVE_MESSAGES, "looking for messages that nobody sends")


async def revive(app: procrastinate.App) -> int:
    """All of them. Raises: as each does."""
    return await revive_deliveries(app) + await revive_reports(app) + await revive_of_runs(app)


async def _revive(app: procrastinate.App, statement: str, doing: str) -> int:
    try:
        rows = await app.connector.execute_query_all_async(statement)
    except exceptions.ConnectorException as error:
        raise RetryableError(f"{doing}: the database does not answer") from error
    return int(rows[0]["revived"]) if rows else 0


async def rescue_stalled(app: procrastinate.App, *, silent_s: float = SILENT_S) -> int:
    """Put the jobs of dead workers back into their queues; how many.

    A worker that was only paused may run its job to the end as well: every job is safe to run twice.
    Raises: RetryableError when the database does not answer.
    """
    rescued = 0
    try:
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=silent_s):
            if job.id is not None and await _retry(app, job.id):
                rescued += 1
    except exceptions.ConnectorException as error:
        raise RetryableError("rescuing jobs of dead workers: the database does not answer") from error
    return rescued


async def _retry(app: procrastinate.App, job_id: int) -> bool:
    """False when the job ended meanwhile, which procrastinate says by an error of its SQL function."""
    before = await app.job_manager.get_job_status_async(job_id)
    if before is not procrastinate.jobs.Status.DOING:
        return False
    await app.job_manager.retry_job_by_id_async(job_id, retry_at=utils.utcnow())
    return True
