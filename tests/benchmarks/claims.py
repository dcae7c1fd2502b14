"""Claims a second, and what one takes, with 1,000 and with 100,000 finished runs behind it (aim: the same).

Once through the web process, with clone token and all, from eight slots at once; once the claim's own transaction.
"""

import threading
from dataclasses import dataclass, field
from time import perf_counter

import httpx

from app.core.run import Step
from app.core.stack import Stack
from app.core.workers import WorkerFacts
from tests.benchmarks.figures import percentile, table
from tests.benchmarks.plane import POOL_TOKEN, Plane, open_plane
from tests.store.world import hold_of, step

HISTORIES = (1_000, 100_000)
RUNS, SLOTS = 400, 8
AIM = 1.25
"""How much slower a claim may be with a hundred times the history, on a machine that others use."""


@dataclass
class Taken:
    """What the slots took."""

    latencies_s: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def measure(server_url: str) -> str:
    """The table. `server_url`: a PostgreSQL with durable commits."""
    rows, medians = [], []
    for history in HISTORIES:
        with open_plane(server_url) as plane:
            plane.add_finished(history)
            stacks = plane.add_stacks(RUNS)
            store_s = _claim_by_store(plane, stacks)
            plane.settle()
            rate, http_s = _claim_by_http(plane, stacks)
        medians.append(percentile(store_s, 0.5))
        rows.append(
            [
                f"{history:,}",
                f"{rate:.0f}",
                f"{percentile(http_s, 0.5) * 1000:.1f}",
                f"{percentile(http_s, 0.99) * 1000:.1f}",
                f"{medians[-1] * 1000:.2f}",
                f"{percentile(store_s, 0.99) * 1000:.2f}",
            ]
        )
    columns = ["finished runs", "claims/s", "claim p50 ms", "p99 ms", "transaction p50 ms", "p99 ms"]
    ratio = medians[1] / medians[0]
    said = table(f"{RUNS} claims from {SLOTS} slots, and {RUNS} transactions one after the other", columns, rows)
    met = "met" if ratio <= AIM else "missed"
    return (
        said + f"\nThe transaction's median with the long history is {ratio:.2f} of the short one's: flat is {met}.\n"
    )


def _claim_by_store(plane: Plane, stacks: list[Stack]) -> list[float]:
    """How long each transaction took: the worker is seen, the oldest run is taken and held."""
    for stack in stacks:
        plane.add_ready(stack)
    took, facts = [], WorkerFacts(pool="default", name="w1")
    for _ in stacks:
        start = perf_counter()
        with plane.store.begin() as tx:
            tx.see_worker(facts)
            claimed = tx.claim("default", hold_of("w1/1"), step(Step.CLAIM))
        took.append(perf_counter() - start)
        assert claimed is not None
        with plane.store.begin() as tx:
            tx.change_run(claimed[0].id, step(Step.FAIL))
            tx.end_assignment(claimed[1].id)
    return took


def _claim_by_http(plane: Plane, stacks: list[Stack]) -> tuple[float, list[float]]:
    """Claims a second, and how long each took for its worker."""
    for stack in stacks:
        plane.add_ready(stack)
    taken = Taken()
    threads = [threading.Thread(target=_slot, args=(plane, f"w1/{number}", taken)) for number in range(SLOTS)]
    start = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = perf_counter() - start
    assert len(taken.latencies_s) == RUNS
    return RUNS / elapsed, taken.latencies_s


def _slot(plane: Plane, name: str, taken: Taken) -> None:
    """Claim until nothing waits."""
    headers = {"authorization": f"Bearer {POOL_TOKEN}"}
    with httpx.Client(trust_env=False, timeout=30) as client:
        while True:
            start = perf_counter()
            answer = client.post(f"{plane.url}/claim", json={"worker": name, "wait_s": 0}, headers=headers)
            elapsed = perf_counter() - start
            if answer.status_code != 200:
                return
            with taken.lock:
                taken.latencies_s.append(elapsed)
