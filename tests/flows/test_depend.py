"""Stacks that depend on others: who is queued, who waits, who is skipped, and what is passed of what was applied."""

from dataclasses import replace

import psycopg
import pytest

from app.core.dependency import Dependency
from app.core.errors import RetryableError
from app.core.names import Sha
from app.core.protocol import OutputValue, Phase, ResultReport
from app.core.run import Run, RunState, RunType, Step, Trigger
from app.core.stack import Stack
from app.core.upstream import UpstreamState
from app.flows.cascade import Cascade, Cascades
from app.flows.depend import settle_below
from app.flows.inputs import give_inputs, keep_outputs, wanted_sensitive
from app.flows.secrets import Given, Missing, Secrets
from app.store.postgres import PostgresStore, PostgresTransaction
from app.vault.keys import Keyring
from app.vault.vault import Vault
from tests.database import KEY
from tests.store.world import HEAD, REPOSITORY, make_run, make_stack, run_of, step

OLD = Sha("b" * 40)
VPC_ID = {"vpc_id": "TF_VAR_vpc_id"}


class Estate:
    """Stacks of one repository, and the runs of one cause at a time."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self.stacks: dict[str, Stack] = {}

    def stack(self, name: str, *above: Dependency | str, head: Sha | None = OLD) -> Stack:
        """A stack below those, at an older commit."""
        made = make_stack(self.store, name)
        depends_on = tuple(one if isinstance(one, Dependency) else Dependency(stack=one) for one in above)
        settings = replace(made.settings, depends_on=depends_on)
        with self.store.begin() as tx:
            tx.save_stack(replace(made, settings=settings, head_sha=head, head_seq=1 if head else 0))
            self.stacks[name] = tx.get_stack(made.id)
        return self.stacks[name]

    def runs(self, *names: str) -> dict[str, Run]:
        """The tracked runs of an event at HEAD that touched those stacks, and what runs below; by stack."""
        with self.store.begin() as tx:
            cascade = Cascade.of(tx, REPOSITORY.id, names)
            cascade.lock([self.stacks[name].id for name in names])
            for name in sorted(names, key=cascade.rank):
                cascade.make_before(name)
                run = replace(run_of(self.stacks[name]), upstreams=cascade.upstreams(name))
                tx.add_run(run, event_key=None)
                cascade.add(run)
            cascade.make_below()
            return dict(cascade.made)

    def end(self, run: Run, state: RunState = RunState.FINISHED, changed: tuple[str, ...] = ()) -> None:
        """The run ends so, and those below are told, as the jobs do it."""
        with self.store.begin() as tx:
            now = tx.get_run(run.id)
            if now.state is RunState.QUEUED and state is not RunState.CANCELED:
                now = tx.change_run(run.id, step(Step.RELEASE))
            if state is RunState.CANCELED:
                tx.change_run(run.id, step(Step.CANCEL))
            else:
                for each in (Step.CLAIM, Step.INITIALIZE, Step.PLAN):
                    tx.change_run(run.id, step(each))
                what = Step.FINISH if state is RunState.FINISHED else Step.FAIL
                tx.change_run(run.id, lambda found: step(what)(replace(found, changed_outputs=changed)))
        self.tell()

    def tell(self) -> None:
        """Every job that ends of runs have deferred, until there is none."""
        while True:
            with self.store.begin() as tx:
                listed = [run for stack in self.stacks.values() for run in tx.list_stack_runs(stack.id, limit=9)]
                ids = [run.id for run in listed if tx.is_to_trigger(run.id) and tx.take_triggering(run.id)]
            if not ids:
                return
            for run_id in ids:
                settle_below(self.store, run_id)

    def now(self, run: Run) -> Run:
        with self.store.begin() as tx:
            return tx.get_run(run.id)

    def states(self, made: dict[str, Run]) -> dict[str, str]:
        """How each stands: its state, with why when it was skipped."""
        found = {name: self.now(run) for name, run in made.items()}
        return {name: f"{run.state.value} {run.reason}".strip() for name, run in found.items()}


@pytest.fixture
def estate(store: PostgresStore) -> Estate:
    return Estate(store)


def test_a_run_below_is_made_at_once_of_its_own_commit_and_waits(estate: Estate) -> None:
    estate.stack("vpc")
    estate.stack("app", "vpc")
    estate.stack("alone")
    made = estate.runs("vpc")
    assert sorted(made) == ["app", "vpc"]
    app = estate.now(made["app"])
    assert (app.type, app.state, app.head_sha) == (RunType.TRACKED, RunState.QUEUED, OLD)
    assert (app.trigger, app.asked_by, app.caused_by) == (Trigger.DEPENDENCY, "vpc", made["vpc"].id)
    assert (app.workflow_id, app.generation) == (made["vpc"].id, 1)
    assert app.note == "it is of the newest commit that was tracked for app"
    with estate.store.begin() as tx:
        assert tx.get_run_facts(app).waits_for == f"vpc (run {made['vpc'].id})"
        assert tx.get_run_facts(tx.get_run(made["vpc"].id)).below == (("app", app.id),)
    estate.end(made["vpc"])
    assert estate.states(made) == {"vpc": "finished", "app": "ready"}, "it takes nothing: the order alone counts"


def test_runs_above_never_follow_and_a_stack_alone_waits_for_nothing(estate: Estate) -> None:
    estate.stack("vpc")
    estate.stack("app", "vpc")
    made = estate.runs("app")
    assert sorted(made) == ["app"]
    assert estate.now(made["app"]).upstreams == {}


def test_stacks_of_one_event_are_ordered_and_run_whether_anything_has_changed_or_not(estate: Estate) -> None:
    estate.stack("vpc")
    estate.stack("app", Dependency(stack="vpc", outputs=VPC_ID))
    made = estate.runs("app", "vpc")
    assert estate.now(made["app"]).head_sha == HEAD
    assert estate.now(made["app"]).is_kept_back
    estate.end(made["vpc"])
    assert estate.states(made) == {"vpc": "finished", "app": "ready"}


@pytest.mark.parametrize(
    ("dependency", "changed", "expected"),
    [
        (Dependency(stack="vpc", outputs=VPC_ID), ("vpc_id",), "ready"),
        (Dependency(stack="vpc", outputs=VPC_ID), ("other",), "skipped nothing that it takes has changed: vpc.vpc_id"),
        (Dependency(stack="vpc", outputs=VPC_ID), (), "skipped nothing that it takes has changed: vpc.vpc_id"),
        (Dependency(stack="vpc", outputs=VPC_ID, trigger_always=True), (), "ready"),
        (Dependency(stack="vpc"), (), "ready"),
    ],
)
def test_what_the_run_above_changed_says_whether_one_below_runs(
    estate: Estate, dependency: Dependency, changed: tuple[str, ...], expected: str
) -> None:
    estate.stack("vpc")
    estate.stack("app", dependency)
    made = estate.runs("vpc")
    estate.end(made["vpc"], changed=changed)
    assert estate.states(made)["app"] == expected


def test_a_diamond_gets_one_run_at_its_end_which_waits_for_both_sides(estate: Estate) -> None:
    estate.stack("vpc")
    estate.stack("left", Dependency(stack="vpc", outputs=VPC_ID))
    estate.stack("right", "vpc")
    estate.stack("app", "left", "right")
    made = estate.runs("vpc")
    assert sorted(made) == ["app", "left", "right", "vpc"]
    assert {one.stack for one in made["app"].upstreams.values()} == {"left", "right"}
    estate.end(made["vpc"])
    assert estate.states(made)["left"].startswith("skipped nothing")
    assert estate.states(made)["app"] == "queued"
    estate.end(made["right"])
    assert estate.states(made)["app"] == "ready", "one side had news"


def test_what_failed_in_the_middle_of_a_chain_skips_all_below_also_what_the_event_touched(estate: Estate) -> None:
    estate.stack("vpc")
    estate.stack("app", "vpc")
    estate.stack("dns", "app")
    estate.stack("web", "dns")
    made = estate.runs("vpc", "dns")
    estate.end(made["vpc"])
    estate.end(made["app"], RunState.FAILED)
    assert estate.states(made) == {
        "vpc": "finished",
        "app": "failed",
        "dns": "skipped app failed",
        "web": "skipped dns was skipped",
    }


def test_nothing_runs_below_what_was_skipped_for_want_of_news(estate: Estate) -> None:
    estate.stack("vpc")
    estate.stack("app", Dependency(stack="vpc", outputs=VPC_ID))
    estate.stack("web", "app")
    made = estate.runs("vpc")
    estate.end(made["vpc"])
    assert estate.states(made)["web"] == "skipped app had nothing to run for"


def test_a_run_that_was_canceled_above_skips_the_one_below(estate: Estate) -> None:
    estate.stack("vpc")
    estate.stack("app", "vpc")
    made = estate.runs("vpc")
    estate.end(made["vpc"], RunState.CANCELED)
    assert estate.states(made) == {"vpc": "canceled", "app": "skipped vpc was canceled"}


def test_told_twice_and_while_the_run_above_goes_on_nothing_happens(estate: Estate) -> None:
    estate.stack("vpc")
    estate.stack("app", "vpc")
    made = estate.runs("vpc")
    settle_below(estate.store, made["vpc"].id)
    assert estate.states(made)["app"] == "queued"
    estate.end(made["vpc"])
    settle_below(estate.store, made["vpc"].id)
    assert estate.now(made["app"]).upstreams[made["vpc"].id].state is UpstreamState.NEWS
    assert estate.states(made)["app"] == "ready"


def test_a_dependency_that_was_taken_out_meanwhile_skips_the_run_that_it_made(estate: Estate) -> None:
    estate.stack("vpc")
    app = estate.stack("app", "vpc")
    made = estate.runs("vpc")
    with estate.store.begin() as tx:
        now = tx.lock_stack(app.id)
        tx.save_stack(replace(now, settings=replace(now.settings, depends_on=())))
    estate.end(made["vpc"])
    assert estate.states(made)["app"] == "skipped it does not depend on vpc any more"


def test_a_stack_that_was_never_tracked_takes_the_events_commit_of_its_own_branch_alone(estate: Estate) -> None:
    estate.stack("vpc")
    app, tagged = estate.stack("app", "vpc", head=None), estate.stack("tagged", "vpc", head=None)
    with estate.store.begin() as tx:
        tx.save_stack(replace(tx.lock_stack(tagged.id), settings=replace(tagged.settings, branch="release")))
        cascade = Cascade.of(tx, REPOSITORY.id, ["vpc"])
        assert cascade.foresee({"vpc": "refs/heads/main"}) == {
            "app": "vpc runs, so it runs after it",
            "tagged": "vpc runs, but no commit of this stack was tracked yet, and this one is not of its branch "
            "release: it does not run after",
        }
    made = estate.runs("vpc")
    assert sorted(made) == ["app", "vpc"]
    assert made["app"].head_sha == HEAD
    with estate.store.begin() as tx:
        assert (tx.get_stack(app.id).head_sha, tx.get_stack(app.id).head_seq) == (HEAD, 1)


def test_a_stack_that_left_the_file_while_runs_were_made_gets_none(estate: Estate) -> None:
    """Nothing would ever let it go: it would wait for good."""
    estate.stack("vpc")
    app = estate.stack("app", "vpc")
    with estate.store.begin() as tx:
        cascade = Cascade.of(tx, REPOSITORY.id, ["vpc"])
        tx.save_stack(replace(tx.lock_stack(app.id), is_detached=True))
        run = run_of(estate.stacks["vpc"])
        tx.add_run(run, event_key=None)
        cascade.add(run)
        assert cascade.make_below() == ()


def test_the_record_says_who_comes_after_whom(estate: Estate) -> None:
    for name, *above in (("vpc",), ("app", "vpc"), ("web", "app", "vpc")):
        estate.stack(name, *above)
    with estate.store.begin() as tx:
        cascade = Cascade.of(tx, REPOSITORY.id, ["vpc", "app"])
        assert cascade.foresee({"vpc": "refs/heads/main", "app": "refs/heads/main"}) == {
            "app": "it runs after vpc",
            "web": "app and vpc run, so it runs after them",
        }
        assert Cascade.of(tx, REPOSITORY.id, ["web"]).foresee({"web": "refs/heads/main"}) == {}


def test_stacks_that_a_policy_names_are_ordered_too(estate: Estate) -> None:
    vpc = estate.stack("vpc")
    app = estate.stack("app", "vpc")
    with estate.store.begin() as tx:
        cascades = Cascades.of(tx, [app, vpc])
        assert (cascades.rank(vpc), cascades.rank(app), list(cascades.ids)) == (0, 1, [app.id])


def test_a_run_that_waits_keeps_those_behind_it_in_the_queue(estate: Estate) -> None:
    estate.stack("vpc")
    app = estate.stack("app", "vpc")
    made = estate.runs("vpc")
    by_hand = estate.runs("app")["app"]
    assert by_hand.upstreams == {}
    estate.end(made["vpc"], RunState.FAILED)
    assert estate.states({"app": made["app"], "by hand": by_hand}) == {"app": "skipped vpc failed", "by hand": "ready"}
    assert app.name == "app"


# What is passed


def value(name: str, text: str | None, *, is_sensitive: bool = False) -> OutputValue:
    return OutputValue(name=name, value=text, is_sensitive=is_sensitive)


def keep(tx: PostgresTransaction, run: Run, *values: OutputValue) -> tuple[str, ...]:
    return keep_outputs(tx, run, ResultReport(fencing=1, outcome="applied", values=values))  # type: ignore[arg-type]


def test_of_each_apply_it_is_known_what_is_new_what_changed_and_what_is_gone(estate: Estate) -> None:
    run = make_run(estate.store, estate.stack("vpc"))
    with estate.store.begin() as tx:
        assert keep(tx, run, value("a", '"1"'), value("b", "2")) == ("a", "b")
        assert keep(tx, run, value("a", '"1"'), value("b", "2")) == ()
        assert keep(tx, run, value("a", '"1"'), value("b", "3"), value("c", None, is_sensitive=True)) == ("b", "c")
        assert keep(tx, run, value("a", '"1"')) == ("b", "c")
        assert keep_outputs(tx, run, ResultReport(fencing=1, outcome="applied")) == ()  # type: ignore[arg-type]
        assert set(tx.find_outputs(REPOSITORY.id, {"vpc": ["a", "b"]})) == {("vpc", "a")}, "not read: as they were"


def test_a_preview_keeps_no_outputs_and_a_worker_hands_in_no_more_than_fits(estate: Estate) -> None:
    stack = estate.stack("vpc")
    preview, run = make_run(estate.store, stack, kind=RunType.PROPOSED), make_run(estate.store, stack)
    with estate.store.begin() as tx:
        assert keep(tx, preview, value("a", '"1"')) == ()
        keep(tx, run, value("long", f'"{"x" * 128_000}"'), value("odd", "{"), value("fine", "1"))
        found = tx.find_outputs(REPOSITORY.id, {"vpc": ["long", "odd", "fine"]})
        assert {name: kept.value for (_, name), kept in found.items()} == {"long": None, "odd": None, "fine": "1"}
        gone = keep(tx, run, value("no\x00name", "1"), value("deep", "[" * 50_000 + "]" * 50_000), value("fine", "1"))
        assert gone == ("deep", "long", "odd")
        assert tx.find_outputs(REPOSITORY.id, {"vpc": ["deep"]})["vpc", "deep"].value is None
        keep(tx, run, value("half", '"\\ud800"'))
        assert tx.find_outputs(REPOSITORY.id, {"vpc": ["half"]})["vpc", "half"].value is None


def test_a_plan_gets_the_newest_values_and_its_apply_those_of_the_plan(estate: Estate) -> None:
    vpc = make_run(estate.store, estate.stack("vpc"))
    app = estate.stack("app", Dependency(stack="vpc", outputs=VPC_ID))
    run = make_run(estate.store, app)
    with estate.store.begin() as tx:
        refusal = give_inputs(tx, run.id, app, Phase.PLAN)
        assert str(refusal).startswith("these inputs are missing: vpc.vpc_id => TF_VAR_vpc_id. Outputs are kept when")
        keep(tx, vpc, value("vpc_id", '"vpc-1"'))
        planned = give_inputs(tx, run.id, app, Phase.PLAN)
        keep(tx, vpc, value("vpc_id", '"vpc-2"'))
        applied, again = give_inputs(tx, run.id, app, Phase.APPLY), give_inputs(tx, run.id, app, Phase.PLAN)
        assert not isinstance(planned, str)
        assert not isinstance(again, str)
        assert planned.environment == {"TF_VAR_vpc_id": "vpc-1"}
        assert applied == planned
        assert again.environment == {"TF_VAR_vpc_id": "vpc-2"}
        tx.change_run(run.id, step(Step.CANCEL))
        assert tx.find_run_inputs(run.id) == b"", "they go with the run"


def test_values_lie_sealed_and_open_in_their_own_place_alone(estate: Estate, database_url: str) -> None:
    vpc = make_run(estate.store, estate.stack("vpc"))
    app = estate.stack("app", Dependency(stack="vpc", outputs={"key": "KEY"}, sensitive=True))
    run = make_run(estate.store, app)
    with estate.store.begin() as tx:
        assert wanted_sensitive(tx, vpc, tx.get_stack(vpc.stack_id)) == ("key",)
        assert wanted_sensitive(tx, run, app) == ()
        keep(tx, vpc, value("key", '"canary-value"', is_sensitive=True))
        passed = give_inputs(tx, run.id, app, Phase.PLAN)
    assert not isinstance(passed, str)
    assert (passed.environment, passed.secret_names) == ({"KEY": "canary-value"}, ("KEY",))
    with psycopg.connect(database_url, autocommit=True) as sql:
        rows = sql.execute("SELECT sealed_value FROM stack_outputs UNION ALL SELECT sealed_values FROM run_inputs")
        assert not any(b"canary" in row[0] for row in rows)
        sql.execute("UPDATE stack_outputs SET name = 'other'")
    with estate.store.begin() as tx, pytest.raises((RetryableError, Exception), match="open"):
        tx.find_outputs(REPOSITORY.id, {"vpc": ["other"]})


def test_a_worker_gets_the_inputs_with_its_variables_and_a_forks_commit_gets_none(estate: Estate) -> None:
    vpc = make_run(estate.store, estate.stack("vpc"))
    app = estate.stack("app", Dependency(stack="vpc", outputs={"key": "KEY"}, sensitive=True))
    run = make_run(estate.store, app)
    secrets = Secrets(store=estate.store, sealer=Vault(Keyring([KEY])), find_repository=estate.store.find_repository_id)
    with estate.store.begin() as tx:
        missing = secrets.give(tx, run.id, app, REPOSITORY, Phase.PLAN)
        assert isinstance(missing, Missing)
        keep(tx, vpc, value("key", '{"inner": "inner-text"}', is_sensitive=True))
        for phase in (Phase.PLAN, Phase.APPLY):
            given = secrets.give(tx, run.id, app, REPOSITORY, phase)
            assert isinstance(given, Given)
            assert given.environment == {"KEY": '{"inner": "inner-text"}'}
            assert (given.secret_names, given.redacted) == (("KEY",), ("inner-text",))
        forks = secrets.give(tx, run.id, app, REPOSITORY, Phase.VALIDATE)
        assert isinstance(forks, Given)
        assert (forks.environment, forks.redacted) == ({}, ())
