"""When a stack is compared with what it has deployed, when not and why, and when drift makes a run."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.core.choice import Targeting
from app.core.config import read_configuration
from app.core.drift import (
    DriftFound,
    DriftResult,
    DriftSeen,
    DriftTurn,
    Ground,
    is_quiet,
    result_of,
    why_no_reconciliation,
    why_not,
)
from app.core.names import ConfigVersionId, RunId, Sha
from app.core.report_check import check_report
from app.core.ruling import PlanRuling
from app.core.run import Run, RunState, RunType, Trigger
from app.core.stack import Configuration, Stack, StackSettings
from app.core.words_drift import drift_words, schedule_words
from tests.core.made import CONFIRMED, NO_CHANGES, NOW, PLAN, RUN_ID, WAITING, run_in, view_of

HEAD = WAITING.head_sha
STACK = Stack(
    id=WAITING.stack_id,
    repository_id=WAITING.repository_id,
    settings=StackSettings(name="network", branch="main", drift_schedules=("0 6 * * *",), drift_reconcile=True),
    policies=(),
    config_version_id=ConfigVersionId("01CONFIG"),
    is_detached=False,
    state_mode=None,
    head_sha=HEAD,
    head_seq=1,
)
CARELESS = replace(STACK, settings=replace(STACK.settings, drift_ignore_state=True))
APPLIED = replace(CONFIRMED, state=RunState.FINISHED)
DESTROYED = replace(APPLIED, type=RunType.DESTROY)
NOTHING_LEFT = replace(DESTROYED, confirmed_digest=None, plan=NO_CHANGES)
"""A second destroy run found nothing to destroy."""
PART = replace(APPLIED, targeting=Targeting(of_plan=1, chosen=("terraform_data.vpc",)))
FAILED = replace(run_in(RunState.FAILED), id=RunId("01JDV3F4K5M6N7P8Q9R0S1T2V9"))
DRIFTED = replace(run_in(RunState.FINISHED), type=RunType.DRIFT, trigger=Trigger.DRIFT)
AT_REST = Ground(live=(), deployed=APPLIED, newest=APPLIED)


def live(state: RunState, kind: RunType = RunType.TRACKED) -> Ground:
    """A stack that has deployed something, and has a run in that state."""
    return replace(AT_REST, live=(replace(run_in(state), type=kind),))


def test_a_stack_at_rest_is_compared() -> None:
    assert why_not(STACK, AT_REST) == ""
    for kind in (RunType.PROPOSED,):
        assert why_not(STACK, live(RunState.PLANNING, kind)) == "", "a preview changes nothing"
    for state in (RunState.DISCARDED, RunState.CANCELED, RunState.FINISHED):
        assert why_not(STACK, replace(AT_REST, newest=run_in(state))) == ""


@pytest.mark.parametrize(
    ("ground", "why"),
    [
        (live(RunState.UNCONFIRMED), f"run {RUN_ID} is not over: waiting for confirmation"),
        (live(RunState.QUEUED), f"run {RUN_ID} is not over: queued"),
        (live(RunState.PLANNING), f"run {RUN_ID} is not over: planning"),
        (replace(AT_REST, newest=FAILED), f"run {FAILED.id} of the commit 3fa9c1d failed"),
    ],
)
def test_a_run_that_is_not_over_or_has_failed_is_passed_over_unless_the_stack_wants_otherwise(
    ground: Ground, why: str
) -> None:
    assert why_not(STACK, ground) == why
    assert why_not(CARELESS, ground) == ""


@pytest.mark.parametrize(
    ("stack", "ground", "why"),
    [
        (replace(STACK, hold_reason="look first"), AT_REST, "the stack is on hold: look first"),
        (replace(STACK, lock_owner="bob"), AT_REST, "bob has locked the stack"),
        (replace(STACK, lock_key="release"), AT_REST, "the stack is locked with the key release"),
        (STACK, live(RunState.READY, RunType.DRIFT), f"run {RUN_ID} is not over: queued"),
        (STACK, live(RunState.CONFIRMED), f"run {RUN_ID} is not over: confirmed"),
        (STACK, live(RunState.APPLYING), f"run {RUN_ID} is not over: applying"),
        (STACK, replace(AT_REST, deployed=None), "nothing of it is deployed yet"),
        (STACK, replace(AT_REST, deployed=DESTROYED), f"run {RUN_ID} destroyed the stack"),
        (STACK, replace(AT_REST, deployed=NOTHING_LEFT), f"run {RUN_ID} destroyed the stack"),
        (
            STACK,
            replace(AT_REST, deployed=PART),
            f"run {RUN_ID} applied a part of its plan: no whole commit is deployed",
        ),
    ],
)
def test_nothing_lifts_a_hold_a_lock_an_apply_or_that_there_is_nothing_to_compare(
    stack: Stack, ground: Ground, why: str
) -> None:
    assert why_not(stack, ground) == why
    careless = replace(stack, settings=CARELESS.settings)
    assert why_not(careless, ground) == why


@pytest.mark.parametrize(
    ("stack", "ground", "failures", "why"),
    [
        (STACK, AT_REST, 0, ""),
        (STACK, AT_REST, 2, ""),
        (STACK, AT_REST, 3, "3 runs in a row that were to take it back failed; the next tracked run"),
        (replace(STACK, lock_owner="bob"), AT_REST, 0, "bob has locked the stack"),
        (replace(STACK, hold_reason="look"), AT_REST, 0, "the stack is on hold: look"),
        (CARELESS, live(RunState.UNCONFIRMED), 0, f"run {RUN_ID} is not over: waiting for confirmation"),
        (STACK, live(RunState.QUEUED, RunType.DESTROY), 0, f"run {RUN_ID} is not over: queued"),
        (STACK, live(RunState.READY, RunType.PROPOSED), 0, ""),
        (replace(STACK, head_sha=Sha("b" * 40)), AT_REST, 0, "the stack's head is another commit than the one"),
        (STACK, replace(AT_REST, deployed=PART), 0, f"run {RUN_ID} applied a part of its plan"),
        (STACK, replace(AT_REST, deployed=None), 0, "nothing of it is deployed yet"),
        (STACK, replace(AT_REST, deployed=NOTHING_LEFT), 0, f"run {RUN_ID} destroyed the stack"),
        (CARELESS, replace(AT_REST, newest=replace(FAILED, type=RunType.DESTROY)), 0, f"run {FAILED.id} of the commit"),
        (CARELESS, replace(AT_REST, newest=FAILED), 0, ""),
    ],
)
def test_drift_is_taken_back_only_by_deploying_again_what_is_deployed_and_not_endlessly(
    stack: Stack, ground: Ground, failures: int, why: str
) -> None:
    found = why_no_reconciliation(stack, ground, DRIFTED, failures=failures)
    assert found.startswith(why)
    assert bool(found) == bool(why)


def test_what_a_drift_run_came_to() -> None:
    denied = replace(DRIFTED, state=RunState.FAILED)
    assert [
        result_of(run) for run in (DRIFTED, denied, replace(DRIFTED, plan=NO_CHANGES), replace(denied, plan=None))
    ] == [DriftResult.FOUND, DriftResult.FOUND, DriftResult.CLEAN, DriftResult.FAILED]


@pytest.mark.parametrize(
    ("run", "is_alone"),
    [
        (DRIFTED, False),
        (replace(DRIFTED, plan=NO_CHANGES), True),
        (replace(DRIFTED, state=RunState.PLANNING, plan=None), True),
        (replace(DRIFTED, state=RunState.FAILED, plan=None), True),
        (replace(DRIFTED, trigger=Trigger.COMMAND, plan=NO_CHANGES), False),
        (replace(APPLIED, trigger=Trigger.DRIFT), False),
    ],
)
def test_a_run_by_schedule_says_nothing_by_itself_until_it_has_found_something(run: Run, *, is_alone: bool) -> None:
    assert is_quiet(run) is is_alone


def test_drift_that_no_longer_stands_is_said_to_be_over() -> None:
    view = view_of(DRIFTED)
    assert check_report(view).title == "drift: +1 ~1 -1 · outputs ~1"
    assert "On this commit, `/trackside deploy network` plans to bring it back." in check_report(view).summary
    by_itself = check_report(replace(view, is_reconciled=True)).summary
    assert "The stack makes a run of this commit that takes it back, or its page says why not." in by_itself
    over = check_report(replace(view, is_drift_over=True))
    assert (over.title, over.conclusion) == ("drift: over", "success")
    assert "It no longer stands: the stack was deployed, or compared, after it." in over.summary


def test_drift_that_a_policy_denied_is_told_as_that_until_it_is_over() -> None:
    rulings = (PlanRuling(name="cost", digest="d", path="c.rego", denies=("no",)),)
    view = view_of(replace(DRIFTED, state=RunState.FAILED, plan=replace(PLAN, rulings=rulings)))
    assert check_report(view).title.endswith("denied by a policy")
    over = check_report(replace(view, is_drift_over=True))
    assert (over.title, over.conclusion) == ("drift: over", "success")


def test_a_run_that_drift_made_says_so() -> None:
    run = replace(WAITING, trigger=Trigger.DRIFT, note=f"takes back the drift that run {RUN_ID} found")
    said = check_report(view_of(run)).summary
    assert f"Made by the stack's drift schedule: it takes back the drift that run {RUN_ID} found." in said


def test_drift_in_one_line_of_a_list() -> None:
    found = DriftFound(run_id=RUN_ID, at=NOW, resources=3, has_drift=True, counts="~3")
    turn = DriftTurn(due_at=NOW + timedelta(days=1), told="drift of 2025-01-02 06:00 UTC passed over: x", told_at=NOW)
    assert drift_words(DriftSeen()) == "-"
    assert drift_words(DriftSeen(turn=turn, found=found)) == (
        "drift found 2025-01-02 03:04 UTC, 3 resources; drift of 2025-01-02 06:00 UTC passed over: x; "
        "next 2025-01-03 03:04 UTC"
    )
    one, outputs = replace(found, resources=1), replace(found, resources=0)
    assert drift_words(DriftSeen(found=one)) == "drift found 2025-01-02 03:04 UTC, 1 resource"
    assert drift_words(DriftSeen(found=outputs)) == "drift found 2025-01-02 03:04 UTC, outside resources"
    assert drift_words(DriftSeen(found=replace(found, has_drift=False))) == "no drift 2025-01-02 03:04 UTC"
    several = replace(STACK.settings, drift_schedules=("0 6 * * *", "0 18 * * *"), drift_timezone="Asia/Tokyo")
    assert schedule_words(replace(STACK, settings=several)) == "0 6 * * * · 0 18 * * * (Asia/Tokyo), reconciles"


def test_policies_see_that_a_run_is_of_drift_also_of_the_one_that_takes_it_back() -> None:
    assert [run.is_of_drift for run in (DRIFTED, replace(WAITING, trigger=Trigger.DRIFT), WAITING)] == [
        *(True, True),
        False,
    ]


def test_a_drift_schedule_is_one_or_several_each_once_in_a_time_zone() -> None:
    def drift_of(text: str) -> tuple[object, ...]:
        found = read_configuration(f"version: 1\nstacks: [{{name: a, drift: {text}}}]".encode(), default_branch="main")
        assert isinstance(found, Configuration), found
        settings = found.stacks[0].settings
        switches = (settings.drift_reconcile, settings.drift_ignore_state)
        return (settings.drift_schedules, settings.drift_timezone, *switches)

    assert drift_of('{schedule: "0  6 * * *"}') == (("0 6 * * *",), "", False, False)
    assert drift_of('{schedule: "0 6 * * *", timezone: UTC}') == (("0 6 * * *",), "", False, False)
    several = '{schedule: ["0 6 * * *", "0 18 * * *", "0 6 * * *"], timezone: Asia/Tokyo, reconcile: true, '
    assert drift_of(several + "ignore_state: true}") == (("0 6 * * *", "0 18 * * *"), "Asia/Tokyo", True, True)
