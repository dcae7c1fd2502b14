"""Wakes the job workers after a delivery was stored: one thread with one connection, one NOTIFY for many deliveries.

Stands behind the webhook's door, outside its transactions: a commit that carries a NOTIFY holds a lock of the whole
server until it is on the disk, so that such commits queue up instead of sharing a write.
"""

import contextlib
from threading import Event, Lock, Thread
from typing import Final

import psycopg
import structlog

from app.store.url import conninfo

PAUSE_S: Final = 0.01
"""The least time between two; what comes meanwhile shares the next one."""
_RECONNECT_S: Final = 1.0
APPLICATION: Final = "trackside wake"
"""How its connection names itself to the server."""
_SESSION: Final = "SET synchronous_commit = off; SET statement_timeout = '10s'; SET idle_session_timeout = 0"
_NOTIFY: Final = """
SELECT pg_notify(channel, '{"type": "job_inserted"}')
FROM unnest(ARRAY['procrastinate_queue_v1#deliver', 'procrastinate_any_queue_v1']) AS channel
"""
"""As procrastinate's own trigger says it. Source: procrastinate_notify_queue_job_inserted_v1 in its schema."""
log = structlog.get_logger(__name__)


class JobWaker:
    """Tells job workers that there are deliveries. One that is lost costs them a poll, and nothing else."""

    def __init__(self, url: str) -> None:
        """Nothing is connected yet."""
        self._conninfo = conninfo(url)
        self._wanted, self._ended = Event(), Event()
        self._lock = Lock()
        self._thread: Thread | None = None

    def wake(self) -> None:
        """Wake them soon. Never waits, never raises."""
        self._wanted.set()
        if self._thread is None:
            self._start()

    def stop(self) -> None:
        """End the thread and its connection; returns when both are gone."""
        with self._lock:
            self._ended.set()
            self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        with self._lock, contextlib.suppress(RuntimeError):  # no thread to be had: workers poll, the next one tries
            if self._thread is not None or self._ended.is_set():
                return
            thread = Thread(target=self._run, name="job-waker", daemon=True)
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with psycopg.connect(
                    self._conninfo, autocommit=True, connect_timeout=5, application_name=APPLICATION
                ) as connection:
                    connection.execute(_SESSION)
                    self._pass_on(connection)
            except psycopg.Error as error:
                log.warning("waking the job workers: they find what there is by themselves", error=str(error)[:300])
                self._ended.wait(_RECONNECT_S)

    def _pass_on(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        while not self._ended.is_set():
            self._wanted.wait()
            self._wanted.clear()
            connection.execute(_NOTIFY)
            self._ended.wait(PAUSE_S)
