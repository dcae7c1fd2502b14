"""Questions about workers and what waits for them: of the command line and the metrics. Nothing here changes a row."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Engine, Executable, Row, func, select, text

from app.core.workers import PoolQueue, SeenWorker, WorkerHold
from app.store.schema import IS_CLAIMABLE, drained_pools, workers
from app.store.transaction_workers import MAX_WORKERS, SELECT_HOLDS, read_hold, read_worker
from app.store.wall import wall

_QUEUES: Final = text(
    "SELECT stacks.worker_pool AS pool, count(*) AS length,"  # noqa: S608 - our own words only
    " extract(epoch FROM clock_timestamp() - min(runs.updated_at)) AS oldest_wait_s"
    f" FROM runs JOIN stacks ON stacks.id = runs.stack_id WHERE {IS_CLAIMABLE} GROUP BY stacks.worker_pool"
)
_ASSIGNMENTS: Final = text("SELECT phase, count(*) AS total FROM assignments WHERE ended_at IS NULL GROUP BY phase")


class WorkerReading:
    """The questions; the class that mixes this in has the engine."""

    _engine: Engine

    def list_workers(self) -> list[SeenWorker]:
        """Every worker that is known, with the runs that it has, by pool and name."""
        holds: defaultdict[tuple[str, str], list[WorkerHold]] = defaultdict(list)
        for row in self._rows(text(f"{SELECT_HOLDS} ORDER BY runs.id")):
            holds[row.pool, row.name].append(read_hold(row))
        drained = {row.pool: row.drained_by for row in self._rows(select(drained_pools))}
        known = select(workers, func.clock_timestamp().label("now")).order_by(workers.c.pool, workers.c.name)
        return [
            read_worker(row, pool_drained_by=drained.get(row.pool, ""), holds=tuple(holds[row.pool, row.name]))
            for row in self._rows(known.limit(MAX_WORKERS))
        ]

    def list_drained_pools(self) -> dict[str, str]:
        """Pools that get no new runs, to who drained them."""
        return {row.pool: row.drained_by for row in self._rows(select(drained_pools).order_by(drained_pools.c.pool))}

    def list_queues(self) -> list[PoolQueue]:
        """What waits for workers, by pool; pools for which nothing waits are left out."""
        return [
            PoolQueue(pool=row.pool, length=row.length, oldest_wait_s=max(0.0, float(row.oldest_wait_s)))
            for row in sorted(self._rows(_QUEUES), key=lambda row: str(row.pool))
        ]

    def count_assignments(self) -> dict[str, int]:
        """How many runs are with a worker, by phase."""
        return {row.phase: row.total for row in self._rows(_ASSIGNMENTS)}

    def _rows(self, question: Executable) -> Sequence[Row[Any]]:
        with wall(), self._engine.connect() as connection:
            return connection.execute(question).all()
