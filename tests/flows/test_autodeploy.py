"""When a stack's `autodeploy` confirms: only where nothing asks for a person."""

from dataclasses import replace

import pytest

from app.core.choice import Targeting
from app.core.names import RunId
from app.core.ruling import Approval, ApprovalRuling, PlanRuling
from app.core.run import Plan, Run, RunState, RunType, Trigger
from app.core.stack import Stack
from app.flows.autodeploy import asks_nobody, is_in_turn
from tests.core.made import PLAN, WAITING
from tests.flows.made import stack

MADE = stack()
STACK = replace(MADE, head_seq=WAITING.head_seq, settings=replace(MADE.settings, autodeploy=True))
RUN = replace(WAITING, stack_digest=STACK.settings.digest())


def ruled(*, warns: tuple[str, ...] = (), denies: tuple[str, ...] = ()) -> Plan:
    """A plan that one policy judged."""
    return replace(PLAN, rulings=(PlanRuling(name="cost", digest="", path="", warns=warns, denies=denies),))


def reviewed(decision: Approval) -> Plan:
    """A plan whose reviews one policy judged."""
    return replace(PLAN, approvals=(ApprovalRuling(name="eyes", digest="", path="", decision=decision),))


def with_rules(**rules: object) -> tuple[Run, Stack]:
    """The stack with more rules on who confirms, and a run of its settings."""
    settings = replace(STACK.settings, **rules)  # type: ignore[arg-type]  # a fixture's keys
    return replace(RUN, stack_digest=settings.digest()), replace(STACK, settings=settings)


@pytest.mark.parametrize("plan", [PLAN, ruled(), reviewed(Approval.APPROVED)])
def test_a_plan_that_is_judged_well_goes_on(plan: Plan) -> None:
    assert asks_nobody(RUN, STACK, plan)


@pytest.mark.parametrize(
    "plan", [ruled(warns=("look",)), ruled(denies=("no",)), reviewed(Approval.UNDECIDED), reviewed(Approval.REJECTED)]
)
def test_a_warning_a_denial_or_a_missing_review_asks_for_a_person(plan: Plan) -> None:
    assert not asks_nobody(RUN, STACK, plan)


@pytest.mark.parametrize(
    ("run", "on"),
    [
        (replace(RUN, type=RunType.DESTROY), STACK),
        (replace(RUN, targeting=Targeting(of_plan=1, chosen=("a.b",))), STACK),
        (RUN, MADE),
        (RUN, replace(STACK, hold_reason="lost")),
        (RUN, replace(STACK, lock_owner="bob")),
        (RUN, replace(STACK, lock_key="k")),
        (RUN, replace(STACK, is_detached=True)),
        (replace(RUN, stack_digest=MADE.settings.digest()), STACK),
    ],
)
def test_what_is_out_of_the_ordinary_asks_for_a_person(run: Run, on: Stack) -> None:
    assert not asks_nobody(run, on, PLAN)


OLDER = replace(RUN, head_seq=RUN.head_seq - 1)
NEWER = replace(RUN, id=RunId("01JD000000000000000000NEWR"))


@pytest.mark.parametrize(
    ("live", "goes_on"),
    [
        ([OLDER, replace(NEWER, state=RunState.QUEUED)], True),
        ([OLDER], False),
        ([OLDER, replace(NEWER, state=RunState.QUEUED, type=RunType.PROPOSED)], False),
        ([OLDER, replace(NEWER, state=RunState.UNCONFIRMED)], False),
        ([OLDER, replace(NEWER, state=RunState.QUEUED, head_seq=OLDER.head_seq)], False),
    ],
)
def test_an_older_commit_goes_on_only_while_the_newest_waits_behind_it(live: list[Run], goes_on: bool) -> None:
    """Two pushes within a plan's time are deployed one after the other; what was deployed since is not taken back."""
    assert is_in_turn(OLDER, STACK, live) is goes_on
    assert is_in_turn(RUN, STACK, [])


def test_whoever_orders_a_run_does_not_pass_over_who_may_confirm_it() -> None:
    """A push goes on by the setting; a deploy or a retry by command waits for somebody who fulfils the rules."""
    pushed, on = with_rules(confirm_teams=("platform",))
    assert asks_nobody(pushed, on, PLAN)
    assert not asks_nobody(replace(pushed, trigger=Trigger.COMMAND), on, PLAN)
    assert asks_nobody(replace(RUN, trigger=Trigger.COMMAND), STACK, PLAN)
