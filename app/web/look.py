"""What the pages read, made of the store's ports: each page from one transaction, nothing written.

Stands between pages and store so that pages see values alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.core.budget import Spending
from app.core.drift import DriftSeen
from app.core.event import Repository
from app.core.names import RepositoryId, RunId, StackId
from app.core.record import LogChunk, PullRecord
from app.core.run import Run
from app.flows import ports
from app.web.doors import Overview, RunDetail, StackDetail

RECENT_RUNS: Final = 50
RUNS_OF_STACK: Final = 100
WAITING_RUNS: Final = 100


@dataclass(frozen=True, slots=True)
class Look:
    """The pages' Reading."""

    store: ports.Store
    reading: ports.Reading

    def overview(self, *, runs: int = RECENT_RUNS) -> Overview:
        """Stacks, and at most so many runs: the newest, and those that wait."""
        stacks = [stack for stack in self.reading.list_all_stacks() if not stack.is_detached]
        recent = self.reading.list_recent_runs(limit=runs)
        newest: dict[StackId, Run] = {}
        for run in recent:
            newest.setdefault(run.stack_id, run)
        known: dict[RepositoryId, Repository | None] = {}
        with self.store.begin() as tx:
            for stack in stacks:
                if stack.repository_id not in known:
                    known[stack.repository_id] = tx.find_repository(stack.repository_id)
        drift = self.reading.list_drift()
        details = [
            StackDetail(
                stack=stack,
                repository=known[stack.repository_id],
                runs=tuple(run for run in [newest.get(stack.id)] if run is not None),
                drift=drift.get(stack.id, DriftSeen()),
            )
            for stack in stacks
        ]
        details.sort(key=lambda one: (one.repository.full_name.lower() if one.repository else "", one.stack.name))
        waiting = self.reading.list_waiting_runs(limit=max(runs, WAITING_RUNS))
        return Overview(
            stacks=tuple(details), runs=tuple(recent), waiting=tuple(waiting), throttled=tuple(self._throttled())
        )

    def _throttled(self) -> list[Spending]:
        return [one for one in self.reading.list_spending() if one.throttled is not None]

    def find_run(self, run_id: RunId) -> RunDetail | None:
        """A run with all that its page shows."""
        with self.store.begin() as tx:
            run = tx.find_run(run_id)
            if run is None:
                return None
            facts, repository = tx.get_run_facts(run), tx.find_repository(run.repository_id)
            blocker = tx.find_run(facts.blocked_by) if facts.blocked_by is not None else None
            summary = tx.find_summary(run.id, run.plan.number) if run.plan is not None else None
            whole = tx.find_summary(run.id, run.targeting.of_plan) if run.targeting is not None else None
            attestation, messages = tx.find_attestation(run.id) or b"", tuple(tx.list_messages(run.id))
            reviews = tuple(tx.list_reviews(run.id))
            number = run.pull_number or tx.find_landing(run.repository_id, run.head_sha)
            pull = tx.find_pull(run.repository_id, number) if number is not None else PullRecord()
        history = tuple(self.reading.read_history(run_id))
        mine = repository.installation_id if repository is not None else None
        throttled = next((one for one in self._throttled() if one.installation_id == mine), None)
        return RunDetail(
            run=run,
            facts=facts,
            blocked_by=blocker,
            history=history,
            summary=summary,
            whole=whole,
            repository=repository,
            attestation=attestation,
            throttled=throttled,
            messages=messages,
            reviews=reviews,
            pull_number=number,
            pull_title=pull.title,
        )

    def find_stack(self, stack_id: StackId) -> StackDetail | None:
        """A stack with its runs."""
        with self.store.begin() as tx:
            stack = tx.find_stack(stack_id)
            if stack is None:
                return None
            repository = tx.find_repository(stack.repository_id)
        runs = tuple(self.reading.list_recent_runs(stack_id=stack_id, limit=RUNS_OF_STACK))
        drift = self.reading.list_drift(stack_id).get(stack_id, DriftSeen())
        return StackDetail(stack=stack, repository=repository, runs=runs, drift=drift)

    def read_log(self, run_id: RunId) -> Iterator[LogChunk]:
        """The run's log, piece by piece."""
        return self.reading.read_log(run_id)

    def read_log_end(self, run_id: RunId, *, limit: int) -> tuple[bytes, int]:
        """The last bytes of the run's log, at most `limit`, and how many are before them; no others are read."""
        before = max(self.reading.count_log_bytes(run_id) - limit, 0)
        return b"".join(chunk.text for chunk in self.reading.read_log(run_id, after=before))[:limit], before
