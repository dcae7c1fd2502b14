"""500 workers that wait on one web process: its memory, its processor, its database connections, and how soon a run
that becomes ready is with one of them.

The workers are 500 connections of one client in this process; each holds a claim of 23 to 30 s, again and again.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from random import random
from time import perf_counter

import httpx

from app.core.protocol import MAX_WAIT_S
from tests.benchmarks.figures import percentile, table
from tests.benchmarks.plane import POOL_TOKEN, Plane, cpu_s, memory_mb, open_plane

COUNTS = (1, 500)
RUNS = 200
IDLE_S = 30.0
"""As long as a poll, so that every worker asks once in it."""


@dataclass
class Waiters:
    """So many workers that wait."""

    plane: Plane
    count: int
    given: "SimpleQueue[tuple[float, dict[str, object]]]" = field(default_factory=SimpleQueue)
    """When, and which assignment."""

    async def run(self, is_over: threading.Event) -> None:
        """Hold the claims until it is over."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=MAX_WAIT_S + 30, trust_env=False) as client:
            tasks = [asyncio.create_task(self._wait(client, number)) for number in range(self.count)]
            while not is_over.is_set():
                await asyncio.sleep(0.2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, client: httpx.AsyncClient, number: int) -> None:
        headers = {"authorization": f"Bearer {POOL_TOKEN}"}
        while True:
            asked = {"worker": f"waiter-{number}/1", "wait_s": MAX_WAIT_S * (1 - random() / 4)}  # as a worker does
            answer = await client.post(f"{self.plane.url}/claim", json=asked, headers=headers)
            if answer.status_code == 200:
                self.given.put((perf_counter(), answer.json()))


@contextmanager
def waiting(plane: Plane, count: int) -> Iterator[Waiters]:
    """Workers that wait, all of them there, and no longer in step."""
    waiters, is_over = Waiters(plane, count), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(waiters.run(is_over)), name="waiters")
    thread.start()
    try:
        pause = threading.Event()
        while plane.rows("SELECT count(*) FROM workers WHERE last_seen > now() - interval '1 minute'") < [(count,)]:
            pause.wait(0.1)
        pause.wait(2 * MAX_WAIT_S)
        yield waiters
    finally:
        is_over.set()
        thread.join(30)


def measure(server_url: str) -> str:
    """The table. `server_url`: a PostgreSQL with durable commits."""
    rows = []
    with open_plane(server_url) as plane:
        stacks = plane.add_stacks(RUNS)
        idle_mb = memory_mb(plane.web.pid)
        for count in COUNTS:
            plane.database.execute("DELETE FROM workers")
            with waiting(plane, count) as waiters:
                cpu, connections = _idle(plane)
                latencies = [_latency_s(plane, waiters, stack) for stack in stacks]
                rows.append(
                    [
                        str(count),
                        f"{memory_mb(plane.web.pid):.0f}",
                        f"{cpu * 100:.1f}",
                        str(connections),
                        *(f"{percentile(latencies, share) * 1000:.0f}" for share in (0.5, 0.99, 1.0)),
                    ]
                )
    columns = ["waiting", "memory MiB", "CPU %", "connections", "ready to claimed p50 ms", "p99 ms", "worst ms"]
    said = table(f"Claims held on one web process; {RUNS} runs, one after the other", columns, rows)
    return said + f"\nBefore the first worker came the process had {idle_mb:.0f} MiB.\n"


def _idle(plane: Plane) -> tuple[float, int]:
    """The share of a processor that the web process takes, and its database connections, while nothing happens."""
    before, start = cpu_s(plane.web.pid), perf_counter()
    threading.Event().wait(IDLE_S)
    share = (cpu_s(plane.web.pid) - before) / (perf_counter() - start)
    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    (count,) = plane.rows(ours)[0]
    return share, int(str(count)) - plane.store.engine.pool.checkedin()  # type: ignore[attr-defined] # a QueuePool


def _latency_s(plane: Plane, waiters: Waiters, stack: object) -> float:
    """From the commit that makes a run ready until a worker has its assignment: with clone token and all."""
    start = perf_counter()
    plane.add_ready(stack)  # type: ignore[arg-type] # one of its stacks
    at, assignment = waiters.given.get(timeout=30)
    with httpx.Client(trust_env=False) as client:
        plane.end(client, assignment)
    return at - start
