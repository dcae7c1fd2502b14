"""Drift by schedule, on a real database: who is compared, how often, what stands on GitHub, what is taken back."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app.core.drift import DriftTurn
from app.core.names import Sha
from app.core.run import Run, RunState, RunType, Step, Transition, Trigger, advance
from app.core.stack import Stack, StackSettings, StackSpec
from app.flows.drift import reconcile
from app.flows.drift_look import AT_ONCE
from app.flows.drift_turn import set_turn
from tests.database import made_database
from tests.driver import wait_until
from tests.flows.outbox import CONFIG, Outbox, open_outbox
from tests.store.world import plan_of


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[Outbox]:
    """A repository whose runs are moved by hand: each test has a stack of its own there."""
    with (
        made_database(server_url, template=database_template) as url,
        open_outbox(tmp_path_factory.mktemp("outbox"), url) as made,
    ):
        yield made


def scheduled(outbox: Outbox, name: str, **settings: object) -> Stack:
    """A stack that is compared at six on leap days: by itself it never is while a test runs."""
    own: dict[str, object] = {"name": name, "branch": "main", "github_environment": name}
    made = StackSettings(**(own | {"drift_schedules": ("0 6 29 2 *",)} | settings))  # type: ignore[arg-type]
    with outbox.world.plane.store.begin() as tx:
        stack = tx.lock_stack(tx.add_stack(outbox.repository.id, StackSpec(settings=made), CONFIG).id)
        stack = replace(stack, head_sha=Sha(outbox.repo.sha()))
        tx.save_stack(stack)
        set_turn(tx, None, stack.id, made)
    return stack


def let_it_be_due(outbox: Outbox, *stacks: Stack, ago: timedelta = timedelta(seconds=1)) -> datetime:
    """The moments of the stacks have come, so long ago; the last of them."""
    with outbox.world.plane.store.begin() as tx:
        at = tx.now() - ago
        for stack in stacks:
            tx.save_drift_turn(stack.id, replace(tx.find_drift_turn(stack.id), due_at=at))
    return at


def turn_of(outbox: Outbox, stack: Stack) -> DriftTurn:
    """Where the stack's schedule stands."""
    with outbox.world.plane.store.begin() as tx:
        return tx.find_drift_turn(stack.id)


def comparisons(outbox: Outbox, stack: Stack) -> list[Run]:
    """The stack's drift runs, oldest first."""
    return [run for run in outbox.world.runs(stack.name) if run.type is RunType.DRIFT]


def look(outbox: Outbox, *stacks: Stack) -> list[Run]:
    """The moments of the stacks come; the drift runs that were made."""
    before = {run.id for stack in stacks for run in comparisons(outbox, stack)}
    let_it_be_due(outbox, *stacks)
    outbox.world.plane.tasks.drift()
    return [run for stack in stacks for run in comparisons(outbox, stack) if run.id not in before]


def end(outbox: Outbox, run: Run, *, has_changes: bool) -> Run:
    """A worker compares; the drift run has ended, and what follows from it has happened."""
    hold = outbox.begin(run)
    plan = replace(plan_of(), has_changes=has_changes)
    with outbox.world.plane.store.begin() as tx:
        stack, at = tx.lock_stack(run.stack_id), tx.now()

        def planned(found: Run) -> tuple[Run, Transition]:
            return advance(replace(found, plan=plan), Step.FINISH, by="w1", at=at)

        after = tx.change_run(run.id, planned)
        tx.end_assignment(hold)
        if has_changes:
            reconcile(tx, stack, after)
    return after


def taken_back(outbox: Outbox, stack: Stack) -> list[Run]:
    """The runs that drift made, oldest first."""
    tracked = (run for run in outbox.world.runs(stack.name) if run.type is RunType.TRACKED)
    return [run for run in tracked if run.trigger is Trigger.DRIFT]


def titles(outbox: Outbox, name: str) -> list[tuple[str, str | None]]:
    """Title and conclusion of every check run of that name, oldest first."""
    outbox.publish()
    return [(one.title or "", one.conclusion) for one in outbox.all_checks() if one.name == name]


def writes(outbox: Outbox) -> int:
    """How many requests have changed something on GitHub so far."""
    return sum(request.method != "GET" for request in outbox.world.github.requests)


def test_a_stack_that_is_due_is_compared_once_at_the_commit_that_it_has_deployed(outbox: Outbox) -> None:
    """Three days down make one run, not three; the next moment is one to come."""
    stack = scheduled(outbox, "due")
    deployed = outbox.deploy(outbox.run(stack))
    let_it_be_due(outbox, stack, ago=timedelta(days=3))
    assert outbox.world.plane.tasks.drift() == 1
    assert outbox.world.plane.tasks.drift() == 0
    (run,) = comparisons(outbox, stack)
    assert (run.state, run.trigger, run.triggered_by) == (RunState.READY, Trigger.DRIFT, "trackside")
    assert (run.head_sha, run.source_sha) == (deployed.head_sha, deployed.head_sha)
    turn = turn_of(outbox, stack)
    assert turn.due_at is not None
    assert turn.due_at > run.created_at
    assert (turn.due_at.hour, turn.due_at.minute) == (6, 0)
    end(outbox, run, has_changes=False)


def test_two_processes_that_look_at_the_same_moment_make_one_run(outbox: Outbox) -> None:
    """Each has the stack on its list before either has its lock."""
    stack = scheduled(outbox, "twice")
    outbox.deploy(outbox.run(stack))
    let_it_be_due(outbox, stack)
    with outbox.world.plane.store.begin() as tx:
        tx.lock_stack(stack.id)
        made: list[int] = []
        threads = [
            threading.Thread(target=lambda: made.append(outbox.world.plane.tasks.drift()), daemon=True)
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: waiting_for_locks(outbox) == 2, "both wait for the stack")
    for thread in threads:
        thread.join(60)
    assert sorted(made) == [0, 1]
    assert turn_of(outbox, stack).told == "", "the second one finds the moment taken, and passes nothing over"
    (run,) = comparisons(outbox, stack)
    end(outbox, run, has_changes=False)


def test_what_is_passed_over_is_noted_and_looked_at_again_at_the_next_moment(outbox: Outbox) -> None:
    stack = scheduled(outbox, "busy")
    at = let_it_be_due(outbox, stack)
    outbox.world.plane.tasks.drift()
    assert turn_of(outbox, stack).told == f"drift of {at:%Y-%m-%d %H:%M} UTC passed over: nothing of it is deployed yet"

    outbox.deploy(outbox.run(stack))
    waiting = outbox.plan(outbox.run(stack))
    assert look(outbox, stack) == []
    turn = turn_of(outbox, stack)
    assert turn.told.endswith(f"passed over: run {waiting.id} is not over: waiting for confirmation")
    assert turn.due_at is not None
    assert turn.due_at > at
    seen = outbox.world.plane.store.list_drift(stack.id)[stack.id]
    assert seen.turn.told == turn.told, "the pages and the lists have it"

    outbox.move(waiting, Step.DISCARD)
    (run,) = look(outbox, stack)
    assert turn_of(outbox, stack).told == ""
    assert look(outbox, stack) == [], "the one before is not over"
    assert turn_of(outbox, stack).told.endswith(f"passed over: run {run.id} is not over: queued")
    end(outbox, run, has_changes=False)


def test_a_stack_whose_newest_run_failed_is_compared_only_where_its_state_is_ignored(outbox: Outbox) -> None:
    stack, careless = scheduled(outbox, "strict"), scheduled(outbox, "careless", drift_ignore_state=True)
    for one in (stack, careless):
        deployed = outbox.deploy(outbox.run(one))
        failed = outbox.run(one)
        hold = outbox.begin(failed)
        outbox.move(failed, Step.FAIL, cause="no")
        with outbox.world.plane.store.begin() as tx:
            tx.end_assignment(hold)
    (run,) = look(outbox, stack, careless)
    assert (run.stack_id, run.head_sha) == (careless.id, deployed.head_sha)
    assert "failed" in turn_of(outbox, stack).told
    end(outbox, run, has_changes=False)


def test_a_stack_that_is_detached_or_whose_repository_is_away_is_left_alone_and_makes_one_run_when_it_is_back(
    outbox: Outbox,
) -> None:
    stack = scheduled(outbox, "away")
    outbox.deploy(outbox.run(stack))
    let_it_be_due(outbox, stack, ago=timedelta(days=2))
    for away, back in (
        ("UPDATE repositories SET standing = 'archived'", "UPDATE repositories SET standing = 'here'"),
        ("UPDATE installations SET is_active = false", "UPDATE installations SET is_active = true"),
        ("UPDATE stacks SET is_detached = true", "UPDATE stacks SET is_detached = false"),
    ):
        execute(outbox, away)
        assert outbox.world.plane.tasks.drift() == 0
        assert turn_of(outbox, stack).told == ""
        execute(outbox, back)
    assert outbox.world.plane.tasks.drift() == 1
    (run,) = comparisons(outbox, stack)
    end(outbox, run, has_changes=False)


def test_many_stacks_of_one_moment_are_made_step_by_step(outbox: Outbox) -> None:
    many = [scheduled(outbox, f"many-{number}") for number in range(AT_ONCE + 1)]
    let_it_be_due(outbox, *many)
    outbox.world.plane.tasks.drift()
    assert sum(bool(turn_of(outbox, stack).told) for stack in many) == AT_ONCE
    outbox.world.plane.tasks.drift()
    assert all(turn_of(outbox, stack).told for stack in many)


def test_a_schedule_counts_from_when_it_was_accepted_and_from_now_when_it_changes(outbox: Outbox) -> None:
    """A setting that is no schedule moves nothing; one that is taken away is due no more; one that is back is new."""
    stack = scheduled(outbox, "accepted")
    given = stack.settings
    old = let_it_be_due(outbox, stack, ago=timedelta(days=1))

    def accept(before: StackSettings | None, settings: StackSettings) -> DriftTurn:
        with outbox.world.plane.store.begin() as tx:
            set_turn(tx, before, stack.id, settings)
            return tx.find_drift_turn(stack.id)

    assert accept(given, replace(given, drift_reconcile=True)).due_at == old
    moved = accept(given, replace(given, drift_timezone="Asia/Tokyo")).due_at
    assert moved is not None
    assert (moved.hour, moved > old + timedelta(days=1)) == (21, True)
    assert accept(given, replace(given, drift_schedules=())).due_at is None
    back = accept(replace(given, drift_schedules=()), given).due_at
    assert back is not None
    assert back > old + timedelta(days=1)
    let_it_be_due(outbox, stack, ago=timedelta(days=1))
    assert accept(None, given).due_at == back, "it was detached, and came back"
    assert accept(None, replace(given, drift_schedules=())).due_at is None, "the same, without a schedule"


def test_a_clean_comparison_costs_no_request_and_what_was_found_stands_until_something_newer_is_known(
    outbox: Outbox,
) -> None:
    """One check says that there is drift; the next comparison, or a deployment, ends that: never two truths."""
    stack = scheduled(outbox, "told")
    outbox.deploy(outbox.run(stack))
    outbox.publish()
    before = writes(outbox)
    (clean,) = look(outbox, stack)
    end(outbox, clean, has_changes=False)
    assert titles(outbox, "drift/told") == []
    assert writes(outbox) == before

    (found,) = look(outbox, stack)
    end(outbox, found, has_changes=True)
    assert titles(outbox, "drift/told") == [("drift: +3 ~1", "neutral")]
    seen = outbox.world.plane.store.list_drift(stack.id)[stack.id].found
    assert seen is not None
    assert (seen.run_id, seen.resources, seen.has_drift) == (found.id, 4, True)

    (lost,) = look(outbox, stack)
    outbox.move(lost, Step.CANCEL)
    assert titles(outbox, "drift/told") == [("drift: +3 ~1", "neutral")], "nothing newer is known"

    (gone,) = look(outbox, stack)
    end(outbox, gone, has_changes=False)
    assert [title for title, _ in titles(outbox, "drift/told")] == [
        "replaced by a newer run of this commit",
        "no drift",
    ]
    seen = outbox.world.plane.store.list_drift(stack.id)[stack.id].found
    assert seen is not None
    assert not seen.has_drift

    (again,) = look(outbox, stack)
    end(outbox, again, has_changes=True)
    assert titles(outbox, "drift/told")[-1] == ("drift: +3 ~1", "neutral")
    outbox.deploy(outbox.run(stack))
    assert titles(outbox, "drift/told")[-1] == ("drift: over", "success")
    assert outbox.world.plane.store.list_drift(stack.id)[stack.id].found is None


def test_drift_makes_one_run_that_is_made_again_only_when_drift_is_found_again_and_not_after_three_failures(
    outbox: Outbox,
) -> None:
    stack = scheduled(outbox, "back", drift_reconcile=True)
    outbox.deploy(outbox.run(stack))

    def find() -> Sequence[Run]:
        (run,) = look(outbox, stack)
        end(outbox, run, has_changes=True)
        return taken_back(outbox, stack)

    (first,) = find()
    assert (first.state, first.triggered_by, first.ref) == (RunState.READY, "trackside", "refs/heads/main")
    outbox.move(outbox.plan(first), Step.DISCARD)
    assert outbox.world.plane.tasks.drift() == 0
    assert len(taken_back(outbox, stack)) == 1, "turned down: not before drift is found again"
    for number in (2, 3, 4):
        *_, newest = found = find()
        assert len(found) == number
        fail(outbox, newest)
    assert len(find()) == 4, "three have failed in a row"
    told = turn_of(outbox, stack).told
    assert "is not taken back by itself: 3 runs in a row that were to take it back failed" in told

    outbox.deploy(outbox.run(stack))
    assert len(find()) == 5, "a tracked run ended well"
    outbox.move(taken_back(outbox, stack)[-1], Step.CANCEL)


def test_what_takes_back_drift_of_a_promoted_commit_is_known_as_promoted_and_asks_for_the_same(outbox: Outbox) -> None:
    """Else the runs that dependencies and policies make of the stack's head would take it for merged."""
    stack = scheduled(outbox, "promoted", branch="release", drift_reconcile=True, allow_promotion=True)
    outbox.deploy(outbox.run(stack))
    (run,) = look(outbox, stack)
    end(outbox, run, has_changes=True)
    (back,) = taken_back(outbox, stack)
    assert back.ref == "refs/heads/main", "not of the branch that the stack tracks"
    outbox.move(back, Step.CANCEL)
    with outbox.world.plane.store.begin() as tx:
        locked = tx.lock_stack(stack.id)
        tx.save_stack(replace(locked, settings=replace(locked.settings, allow_promotion=False)))
    (run,) = look(outbox, stack)
    end(outbox, run, has_changes=True)
    assert len(taken_back(outbox, stack)) == 1
    assert "promoted from a pull request, which the stack does not allow any more" in turn_of(outbox, stack).told


def test_drift_that_a_person_looked_for_or_that_is_not_to_be_taken_back_makes_no_run(outbox: Outbox) -> None:
    plain, asked = scheduled(outbox, "plain"), scheduled(outbox, "asked", drift_reconcile=True)
    for stack in (plain, asked):
        outbox.deploy(outbox.run(stack))
    (run,) = look(outbox, plain)
    end(outbox, run, has_changes=True)
    end(outbox, outbox.run(asked, kind=RunType.DRIFT), has_changes=True)
    assert taken_back(outbox, plain) == taken_back(outbox, asked) == []
    assert turn_of(outbox, plain).told == turn_of(outbox, asked).told == ""


def waiting_for_locks(outbox: Outbox) -> int:
    """How many connections of the database wait for a row."""
    ((count,),) = outbox.world.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(str(count))


def fail(outbox: Outbox, run: Run) -> None:
    """The run's plan fails."""
    hold = outbox.begin(run)
    outbox.move(run, Step.FAIL, cause="no")
    with outbox.world.plane.store.begin() as tx:
        tx.end_assignment(hold)


def execute(outbox: Outbox, statement: str) -> None:
    """Change the database as somebody else would."""
    with outbox.world.plane.store.begin() as tx:
        tx._connection.execute(text(statement))
