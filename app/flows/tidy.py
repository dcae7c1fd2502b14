"""What grows and only history needs: let go of in its time, a little at once; safe to run anywhere, at once.

Artifacts that nothing names, logs and bodies of deliveries past their days, versions of states past their number,
sessions and logins that are over.
Knows nothing of clocks but the database's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from app.core.artifact import Stored
from app.core.names import RunId, StackId
from app.flows.held import archive_key
from app.flows.ports import Artifacts, Store, Transaction
from app.flows.sweep import do_all

ORPHAN_AFTER = timedelta(days=1)
"""How long an artifact may be there before something names it: an upload takes hours at most."""
AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How long, or how many."""

    logs_days: int
    deliveries_days: int
    decisions_days: int
    state_versions: int
    """Of each stack; 0: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidy:
    """The use case of what is done every hour."""

    store: Store
    artifacts: Artifacts
    kept: Kept

    def tidy(self) -> int:
        """Let go of what is due; how many things that were.

        Raises: the first trouble, once everything was tried: what cannot be let go keeps nothing else.
        """
        kept, found = self.kept, list[int]()
        parts: list[Callable[[], int]] = [
            lambda: self._until_done(lambda tx: tx.sweep_logs(kept_days=kept.logs_days, limit=AT_ONCE)),
            lambda: self._until_done(lambda tx: tx.sweep_bodies(kept_days=kept.deliveries_days, limit=AT_ONCE)),
            lambda: self._until_done(lambda tx: tx.sweep_messages(kept_days=kept.deliveries_days, limit=AT_ONCE)),
            lambda: self._until_done(lambda tx: tx.sweep_decisions(kept_days=kept.decisions_days)),
            lambda: self._until_done(lambda tx: tx.sweep_sessions(limit=AT_ONCE)),
            lambda: self._until_done(lambda tx: tx.sweep_logins(limit=AT_ONCE)),
            self._sweep_versions,
            lambda: self._sweep_orphans("workspaces", self._is_workspace_needed),
            lambda: self._sweep_orphans("state", self._is_state_needed),
            lambda: self.artifacts.sweep_partial(older_than_s=ORPHAN_AFTER.total_seconds()),
        ]
        do_all(partial(lambda part: found.append(part()), part) for part in parts)
        return sum(found)

    def _until_done(self, sweep: Callable[[Transaction], int]) -> int:
        """Short transactions, one after the other, until one finds less than it may take."""
        found = AT_ONCE
        total = 0
        while found >= AT_ONCE:
            with self.store.begin() as tx:
                found = sweep(tx)
            total += found
        return total

    def _sweep_versions(self) -> int:
        """Rows first: a row never points at nothing. What is left of a crash between is an orphan a day later."""
        if not self.kept.state_versions:
            return 0
        with self.store.begin() as tx:
            keys = tx.sweep_state_versions(kept=self.kept.state_versions, limit=AT_ONCE)
        do_all(partial(self.artifacts.delete, key) for key in keys)
        return len(keys)

    def _sweep_orphans(self, folder: str, is_needed: Callable[[Transaction, Stored], bool]) -> int:
        found = list[str]()

        def let_go(key: str) -> None:
            self.artifacts.delete(key)
            found.append(key)

        do_all(partial(let_go, stored.key) for stored in self._orphans(folder, is_needed))
        return len(found)

    def _orphans(self, folder: str, is_needed: Callable[[Transaction, Stored], bool]) -> Iterator[Stored]:
        """What has been there for long enough, and nothing names."""
        with self.store.begin() as tx:
            before: datetime = tx.now() - ORPHAN_AFTER
        for stored in self.artifacts.list_artifacts(folder):
            if stored.stored_at >= before:
                continue
            with self.store.begin() as tx:
                needed = is_needed(tx, stored)
            if not needed:
                yield stored

    def _is_workspace_needed(self, tx: Transaction, stored: Stored) -> bool:
        """True for the workspace that a live run waits with, and for one whose apply has an unknown outcome."""
        run = tx.find_run(RunId(stored.key.split("/")[1].upper()))
        if run is None or run.plan is None:
            return run is not None and not run.state.is_terminal  # planned just now: its plan is not the run's yet
        is_its_own = stored.key == archive_key(run.id, run.plan)
        if run.state.is_terminal:
            stack = tx.find_stack(run.stack_id)  # until somebody has looked, and says so by `unlock`
            return run.is_outcome_unknown and is_its_own and stack is not None and bool(stack.hold_reason)
        return is_its_own or not _is_older(stored.key, run.plan.number)

    def _is_state_needed(self, tx: Transaction, stored: Stored) -> bool:
        parts = stored.key.upper().split("/")
        return len(parts) == 3 and tx.find_state_version(StackId(parts[1]), parts[2]) is not None


def _is_older(key: str, number: int) -> bool:
    """True for the workspace of an earlier plan of the same run."""
    told = key.rpartition("/")[2].partition("-")[0]
    return told.isdigit() and int(told) < number
