"""kill -9 of the worker, in every state of a run: planned again before it is confirmed, never applied a second time."""

import pytest

from app.core.run import RunState
from tests.chaos.trouble import Machine, often_in

LEASE_S = "5"
"""The shortest: how soon a worker that is gone is missed."""


@pytest.mark.parametrize("state", often_in(RunState.CONFIRMED))
def test_a_run_outlives_its_worker_unless_it_was_applying(machine: Machine, state: RunState) -> None:
    """Before the apply another worker goes on with it. An apply that was under way is never begun again: its outcome
    is unknown, the stack waits for a person, and goes on after that."""
    sha = machine.through(state, lambda _run: machine.kill("worker"))
    if state is not RunState.APPLYING:
        machine.expect_end(sha, RunState.FINISHED)
        return
    run = machine.expect_end(sha, RunState.FAILED)
    assert run.is_outcome_unknown
    machine.free(run)
    again = machine.push()
    machine.say(again, "confirm")
    machine.expect_end(again, RunState.FINISHED)
