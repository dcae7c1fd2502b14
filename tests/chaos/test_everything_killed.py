"""kill -9 of everything but the database at once, as a machine does that loses its power."""

import pytest

from app.core.run import RunState
from tests.chaos.trouble import Machine, often_in

LEASE_S = "5"
"""The shortest: how soon a worker that is gone is missed."""


@pytest.mark.parametrize("state", [one for one in often_in(RunState.CONFIRMED) if one.values != (RunState.APPLYING,)])
def test_a_run_outlives_them_all(machine: Machine, state: RunState) -> None:
    """What was not being applied goes on to its end."""
    sha = machine.through(state, lambda _run: machine.kill("worker", "web", "jobs"))
    machine.expect_end(sha, RunState.FINISHED)


def test_an_apply_that_nobody_saw_the_end_of_is_not_begun_again(machine: Machine) -> None:
    """Its outcome is unknown; after a person's word the stack goes on."""
    sha = machine.through(RunState.APPLYING, lambda _run: machine.kill("worker", "web", "jobs"))
    run = machine.expect_end(sha, RunState.FAILED)
    assert run.is_outcome_unknown
    machine.free(run)
    again = machine.push()
    machine.say(again, "confirm")
    machine.expect_end(again, RunState.FINISHED)
