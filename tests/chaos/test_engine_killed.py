"""kill -9 of the engine alone: its worker lives, and says what happened."""

import pytest

from app.core.run import RunState
from tests.chaos.trouble import Machine

AT_WORK = [
    pytest.param("init", "", id="initializing", marks=pytest.mark.rare),
    pytest.param("plan", "", id="planning", marks=pytest.mark.rare),
    pytest.param("init", "replan", id="preparing-replan", marks=pytest.mark.rare),
    pytest.param("init", "confirm", id="preparing-apply", marks=pytest.mark.rare),
    pytest.param("apply", "confirm", id="applying"),
]


@pytest.mark.parametrize(("word", "said"), AT_WORK)
def test_a_run_fails_with_its_engine_and_the_next_one_is_not_in_its_way(machine: Machine, word: str, said: str) -> None:
    """Failed, with the signal as its reason; no lock, no worker and no state is left behind that stops the next."""
    sha = machine.kill_engine(word, said)
    run = machine.expect_end(sha, RunState.FAILED)
    assert f"terraform {word} was ended by signal 9" in run.reason
    assert not run.is_outcome_unknown
    again = machine.push()
    machine.say(again, "confirm")
    machine.expect_end(again, RunState.FINISHED)
