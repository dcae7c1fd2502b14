"""kill -9 of the web process, in every state of a run."""

import pytest

from app.core.run import RunState
from tests.chaos.trouble import Machine, often_in


@pytest.mark.parametrize("state", often_in(RunState.APPLYING))
def test_a_run_outlives_its_web_process(machine: Machine, state: RunState) -> None:
    """It goes on to its end as if nothing had been: nothing is lost, nothing is done twice."""
    sha = machine.through(state, lambda _run: machine.kill("web"))
    machine.expect_end(sha, RunState.FINISHED)
