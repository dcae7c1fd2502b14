"""What is known of one commit: newest decisions, newest runs, counts, and events to be decided again."""

from dataclasses import replace

from app.core.decision import Answer, Decision, EventKind, Verdict
from app.core.names import ZERO_SHA, DeliveryId, RepositoryId, Sha
from app.core.run import RunState, RunType, Step
from app.core.stack import Stack, StackSpec
from app.store.postgres import PostgresStore
from tests.store.world import CONFIG, HEAD, REPOSITORY, make_run, make_stack, step

OTHER = RepositoryId(78)


def decision_of(stack: Stack, verdict: Verdict, *, event: EventKind = EventKind.PUSH, ref: str = "") -> Decision:
    return Decision(
        stack_id=stack.id,
        stack_name=stack.name,
        ref=ref or "refs/heads/main",
        head_sha=HEAD,
        before=ZERO_SHA,
        config_version_id=CONFIG,
        policy="default",
        input={"stack": {"branch": "main"}},
        answer=Answer(verdict=verdict, reason=f"because of {verdict.value}", rules={}),
        event=event,
        note="a note",
    )


def decide(store: PostgresStore, guid: str, *made: Decision) -> None:
    with store.begin() as tx:
        tx.add_decisions(DeliveryId(guid), {"push": {"branch": "main"}, "pull_request": None}, made)


def two_stacks(store: PostgresStore) -> tuple[Stack, Stack]:
    network = make_stack(store)
    with store.begin() as tx:
        settings = replace(network.settings, name="app")
        app = tx.add_stack(REPOSITORY.id, StackSpec(settings=settings), CONFIG)
    return network, app


def test_the_newest_decision_of_each_stack_ref_and_event_is_told_affected_ones_first(store: PostgresStore) -> None:
    network, app = two_stacks(store)
    decide(store, "first", decision_of(app, Verdict.IGNORE), decision_of(network, Verdict.FAIL))
    decide(store, "again", decision_of(network, Verdict.TRACK))
    tag = decision_of(app, Verdict.IGNORE, event=EventKind.TAG, ref="refs/tags/v1")
    decide(store, "tag", tag)

    found = store.list_short_decisions(REPOSITORY.id, HEAD)

    assert [(one.stack_name, one.ref, one.event, one.verdict) for one in found] == [
        ("network", "refs/heads/main", EventKind.PUSH, Verdict.TRACK),
        ("app", "refs/heads/main", EventKind.PUSH, Verdict.IGNORE),
        ("app", "refs/tags/v1", EventKind.TAG, Verdict.IGNORE),
    ]
    assert found[0].words == "because of track; a note"
    assert store.count_decided(REPOSITORY.id, HEAD) == 3
    assert store.list_short_decisions(OTHER, HEAD) == []
    assert store.count_decided(REPOSITORY.id, Sha("b" * 40)) == 0
    assert store.count_stacks_failed(REPOSITORY.id, HEAD) == 1
    about = store.list_decisions_about(REPOSITORY.id, HEAD, "network")
    assert [one.answer.verdict for one in about] == [Verdict.TRACK, Verdict.FAIL]
    assert about[0].input == {"push": {"branch": "main"}, "pull_request": None, "stack": {"branch": "main"}}


def test_the_newest_run_of_each_stack_type_and_ref_is_told_and_counted(store: PostgresStore) -> None:
    network, app = two_stacks(store)
    make_run(store, network, state=RunState.QUEUED, age_s=60)
    newest = make_run(store, network, state=RunState.READY)
    proposed = make_run(store, app, state=RunState.READY, kind=RunType.PROPOSED)

    assert {run.id for run in store.list_newest_runs_at(REPOSITORY.id, HEAD)} == {newest.id, proposed.id}
    counts = [
        (
            store.count_stacks_run(REPOSITORY.id, HEAD, is_state_changing=changes),
            store.count_under_way(REPOSITORY.id, HEAD, is_state_changing=changes),
        )
        for changes in (True, False)
    ]
    assert counts == [(1, 1), (1, 1)]
    with store.begin() as tx:
        tx.change_run(proposed.id, step(Step.CANCEL))
    assert store.count_under_way(REPOSITORY.id, HEAD, is_state_changing=False) == 0


def test_recorded_events_are_told_once_each_newest_first(store: PostgresStore) -> None:
    network, app = two_stacks(store)
    decide(store, "first", decision_of(app, Verdict.IGNORE), decision_of(network, Verdict.TRACK))
    decide(store, "second", decision_of(app, Verdict.IGNORE, event=EventKind.TAG, ref="refs/tags/v1"))

    found = store.list_recorded_events(REPOSITORY.id, limit=10)

    assert [(one.words, one.head_sha) for one in found] == [("tag v1", HEAD), ("push to main", HEAD)]
    assert found[1].document == {"push": {"branch": "main"}, "pull_request": None}
    assert len(store.list_recorded_events(REPOSITORY.id, limit=1)) == 1
    assert store.list_recorded_events(OTHER, limit=10) == []


def test_a_summary_that_nobody_wanted_is_not_wanted_by_its_runs(store: PostgresStore) -> None:
    run = make_run(store, make_stack(store), state=RunState.READY)

    def wanted() -> list[tuple[str, int]]:
        with store.engine.connect() as connection:
            asked = "SELECT subject, wanted FROM reports WHERE kind = 'summary'"
            return [(row[0], row[1]) for row in connection.exec_driver_sql(asked)]

    with store.begin() as tx:
        tx.change_run(run.id, step(Step.CANCEL))
    assert wanted() == []
    second = make_run(store, make_stack_again(store), state=RunState.READY)
    with store.begin() as tx:
        tx.want_summary(REPOSITORY.id, HEAD, "trackside/deploy")
    with store.begin() as tx:
        tx.change_run(second.id, step(Step.CANCEL))
    assert wanted() == [(f"{HEAD}/trackside/deploy", 2)]


def make_stack_again(store: PostgresStore) -> Stack:
    with store.begin() as tx:
        return tx.list_stacks(REPOSITORY.id)[0]
