"""Which decision speaks for a stack on a commit that several events told of, and which run belongs to it."""

from dataclasses import replace

from app.core.decision import Answer, Decision, EventKind, Verdict
from app.core.names import ZERO_SHA, DeliveryId, Sha
from app.core.report_summary import CROWD, SummaryName
from app.core.run import Run, RunState, RunType
from app.core.stack import Stack, StackSpec
from app.flows.explain import Explain
from app.store.postgres import PostgresStore
from tests.store.world import CONFIG, HEAD, REPOSITORY, make_stack, run_of

BRANCH, WORK, TAG = "refs/heads/main", "refs/heads/work", "refs/tags/v1"


def explain_on(store: PostgresStore) -> Explain:
    return Explain(
        questions=store,
        run_url=lambda run_id: f"https://t.example/runs/{run_id}",
        home_url="https://t.example/",
        prefix="/trackside",
    )


def decide(store: PostgresStore, stack: Stack, verdict: Verdict, event: EventKind, ref: str) -> None:
    """One event, decided for the stack."""
    made = Decision(
        stack_id=stack.id,
        stack_name=stack.name,
        ref=ref,
        head_sha=HEAD,
        before=ZERO_SHA,
        config_version_id=CONFIG,
        policy="default",
        input={"stack": {}},
        answer=Answer(verdict=verdict, reason=f"{event.value} said {verdict.value}", rules={}),
        event=event,
    )
    with store.begin() as tx:
        tx.add_decisions(DeliveryId(tx.new_id()), {"push": {}}, [made])


def run(store: PostgresStore, stack: Stack, kind: RunType, ref: str) -> Run:
    made = replace(run_of(stack, state=RunState.READY, kind=kind), ref=ref)
    with store.begin() as tx:
        assert tx.add_run(made, event_key=None)
    return made


def told(store: PostgresStore, name: SummaryName) -> list[tuple[str, str, str, str | None]]:
    view = explain_on(store).summary(REPOSITORY.id, HEAD, name)
    return [(one.stack_name, one.tag, one.reason, one.run.id if one.run else None) for one in view.lines]


def test_the_event_that_makes_a_run_speaks_for_the_stack(store: PostgresStore) -> None:
    stack = make_stack(store)
    decide(store, stack, Verdict.PROPOSE, EventKind.PUSH, WORK)
    decide(store, stack, Verdict.IGNORE, EventKind.COMMENT, WORK)
    proposed = run(store, stack, RunType.PROPOSED, WORK)
    assert told(store, SummaryName.PROPOSED) == [("network", "", "push said propose", proposed.id)]
    decide(store, stack, Verdict.PROPOSE, EventKind.PULL_REQUEST, WORK)
    assert told(store, SummaryName.PROPOSED) == [("network", "", "pull_request said propose", proposed.id)]
    decide(store, stack, Verdict.FAIL, EventKind.REVIEW, WORK)
    assert told(store, SummaryName.PROPOSED)[0][2] == "pull_request_review said fail", "closed by default"


def test_a_commit_that_landed_as_it_was_tells_its_push_apart_from_its_pull_request(store: PostgresStore) -> None:
    stack = make_stack(store)
    decide(store, stack, Verdict.PROPOSE, EventKind.MERGE_GROUP, "refs/heads/gh-readonly-queue/main/pr-1")
    proposed = run(store, stack, RunType.PROPOSED, "refs/heads/gh-readonly-queue/main/pr-1")
    decide(store, stack, Verdict.TRACK, EventKind.PUSH, BRANCH)
    decide(store, stack, Verdict.IGNORE, EventKind.TAG, TAG)
    tracked = run(store, stack, RunType.TRACKED, BRANCH)
    assert told(store, SummaryName.PROPOSED) == [("network", "", "merge_group said propose", proposed.id)]
    assert told(store, SummaryName.DEPLOY) == [
        ("network", "", "push said track", tracked.id),
        ("network", "v1", "tag said ignore", None),
    ]


def test_why_tells_the_newest_decision_of_each_event_with_its_run(store: PostgresStore) -> None:
    stack = make_stack(store)
    decide(store, stack, Verdict.FAIL, EventKind.PUSH, BRANCH)
    decide(store, stack, Verdict.TRACK, EventKind.PUSH, BRANCH)
    tracked = run(store, stack, RunType.TRACKED, BRANCH)
    decide(store, stack, Verdict.IGNORE, EventKind.TAG, TAG)
    found = explain_on(store).why(REPOSITORY.id, HEAD)
    assert [(one.decision.answer.verdict, one.run.id if one.run else None) for one in found] == [
        (Verdict.TRACK, tracked.id),
        (Verdict.IGNORE, None),
    ]
    assert explain_on(store).why(REPOSITORY.id, HEAD, "network") == found
    assert explain_on(store).why(REPOSITORY.id, HEAD, "other") == ()
    assert explain_on(store).why(REPOSITORY.id, Sha("b" * 40)) == ()


def test_a_commit_is_crowded_by_stacks_that_run_and_by_those_that_could_not_be_decided(store: PostgresStore) -> None:
    first = make_stack(store)
    explain = explain_on(store)
    for number in range(CROWD - 1):
        with store.begin() as tx:
            settings = replace(first.settings, name=f"s{number}")
            stack = tx.add_stack(REPOSITORY.id, StackSpec(settings=settings), CONFIG)
        run(store, stack, RunType.TRACKED, BRANCH)
    run(store, first, RunType.TRACKED, BRANCH)
    assert not explain.is_crowded(REPOSITORY.id, HEAD, is_state_changing=True)
    with store.begin() as tx:
        broken = tx.add_stack(REPOSITORY.id, StackSpec(settings=replace(first.settings, name="broken")), CONFIG)
    decide(store, broken, Verdict.FAIL, EventKind.PUSH, BRANCH)
    assert explain.is_crowded(REPOSITORY.id, HEAD, is_state_changing=True)
    assert not explain.is_crowded(REPOSITORY.id, HEAD, is_state_changing=False)
