"""A run has ended, and others wait for it below: each learns what it means to it, and becomes ready, waits on, or is
skipped.

Outside of the transaction that ended the run, by the job that this deferred; one transaction for each run below, under
its own stack's lock alone. Safe to run twice.
"""

from app.core import words_depend
from app.core.names import RunId
from app.core.run import Run, RunState, Step, Trigger
from app.core.stack import Stack
from app.core.upstream import Upstream, UpstreamState, Verdict, ended, is_broken_above, verdict
from app.core.words_run import phase_word
from app.flows.ports import Store, Transaction
from app.flows.schedule import schedule, step


def settle_below(store: Store, run_id: RunId) -> None:
    """Tell every run that waits for this one how it has ended; nothing while it has not."""
    with store.begin() as tx:
        run = tx.find_run(run_id)
        if run is None or run.is_live:
            return
        above = tx.get_stack(run.stack_id)
        waiting = [one for one in tx.list_runs_below(run) if _waits(one, run)]
    for one in waiting:
        with store.begin() as tx:
            stack = tx.lock_stack(one.stack_id)
            found = tx.get_run(one.id)
            if found.state is RunState.QUEUED and _waits(found, run):
                _tell(tx, stack, found, run, above.name)


def _waits(below: Run, run: Run) -> bool:
    known = below.upstreams.get(run.id)
    return known is not None and known.state is UpstreamState.WAITING


def _tell(tx: Transaction, stack: Stack, below: Run, run: Run, above: str) -> None:
    """What the end of `run` means to one run below it. `above`: what the stack of `run` is called now."""
    dependency = next((one for one in stack.settings.depends_on if one.stack == above), None)
    state = ended(run.state.value, dependency, run.changed_outputs, is_broken=is_broken_above(run.upstreams))
    known = Upstream(stack_id=run.stack_id, stack=above, state=state, word=phase_word(run.state))
    upstreams = {**below.upstreams, run.id: known}
    tx.save_upstreams(below.id, upstreams)
    if verdict(upstreams, is_own=below.trigger is not Trigger.DEPENDENCY) is Verdict.SKIP:
        step(tx, below, Step.SKIP, cause=words_depend.skipped(upstreams, stack.settings.depends_on))
    schedule(tx, stack)
