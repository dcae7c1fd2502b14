"""What a run's page offers in each state: the buttons of its check, and what its words name."""

from dataclasses import replace

import pytest

from app.core.command import Verb, parse_identifier
from app.core.report_actions import may_choose, page_actions, stack_actions
from app.core.report_offer import buttons
from app.core.retry import RETRYABLE, run_mark
from app.core.ruling import Approval, ApprovalRuling
from app.core.run import RunState, RunType, Step, allowed
from app.core.stack import Stack, StackSettings
from tests.core.made import DIGEST, PLAN, RUN_ID, WAITING, run_in, view_of

DECIDE = [Verb.CONFIRM, Verb.DISCARD, Verb.REPLAN]
STEPS = {Verb.CONFIRM: Step.CONFIRM, Verb.DISCARD: Step.DISCARD, Verb.REPLAN: Step.REPLAN, Verb.STOP: Step.STOP}
UNDECIDED = ApprovalRuling(name="two", path="two.rego", digest="0" * 64, decision=Approval.UNDECIDED)


def offered(view: object) -> list[Verb]:
    """The verbs of what the page offers."""
    return [one.verb for one in page_actions(view)]  # type: ignore[arg-type]  # a view, as view_of gives it


@pytest.mark.parametrize("state", RunState)
def test_every_state_offers_what_its_commands_take_and_the_buttons_of_its_check(state: RunState) -> None:
    view = view_of(run_in(state))
    found = offered(view)
    for button in buttons(view):
        meant = parse_identifier(button.identifier)
        assert meant is not None
        assert meant[0] in found
    steps = {Step.STOP: Verb.STOP, Step.CANCEL: Verb.CANCEL}
    assert [verb for step, verb in steps.items() if step in allowed(view.run)] == [
        verb for verb in (Verb.STOP, Verb.CANCEL) if verb in found
    ]
    assert (Verb.RETRY in found) is (state in RETRYABLE)
    assert all(STEPS[verb] in allowed(view.run) for verb in found if verb in STEPS)


def test_a_waiting_plan_is_decided_with_its_digest() -> None:
    found = page_actions(view_of(WAITING))
    assert [(one.verb, one.label, one.digest) for one in found] == [
        (Verb.CONFIRM, "Confirm", DIGEST[:16]),
        (Verb.DISCARD, "Discard", DIGEST[:16]),
        (Verb.REPLAN, "Replan", DIGEST[:16]),
    ]
    assert [one.verb for one in found if one.takes_note] == [Verb.DISCARD]


def test_what_cannot_be_confirmed_any_more_offers_no_confirming() -> None:
    for spoilt in ("is_superseded", "is_stale", "is_settings_changed"):
        assert offered(replace(view_of(WAITING), **{spoilt: True})) == [Verb.DISCARD, Verb.REPLAN]  # type: ignore[arg-type]


def test_a_plan_that_waits_for_approval_takes_words_about_it() -> None:
    run = replace(WAITING, plan=replace(PLAN, approvals=(UNDECIDED,)))
    found = page_actions(view_of(run))
    assert [one.verb for one in found] == [Verb.DISCARD, Verb.REPLAN, Verb.APPROVE, Verb.REJECT]
    assert all(one.takes_note and one.digest == DIGEST[:16] for one in found[2:])


def test_a_retry_carries_the_runs_own_mark_and_none_is_offered_where_it_would_be_refused() -> None:
    failed = run_in(RunState.FAILED)
    (retry,) = page_actions(view_of(failed))
    assert (retry.verb, retry.digest) == (Verb.RETRY, run_mark(RUN_ID)[:16])
    assert offered(replace(view_of(failed), is_superseded=True)) == []
    assert offered(view_of(replace(failed, is_outcome_unknown=True, confirmed_digest=DIGEST))) == []


def test_parts_are_chosen_where_the_apps_comment_has_boxes() -> None:
    assert may_choose(WAITING)
    assert not may_choose(replace(WAITING, type=RunType.PROPOSED))
    assert not may_choose(run_in(RunState.CONFIRMED))


def test_a_stack_offers_what_can_be_done_with_it_now() -> None:
    stack = Stack(
        id=WAITING.stack_id,
        repository_id=WAITING.repository_id,
        settings=StackSettings(name="network", branch="main"),
        policies=(),
        config_version_id=WAITING.config_version_id,
        is_detached=False,
        state_mode=None,
        head_sha=None,
        head_seq=0,
        hold_reason="",
        lock_owner="",
        lock_note="",
    )

    def verbs(**changes: object) -> list[Verb]:
        return [one.verb for one in stack_actions(replace(stack, **changes))]  # type: ignore[arg-type]

    assert verbs() == [Verb.DEPLOY, Verb.LOCK]
    assert verbs(lock_owner="alice") == [Verb.DEPLOY, Verb.UNLOCK]
    assert verbs(hold_reason="lost") == [Verb.DEPLOY, Verb.LOCK, Verb.UNLOCK]
    assert verbs(lock_key="k") == [Verb.DEPLOY, Verb.LOCK, Verb.UNLOCK]
    assert verbs(is_detached=True) == []
