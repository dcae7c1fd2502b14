"""The outputs of other stacks, on their way: kept when a tracked run was applied, passed when a run is planned.

What a plan was made with goes to its apply unchanged, whatever the stacks above have become meanwhile: the confirmed
plan is applied, with the variables that it was made with.
"""

import msgspec

from app.core.dependency import MAX_TOTAL_BYTES, MAX_VALUE_BYTES, is_output_name
from app.core.inputs import NOTHING, Passed, is_readable, passed
from app.core.names import RunId
from app.core.protocol import OutputValue, Phase, ResultReport
from app.core.run import Run, RunType
from app.core.stack import Stack
from app.flows.ports import Transaction

MAX_KEPT = 1_000
"""Outputs of one stack."""


def give_inputs(tx: Transaction, run_id: RunId, stack: Stack, phase: Phase) -> Passed | str:
    """The variables that a run is passed; or why it cannot be planned, in words. An apply gets those of its plan."""
    if phase is Phase.APPLY:
        kept = tx.find_run_inputs(run_id)
        return msgspec.json.decode(kept, type=Passed) if kept else NOTHING
    wanted = {one.stack: set(one.outputs) for one in stack.settings.depends_on if one.outputs}
    if not wanted:
        tx.save_run_inputs(run_id, b"")
        return NOTHING
    found = passed(stack.settings.depends_on, tx.find_outputs(stack.repository_id, wanted))
    if not isinstance(found, Passed):
        return "; ".join(found)
    tx.save_run_inputs(run_id, msgspec.json.encode(found))
    return found


def wanted_sensitive(tx: Transaction, run: Run, stack: Stack) -> tuple[str, ...]:
    """The outputs of the stack that others are passed also when they are sensitive, by name."""
    if run.type is not RunType.TRACKED:
        return ()
    below = tx.list_dependants(stack.repository_id)
    taken = [one for other in below for one in other.settings.depends_on if one.stack == stack.name and one.sensitive]
    return tuple(sorted({name for one in taken for name in one.outputs}))


def keep_outputs(tx: Transaction, run: Run, result: ResultReport) -> tuple[str, ...]:
    """Keep what a tracked run's apply brought for the stacks below; the names of what is new, changed or gone. Outputs
    that could not be read stay what they were."""
    if run.type is not RunType.TRACKED or result.values is None:
        return run.changed_outputs
    return tx.keep_outputs(run.stack_id, run.id, _bounded(result.values))


def _bounded(values: tuple[OutputValue, ...]) -> list[OutputValue]:
    """The same, each name once, without what a worker must not hand in."""
    room = MAX_TOTAL_BYTES
    kept: dict[str, OutputValue] = {}
    for one in values[:MAX_KEPT]:
        if not is_output_name(one.name) or one.name in kept:
            continue
        size = len(one.value.encode()) if one.value is not None else 0
        is_fit = size <= min(room, MAX_VALUE_BYTES) and (one.value is None or is_readable(one.value))
        room -= size if is_fit else 0
        kept[one.name] = one if is_fit else msgspec.structs.replace(one, value=None)
    return list(kept.values())
