"""kill -9 of the jobs process, in every state of a run."""

import pytest

from app.core.run import RunState
from tests.chaos.trouble import Machine, often_in


@pytest.mark.parametrize("state", often_in(RunState.CONFIRMED))
def test_a_run_outlives_its_jobs_process(machine: Machine, state: RunState) -> None:
    """It goes on to its end, and what stands on GitHub is true and stands there once."""
    sha = machine.through(state, lambda _run: machine.kill("jobs"))
    machine.expect_end(sha, RunState.FINISHED)
