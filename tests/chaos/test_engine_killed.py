"""kill -9 of the engine alone: its worker lives, and says what happened."""

import pytest

from app.core.run import RunState
from tests.chaos.trouble import Machine

AT_WORK = (
    RunState.INITIALIZING,
    RunState.PLANNING,
    RunState.PREPARING_REPLAN,
    RunState.PREPARING_APPLY,
    RunState.APPLYING,
)


@pytest.mark.parametrize("state", AT_WORK)
def test_a_run_fails_with_its_engine_and_the_next_one_is_not_in_its_way(machine: Machine, state: RunState) -> None:
    """Failed, with the signal as its reason; no lock, no worker and no state is left behind that stops the next."""
    sha = machine.through(state, machine.kill_engine)
    run = machine.expect_end(sha, RunState.FAILED)
    assert "was ended by signal 9" in run.reason
    assert not run.is_outcome_unknown
    again = machine.push()
    machine.say(again, "confirm")
    machine.expect_end(again, RunState.FINISHED)
