"""What is said of how far a run is, of an installation that has to wait, and of a check that is asked for again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core import words_again
from app.core.budget import Budget, Lane, Spending, pause, take
from app.core.names import InstallationId
from app.core.report_progress import how_far
from app.core.run import RunState
from app.core.words_budget import throttled
from tests.core.made import run_in, view_of

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "done", "seconds", "said"),
    [
        (RunState.APPLYING, 2, 9.9, ""),
        (RunState.APPLYING, 2, 12, "2 of 3 resources done, 10 s"),
        (RunState.APPLYING, 99, 61, "3 of 3 resources done, 1 min"),
        (RunState.PLANNING, 0, 47, "45 s"),
        (RunState.PLANNING, 1, 47, "1 resource read, 45 s"),
        (RunState.PLANNING, 1200, 3600 * 2 + 300, "1,200 resources read, 2 h 5 min"),
        (RunState.INITIALIZING, 7, 30, "30 s"),
    ],
)
def test_how_far_a_run_is(state: RunState, done: int, seconds: float, said: str) -> None:
    assert how_far(replace(view_of(run_in(state)), done=done, in_state_s=seconds)) == said


def test_whose_limit_it_is_and_until_when() -> None:
    def said(budget: Budget, account: str = "acme") -> str:
        return throttled(Spending(installation_id=InstallationId(5), account=account, budget=budget, at=NOW))

    told = pause(Budget(), Lane.ANSWER, NOW + timedelta(seconds=95), NOW)
    assert said(told) == (
        "GitHub has the App on acme wait: checks and deployments there follow from 12:01:35 UTC on. Runs go on "
        "meanwhile, and this page is up to date."
    )
    budget = Budget()
    for _ in range(40):
        found = take(budget, Lane.CONCLUSION, NOW)
        assert isinstance(found, Budget)
        budget = found
    assert said(budget, "") == (
        "The App has written to GitHub as much as it allows itself, so that answers to people keep their room: checks "
        "and deployments there follow from 12:01:00 UTC on. Runs go on meanwhile."
    )
    assert said(Budget()) == ""


def test_what_cannot_be_planned_again() -> None:
    run = run_in(RunState.APPLYING)
    one = words_again.refused("eve", words_again.named("deploy/net"), [words_again.not_again(run)])
    assert one == (
        "`eve` asked for `deploy/net` again. Not done: the run of `network` is applying, so there is nothing to plan "
        "again."
    )
    several = words_again.refused("eve", words_again.named(""), [words_again.nothing_meant(), words_again.too_late()])
    assert several == (
        "`eve` asked for all checks of this commit again.\n\n- Nothing was planned again: no run of this commit is "
        "behind it, and what it says is true as it stands.\n- Not done: it reached me late, and things may have "
        "changed. Please ask again."
    )
    assert "`/trackside deploy network` says that it is meant" in words_again.would_apply(run, "/trackside")
