"""200 runs of 50 stacks, eight slots of two workers: never two at once on a stack, in their order, and none is lost.

The workers are the protocol's own client without an engine: what is tried here is who gets what, and when.
"""

import hashlib
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.core.command import Command, Verb
from app.core.names import RunId, Secret
from app.core.plan import Counts, Delta, PlanSummary
from app.core.protocol import (
    Assignment,
    ClaimRequest,
    Next,
    Outcome,
    Phase,
    PlanReport,
    ResultReport,
    Stage,
    StageReport,
)
from app.core.run import RunState
from app.flows.answer import Done
from app.worker.client import ControlPlane, Drained, Hold
from tests.driver import POOL_TOKEN, Restarts, open_restarts, wait_until

STACKS, PUSHES, SLOTS = 50, 4, 8
ENGINE = "terraform 1.11.4"


@dataclass
class Ledger:
    """What the slots did, as they saw it themselves."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    holder: dict[str, str] = field(default_factory=dict)
    """Stack to the run that is under way there, from its first claim until it ended."""
    working: set[str] = field(default_factory=set)
    """Stacks on which somebody works now."""
    order: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Stack to its runs, in the order in which they were taken."""
    done: int = 0
    wrong: list[str] = field(default_factory=list)
    applied_elsewhere: int = 0
    planned_by: dict[str, str] = field(default_factory=dict)

    def take(self, slot: str, taken: Assignment) -> None:
        """A slot got a run."""
        with self.lock:
            other = self.holder.setdefault(taken.stack_id, taken.run_id)
            if other != taken.run_id:
                self.wrong.append(f"{taken.run_id} was given out while {other} is under way")
            if taken.stack_id in self.working:
                self.wrong.append(f"two work on stack {taken.stack_name}")
            self.working.add(taken.stack_id)
            if taken.phase is Phase.PLAN:
                self.order[taken.stack_id].append(taken.run_id)
                self.planned_by[taken.run_id] = slot
            elif self.planned_by[taken.run_id].partition("/")[0] != slot.partition("/")[0]:
                self.applied_elsewhere += 1

    def leave(self, taken: Assignment, *, is_over: bool) -> None:
        """A slot is about to say that it has done its part: from then on the next one may come."""
        with self.lock:
            self.working.discard(taken.stack_id)
            if is_over:
                del self.holder[taken.stack_id]
                self.done += 1


@dataclass(frozen=True)
class Slot:
    """One slot of a worker without an engine."""

    name: str
    restarts: Restarts
    ledger: Ledger
    folder: Path

    def work(self) -> None:
        """Claim until every run has ended."""
        plane = ControlPlane(self.restarts.world.url, Secret(POOL_TOKEN))
        try:
            while self.ledger.done < STACKS * PUSHES and not self.ledger.wrong:
                taken = plane.claim(ClaimRequest(worker=self.name, wait_s=1, slots=SLOTS // 2))
                assert not isinstance(taken, Drained)
                if taken is not None:
                    self.ledger.take(self.name, taken)
                    self.carry_out(Hold(plane, taken), taken)
        except Exception as error:
            self.ledger.wrong.append(f"{self.name}: {type(error).__name__}: {error}")
            raise
        finally:
            plane.close()

    def carry_out(self, hold: Hold, taken: Assignment) -> None:
        """Do what a worker does, but for the engine."""
        if taken.phase is Phase.APPLY:
            with (self.folder / taken.id).open("w+b") as file:
                hold.get_archive(file)
                file.seek(0)
                assert file.read() == taken.run_id.encode(), "the archive of another run"
            hold.request_apply(digest=taken.plan_digest, engine=taken.engine)
            self.ledger.leave(taken, is_over=True)
            hold.result(ResultReport(fencing=taken.fencing, outcome=Outcome.APPLIED))
            return
        hold.stage(StageReport(fencing=taken.fencing, stage=Stage.INITIALIZING, state_mode="external"))
        hold.stage(StageReport(fencing=taken.fencing, stage=Stage.PLANNING))
        has_changes = len(self.ledger.order[taken.stack_id]) == PUSHES
        if not has_changes:
            self.ledger.leave(taken, is_over=True)
        counts = Counts(create=1 if has_changes else 0)
        report = PlanReport(
            fencing=taken.fencing,
            digest=hashlib.sha256(taken.run_id.encode()).hexdigest(),
            engine=ENGINE,
            has_changes=has_changes,
            summary=PlanSummary(delta=Delta(resources=counts), changes=()),
        )
        assert hold.plan(report).next is (Next.ARCHIVE if has_changes else Next.DONE)
        if has_changes:
            self.park(hold, taken)

    def park(self, hold: Hold, taken: Assignment) -> None:
        """Store the workspace; then a person confirms."""
        archive = self.folder / taken.id
        archive.write_bytes(taken.run_id.encode())
        sha256 = hashlib.sha256(taken.run_id.encode()).hexdigest()
        hold.put_archive(archive, sha256=sha256)
        self.ledger.leave(taken, is_over=False)
        size = archive.stat().st_size
        hold.result(
            ResultReport(fencing=taken.fencing, outcome=Outcome.PLANNED, archive_size_bytes=size, archive_sha256=sha256)
        )
        operate = self.restarts.world.plane.operate
        said = operate.run(RunId(taken.run_id), Command(verb=Verb.CONFIRM), "alice")
        assert isinstance(said, Done), said.text


def push_everything(restarts: Restarts) -> None:
    """Four pushes that touch every stack; each is decided as its job would."""
    world = restarts.world
    names = [f"s{number:02}" for number in range(STACKS)]
    stacks = "version: 1\nstacks:\n" + "".join(f"  - {{name: {name}, project_root: {name}}}\n" for name in names)
    repo = world.repository()
    for number in range(PUSHES):
        files: dict[str, str | None] = {f"{name}/main.tf": f"# {number}\n" for name in names}
        files |= {".trackside/stacks.yml": stacks} if number == 0 else {}
        world.push(repo, files, f"Push {number}")
        world.github.wait_deliveries()
        for (guid,) in world.sql("SELECT guid FROM deliveries WHERE outcome = 'pending' ORDER BY received_at"):
            world.plane.tasks.deliver(guid)  # type: ignore[arg-type] # a column of a raw row


@pytest.mark.timeout(120)
def test_two_hundred_runs_of_fifty_stacks_on_eight_slots(tmp_path: Path, database_url: str) -> None:
    """Every run ends well, at its first attempt; each stack's runs were taken one after the other, as they came."""
    with open_restarts(tmp_path, database_url, with_jobs=False) as restarts:
        world, ledger = restarts.world, Ledger()
        push_everything(restarts)
        assert world.sql("SELECT state, count(*) FROM runs GROUP BY state ORDER BY state") == [
            ("queued", STACKS * (PUSHES - 1)),
            ("ready", STACKS),
        ]
        made = defaultdict(list)
        for stack_id, run_id in world.sql("SELECT stack_id, id FROM runs ORDER BY created_at, id"):
            made[str(stack_id)].append(str(run_id))

        slots = [
            Slot(f"{worker}/{number}", restarts, ledger, tmp_path)
            for worker in ("one", "two")
            for number in range(1, SLOTS // 2 + 1)
        ]
        threads = [threading.Thread(target=slot.work, name=slot.name, daemon=True) for slot in slots]
        for thread in threads:
            thread.start()
        wait_until(
            lambda: bool(ledger.wrong) or not any(thread.is_alive() for thread in threads),
            "all runs have ended",
            100,
            lambda: world.sql("SELECT state, count(*) FROM runs GROUP BY state"),
        )
        assert ledger.wrong == []
        assert dict(ledger.order) == dict(made)
        ended = world.sql("SELECT state, attempts, count(*) FROM runs GROUP BY state, attempts")
        assert ended == [(RunState.FINISHED.value, 0, STACKS * PUSHES)]
        assert world.sql("SELECT count(*) FROM run_steps WHERE step = 'apply'") == [(STACKS,)]
        assert world.sql("SELECT count(*) FROM assignments WHERE ended_at IS NULL") == [(0,)]
        assert world.sql("SELECT count(*) FROM assignments") == [(STACKS * (PUSHES + 1),)]
        assert ledger.applied_elsewhere > 0, "some were applied by the worker that had not planned them"
