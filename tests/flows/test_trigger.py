"""When a run has ended, its stack's trigger policies make others run: each once, within bounds, and never by half."""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import psycopg
import pytest

from app.core.errors import RetryableError
from app.core.event import Standing
from app.core.names import AccountId, Digest, OrganisationVersionId, RepositoryId
from app.core.organisation import Organisation, OrganisationVersion
from app.core.run import Run, RunState, RunType, Step, Trigger, advance
from app.core.stack import PolicySpec, Stack, StackSettings, StackSpec
from app.core.trigger import MAX_GENERATIONS
from app.core.upstream import Upstream
from app.flows.trigger import TriggerRuns
from app.policy.pool import OpaPool
from app.store.jobs_app import make_job_app, revive_of_runs
from app.store.postgres import PostgresStore
from tests.store.world import CONFIG, HEAD, REPOSITORY, make_run, make_stack, run_of, step

NEXT = """package trackside
import rego.v1
trigger contains "acme/infra/app" if input.run.state == "FINISHED"
trigger contains "dns" if input.run.state == "FINISHED"
trigger contains "acme/infra/gone" if input.run.state == "FINISHED"
"""
RETRY = """package spacelift
trigger[input.stack.id] { input.run.state == "FAILED"; input.run.type == "TRACKED"; is_null(input.run.triggered_by) }
flag["again"] { true }
"""
ITSELF = """package spacelift
trigger[input.stack.id] { true }
"""
DIAMOND = """package spacelift
import future.keywords
trigger["last"] {
    ended := {one.stack_id | some one in input.workflow; one.state == "FINISHED"}
    {"acme/infra/left", "acme/infra/right"} == ended - {"acme/infra/first"}
}
trigger[id] { input.stack.name == "first"; id := {"left", "right"}[_] }
"""
SEES = """package trackside
import rego.v1
trigger contains json.marshal({"stacks": [one.id | some one in input.stacks], "run": input.run.states_history[_].state})
"""
OF_ALL = """package trackside
import rego.v1
trigger contains "acme/other/web"
trigger contains "app"
"""


@pytest.fixture(scope="module")
def policies() -> Iterator[OpaPool]:
    """OPA in one child process."""
    with OpaPool(1) as started:
        yield started


def trigger_with(store: PostgresStore, policies: OpaPool) -> TriggerRuns:
    return TriggerRuns(store=store, policies=policies, web_url="https://github.example")


def stack_with(
    store: PostgresStore, name: str, text: str = "", *, policy: str = "next", is_tracked: bool = True
) -> Stack:
    """A stack, tracked at HEAD, with that trigger policy."""
    stack = make_stack(store, name)
    digest = hashlib.sha256(text.encode()).hexdigest()
    spec = PolicySpec(name=policy, type="trigger", path="next.rego", attach_all=True, digest=digest)
    with store.begin() as tx:
        if text:
            tx.save_policy_texts({digest: text})
        head = HEAD if is_tracked else None
        tx.save_stack(replace(tx.lock_stack(stack.id), policies=(spec,) if text else (), head_sha=head, head_seq=1))
        return tx.get_stack(stack.id)


def end(store: PostgresStore, run: Run, *, state: RunState = RunState.FINISHED) -> Run:
    """The run comes to its end, from wherever it is."""
    with store.begin() as tx:
        if state is RunState.CANCELED:
            return tx.change_run(run.id, step(Step.CANCEL))
        if tx.get_run(run.id).state is RunState.QUEUED:
            tx.change_run(run.id, step(Step.RELEASE))
        for each in (Step.CLAIM, Step.INITIALIZE, Step.PLAN):
            tx.change_run(run.id, step(each))
        return tx.change_run(run.id, step(Step.FINISH if state is RunState.FINISHED else Step.FAIL))


def told(store: PostgresStore, run: Run) -> list[tuple[str, bool, str]]:
    """What came of asking: stack, whether there is a run, why not."""
    with store.begin() as tx:
        return [(one.stack, bool(one.run_id), one.reason) for one in tx.get_run_facts(tx.get_run(run.id)).triggered]


def runs_of(store: PostgresStore, stack: Stack) -> list[Run]:
    with store.begin() as tx:
        return tx.list_stack_runs(stack.id, limit=50)


def jobs(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT args ->> 'run_id', lock FROM procrastinate_jobs WHERE task_name = 'trigger' ORDER BY id"
        ).fetchall()
    return [(run_id, lock) for run_id, lock in rows]


def test_an_end_makes_the_named_stacks_run_once_and_says_what_it_could_not(
    store: PostgresStore, policies: OpaPool, database_url: str
) -> None:
    first = stack_with(store, "network", NEXT)
    app, dns = stack_with(store, "app"), stack_with(store, "dns", is_tracked=False)
    origin = end(store, make_run(store, app))
    run = end(store, make_run(store, first))
    assert jobs(database_url) == [(run.id, f"trigger:{run.id}")]
    assert trigger_with(store, policies).trigger(run.id) == ()
    assert trigger_with(store, policies).trigger(run.id) == ()
    made, *older = runs_of(store, app)
    assert [one.id for one in older] == [origin.id]
    assert (made.type, made.trigger, made.asked_by) == (RunType.TRACKED, Trigger.POLICY, "next")
    assert (made.head_sha, made.head_seq, made.ref, made.message) == (HEAD, 1, origin.ref, origin.message)
    assert (made.caused_by, made.workflow_id, made.generation) == (run.id, run.id, 1)
    assert made.state is RunState.READY
    assert runs_of(store, dns) == []
    assert told(store, run) == [
        ("app", True, ""),
        ("acme/infra/gone", False, "there is no stack of this repository with that id"),
        ("dns", False, "no commit of the stack was tracked yet"),
    ]


def test_a_preview_and_a_stack_without_such_policies_ask_nobody(store: PostgresStore, database_url: str) -> None:
    end(store, make_run(store, stack_with(store, "app")))
    end(store, make_run(store, stack_with(store, "network", NEXT), kind=RunType.PROPOSED))
    assert jobs(database_url) == []


def test_a_failed_run_is_tried_again_once_with_a_flag(store: PostgresStore, policies: OpaPool) -> None:
    stack = stack_with(store, "network", RETRY)
    run = end(store, make_run(store, stack), state=RunState.FAILED)
    trigger_with(store, policies).trigger(run.id)
    again, _ = runs_of(store, stack)
    assert again.flag_owners == {"again": ("next",)}
    end(store, again, state=RunState.FAILED)
    trigger_with(store, policies).trigger(again.id)
    assert len(runs_of(store, stack)) == 2, "it was not made by git, so the policy leaves it alone"


def test_what_a_policy_asks_for_beyond_a_hundred_stacks_is_counted(store: PostgresStore, policies: OpaPool) -> None:
    text = 'package spacelift\ntrigger[id] { id := sprintf("s%03d", [numbers.range(1, 103)[_]]) }'
    run = end(store, make_run(store, stack_with(store, "network", text)))
    assert trigger_with(store, policies).trigger(run.id) == (), "it gave an answer"
    assert told(store, run)[99:] == [
        ("s100", False, "there is no stack of this repository with that id"),
        ("3 more", False, "a policy triggers 100 stacks at most when a run has ended"),
    ]


def test_two_policies_that_ask_for_one_stack_get_one_run_with_the_flags_of_both(
    store: PostgresStore, policies: OpaPool
) -> None:
    stack = stack_with(store, "network", RETRY, policy="again")
    text = RETRY.replace("again", "once-more")
    other = replace(stack.policies[0], name="other", digest=hashlib.sha256(text.encode()).hexdigest())
    with store.begin() as tx:
        tx.save_policy_texts({other.digest: text})
        tx.save_stack(replace(tx.lock_stack(stack.id), policies=(*stack.policies, other)))
    run = end(store, make_run(store, stack), state=RunState.FAILED)
    trigger_with(store, policies).trigger(run.id)
    again, first = runs_of(store, stack)
    assert first.id == run.id
    assert again.flag_owners == {"again": ("again",), "once-more": ("other",)}
    assert told(store, run) == [("network", True, "")] * 2


def test_a_policy_that_triggers_its_own_stack_for_ever_is_stopped(store: PostgresStore, policies: OpaPool) -> None:
    stack = stack_with(store, "network", ITSELF)
    newest = end(store, make_run(store, stack))
    for _ in range(MAX_GENERATIONS):
        trigger_with(store, policies).trigger(newest.id)
        newest = end(store, runs_of(store, stack)[0])
    assert newest.generation == MAX_GENERATIONS
    trigger_with(store, policies).trigger(newest.id)
    assert len(runs_of(store, stack)) == MAX_GENERATIONS + 1
    assert told(store, newest) == [
        ("network", False, "20 triggered runs have followed each other already, which is the most")
    ]


@pytest.mark.parametrize("is_left_first", [True, False])
def test_of_two_runs_that_end_together_exactly_one_sees_both_ended(
    store: PostgresStore, policies: OpaPool, *, is_left_first: bool
) -> None:
    stacks = {name: stack_with(store, name, DIAMOND) for name in ("first", "left", "right", "last")}
    first = end(store, make_run(store, stacks["first"]))
    trigger_with(store, policies).trigger(first.id)
    both = [end(store, runs_of(store, stacks[name])[0]) for name in ("left", "right")]
    assert {one.workflow_id for one in both} == {first.id}
    for run in both if is_left_first else reversed(both):
        trigger_with(store, policies).trigger(run.id)
    (last,) = runs_of(store, stacks["last"])
    assert last.generation == 2


def test_what_a_workflow_was_asked_about_is_asked_again_when_it_went_on(
    store: PostgresStore, policies: OpaPool
) -> None:
    """A job that was thought dead asks beside the one that was put in its place."""
    stacks = {name: stack_with(store, name, DIAMOND) for name in ("first", "left", "right", "last")}
    first = end(store, make_run(store, stacks["first"]))
    trigger_with(store, policies).trigger(first.id)
    left, right = (end(store, runs_of(store, stacks[name])[0]) for name in ("left", "right"))

    class Meanwhile:
        """Policies, while which are asked another job asks about the other run."""

        def evaluate_all(self, shared: object, asked: Sequence[object]) -> object:
            trigger_with(store, policies).trigger(right.id)
            return policies.evaluate_all(shared, asked)  # type: ignore[arg-type]

    late = TriggerRuns(store=store, policies=Meanwhile(), web_url="https://github.example")  # type: ignore[arg-type]
    with pytest.raises(RetryableError, match="went on meanwhile"):
        late.trigger(left.id)
    assert runs_of(store, stacks["last"]) == []
    trigger_with(store, policies).trigger(left.id)
    assert len(runs_of(store, stacks["last"])) == 1


def test_what_a_worker_does_with_the_rest_of_a_workflow_meanwhile_keeps_nobody_from_asking(
    store: PostgresStore, policies: OpaPool
) -> None:
    stacks = {name: stack_with(store, name, DIAMOND) for name in ("first", "left", "right", "last")}
    first = end(store, make_run(store, stacks["first"]))
    trigger_with(store, policies).trigger(first.id)
    left, right = (runs_of(store, stacks[name])[0] for name in ("left", "right"))
    end(store, left)

    class Meanwhile:
        """Policies, while which are asked a worker takes the other run."""

        def evaluate_all(self, shared: object, asked: Sequence[object]) -> object:
            with store.begin() as tx:
                tx.change_run(right.id, step(Step.CLAIM))
            return policies.evaluate_all(shared, asked)  # type: ignore[arg-type]

    TriggerRuns(store=store, policies=Meanwhile(), web_url="https://github.example").trigger(left.id)  # type: ignore[arg-type]
    with store.begin() as tx:
        assert not tx.is_to_trigger(left.id)


def test_an_end_that_only_runs_below_wait_for_keeps_the_rest_of_its_workflow_from_nothing(
    store: PostgresStore, policies: OpaPool
) -> None:
    """No policy is there to be asked: the jobs of five hundred runs below must not wait for each other."""
    run = make_run(store, stack_with(store, "vpc"))
    upstreams: dict[str, Upstream] = {run.id: Upstream(stack_id=run.stack_id, stack="vpc")}
    below = replace(run_of(stack_with(store, "app")), state=RunState.QUEUED, upstreams=upstreams)
    with store.begin() as tx:
        tx.add_run(below, event_key=None)
    end(store, run)
    with store.begin() as tx:
        tx.lock_workflow(run.id)
        trigger_with(store, policies).trigger(run.id)
    with store.begin() as tx:
        assert not tx.is_to_trigger(run.id)
        assert tx.get_run(below.id).upstreams[run.id].word == "finished"


def test_a_commit_that_was_never_merged_stays_one_however_many_previews_came_since(
    store: PostgresStore, policies: OpaPool
) -> None:
    """The stack allowed promotions once, and does not any more."""
    first, app = stack_with(store, "network", NEXT), stack_with(store, "app")
    with store.begin() as tx:
        promoted = replace(run_of(app, age_s=60), ref="refs/heads/feature", trigger=Trigger.COMMAND)
        tx.add_run(promoted, event_key=None)
    end(store, promoted)
    for _ in range(51):
        make_run(store, app, kind=RunType.PROPOSED)
    run = end(store, make_run(store, first))
    trigger_with(store, policies).trigger(run.id)
    assert told(store, run)[0] == (
        "app",
        False,
        "its newest commit was promoted from a pull request, which the stack does not allow any more",
    )


def test_a_tag_is_no_promotion_however_often_its_commit_is_triggered(store: PostgresStore, policies: OpaPool) -> None:
    stack = stack_with(store, "network", ITSELF)
    with store.begin() as tx:
        tagged = replace(run_of(stack), ref="refs/tags/v1", trigger=Trigger.TAG)
        tx.add_run(tagged, event_key=None)
    newest = end(store, tagged)
    for generation in (1, 2):
        trigger_with(store, policies).trigger(newest.id)
        newest = end(store, runs_of(store, stack)[0])
        assert (newest.generation, newest.tag) == (generation, "v1")


def test_a_stack_that_waits_to_run_already_gets_no_second_run(store: PostgresStore, policies: OpaPool) -> None:
    first, app = stack_with(store, "network", NEXT), stack_with(store, "app")
    waiting = make_run(store, app)
    run = end(store, make_run(store, first))
    trigger_with(store, policies).trigger(run.id)
    assert runs_of(store, app) == [waiting]
    assert told(store, run)[0] == (
        "app",
        False,
        f"run {waiting.id} of the same commit has not begun yet, and does the same",
    )


def test_what_is_canceled_with_its_repository_triggers_nothing(store: PostgresStore, policies: OpaPool) -> None:
    stack = stack_with(store, "network", ITSELF)
    run = make_run(store, stack)
    with store.begin() as tx:
        tx.save_standing([REPOSITORY.id], Standing.ARCHIVED)
    end(store, run, state=RunState.CANCELED)
    trigger_with(store, policies).trigger(run.id)
    assert len(runs_of(store, stack)) == 1
    assert told(store, run) == [
        ("network", False, "its repository is archived or out of reach, or the App is suspended there")
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("package trackside\nimport rego.v1\ntrigger := 5", "contract: "),
        ("package trackside\nimport rego.v1\ntrigger contains {} if {", "parse: "),
        (
            'package trackside\nimport rego.v1\ntrigger contains "app"\ntrigger contains "a" if to_number("x") > 1',
            "to_number",
        ),
    ],
)
def test_a_policy_that_fails_triggers_nothing_and_says_so(
    store: PostgresStore, policies: OpaPool, text: str, why: str
) -> None:
    app = stack_with(store, "app")
    run = end(store, make_run(store, stack_with(store, "network", text)))
    (remark,) = trigger_with(store, policies).trigger(run.id)
    assert remark.startswith("trigger policy next gave no answer, and triggers nothing: ")
    assert why in remark
    assert runs_of(store, app) == []
    ((stack, has_run, reason),) = told(store, run)
    assert (stack, has_run) == ("", False)
    assert why in reason


def test_a_policy_sees_its_repository_and_one_of_the_organisation_all_of_the_owner(
    store: PostgresStore, policies: OpaPool
) -> None:
    stack_with(store, "app")
    other = replace(REPOSITORY, id=RepositoryId(78), name="other", owner_id=AccountId(9))
    with store.begin() as tx:
        tx.save_repository(replace(REPOSITORY, owner_id=AccountId(9)))
        tx.save_repository(other)
        web = tx.add_stack(other.id, StackSpec(settings=StackSettings(name="web", branch="main")), CONFIG)
        tx.save_stack(replace(tx.lock_stack(web.id), head_sha=HEAD, head_seq=1))
    run = end(store, make_run(store, stack_with(store, "network", SEES)))
    with store.begin() as tx:
        tx.save_repository(replace(REPOSITORY, owner_id=AccountId(9)))
    trigger_with(store, policies).trigger(run.id)
    seen = [json.loads(stack) for stack, *_ in told(store, run)]
    assert {tuple(one["stacks"]) for one in seen} == {("acme/infra/app", "acme/infra/network")}
    assert {one["run"] for one in seen} == {"QUEUED", "READY", "PREPARING", "INITIALIZING", "PLANNING", "FINISHED"}

    wide = stack_with(store, "wide", OF_ALL, policy=".trackside/next")
    with store.begin() as tx:
        tx.save_repository(replace(REPOSITORY, owner_id=AccountId(9)))
    last = end(store, make_run(store, wide))
    trigger_with(store, policies).trigger(last.id)
    assert told(store, last) == [
        ("web", True, ""),
        ("app", False, "there is no stack of this owner with that id"),
    ]


def test_policies_of_an_organisation_that_is_not_in_force_there_trigger_nothing(
    store: PostgresStore, policies: OpaPool
) -> None:
    """The repository was given to another owner, or the settings were replaced: new ones are waited for, a while."""
    other = replace(REPOSITORY, id=RepositoryId(78), name="other", owner_id=AccountId(9))
    wide = stack_with(store, "wide", OF_ALL, policy=".trackside/next")
    with store.begin() as tx:
        tx.save_repository(replace(REPOSITORY, owner_id=AccountId(9)))
        tx.save_repository(other)
        web = tx.add_stack(other.id, StackSpec(settings=StackSettings(name="web", branch="main")), CONFIG)
        tx.save_stack(replace(tx.lock_stack(web.id), head_sha=HEAD, head_seq=1))
        tx.add_organisation_version(
            OrganisationVersion(
                id=OrganisationVersionId("01NEW"),
                owner_id=AccountId(9),
                repository_id=REPOSITORY.id,
                sha=HEAD,
                digest=Digest("e" * 64),
                is_valid=True,
                problems=(),
                organisation=Organisation(),
            )
        )
    made = make_run(store, wide)
    with store.begin() as tx:
        moment = tx.now()
        run = tx.change_run(made.id, lambda found: advance(found, Step.CANCEL, by="ada", at=moment))
    with pytest.raises(RetryableError, match="settings are about to reach its stack"):
        trigger_with(store, policies).trigger(run.id)
    late = end(store, make_run(store, wide), state=RunState.CANCELED)  # long ago, by the world's clock
    trigger_with(store, policies).trigger(late.id)
    assert told(store, late) == [
        ("", False, "the organisation's settings that brought it are not in force here any more")
    ]
    assert runs_of(store, web) == []


def test_an_id_that_two_repositories_give_means_neither_and_takes_no_name(
    store: PostgresStore, policies: OpaPool
) -> None:
    text = OF_ALL.replace("acme/other/web", "acme/infra/wide")
    wide = stack_with(store, "wide", text, policy=".trackside/next")
    other = replace(REPOSITORY, id=RepositoryId(78), name="other", owner_id=AccountId(9))
    ids = {"mine": "app", "yours": "app", "liar": "acme/infra/wide"}
    with store.begin() as tx:
        tx.save_repository(replace(REPOSITORY, owner_id=AccountId(9)))
        tx.save_repository(other)
        for name, policy_id in ids.items():
            spec = StackSpec(settings=StackSettings(name=name, branch="main"), policy_id=policy_id)
            made = tx.add_stack(other.id, spec, CONFIG)
            tx.save_stack(replace(tx.lock_stack(made.id), head_sha=HEAD, head_seq=1))
    run = end(store, make_run(store, wide))
    with store.begin() as tx:
        tx.save_repository(replace(REPOSITORY, owner_id=AccountId(9)))
    trigger_with(store, policies).trigger(run.id)
    assert told(store, run) == [
        ("wide", True, ""),
        ("app", False, "more than one stack of this owner has that id"),
    ]


def test_what_nobody_could_ask_or_tell_is_tried_again_after_a_while(store: PostgresStore, database_url: str) -> None:
    """Its jobs ended in an error of ours: a disk was full, say. In the workflow's lane, and never twice."""
    stack = stack_with(store, "network", ITSELF)
    with store.begin() as tx:
        heard = PolicySpec(name="told", type="notification", path="told.rego", attach_all=True)
        kept = tx.lock_stack(stack.id)
        tx.save_stack(replace(kept, policies=(*kept.policies, heard)))
    run = make_run(store, stack)
    with store.begin() as tx:
        moment = tx.now()
        tx.change_run(run.id, lambda found: advance(found, Step.CANCEL, by="ada", at=moment))

    async def revive() -> int:
        app = make_job_app(database_url)
        async with app.open_async():
            return await revive_of_runs(app)

    def sql(statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    sql(
        "INSERT INTO messages (id, run_id, step_id, channel, policy, outcome, target, created_at)"  # noqa: S608 - ours
        f" VALUES ('01M', '{run.id}', 1, 'webhook', 'told', 'pending', 'ci', now())"
    )
    assert asyncio.run(revive()) == 1, "the jobs of the run wait, and nobody sends the message"
    sql("UPDATE procrastinate_jobs SET status = 'failed' WHERE task_name IN ('trigger', 'notify', 'send')")
    assert asyncio.run(revive()) == 0, "they failed just now"
    sql("UPDATE procrastinate_events SET at = at - interval '11 minutes'")
    assert asyncio.run(revive()) == 3
    jobs = "SELECT queue_name, task_name, lock, status FROM procrastinate_jobs WHERE task_name <> 'publish'"
    assert sql(f"{jobs} ORDER BY task_name") == [
        ("notify", "notify", f"notify:{run.id}", "todo"),
        ("notify", "send", "endpoint:ci", "todo"),
        ("deliver", "trigger", f"trigger:{run.id}", "todo"),
    ]
    assert asyncio.run(revive()) == 0, "the new jobs wait"


def test_the_cause_of_a_run_never_changes(store: PostgresStore, database_url: str) -> None:
    run = make_run(store, make_stack(store))
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("UPDATE runs SET generation = 1 WHERE id = %s", (run.id,))
