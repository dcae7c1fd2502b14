"""Wakes whoever waits for work: one thread with one connection that LISTENs, however many long polls there are.

Knows nothing of runs: it passes on the name of the pool that a change announced.
"""

import os
from collections.abc import Callable
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Lock, Thread
from typing import Final

import psycopg

from app.store.transaction_runs import WORK_CHANNEL
from app.store.url import conninfo

_RECONNECT_S: Final = 1.0


class WorkSignal:
    """Calls its subscribers with the pool's name whenever a run of that pool begins to wait for a worker.

    The name is empty after every (re)connection: something may have been missed, so everybody should look.
    """

    def __init__(self, url: str) -> None:
        """Nothing is connected yet."""
        self._conninfo = conninfo(url)
        self._subscribers: dict[int, Callable[[str], None]] = {}
        self._next = 0
        self._lock = Lock()
        self._ended = Event()
        self._wakes, self._wake = os.pipe()  # what `stop` writes to, so that the thread ends at once
        self._thread: Thread | None = None

    def stop(self) -> None:
        """End the thread and its connection, for good; returns when both are gone."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            thread = self._thread
        os.write(self._wake, b".")
        if thread is not None:
            thread.join()
        os.close(self._wake)
        os.close(self._wakes)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(pool)` from the listening thread (it must be quick and must not raise); what ends it again.

        The first one begins to listen: a process in which nobody waits for work has neither thread nor connection.
        """
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._subscribers[number] = callback
            if self._thread is None and not self._ended.is_set():
                self._thread = Thread(target=self._run, name="work-signal", daemon=True)
                self._thread.start()

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers.pop(number, None)

        return unsubscribe

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10) as connection:
                    connection.execute(f"LISTEN {WORK_CHANNEL}")
                    self._tell("")
                    self._listen(connection)
            except psycopg.Error:
                self._ended.wait(_RECONNECT_S)

    def _listen(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        with DefaultSelector() as selector:
            selector.register(connection.fileno(), EVENT_READ)
            selector.register(self._wakes, EVENT_READ)
            while not self._ended.is_set():
                for note in connection.notifies(timeout=0):
                    self._tell(note.payload)
                selector.select()

    def _tell(self, pool: str) -> None:
        with self._lock:
            subscribers = list(self._subscribers.values())
        for callback in subscribers:
            callback(pool)
