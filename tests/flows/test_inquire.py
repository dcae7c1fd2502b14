"""What was found out for a command is good for the run and the stack that it was found out about, and for no other."""

from dataclasses import replace

import pytest

from app.core.names import RunId
from app.core.run import Run, RunState
from app.core.stack import Stack
from app.flows.inquire import Stand
from tests.core.made import WAITING
from tests.flows.made import stack

STACK = stack()
STRICT = replace(STACK, settings=replace(STACK.settings, confirm_not_author=True))
STAND = Stand(
    run_id=WAITING.id,
    state=WAITING.state,
    plan_number=WAITING.plan_number,
    reviews=2,
    settings=STACK.settings.digest(),
    policies=(),
    approvals=(),
)


def test_it_is_good_while_nothing_has_changed() -> None:
    assert STAND.fits(WAITING, STACK, 2)


@pytest.mark.parametrize(
    ("run", "on", "reviews"),
    [
        pytest.param(replace(WAITING, id=RunId("01OTHER")), STACK, 2, id="another run"),
        pytest.param(replace(WAITING, state=RunState.PENDING_REVIEW), STACK, 2, id="another state"),
        pytest.param(replace(WAITING, plan_number=2), STACK, 2, id="another plan"),
        pytest.param(WAITING, STRICT, 2, id="other rules: nobody was asked who made the change"),
        pytest.param(WAITING, STACK, 3, id="one more review"),
    ],
)
def test_it_is_good_for_nothing_else(run: Run, on: Stack, reviews: int) -> None:
    assert not STAND.fits(run, on, reviews)
