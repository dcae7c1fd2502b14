"""Drift on a schedule: stacks whose moment has come are compared with what they have deployed.

Safe to run anywhere, at once: a stack's next moment is set in the transaction that uses the one before, under the
stack's lock, by the database's clock. What follows from drift that is found is `flows.drift`.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from app.core import words_drift
from app.core.drift import DriftResult, deployed_commit, why_not
from app.core.names import StackId
from app.core.run import Run, RunType
from app.flows.drift import ground_of, run_of_drift
from app.flows.drift_turn import next_turn
from app.flows.ports import Store
from app.flows.schedule import schedule
from app.flows.sweep import do_all

AT_ONCE: Final = 50
"""Stacks of one step: a thousand of one moment become runs within a few of them, and nothing else waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The use case of the look for stacks that are due."""

    store: Store

    def look(self) -> int:
        """Have the stacks compared whose moment has come, or note why not; how many runs were made.

        Raises: the first trouble, once everything was tried.
        """
        with self.store.begin() as tx:
            due = tx.list_due_drift(limit=AT_ONCE)
        made: list[Run] = []
        do_all(partial(self._one, stack_id, made) for stack_id in due)
        return len(made)

    def _one(self, stack_id: StackId, made: list[Run]) -> None:
        """One stack, in a transaction of its own. However many moments were missed, one run is made."""
        with self.store.begin() as tx:
            stack = tx.lock_stack(stack_id)
            turn, now = tx.find_drift_turn(stack_id), tx.now()
            if turn.due_at is None or turn.due_at > now or stack.is_detached:
                return  # another process was quicker, or the settings changed meanwhile
            begun = next_turn(tx, stack.settings)
            ground = ground_of(tx, stack)
            why, deployed = why_not(stack, ground), deployed_commit(ground)
            if why or isinstance(deployed, str):
                told = words_drift.passed_over(turn.due_at, why)
                tx.save_drift_turn(stack_id, replace(begun, told=told, told_at=now))
                tx.count_drift(DriftResult.PASSED_OVER)
                return
            tx.save_drift_turn(stack_id, begun)
            run = run_of_drift(tx, stack, RunType.DRIFT, deployed)
            tx.add_run(run, event_key=None)
            schedule(tx, stack)
            made.append(run)
