"""When a stack's `autodeploy` confirms: only where nothing asks for a person."""

from dataclasses import replace

import pytest

from app.core.choice import Targeting
from app.core.ruling import Approval, ApprovalRuling, PlanRuling
from app.core.run import Plan, Run, RunState, RunType, Trigger
from app.core.stack import Stack
from app.flows.autodeploy import asks_nobody, is_next
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


@pytest.mark.parametrize(
    ("newer", "goes_on"),
    [
        ({3: [RunState.QUEUED]}, True),
        ({3: [RunState.READY], 2: [RunState.CANCELED, RunState.QUEUED]}, True),
        ({}, False),
        ({3: [RunState.CANCELED]}, False),
        ({3: [RunState.UNCONFIRMED]}, False),
        ({2: [RunState.QUEUED]}, False),
        ({3: [RunState.QUEUED], 2: [RunState.FINISHED]}, False),
        ({3: [RunState.QUEUED], 2: [RunState.FAILED]}, False),
        ({3: [RunState.FAILED, RunState.QUEUED]}, False),
    ],
)
def test_an_older_commit_goes_on_only_while_all_newer_ones_wait_behind_it(
    newer: dict[int, list[RunState]], goes_on: bool
) -> None:
    """Pushes within a plan's time are deployed one after the other; what a newer one brought is not taken back."""
    assert is_next(3, newer) is goes_on


def test_whoever_orders_a_run_does_not_pass_over_who_may_confirm_it() -> None:
    """A push goes on by the setting; a deploy or a retry by command waits for somebody who fulfils the rules."""
    pushed, on = with_rules(confirm_teams=("platform",))
    assert asks_nobody(pushed, on, PLAN)
    assert not asks_nobody(replace(pushed, trigger=Trigger.COMMAND), on, PLAN)
    assert asks_nobody(replace(RUN, trigger=Trigger.COMMAND), STACK, PLAN)
