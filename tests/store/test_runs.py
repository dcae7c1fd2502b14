"""Runs: changed by one method under the row's lock, with history, report and wake-up in the same commit."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import psycopg
import pytest
from ulid import ULID

from app.core.choice import Targeting
from app.core.errors import BrokenError, UserError
from app.core.names import Digest, RunId
from app.core.plan import Action, Change, Kind, PlanSummary
from app.core.protocol import Phase
from app.core.record import StateVersion
from app.core.rest import Rest
from app.core.run import Run, RunState, RunType, Step, Transition, advance
from app.core.stack import Stack, StateMode
from app.core.statepoint import Obstacle, StatePoint
from app.store.postgres import PostgresStore
from tests.store.world import (
    HEAD,
    NOW,
    PLAN_DIGEST,
    REPOSITORY,
    bring_to_confirmed,
    bring_to_unconfirmed,
    hold_of,
    make_ready_run,
    make_run,
    make_stack,
    plan_of,
    run_of,
    step,
)


class PowerCutError(Exception):
    """The process ends in the middle of a transaction."""


def jobs(url: str) -> list[tuple[str, str]]:
    """Task and argument of every waiting job, oldest first."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT task_name, coalesce(args->>'report_id', args->>'guid') FROM procrastinate_jobs ORDER BY id"
        ).fetchall()
    return [(task, argument) for task, argument in rows]


def test_a_run_is_read_back_as_it_was_written(store: PostgresStore) -> None:
    run = make_run(store, make_stack(store))
    with store.begin() as tx:
        assert tx.get_run(run.id) == run


def test_what_a_plan_is_restricted_to_and_what_the_engine_met_are_read_back(store: PostgresStore) -> None:
    run = make_run(store, make_stack(store))
    part = Targeting(of_plan=1, chosen=('x.y["a \\"b\\" ${c} 日本"]',), moves=("x.old", "x.new"), excluded=("x.z",))
    with store.begin() as tx:
        tx.change_run(run.id, lambda found: advance(replace(found, targeting=part), Step.RELEASE, by="w", at=NOW))
    with store.begin() as tx:
        assert tx.get_run(run.id).targeting == part
        whole = replace(tx.get_run(run.id), targeting=None)
        tx.change_run(run.id, lambda _: advance(whole, Step.CLAIM, by="w", at=NOW))
        assert tx.get_run(run.id).targeting is None
        met = replace(tx.get_run(run.id), obstacle=Obstacle.LOCKED)
        tx.change_run(run.id, lambda _: advance(met, Step.FAIL, by="w", at=NOW))
        assert tx.get_run(run.id).obstacle is Obstacle.LOCKED


def test_a_waiting_plan_is_stale_once_a_managed_state_is_another(store: PostgresStore) -> None:
    """Lineage and serial both count; a state that is kept apart, or somebody else's business, does not."""
    stack = make_stack(store)
    run = make_run(store, stack)
    plan = replace(plan_of(), state=StatePoint(serial=3, lineage="one"))
    with store.begin() as tx:
        for what in (Step.RELEASE, Step.CLAIM, Step.INITIALIZE, Step.PLAN):
            tx.change_run(run.id, step(what))
        tx.change_run(run.id, lambda found: advance(replace(found, plan=plan), Step.AWAIT, by="w", at=NOW))
        assert tx.get_run(run.id).plan == plan

    def is_stale() -> bool:
        with store.begin() as tx:
            return tx.get_run_facts(tx.get_run(run.id)).is_stale

    assert not is_stale(), "nobody knows where an external state is"
    with store.begin() as tx:
        tx.save_stack(replace(tx.lock_stack(stack.id), state_mode=StateMode.MANAGED))
    assert is_stale(), "the state that it was made from is not there"
    with store.begin() as tx:
        tx.add_state_version(version_of(stack, serial=3, lineage="one"))
    assert not is_stale()
    with store.begin() as tx:
        tx.add_state_version(replace(version_of(stack, serial=9, lineage="one"), is_quarantined=True))
    assert not is_stale()
    with store.begin() as tx:
        tx.add_state_version(version_of(stack, serial=4, lineage="one"))
    assert is_stale()
    with store.begin() as tx:
        tx.add_state_version(version_of(stack, serial=3, lineage="another"))
    assert is_stale()


def version_of(stack: Stack, *, serial: int, lineage: str) -> StateVersion:
    """A version of the stack's state, its bytes nowhere."""
    number = str(ULID())
    return StateVersion(
        id=number,
        stack_id=stack.id,
        serial=serial,
        lineage=lineage,
        digest=Digest("e" * 64),
        size_bytes=1,
        artifact_key=number,
        assignment_id=None,
        is_quarantined=False,
        created_at=NOW,
    )


def test_an_unknown_run_is_none_or_named(store: PostgresStore) -> None:
    with store.begin() as tx:
        assert tx.find_run(RunId("nobody\x00")) is None
        with pytest.raises(UserError, match="looking up run nobody"):
            tx.get_run(RunId("nobody"))


def test_the_second_run_of_one_event_is_refused_and_leaves_nothing(store: PostgresStore, database_url: str) -> None:
    stack = make_stack(store)
    first, second = run_of(stack), run_of(stack)
    with store.begin() as tx:
        assert tx.add_run(first, event_key="network/aaa/tracked/main")
    with store.begin() as tx:
        assert not tx.add_run(second, event_key="network/aaa/tracked/main")
        assert tx.find_run(second.id) is None
    assert len(jobs(database_url)) == 1


def test_runs_of_commands_have_no_key_and_never_collide(store: PostgresStore) -> None:
    stack = make_stack(store)
    make_run(store, stack)
    make_run(store, stack)
    with store.begin() as tx:
        assert len(tx.list_live_runs(stack.id)) == 2


def test_a_step_is_saved_with_its_line_of_history_and_its_report(store: PostgresStore, database_url: str) -> None:
    run = make_run(store, make_stack(store))
    with store.begin() as tx:
        moved = tx.change_run(run.id, step(Step.RELEASE, cause="nothing is before it"))
    assert moved.state is RunState.READY
    assert store.read_history(run.id) == [
        Transition(
            before=RunState.QUEUED,
            step=Step.RELEASE,
            after=RunState.READY,
            by="trackside",
            at=NOW,
            cause="nothing is before it",
        )
    ]
    assert [task for task, _ in jobs(database_url)] == ["publish", "publish"]


def test_a_change_that_raises_writes_nothing(store: PostgresStore, database_url: str) -> None:
    run = make_run(store, make_stack(store))

    def refuse(run: Run) -> tuple[Run, Transition]:
        raise UserError(f"no to {run.id}")

    with pytest.raises(UserError, match="no to"), store.begin() as tx:
        tx.change_run(run.id, refuse)
    with store.begin() as tx:
        assert tx.get_run(run.id) == run
    assert store.read_history(run.id) == []
    assert len(jobs(database_url)) == 1


def test_a_change_that_is_caught_leaves_the_transaction_usable(store: PostgresStore) -> None:
    run = make_run(store, make_stack(store))
    with store.begin() as tx:
        with pytest.raises(ValueError, match="cannot confirm"):
            tx.change_run(run.id, step(Step.CONFIRM))
        tx.change_run(run.id, step(Step.RELEASE))
    with store.begin() as tx:
        assert tx.get_run(run.id).state is RunState.READY


def test_a_rolled_back_transaction_leaves_no_job(store: PostgresStore, database_url: str) -> None:
    run = make_run(store, make_stack(store))
    before = jobs(database_url)
    with contextlib.suppress(PowerCutError), store.begin() as tx:
        tx.change_run(run.id, step(Step.RELEASE))
        tx.settle()
        raise PowerCutError
    assert jobs(database_url) == before


def test_a_change_must_start_where_the_run_is(store: PostgresStore) -> None:
    run = make_run(store, make_stack(store))
    stale = replace(run, state=RunState.READY)
    with pytest.raises(BrokenError, match="does not start at queued"), store.begin() as tx:
        tx.change_run(run.id, lambda _: advance(stale, Step.CLAIM, by="w", at=NOW))


def test_the_plan_travels_with_the_run_and_its_summary_beside_it(store: PostgresStore) -> None:
    run = make_ready_run(store)
    summary = PlanSummary(changes=(Change(number=1, kind=Kind.RESOURCE, action=Action.CREATE, address="x.y"),))
    with store.begin() as tx:
        waiting = bring_to_unconfirmed(tx, run.id)
        tx.save_plan(run.id, plan_of(), summary)
    with store.begin() as tx:
        assert tx.get_run(run.id) == waiting
        assert tx.get_plan(run.id, 1) == plan_of()
        assert tx.find_summary(run.id, 1) == summary
        assert tx.find_summary(run.id, 2) is None


@pytest.mark.parametrize("rest", [Rest(least=0, most=0), Rest(least=3, most=7), None])
def test_what_a_part_leaves_undone_is_kept_with_its_plan(store: PostgresStore, rest: Rest | None) -> None:
    run = make_ready_run(store)
    plan = replace(plan_of(), rest=rest)
    with store.begin() as tx:
        bring_to_unconfirmed(tx, run.id, plan)
        tx.save_plan(run.id, plan, PlanSummary())
    (listed,) = store.list_recent_runs(limit=1)
    assert listed.plan is not None
    with store.begin() as tx:
        assert (listed.plan.rest, tx.get_plan(run.id, 1).rest) == (rest, rest)


def test_a_lost_plan_may_be_made_again_under_its_number(store: PostgresStore) -> None:
    run = make_ready_run(store)
    other = plan_of(digest=type(PLAN_DIGEST)("e" * 64))
    with store.begin() as tx:
        tx.save_plan(run.id, plan_of(), PlanSummary(terraform_version="1"))
        tx.save_plan(run.id, other, PlanSummary(terraform_version="2"))
        assert tx.get_plan(run.id, 1) == other
        assert tx.find_summary(run.id, 1) == PlanSummary(terraform_version="2")


def test_a_plan_that_a_person_was_shown_is_never_replaced(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_unconfirmed(tx, run.id)
        tx.save_plan(run.id, plan_of(), PlanSummary())
    with pytest.raises(BrokenError, match="shown"), store.begin() as tx:
        tx.save_plan(run.id, plan_of(digest=type(PLAN_DIGEST)("e" * 64)), PlanSummary())


def test_every_run_that_waits_for_a_person_is_listed_newest_first(store: PostgresStore) -> None:
    tracked = make_ready_run(store)
    with store.begin() as tx:
        bring_to_unconfirmed(tx, tracked.id)
    stack = make_stack(store, "other")
    proposed = make_run(store, stack, state=RunState.READY, kind=RunType.PROPOSED, age_s=-5)
    make_run(store, stack, age_s=-6)  # waits for its turn
    with store.begin() as tx:
        assert tx.claim("default", hold_of(), step(Step.CLAIM)) is not None
        for each in (Step.INITIALIZE, Step.PLAN):
            tx.change_run(proposed.id, step(each))
        tx.change_run(
            proposed.id, lambda run: advance(replace(run, plan=plan_of()), Step.REVIEW, by="worker w1", at=NOW)
        )
    assert [run.id for run in store.list_waiting_runs()] == [proposed.id, tracked.id]


def test_a_plan_is_published_once(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_unconfirmed(tx, run.id)
        tx.mark_plan_published(run.id, 1)
    with store.begin() as tx:
        first = tx.get_plan(run.id, 1).published_at
        tx.mark_plan_published(run.id, 1)
    with store.begin() as tx:
        assert first is not None
        plan = tx.get_run(run.id).plan
        assert plan is not None
        assert plan.published_at == first


def test_a_confirmed_run_keeps_its_confirmation(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        confirmed = bring_to_confirmed(tx, run.id)
    with store.begin() as tx:
        proof = tx.get_confirmation(run.id)
        assert (proof.plan_digest, proof.head_sha, proof.actor) == (PLAN_DIGEST, HEAD, "ada")
        assert tx.get_run(run.id) == confirmed


def test_a_run_without_a_confirmation_has_no_proof(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx, pytest.raises(BrokenError, match="confirmation"):
        tx.get_confirmation(run.id)


def test_a_queued_run_knows_what_it_waits_for_and_is_told_when_that_moves(
    store: PostgresStore, database_url: str
) -> None:
    stack = make_stack(store)
    first = make_run(store, stack, state=RunState.READY, age_s=10)
    second = replace(run_of(stack), head_sha=type(HEAD)("b" * 40), source_sha=type(HEAD)("b" * 40))
    with store.begin() as tx:
        tx.add_run(second, event_key=None)
        facts = tx.get_run_facts(second)
        assert (facts.blocked_by, facts.blocked_by_state, facts.blocked_by_sha) == (first.id, "ready", HEAD)
        assert tx.get_run_facts(first).blocked_by is None
    told = len(jobs(database_url))
    with store.begin() as tx:
        tx.change_run(first.id, step(Step.CANCEL))
    assert len(jobs(database_url)) == told + 2


def test_outputs_stay_and_the_data_key_dies_with_the_run(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        tx.save_data_key(run.id, b"wrapped")
    with store.begin() as tx:
        assert tx.find_data_key(run.id) == b"wrapped"
        tx.save_remarks(run.id, b'[{"summary": "x"}]')
        tx.change_run(run.id, step(Step.CANCEL))
        tx.save_outputs(run.id, b'[{"name": "id"}]')
    with store.begin() as tx:
        assert tx.get_run_facts(tx.get_run(run.id)).outputs == b'[{"name": "id"}]'
        assert tx.get_run_facts(tx.get_run(run.id)).remarks == b'[{"summary": "x"}]'
        assert tx.find_data_key(run.id) is None


def test_runs_of_a_commit_and_recent_runs_come_newest_first(store: PostgresStore) -> None:
    stack = make_stack(store)
    old, new = make_run(store, stack, age_s=60), make_run(store, stack)
    with store.begin() as tx:
        assert tx.list_runs_at(REPOSITORY.id, HEAD) == [new, old]
        assert tx.list_live_runs(stack.id) == [old, new]
    assert store.list_recent_runs(stack_id=stack.id) == [new, old]
    assert store.list_recent_runs(limit=1) == [new]
    assert store.count_by_state()["queued"] == 2


# claims


def test_nothing_waits_in_an_empty_pool(store: PostgresStore) -> None:
    make_ready_run(store)
    with store.begin() as tx:
        assert tx.claim("other", hold_of(), step(Step.CLAIM)) is None


def test_what_was_confirmed_goes_first_then_what_changes_state_then_the_oldest(store: PostgresStore) -> None:
    confirmed = make_ready_run(store, "confirmed")
    with store.begin() as tx:
        bring_to_confirmed(tx, confirmed.id)
    stacks = [make_stack(store, f"s{number}") for number in range(4)]
    drift = make_run(store, stacks[0], state=RunState.READY, kind=RunType.DRIFT, age_s=90)
    proposed = make_run(store, stacks[1], state=RunState.READY, kind=RunType.PROPOSED, age_s=60)
    young = make_run(store, stacks[2], state=RunState.READY, age_s=10)
    old = make_run(store, stacks[3], state=RunState.READY, age_s=30)
    claimed = []
    phases = []
    for _ in range(5):
        with store.begin() as tx:
            found = tx.claim("default", hold_of(), step(Step.CLAIM))
            assert found is not None
            claimed.append(found[0].id)
            phases.append(found[1].phase)
    assert claimed == [confirmed.id, old.id, young.id, proposed.id, drift.id]
    assert phases == [Phase.APPLY, *[Phase.PLAN] * 4]


def test_eight_workers_never_claim_the_same_run(store: PostgresStore) -> None:
    runs = {make_ready_run(store, f"stack-{number}").id for number in range(200)}
    barrier = Barrier(8)

    def work(worker: int) -> list[RunId]:
        mine: list[RunId] = []
        barrier.wait()
        while True:
            with store.begin() as tx:
                found = tx.claim("default", hold_of(f"w{worker}"), step(Step.CLAIM))
            if found is None:
                return mine
            mine.append(found[0].id)

    with ThreadPoolExecutor(8) as pool:
        claimed = [run for mine in pool.map(work, range(8)) for run in mine]
    assert len(claimed) == 200
    assert set(claimed) == runs


def test_the_fencing_number_grows_with_every_claim(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        first = tx.claim("default", hold_of(), step(Step.CLAIM))
        assert first is not None
        tx.end_assignment(first[1].id)
        tx.change_run(run.id, step(Step.LOSE))
        second = tx.claim("default", hold_of(), step(Step.CLAIM))
        assert second is not None
    assert (first[1].fencing, second[1].fencing, second[0].fencing) == (1, 2, 2)
    with store.begin() as tx:
        assert tx.renew_lease(first[1].id, 1, 60) is None
        assert tx.renew_lease(second[1].id, 1, 60) is None
        assert tx.renew_lease(second[1].id, 2, 60) is False


def test_a_lease_that_ran_out_is_lost_and_cannot_be_renewed(store: PostgresStore) -> None:
    make_ready_run(store)
    with store.begin() as tx:
        found = tx.claim("default", hold_of(lease_s=0), step(Step.CLAIM))
        assert found is not None
    with store.begin() as tx:
        assert tx.renew_lease(found[1].id, 1, 60) is None
        assert tx.list_lost_assignments() == [found[1]]
        tx.end_assignment(found[1].id)
        assert tx.list_lost_assignments() == []


def test_a_stop_request_reaches_the_next_heartbeat(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        found = tx.claim("default", hold_of(), step(Step.CLAIM))
        assert found is not None
        held = tx.lock_assignment(found[1].id)
        assert held is not None
        tx.save_assignment(replace(held, stop_requested=True, sealed_clone_token=b"sealed"))
    with store.begin() as tx:
        assert tx.renew_lease(found[1].id, 1, 60) is True
        live = tx.find_live_assignment(run.id)
        assert live is not None
        assert (live.sealed_clone_token, live.is_state_read_only) == (b"sealed", False)


def test_a_log_is_read_in_order_and_a_chunk_sent_twice_is_kept_once(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        found = tx.claim("default", hold_of(), step(Step.CLAIM))
        assert found is not None
        tx.add_log(found[1].id, 6, b"world\n")
        tx.add_log(found[1].id, 0, b"hello ")
        tx.add_log(found[1].id, 0, b"hello ")
        held = tx.find_assignment(found[1].id)
        assert held is not None
        assert held.log_bytes == 12
    assert b"".join(chunk.text for chunk in store.read_log(run.id)) == b"hello world\n"
    assert [(chunk.offset, chunk.text) for chunk in store.read_log(run.id, after=8)] == [(8, b"rld\n")]
    assert store.count_log_bytes(run.id) == 12


def test_what_became_of_newer_commits_is_told_by_their_number(store: PostgresStore) -> None:
    """Ended ones too; previews and drift change nothing, and do not count."""
    stack = make_stack(store)
    with store.begin() as tx:
        for seq, state, kind in (
            (1, RunState.QUEUED, RunType.TRACKED),
            (2, RunState.FINISHED, RunType.TRACKED),
            (2, RunState.CANCELED, RunType.DESTROY),
            (3, RunState.FINISHED, RunType.PROPOSED),
            (4, RunState.QUEUED, RunType.TRACKED),
        ):
            assert tx.add_run(replace(run_of(stack, state=state, kind=kind), head_seq=seq), event_key=None)
        assert tx.list_newer_states(stack.id, 1) == {2: [RunState.CANCELED, RunState.FINISHED], 4: [RunState.QUEUED]}
        assert tx.list_newer_states(stack.id, 4) == {}
