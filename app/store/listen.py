"""Wakes whoever waits for work: one thread with one connection that LISTENs, however many long polls there are.

Knows nothing of runs: it passes on the name of the pool that a change announced.
"""

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Final

import psycopg

from app.store.transaction_runs import WORK_CHANNEL
from app.store.url import conninfo

_LOOK_UP_S: Final = 1.0
"""How long one wait lasts before the thread looks whether it should end."""
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
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to listen, in a thread of its own. Calling it again changes nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="work-signal", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and its connection; returns when both are gone."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(pool)` from the listening thread (it must be quick and must not raise); what ends it again."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._subscribers[number] = callback

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
        while not self._ended.is_set():
            for note in connection.notifies(timeout=_LOOK_UP_S):
                self._tell(note.payload)

    def _tell(self, pool: str) -> None:
        with self._lock:
            subscribers = list(self._subscribers.values())
        for callback in subscribers:
            callback(pool)
