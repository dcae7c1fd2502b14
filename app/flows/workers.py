"""Workers in people's hands: drained, resumed, removed. Each is one transaction, with its line in the audit log.

Asks the store alone. What a worker is told of it comes with its next claim; a removed one's runs end by their leases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core import words_workers as words
from app.core.errors import UserError
from app.core.record import AuditLine
from app.core.run import RunState
from app.core.workers import SeenWorker
from app.flows.ports import Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """What a command names: a worker (in a pool, when several have one of that name), or a whole pool."""

    name: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """The use cases of `trackside workers`. `by`: who asks. Each says what it did, in words."""

    store: Store
    pools: Sequence[str]
    """Those that have a token."""
    lease_s: float

    def drain(self, which: Which, by: str) -> str:
        """No new runs for a worker or a pool, over restarts too, until `resume`; what is under way goes on.

        Raises: UserError when there is no such worker or pool.
        """
        with self.store.begin() as tx:
            pool = which.pool
            if not which.name:
                self._require_pool(tx, pool)
                was_so = not tx.drain_pool(pool, by)
                said = words.pool_drained(pool, tx.count_holds(pool), was_so=was_so)
            else:
                worker = _find(tx, which)
                pool = worker.facts.pool
                tx.drain_worker(worker.facts, worker.drained_by or by)
                said = words.worker_drained(worker.facts, tx.lock_holds(worker.facts), was_so=bool(worker.drained_by))
            _note(tx, by, _typed("drain", which), said)
            tx.wake_pool(pool)  # one that waits is told so now, and tells the next
        return said

    def resume(self, which: Which, by: str) -> str:
        """Runs again for a worker or a pool. Raises: UserError when there is no such worker or pool."""
        with self.store.begin() as tx:
            if not which.name:
                self._require_pool(tx, which.pool)
                said = words.pool_resumed(which.pool, was_so=tx.drain_pool(which.pool, ""))
            else:
                worker = _find(tx, which)
                tx.drain_worker(worker.facts, "")
                said = words.worker_resumed(worker.facts, worker.pool_drained_by, was_so=bool(worker.drained_by))
            _note(tx, by, _typed("resume", which), said)
        return said

    def remove(self, which: Which, by: str, *, even_if_applying: bool = False) -> str:
        """Forget a worker. Runs that it still has are taken from it, and given back when their leases have run out.

        Raises: UserError when there is no such worker, or when it applies and that was not said to be fine.
        """
        with self.store.begin() as tx:
            worker = _find(tx, which)
            holds = tx.lock_holds(worker.facts)
            applying = [hold for hold in holds if hold.state is RunState.APPLYING]
            if applying and not even_if_applying:
                raise UserError(words.still_applying(worker.facts, applying))
            for hold in holds:
                tx.disown_assignment(hold.assignment_id)
            tx.forget_worker(worker.facts)
            said = words.worker_removed(worker, holds, self.lease_s)
            _note(tx, by, _typed("remove", which), said)
        return said

    def _require_pool(self, tx: Transaction, pool: str) -> None:
        known = sorted({*self.pools, *tx.list_pools()})
        if pool not in known:
            raise UserError(words.no_pool(pool, known))


def _note(tx: Transaction, by: str, command: str, said: str) -> None:
    line = AuditLine(
        at=tx.now(),
        actor=by,
        source="cli",
        command=command,
        run_id=None,
        repository_id=None,
        is_allowed=True,
        reason=said,
    )
    tx.add_audit(line)


def _typed(verb: str, which: Which) -> str:
    return " ".join(filter(None, ("workers", verb, which.name, which.pool and f"--pool {which.pool}")))


def _find(tx: Transaction, which: Which) -> SeenWorker:
    """The one worker that is meant, locked. Raises: UserError."""
    found = tx.lock_workers(which.name, which.pool)
    if not found:
        raise UserError(words.no_worker(which.name, which.pool))
    if len(found) > 1:
        raise UserError(words.several_workers(which.name, [worker.facts.pool for worker in found]))
    return found[0]
