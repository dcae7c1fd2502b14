"""Every sentence about workers: what draining, resuming and removing say, and the table of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from app.core.run import RunState
from app.core.table import table_lines
from app.core.words_run import phase_word
from app.core.workers import Drained, SeenWorker, WorkerFacts, WorkerHold

_COLUMNS = ("POOL", "NAME", "STATE", "SLOTS", "VERSION", "SEEN", "RUNS")


def drained(answer: Drained) -> str:
    """What a worker that is drained is told when it asks for work."""
    what, way = f"worker {answer.name}", f"trackside workers resume {answer.name} --pool {answer.pool}"
    if answer.is_pool:
        what, way = f"pool {answer.pool}", f"trackside workers resume --pool {answer.pool}"
    return f"{what} is drained by {answer.by}: no run is given out; `{way}` ends that"


def wrong_pool(said: str, pool: str) -> str:
    """What a worker is told whose token belongs to another pool than it was started for."""
    return (
        f"checking the token: it belongs to pool {pool}, and the worker was started for pool {said}: "
        "give it that pool's token, or the other pool's name"
    )


def worker_drained(worker: WorkerFacts, holds: Sequence[WorkerHold], *, was_so: bool) -> str:
    """After `drain NAME`."""
    again = "was drained already" if was_so else "is drained: it gets no new run, also after a restart, until `resume`"
    return f"worker {_name(worker)} {again}; {_under_way(len(holds))}"


def pool_drained(pool: str, running: int, *, was_so: bool) -> str:
    """After `drain --pool`."""
    again = "was drained already" if was_so else "is drained: none of its workers gets a new run, those to come neither"
    return f"pool {pool} {again}; {_under_way(running)}"


def worker_resumed(worker: WorkerFacts, pool_drained_by: str, *, was_so: bool) -> str:
    """After `resume NAME`."""
    if pool_drained_by:
        rest = f"; its pool is drained by {pool_drained_by}, so it still gets none: `resume --pool {worker.pool}`"
    else:
        rest = ": it gets runs again, within seconds" if was_so else ""
    return f"worker {_name(worker)} {'is resumed' if was_so else 'was not drained'}{rest}"


def pool_resumed(pool: str, *, was_so: bool) -> str:
    """After `resume --pool`."""
    if not was_so:
        return f"pool {pool} was not drained; a single worker is resumed by its name"
    return f"pool {pool} is resumed: its workers get runs again, but for those that are drained by name"


def no_worker(name: str, pool: str) -> str:
    """When nobody has that name."""
    where = f" in pool {pool[:80]}" if pool else ""
    return f"finding worker {name[:100]}{where}: there is none; `trackside workers` lists them"


def several_workers(name: str, pools: Sequence[str]) -> str:
    """When more than one has."""
    return f"finding worker {name[:100]}: there is one in each of the pools {', '.join(pools)}; name one with --pool"


def no_pool(pool: str, known: Sequence[str]) -> str:
    """When there is no such pool."""
    return f"finding pool {pool[:80]}: there is none; there are {', '.join(known) or 'no pools at all'}"


def still_applying(worker: WorkerFacts, holds: Sequence[WorkerHold]) -> str:
    """When a worker is not removed because it applies."""
    runs = ", ".join(f"{hold.run_id} ({hold.stack_name})" for hold in holds)
    return (
        f"removing worker {_name(worker)}: it is applying {runs}, and what becomes of that would not be known: its "
        "stack would be on hold. Drain it and wait, or say --even-if-applying"
    )


def worker_removed(worker: SeenWorker, holds: Sequence[WorkerHold], lease_s: float) -> str:
    """After `remove NAME`: what becomes of its runs, and that a live one comes back."""
    lines = [f"worker {_name(worker.facts)} is forgotten"]
    for hold in holds:
        becomes = (
            "its outcome is unknown, and its stack on hold"
            if hold.state is RunState.APPLYING
            else "another worker takes it"
        )
        lines.append(
            f"run {hold.run_id} ({hold.stack_name}, {phase_word(hold.state)}): the worker has lost it and stops its "
            f"engine; when its lease has run out, within {lease_s:g} s, {becomes}"
        )
    if not worker.is_gone:
        lines.append("it was seen a moment ago: unless it is stopped, its next claim lists it again, and not drained")
    return "\n".join(lines)


def worker_lines(workers: Sequence[SeenWorker], drained_pools: Mapping[str, str]) -> list[str]:
    """The table of workers, and which pools are drained."""
    lines = table_lines(_COLUMNS, (_row(worker) for worker in workers))
    return lines + [f"pool {pool} is drained by {by}" for pool, by in drained_pools.items()]


def worker_document(worker: SeenWorker) -> dict[str, object]:
    """One worker for programs."""
    facts = worker.facts
    return {
        "pool": facts.pool,
        "name": facts.name,
        "state": worker.state.value,
        "slots": facts.slots,
        "version": facts.version,
        "protocol": facts.protocol,
        "engines": list(facts.engines),
        "first_seen": worker.first_seen.isoformat(),
        "last_seen": worker.last_seen.isoformat(),
        "drained_by": worker.drained_by or worker.pool_drained_by or None,
        "runs": [{"id": hold.run_id, "stack": hold.stack_name, "state": hold.state.value} for hold in worker.holds],
    }


def _row(worker: SeenWorker) -> tuple[str, ...]:
    facts = worker.facts
    by = worker.drained_by or worker.pool_drained_by
    state = f"{worker.state.value}, drained by {by}" if by and worker.is_gone else worker.state.value
    runs = ", ".join(f"{hold.run_id} ({hold.stack_name}, {phase_word(hold.state)})" for hold in worker.holds)
    seen = _ago(worker.now, worker.last_seen)
    slots = f"{len(worker.holds)}/{facts.slots}"
    return (facts.pool, facts.name, state, slots, facts.version or "?", seen, runs)


def _ago(now: datetime, then: datetime) -> str:
    seconds = max(0, round((now - then).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _name(worker: WorkerFacts) -> str:
    return f"{worker.name} of pool {worker.pool}"


def _under_way(running: int) -> str:
    if not running:
        return "nothing is under way there"
    return "1 run is under way there, and goes on" if running == 1 else f"{running} runs are under way there, and go on"
