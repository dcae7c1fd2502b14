"""The numbers of /metrics about workers and what waits for them, read when they are asked for.

A pool that has a token is always there, with zeros: an alert on a queue must not depend on something waiting.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from app.core.protocol import Phase
from app.core.workers import PoolQueue, SeenWorker, WorkerState
from app.web.doors import Gauge


class WorkerNumbers(Protocol):
    """What is asked."""

    def list_workers(self) -> Sequence[SeenWorker]: ...

    def list_queues(self) -> Sequence[PoolQueue]: ...

    def count_assignments(self) -> Mapping[str, int]: ...


def worker_gauges(numbers: WorkerNumbers, pools: Iterable[str]) -> list[Gauge]:
    """Workers by state, assignments by phase, and for each pool how much waits and for how long."""
    states = Counter(worker.state.value for worker in numbers.list_workers())
    phases = numbers.count_assignments()
    queues = {pool: PoolQueue(pool=pool, length=0, oldest_wait_s=0.0) for pool in sorted(pools)}
    queues |= {queue.pool: queue for queue in numbers.list_queues()}
    return [
        Gauge(
            name="workers",
            meaning="Workers by state.",
            label="state",
            values={state.value: float(states[state.value]) for state in WorkerState},
        ),
        Gauge(
            name="assignments",
            meaning="Runs that are with a worker, by phase.",
            label="phase",
            values={phase.value: float(phases.get(phase.value, 0)) for phase in Phase},
        ),
        Gauge(
            name="queue_length",
            meaning="Runs that wait for a worker, by pool.",
            label="pool",
            values={pool: float(queue.length) for pool, queue in queues.items()},
        ),
        Gauge(
            name="queue_oldest_wait_seconds",
            meaning="How long the oldest run that waits for a worker has waited, by pool.",
            label="pool",
            values={pool: queue.oldest_wait_s for pool, queue in queues.items()},
        ),
    ]
