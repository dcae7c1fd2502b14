"""Pull requests: which runs their comment tells of, when it is wanted, and what is ticked in it."""

from dataclasses import replace

import pytest

from app.core.names import RunId, Sha
from app.core.record import PullRecord
from app.core.run import Run, RunState, RunType
from app.core.stack import Stack
from app.store.postgres import PostgresStore
from tests.store.world import REPOSITORY, make_run, make_stack, run_of

LANDED = Sha("b" * 40)


def add(store: PostgresStore, run: Run, **facts: object) -> RunId:
    """A saved run with other facts."""
    with store.begin() as tx:
        assert tx.add_run(replace(run, **facts), event_key=None)  # type: ignore[arg-type]
    return run.id


def wanted(store: PostgresStore, number: int) -> int:
    """How often the comment on a pull request was wanted."""
    with store.begin() as tx:
        found = tx.find_comment(REPOSITORY.id, number)
    return found.wanted if found is not None else 0


def preview(stack: Stack, *, age_s: int = 0) -> Run:
    return replace(run_of(stack, state=RunState.FINISHED, kind=RunType.PROPOSED, age_s=age_s), pull_number=7)


def test_the_comment_tells_of_each_stacks_newest_preview_and_deployment(store: PostgresStore) -> None:
    stack, other = make_stack(store), make_stack(store, "apps")
    add(store, preview(stack, age_s=9))
    newest = add(store, preview(stack, age_s=5))
    second = add(store, preview(other, age_s=9))
    add(store, preview(stack), pull_number=8)
    add(store, run_of(stack, kind=RunType.DRIFT), head_sha=LANDED)
    deployed = add(store, run_of(stack), head_sha=LANDED)
    with store.begin() as tx:
        assert [run.id for run in tx.list_pull_runs(REPOSITORY.id, 7)] == [second, newest]
        tx.note_landed(REPOSITORY.id, 7, LANDED)
        assert [run.id for run in tx.list_pull_runs(REPOSITORY.id, 7)] == [second, *sorted((newest, deployed))]


@pytest.mark.parametrize("is_noted_first", [True, False])
def test_the_comment_goes_on_with_the_commit_that_landed_whichever_event_came_first(
    store: PostgresStore, is_noted_first: bool
) -> None:
    stack = make_stack(store)
    if is_noted_first:
        with store.begin() as tx:
            tx.note_landed(REPOSITORY.id, 7, LANDED)
        assert wanted(store, 7) == 0, "there is nothing to tell yet"
    add(store, run_of(stack), head_sha=LANDED)
    if not is_noted_first:
        assert wanted(store, 7) == 0, "nobody knows yet"
        for _ in range(2):
            with store.begin() as tx:
                tx.note_landed(REPOSITORY.id, 7, LANDED)
    assert wanted(store, 7) == 1


def test_a_run_of_no_pull_request_wants_no_comment(store: PostgresStore) -> None:
    make_run(store, make_stack(store))
    assert store.count_reports_behind() == 1, "its check alone"


def test_a_pull_request_is_called_what_it_was_called_last(store: PostgresStore) -> None:
    make_stack(store)
    events = (("Late", True, "Late"), ("First", False, "First"), ("Second", False, "Second"), ("First", True, "Second"))
    for title, is_late, said in events:
        with store.begin() as tx:
            tx.note_title(REPOSITORY.id, 7, title, is_late=is_late)
            assert tx.find_pull(REPOSITORY.id, 7).title == said


def test_the_pull_request_that_became_a_commit_is_found_by_it(store: PostgresStore) -> None:
    make_stack(store)
    with store.begin() as tx:
        for number in (7, 9, 8):
            tx.note_landed(REPOSITORY.id, number, LANDED)
        assert tx.find_landing(REPOSITORY.id, LANDED) == 9
        assert tx.find_landing(REPOSITORY.id, Sha("d" * 40)) is None


def test_ticks_and_the_comment_are_remembered(store: PostgresStore) -> None:
    stack = make_stack(store)
    add(store, preview(stack))
    with store.begin() as tx:
        assert tx.find_pull(REPOSITORY.id, 7) == PullRecord()
        assert tx.lock_pull(REPOSITORY.id, 7) == PullRecord()
        tx.save_ticks(REPOSITORY.id, 7, {"1a2b": (1, 3)}, edits=2)
    with store.begin() as tx:
        assert tx.find_pull(REPOSITORY.id, 7) == PullRecord(ticks={"1a2b": (1, 3)}, edits=2)
        record = tx.find_comment(REPOSITORY.id, 7)
        assert record is not None
        tx.save_remote(record.id, "comment", remote_id=5, published="x", is_completed=False)
        tx.forget_remote(record.id, "comment")
        again = tx.find_comment(REPOSITORY.id, 7)
    assert again is not None
    assert again.remotes == ()
