"""What is said about workers."""

from datetime import UTC, datetime, timedelta

from app.core import words_workers as words
from app.core.names import AssignmentId, RunId
from app.core.run import RunState
from app.core.workers import SeenWorker, WorkerFacts, WorkerHold, WorkerState, worker_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FACTS = WorkerFacts(pool="default", name="host", version="0.1.0", slots=2)


def hold(state: RunState = RunState.PLANNING) -> WorkerHold:
    return WorkerHold(assignment_id=AssignmentId("A"), run_id=RunId("01RUN"), stack_name="network", state=state)


def worker(seen_s: float = 3, *, holds: tuple[WorkerHold, ...] = (), by: str = "", pool_by: str = "") -> SeenWorker:
    seen = NOW - timedelta(seconds=seen_s)
    return SeenWorker(
        facts=FACTS, first_seen=seen, last_seen=seen, now=NOW, drained_by=by, pool_drained_by=pool_by, holds=holds
    )


def test_a_slot_belongs_to_its_worker() -> None:
    names = {"host/1": "host", "host/12": "host", "host": "host", "a/b": "a/b", "/1": "/1", "host/": "host/"}
    assert {name: worker_of(name) for name in names} == names


def test_a_worker_is_in_one_state() -> None:
    assert worker().state is WorkerState.IDLE
    assert worker(holds=(hold(),)).state is WorkerState.BUSY
    assert worker(holds=(hold(),), by="ops").state is WorkerState.DRAINING
    assert worker(pool_by="ops").state is WorkerState.DRAINED
    assert worker(61, holds=(hold(),), by="ops").state is WorkerState.GONE


def test_the_table_says_what_an_operator_looks_for() -> None:
    lines = words.worker_lines([worker(holds=(hold(),)), worker(7200, by="ops")], {"default": "eve"})
    assert lines == [
        "POOL     NAME  STATE                 SLOTS  VERSION  SEEN     RUNS",
        "default  host  busy                  1/2    0.1.0    3 s ago  01RUN (network, planning)",
        "default  host  gone, drained by ops  0/2    0.1.0    2 h ago",
        "pool default is drained by eve",
    ]


def test_removing_says_what_becomes_of_each_run() -> None:
    said = words.worker_removed(worker(holds=(hold(),)), [hold(), hold(RunState.APPLYING)], 20)
    lost = "the worker has lost it and stops its engine; when its lease has run out, within 20 s,"
    assert said.splitlines() == [
        "worker host of pool default is forgotten",
        f"run 01RUN (network, planning): {lost} another worker takes it",
        f"run 01RUN (network, applying): {lost} its outcome is unknown, and its stack on hold",
        "it was seen a moment ago: unless it is stopped, its next claim lists it again, and not drained",
    ]
    assert words.worker_removed(worker(90), [], 20) == "worker host of pool default is forgotten"


def test_draining_says_what_goes_on() -> None:
    assert words.worker_drained(FACTS, [hold()], was_so=False) == (
        "worker host of pool default is drained: it gets no new run, also after a restart, until `resume`; "
        "1 run is under way there, and goes on"
    )
    assert words.pool_drained("default", 3, was_so=True) == (
        "pool default was drained already; 3 runs are under way there, and go on"
    )
    assert words.pool_drained("default", 0, was_so=False).endswith("; nothing is under way there")


def test_resuming_says_what_still_stands_in_the_way() -> None:
    assert words.worker_resumed(FACTS, "", was_so=True) == (
        "worker host of pool default is resumed: it gets runs again, within seconds"
    )
    assert words.worker_resumed(FACTS, "eve", was_so=False) == (
        "worker host of pool default was not drained; its pool is drained by eve, so it still gets none: "
        "`resume --pool default`"
    )
