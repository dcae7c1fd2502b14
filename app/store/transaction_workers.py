"""Workers inside a transaction: who was seen, who gets no new runs, and what ends with a worker that is forgotten.

What a worker says is kept, never believed: a claim is answered by its pool's token alone.
"""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.names import AssignmentId, RunId
from app.core.run import RunState
from app.core.workers import Drained, SeenWorker, WorkerFacts, WorkerHold
from app.store.schema import assignments, drained_pools, workers
from app.store.transaction_runs import WORK_CHANNEL, RunWrites
from app.store.wire import safe_text

MAX_WORKERS: Final = 10_000
IS_OF_WORKER: Final = (
    "(assignments.worker = workers.name OR regexp_replace(assignments.worker, '/[0-9]+$', '') = workers.name)"
)
"""SQL: the assignment was claimed by a slot of the worker."""
_SEE: Final = text("""
WITH said AS (
    SELECT CAST(:version AS text) AS version, CAST(:protocol AS integer) AS protocol,
        CAST(:engines AS text) AS engines, CAST(:slots AS integer) AS slots
), seen AS (
    UPDATE workers SET last_seen = clock_timestamp(), version = said.version, protocol = said.protocol,
        engines = said.engines, slots = said.slots
    FROM said WHERE (pool, name) IN (
        SELECT known.pool, known.name FROM workers known, said
        WHERE known.pool = :pool AND known.name = :name AND (
            known.last_seen < clock_timestamp() - interval '5 seconds'
            OR (known.version, known.protocol, known.engines, known.slots)
                <> (said.version, said.protocol, said.engines, said.slots)
        )
        FOR UPDATE OF known SKIP LOCKED
    )
), made AS (
    INSERT INTO workers (pool, name, version, protocol, engines, slots)
    SELECT :pool, :name, said.version, said.protocol, said.engines, said.slots FROM said
    WHERE NOT EXISTS (SELECT FROM workers WHERE pool = :pool AND name = :name)
    ON CONFLICT DO NOTHING
)
SELECT coalesce((SELECT drained_by FROM workers WHERE pool = :pool AND name = :name), '') AS drained_by,
    coalesce((SELECT drained_by FROM drained_pools WHERE pool = :pool), '') AS pool_drained_by
""")
"""Nobody waits for a worker's own row: not for a claim that hangs, and idle polls write it once in five seconds."""
SELECT_HOLDS: Final = f"""
SELECT workers.pool, workers.name, assignments.id, runs.id AS run_id, runs.stack_name, runs.state
FROM assignments JOIN runs ON runs.id = assignments.run_id
    JOIN workers ON workers.pool = assignments.pool AND {IS_OF_WORKER}
WHERE assignments.ended_at IS NULL
"""  # noqa: S608 - our own words only


class WorkerWrites(RunWrites):
    """Transaction methods about workers."""

    def see_worker(self, facts: WorkerFacts) -> Drained | None:
        """Note that the worker is there, and what it says of itself; who drained it, if anybody did."""
        values = {
            "pool": facts.pool,
            "name": safe_text(facts.name, 200),
            "version": safe_text(facts.version, 100),
            "protocol": facts.protocol,
            "engines": ", ".join(safe_text(engine, 100) for engine in facts.engines),
            "slots": facts.slots,
        }
        row = self._execute(_SEE, values).one()
        if not (row.drained_by or row.pool_drained_by):
            return None
        by = row.pool_drained_by or row.drained_by
        return Drained(pool=facts.pool, name=facts.name, by=by, is_pool=bool(row.pool_drained_by))

    def lock_workers(self, name: str, pool: str = "") -> list[SeenWorker]:
        """The workers of that name (of that pool), under their rows' locks, by pool."""
        wanted = select(workers, func.clock_timestamp().label("now")).where(workers.c.name == safe_text(name, 200))
        if pool:
            wanted = wanted.where(workers.c.pool == safe_text(pool, 200))
        rows = self._all(wanted.order_by(workers.c.pool).with_for_update())
        drained = {row.pool: row.drained_by for row in self._all(select(drained_pools))}
        return [read_worker(row, pool_drained_by=drained.get(row.pool, "")) for row in rows]

    def list_pools(self) -> list[str]:
        """The pools of which a worker is known, or that are drained, by name."""
        known = select(workers.c.pool).union(select(drained_pools.c.pool))
        return sorted(row.pool for row in self._all(known))

    def drain_worker(self, worker: WorkerFacts, by: str) -> None:
        """From now on it gets no new runs; with nobody named, it gets them again."""
        mine = (workers.c.pool == worker.pool) & (workers.c.name == worker.name)
        self._execute(update(workers).where(mine).values(drained_by=safe_text(by, 200)))

    def drain_pool(self, pool: str, by: str) -> bool:
        """The same for a whole pool, and for workers that come later; False when it was so already."""
        if by:
            made = insert(drained_pools).values(pool=pool, drained_by=safe_text(by, 200)).on_conflict_do_nothing()
            return self._scalar(made.returning(drained_pools.c.pool)) is not None
        gone = delete(drained_pools).where(drained_pools.c.pool == pool)
        return self._scalar(gone.returning(drained_pools.c.pool)) is not None

    def wake_pool(self, pool: str) -> None:
        """Have a waiting claim of the pool look again, once this is committed."""
        self._execute(text("SELECT pg_notify(:channel, :pool)"), {"channel": WORK_CHANNEL, "pool": pool})

    def lock_holds(self, worker: WorkerFacts) -> list[WorkerHold]:
        """The runs that the worker has, its assignments locked, by run."""
        mine = " AND workers.pool = :pool AND workers.name = :name"
        wanted = text(f"{SELECT_HOLDS}{mine} ORDER BY runs.id FOR NO KEY UPDATE OF assignments")
        found = self._all(wanted, {"pool": worker.pool, "name": worker.name})
        return [read_hold(row) for row in found]

    def count_holds(self, pool: str) -> int:
        """How many runs the workers of a pool have."""
        live = (assignments.c.pool == pool) & assignments.c.ended_at.is_(None)
        return int(self._scalar(select(func.count()).select_from(assignments).where(live)))

    def disown_assignment(self, assignment_id: AssignmentId) -> None:
        """Its token opens nothing any more, so its lease is not renewed: the hold ends when that has run out. What its
        engine still writes into a managed state is judged as ever."""
        mine = (assignments.c.id == assignment_id) & assignments.c.ended_at.is_(None)
        self._execute(update(assignments).where(mine).values(token_hash=""))

    def forget_worker(self, worker: WorkerFacts) -> None:
        """Delete its row; its next claim makes a new one, which is not drained."""
        self._execute(delete(workers).where(workers.c.pool == worker.pool, workers.c.name == worker.name))

    def forget_unseen_workers(self, unseen: timedelta) -> int:
        """Delete workers that were not heard of for so long, but for those that a person drained; how many."""
        old = workers.c.last_seen < func.clock_timestamp() - unseen
        return self._execute(delete(workers).where(old, workers.c.drained_by == "")).rowcount


def read_worker(row: Any, *, pool_drained_by: str = "", holds: tuple[WorkerHold, ...] = ()) -> SeenWorker:
    """The worker of a row with the database's `now`."""
    facts = WorkerFacts(
        pool=row.pool,
        name=row.name,
        version=row.version,
        protocol=row.protocol,
        engines=tuple(filter(None, row.engines.split(", "))),
        slots=row.slots,
    )
    return SeenWorker(
        facts=facts,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        now=row.now,
        drained_by=row.drained_by,
        pool_drained_by=pool_drained_by,
        holds=holds,
    )


def read_hold(row: Any) -> WorkerHold:
    """The hold of a row of `SELECT_HOLDS`."""
    return WorkerHold(
        assignment_id=AssignmentId(row.id),
        run_id=RunId(row.run_id),
        stack_name=row.stack_name,
        state=RunState(row.state),
    )
