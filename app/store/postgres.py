"""The store on PostgreSQL: transactions for the flows, the webhook's fast door, and the reading side.

Two small pools: SQLAlchemy's for transactions, a plain psycopg one in autocommit for the webhook alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

import psycopg
from psycopg_pool import ConnectionPool
from sqlalchemy import Engine, create_engine, event

from app.core.names import DeliveryId
from app.core.record import DeliveryOutcome, NewDelivery
from app.store.reading import ReadingSide
from app.store.transaction_assignments import AssignmentWrites
from app.store.transaction_budget import BudgetWrites
from app.store.transaction_deliveries import RECORD_DELIVERIES, DeliveryWrites, delivery_values
from app.store.transaction_history import HistoryWrites
from app.store.transaction_identity import IdentityWrites
from app.store.transaction_missed import MissedWrites
from app.store.transaction_notices import NoticeWrites
from app.store.transaction_organisation import OrganisationWrites
from app.store.transaction_outputs import OutputWrites
from app.store.transaction_plans import PlanWrites
from app.store.transaction_pulls import PullWrites
from app.store.transaction_reviews import ReviewWrites
from app.store.transaction_setup import SetupWrites
from app.store.transaction_stacks import StackWrites
from app.store.transaction_standing import StandingWrites
from app.store.transaction_triggers import TriggerWrites
from app.store.transaction_visitors import VisitorWrites
from app.store.transaction_workers import WorkerWrites
from app.store.url import conninfo, engine_url
from app.store.wake import JobWaker
from app.store.wall import wall
from app.store.wire import Sealer

POOL_TIMEOUT_S: Final = 10
"""How long a caller waits for a free connection."""
DOOR_TIMEOUT_S: Final = 20
"""After that, storing deliveries has not worked: whoever waits behind them is not kept for longer. GitHub itself gives
up after 10 s."""
_SESSION: Final = (
    "SET TIME ZONE 'UTC'; SET statement_timeout = '60s'; SET lock_timeout = '30s';"
    " SET idle_in_transaction_session_timeout = '60s'"
)
"""A process that hangs in a transaction, or whose machine is gone, lets go of its locks after a minute."""


class PostgresTransaction(
    DeliveryWrites,
    HistoryWrites,
    OrganisationWrites,
    StackWrites,
    PlanWrites,
    PullWrites,
    AssignmentWrites,
    IdentityWrites,
    SetupWrites,
    WorkerWrites,
    MissedWrites,
    StandingWrites,
    ReviewWrites,
    BudgetWrites,
    NoticeWrites,
    TriggerWrites,
    VisitorWrites,
    OutputWrites,
):
    """One database transaction. Lock order, always: stack, run, assignment."""


class PostgresStore(ReadingSide):
    """The database: `begin()` for the flows, `record_deliveries` for the webhook, questions for the pages."""

    def __init__(self, url: str, *, sealer: Sealer, pool_size: int) -> None:
        """Nothing is connected yet. Units: `pool_size` connections for transactions, as many for the webhook."""
        engine = create_engine(
            engine_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=True,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
        )
        event.listen(engine, "connect", _prepare_session)
        event.listen(engine, "checkin", self._end_late)
        super().__init__(engine, sealer, url)
        self._is_closed = False
        self._door = ConnectionPool(
            conninfo(url),
            min_size=1,
            max_size=pool_size,
            open=False,
            kwargs={"autocommit": True, "tcp_user_timeout": DOOR_TIMEOUT_S * 1000},
            configure=_prepare_door,
            timeout=POOL_TIMEOUT_S,
        )
        self._waker = JobWaker(url)
        self._door_lock = Lock()
        self._is_door_open = False

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for tools of the operator and tests; flows never see it."""
        return self._engine

    @contextmanager
    def begin(self) -> Iterator[PostgresTransaction]:
        """One READ COMMITTED transaction: committed at the end of the block, rolled back when it raises.

        Raises: RetryableError on deadlock, timeout or a lost connection: nothing was written, unless the connection was
        lost during the commit itself; BrokenError when a guard of the database refused.
        """
        with wall(), self._engine.connect() as connection, connection.begin():
            transaction = PostgresTransaction(connection, self._sealer)
            yield transaction
            transaction.settle()

    @contextmanager
    def only_one(self, what: str) -> Iterator[bool]:
        """True for one process at a time, of all on this database, until the block ends; it ends with its process, too.

        Raises: RetryableError when the database does not answer.
        """
        with wall():
            connection = psycopg.connect(conninfo(self._url), autocommit=True, connect_timeout=POOL_TIMEOUT_S)
        with connection:
            with wall():
                row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 17))", (what,)).fetchone()
            yield row is not None and bool(row[0])

    def record_deliveries(self, batch: Sequence[NewDelivery], /) -> frozenset[DeliveryId]:
        """Keep deliveries and defer the jobs of those that are pending, in one transaction of one round trip; wake a
        job worker. The GUIDs that were new: of the others nothing was written.

        Raises: RetryableError when nothing was stored.
        """
        with wall():
            pool = self._open_door()
            try:
                new = _record(pool, batch)
            except psycopg.OperationalError:
                pool.check()  # the server was restarted: throw dead connections away, then once more
                new = _record(pool, batch)
        if any(one.outcome is DeliveryOutcome.PENDING for one in batch):
            self._waker.wake()
        return new

    def close(self) -> None:
        """Close every connection; one that a thread still works with, as soon as it is given back."""
        self._is_closed = True
        self._waker.stop()
        self._door.close()
        self._engine.dispose()

    def _end_late(self, connection: Any, _record: Any) -> None:
        """A connection came back: after `close` nobody else would end it."""
        if self._is_closed and connection is not None:
            connection.close()

    def _open_door(self) -> ConnectionPool[psycopg.Connection[tuple[Any, ...]]]:
        if not self._is_door_open:
            with self._door_lock:
                self._door.open()
                self._is_door_open = True
        return self._door


def _record(
    pool: ConnectionPool[psycopg.Connection[tuple[Any, ...]]], batch: Sequence[NewDelivery]
) -> frozenset[DeliveryId]:
    with pool.connection() as connection:
        row = connection.execute(RECORD_DELIVERIES, delivery_values(batch), binary=True).fetchone()
    return frozenset(row[0]) if row is not None else frozenset()


def _prepare_door(driver: psycopg.Connection[Any]) -> None:
    driver.execute(f"SET statement_timeout = '{DOOR_TIMEOUT_S}s'; SET lock_timeout = '{DOOR_TIMEOUT_S // 2}s'")


def _prepare_session(driver: psycopg.Connection[Any], _record: object) -> None:
    was_autocommit = driver.autocommit
    driver.autocommit = True
    driver.execute(_SESSION)
    driver.autocommit = was_autocommit
