"""The run's table: every state with every step, and what follows from it."""

from dataclasses import replace

import pytest

from app.core.names import Digest
from app.core.run import (
    CLAIMABLE,
    PERSONS_STEPS,
    TABLE,
    TERMINAL,
    WITH_WORKER,
    RunState,
    RunType,
    Step,
    StepRefused,
    Transition,
    advance,
    allowed,
    confirm,
)
from tests.core.made import DIGEST, NOW, SETTINGS, WAITING, run_in

LAW = """
queued:           release>ready cancel>canceled fail>failed skip>skipped
ready:            claim>preparing cancel>canceled
preparing:        initialize>initializing fail>failed stop>stopped lose>ready
initializing:     plan>planning fail>failed stop>stopped lose>ready
planning:         finish>finished await>unconfirmed review>pending_review apply>applying
planning:         fail>failed stop>stopped lose>ready
pending_review:   finish>finished fail>failed discard>discarded expire>discarded
unconfirmed:      confirm>confirmed discard>discarded expire>discarded replan>replan_requested fail>failed
replan_requested: claim>preparing_replan discard>discarded
preparing_replan: plan>planning fail>failed stop>stopped lose>replan_requested
confirmed:        claim>preparing_apply
preparing_apply:  apply>applying fail>failed lose>confirmed
applying:         finish>finished fail>failed lose>failed
finished:
failed:
stopped:
canceled:
discarded:
skipped:
"""
"""The whole law, written a second time by hand: the table must say exactly this."""


def _law() -> dict[tuple[RunState, Step], RunState]:
    edges = {}
    for line in LAW.strip().splitlines():
        state, _, steps = line.partition(":")
        for edge in steps.split():
            step, after = edge.split(">")
            edges[RunState(state), Step(step)] = RunState(after)
    return edges


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("state", RunState)
def test_every_cell_of_the_table_does_what_the_law_says(state: RunState, step: Step) -> None:
    run, after = run_in(state), _law().get((state, step))
    if after is None:
        with pytest.raises(StepRefused) as refused:
            advance(run, step, by="alice", at=NOW)
        assert f"run {run.id} is {state.value}: cannot {step.value}; allowed: " in str(refused.value)
        assert (refused.value.state, refused.value.step) == (state, step)
        return
    moved, line = advance(run, step, by="alice", at=NOW, cause="because")
    assert moved == replace(run, state=after, updated_at=NOW, reason="because" if after in TERMINAL else run.reason)
    assert line == Transition(before=state, step=step, after=after, by="alice", at=NOW, cause="because")


def test_the_law_speaks_of_every_state() -> None:
    assert {line.partition(":")[0] for line in LAW.strip().splitlines()} == {state.value for state in RunState}


@pytest.mark.parametrize("state", RunState)
def test_what_a_person_may_ask_for_is_what_the_table_has(state: RunState) -> None:
    assert allowed(run_in(state)) == tuple(step for step in PERSONS_STEPS if (state, step) in TABLE)


@pytest.mark.parametrize("kind", RunType)
@pytest.mark.parametrize("state", RunState)
def test_the_law_is_the_same_for_every_type(state: RunState, kind: RunType) -> None:
    assert allowed(replace(run_in(state), type=kind)) == allowed(run_in(state))


def test_stop_and_cancel_cover_every_state_before_a_plan_stands() -> None:
    assert {state for state, step in TABLE if step is Step.CANCEL} == {RunState.QUEUED, RunState.READY}
    assert {state for state, step in TABLE if step is Step.STOP} == {
        RunState.PREPARING,
        RunState.INITIALIZING,
        RunState.PLANNING,
        RunState.PREPARING_REPLAN,
    }


@pytest.mark.parametrize("state", RunState)
def test_a_terminal_state_is_one_that_no_step_leaves(state: RunState) -> None:
    assert state.is_terminal is (not any(before is state for before, _ in TABLE))
    assert run_in(state).is_live is not state.is_terminal


def test_a_refused_step_names_what_is_allowed() -> None:
    with pytest.raises(StepRefused, match=r"is confirmed: cannot stop; allowed: claim$"):
        advance(run_in(RunState.CONFIRMED), Step.STOP, by="alice", at=NOW)
    with pytest.raises(StepRefused, match=r"allowed: nothing$"):
        advance(run_in(RunState.FINISHED), Step.CANCEL, by="alice", at=NOW)


def test_an_end_without_a_cause_keeps_the_reason_that_was_known() -> None:
    known = replace(run_in(RunState.APPLYING), reason="worker lost")
    assert advance(known, Step.FAIL, by="trackside", at=NOW)[0].reason == "worker lost"


def test_whoever_waits_for_a_worker_can_be_claimed_and_whoever_has_one_can_lose_it() -> None:
    assert {state for state, step in TABLE if step is Step.CLAIM} == CLAIMABLE
    assert {state for state, step in TABLE if step is Step.LOSE} == WITH_WORKER
    assert all(state.is_waiting_for_worker is (state in CLAIMABLE) for state in RunState)
    assert all(state.is_with_worker is (state in WITH_WORKER) for state in RunState)


def test_only_tracked_and_destroy_runs_change_state() -> None:
    assert {kind for kind in RunType if kind.is_state_changing} == {RunType.TRACKED, RunType.DESTROY}


def test_a_tag_is_known_by_its_whole_ref() -> None:
    assert replace(WAITING, ref="refs/tags/v1").tag == "v1"
    assert WAITING.tag == ""


def test_a_confirmation_binds_run_plan_commit_settings_and_person() -> None:
    proof = confirm(WAITING, stack_digest=SETTINGS, actor="bob", at=NOW)
    assert (proof.run_id, proof.plan_number, proof.plan_digest) == (WAITING.id, 1, DIGEST)
    assert (proof.head_sha, proof.stack_digest, proof.actor, proof.at) == (WAITING.head_sha, SETTINGS, "bob", NOW)


@pytest.mark.parametrize(
    "state", [state for state in RunState if state not in (RunState.UNCONFIRMED, RunState.PLANNING)]
)
def test_nothing_but_a_waiting_plan_can_be_confirmed(state: RunState) -> None:
    with pytest.raises(StepRefused, match="cannot confirm"):
        confirm(run_in(state), stack_digest=SETTINGS, actor="bob", at=NOW)


def test_a_run_without_a_plan_or_with_other_settings_is_not_confirmed() -> None:
    with pytest.raises(ValueError, match="has no plan to confirm"):
        confirm(replace(WAITING, plan=None), stack_digest=SETTINGS, actor="bob", at=NOW)
    with pytest.raises(ValueError, match="the settings of stack network changed since the plan"):
        confirm(WAITING, stack_digest=Digest("1" * 64), actor="bob", at=NOW)
