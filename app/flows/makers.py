"""What a run would apply, as stretches of history: its own push, and the pushes before it that were never applied. Who
made those must not confirm it, where a stack says `not_author`.

Asks the transaction alone; who made the commits is GitHub's to say.
"""

from dataclasses import dataclass
from typing import Final

from app.core import words_policy
from app.core.missed import FOUND_BY
from app.core.names import ZERO_SHA, Sha
from app.core.permit import Stretch
from app.core.run import Run, RunState, RunType, Trigger
from app.core.stack import Stack
from app.flows.ports import Transaction
from app.flows.weigh import ref_of

MAX_LOOKED_AT: Final = 200
"""Newest runs of a stack among which the one is looked for that was applied last."""
MAX_STRETCHES: Final = 20
_ORDERS: Final = (Trigger.COMMAND, Trigger.POLICY, Trigger.DEPENDENCY)
"""Whoever ordered an earlier run made nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """Where to look for those who made what a run would apply."""

    stretches: tuple[Stretch, ...] = ()
    """Oldest first."""
    pushers: frozenset[str] = frozenset()
    """Who pushed them, in lower case, as far as that is known."""
    obstacle: str = ""
    """Why not everybody can be known, as an error says it; empty: they can."""


def makers_of(tx: Transaction, run: Run, stack: Stack) -> Makers:
    """What has to be asked about the run."""
    if run.type is RunType.DESTROY:  # it takes away what is deployed, and brings nothing
        return Makers(stretches=(Stretch(since=run.head_sha, head=run.head_sha),))
    pending, deployed, is_whole = _pending(tx, run)
    if not is_whole:
        return Makers(obstacle=words_policy.none_applied(stack.name, MAX_LOOKED_AT))
    stretches = _stretches(tx, pending, stack, deployed)
    if len(stretches) > MAX_STRETCHES:
        return Makers(obstacle=words_policy.never_applied(stack.name, MAX_STRETCHES))
    pushed = {one.triggered_by.lower() for one in pending if one.trigger not in _ORDERS}
    return Makers(stretches=tuple(stretches), pushers=frozenset(pushed - {"", FOUND_BY}))


def _pending(tx: Transaction, run: Run) -> tuple[list[Run], Sha | None, bool]:
    """The run and those before it that came to nothing, oldest first; the commit that the stack was deployed to before
    them; and False when they are too many to be found."""
    pending = [run]
    newest = tx.list_stack_runs(run.stack_id, limit=MAX_LOOKED_AT)
    for one in newest:
        if one.id == run.id or one.type is not RunType.TRACKED or one.created_at > run.created_at:
            continue  # what was destroyed says nothing of the commits before
        if _is_settled(one):
            return pending[::-1], one.head_sha, True
        pending.append(one)
    return pending[::-1], None, len(newest) < MAX_LOOKED_AT


def _is_settled(run: Run) -> bool:
    """True when nothing of the run's commit is left to be applied: of a part, or of what was planned only, the rest is
    still to come."""
    is_planned_only = run.confirmed_digest is None and run.plan is not None and run.plan.has_changes
    return run.state is RunState.FINISHED and run.targeting is None and not is_planned_only


def _stretches(tx: Transaction, pending: list[Run], stack: Stack, deployed: Sha | None) -> list[Stretch]:
    """One for each run, joined where one begins at the end of the one before."""
    pushed = tx.list_pushed_from(stack.id, {one.head_sha for one in pending})
    found: list[Stretch] = []
    for one in pending:
        since: Sha | None = pushed.get((one.head_sha, ref_of(one, stack)), ZERO_SHA)
        if one.head_sha == deployed:  # applied already: nothing is brought
            since = deployed
        if since == ZERO_SHA:  # a tag, a new branch, a command: of a pull request, that one knows its commits
            since = deployed if one.pull_number is None else None
        if found and since is not None and found[-1].head == since:
            found[-1] = Stretch(since=found[-1].since, head=one.head_sha)
        elif (stretch := Stretch(since=since, head=one.head_sha)) not in found:
            found.append(stretch)
    return found
