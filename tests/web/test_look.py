"""What the pages read, on the real store: a run that was brought to its decision, and what is not there."""

import psycopg
import pytest

from app.core.errors import TracksideError
from app.core.names import RunId, StackId
from app.core.plan import Action, Change, Kind, PlanSummary
from app.core.review import PlanReview
from app.core.run import RunState, Step
from app.store.postgres import PostgresStore
from app.web.look import RECENT_RUNS, Look
from tests.store.world import (
    REPOSITORY,
    bring_to_unconfirmed,
    hold_of,
    make_ready_run,
    make_stack,
    plan_of,
    stack_id_of,
    step,
)
from tests.web.memory import World


def test_a_run_is_read_with_all_that_its_page_shows(store: PostgresStore, world: World) -> None:
    ready = make_ready_run(store)
    change = Change(number=1, kind=Kind.RESOURCE, action=Action.CREATE, address="terraform_data.only_here")
    with store.begin() as tx:
        bring_to_unconfirmed(tx, ready.id)
        tx.save_plan(ready.id, plan_of(), PlanSummary(changes=(change,)))
    world.reading = Look(store, store)
    client = world.client()
    page = client.get(f"/runs/{ready.id}")
    assert page.status_code == 200
    assert "terraform_data.only_here" in page.text
    assert "/trackside confirm" in page.text
    assert client.get(f"/stacks/{stack_id_of(ready)}").status_code == 200
    overview = client.get("/").text
    assert f'href="/runs/{ready.id}"' in overview
    assert REPOSITORY.full_name in overview


def test_a_run_of_a_pull_request_is_read_with_its_title_and_its_reviews(store: PostgresStore, world: World) -> None:
    ready = make_ready_run(store)
    with store.begin() as tx:
        waiting = bring_to_unconfirmed(tx, ready.id)
        tx.note_pull(ready.id, 7)
        tx.note_title(REPOSITORY.id, 7, "Move the network", is_late=False)
        tx.add_review(
            PlanReview(
                run_id=ready.id,
                plan_number=1,
                state=waiting.state,
                author="bob",
                is_approval=True,
                note="looks right",
                at=tx.now(),
                source="comment",
            )
        )
    world.reading = Look(store, store)
    page = world.client().get(f"/runs/{ready.id}").text
    assert f'/{REPOSITORY.full_name}/pull/7">#7 Move the network</a>' in page
    assert "<td>looks right</td>" in page


def test_the_first_page_names_the_newest_run_of_each_stack(store: PostgresStore) -> None:
    ready = make_ready_run(store, "network")
    make_stack(store, "alone")
    seen = Look(store, store).overview()
    assert [(one.stack.name, [run.id for run in one.runs]) for one in seen.stacks] == [
        ("alone", []),
        ("network", [ready.id]),
    ]
    assert [run.state for run in seen.runs] == [RunState.READY]


def test_a_plan_that_waits_stays_on_the_first_page_however_many_runs_come_after(store: PostgresStore) -> None:
    waiting = make_ready_run(store, "network")
    with store.begin() as tx:
        bring_to_unconfirmed(tx, waiting.id)
    for number in range(RECENT_RUNS):
        make_ready_run(store, f"stack-{number}")
    seen = Look(store, store).overview()
    assert waiting.id not in {run.id for run in seen.runs}
    assert [run.id for run in seen.waiting] == [waiting.id]


def test_what_is_not_there_is_none(store: PostgresStore) -> None:
    look = Look(store, store)
    assert look.find_run(RunId("01JD00000000000000000000ZZ")) is None
    assert look.find_stack(StackId("01JD00000000000000000000ZZ")) is None
    assert list(look.read_log(RunId("01JD00000000000000000000ZZ"))) == []
    assert look.read_log_end(RunId("01JD00000000000000000000ZZ"), limit=9) == (b"", 0)


def test_the_end_of_a_log_is_read_without_what_is_before_it(store: PostgresStore, database_url: str) -> None:
    make_ready_run(store, "network")
    with store.begin() as tx:
        found = tx.claim("default", hold_of(), step(Step.CLAIM))
        assert found is not None
        for offset, text in ((0, b"first\n"), (6, b"second\n"), (13, b"third\n")):
            tx.add_log(found[1].id, offset, text)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE log_chunks SET sealed_text = 'cannot be opened' WHERE offset_bytes = 0")
    look, run_id = Look(store, store), found[0].id
    assert look.read_log_end(run_id, limit=9) == (b"nd\nthird\n", 10)
    assert look.read_log_end(run_id, limit=13) == (b"second\nthird\n", 6)
    with pytest.raises(TracksideError):
        look.read_log_end(run_id, limit=14)
