"""The outbox: a report is wanted in the transaction of its cause, published by jobs, and remembers what stands."""

import asyncio

import psycopg

from app.core.budget import Lane
from app.core.names import ReportId
from app.core.record import ReportKind
from app.core.run import RunState, Step, advance
from app.store.jobs_app import make_job_app, revive_reports
from app.store.postgres import PostgresStore
from tests.store.world import (
    HEAD,
    NOW,
    REPOSITORY,
    bring_to_confirmed,
    hold_of,
    make_ready_run,
    make_run,
    make_stack,
    step,
)


def publish_jobs(url: str) -> list[tuple[int, str, bool]]:
    """Priority, lock and whether it is for later, of every publish job."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT priority, lock, scheduled_at > now() FROM procrastinate_jobs"
            " WHERE task_name = 'publish' ORDER BY id"
        ).fetchall()
    return [(priority, lock, is_later) for priority, lock, is_later in rows]


def want(store: PostgresStore, document: bytes = b"{}") -> ReportId:
    with store.begin() as tx:
        return tx.want_report(ReportKind.CHECK, REPOSITORY.id, f"{HEAD}/config", run_id=None, document=document)


def test_a_report_is_one_row_however_often_it_is_wanted(store: PostgresStore, database_url: str) -> None:
    make_stack(store)
    first, again = want(store), want(store, b'{"new": 1}')
    assert first == again
    with store.begin() as tx:
        report = tx.find_report(first)
        assert report is not None
        assert (report.wanted, report.published, report.document) == (2, 0, b'{"new": 1}')
        assert tx.find_report(ReportId("nobody")) is None
    assert publish_jobs(database_url) == [(5, f"report:{first}", False)] * 2
    assert store.count_reports_behind() == 1


def test_a_finished_report_is_not_behind_and_never_goes_back(store: PostgresStore) -> None:
    make_stack(store)
    report_id = want(store)
    want(store)
    with store.begin() as tx:
        tx.finish_report(report_id, 2)
        tx.finish_report(report_id, 1)
    assert store.count_reports_behind() == 0


def test_a_look_again_later_never_holds_back_what_is_wanted_now(store: PostgresStore, database_url: str) -> None:
    make_stack(store)
    report_id = want(store)
    with store.begin() as tx:
        tx.defer_publish(report_id, in_s=60)  # somebody looks before
    assert publish_jobs(database_url) == [(5, f"report:{report_id}", False)]
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
    with store.begin() as tx:
        tx.defer_publish(report_id, in_s=60)
        tx.defer_publish(report_id, in_s=90, lane=Lane.ANSWER)
        tx.defer_publish(report_id, in_s=30, lane=Lane.CONCLUSION)
    lock = f"report:{report_id}"
    assert publish_jobs(database_url) == [(-10, lock, True), (-7, lock, True)]
    want(store)
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING (procrastinate_fetch_job_v2(NULL, id)).priority"
        ).fetchone()
    assert row == (5,)


def test_remotes_are_kept_in_the_order_in_which_they_were_made(store: PostgresStore) -> None:
    make_stack(store)
    report_id = want(store)
    with store.begin() as tx:
        tx.save_remote(report_id, "R/1", remote_id=None, published="", is_completed=False)
        tx.save_remote(report_id, "R/2", remote_id=8, published="a" * 64, is_completed=True)
        tx.save_remote(report_id, "R/1", remote_id=7, published="", is_completed=False)
    with store.begin() as tx:
        report = tx.find_report(report_id)
        assert report is not None
        first, second = report.remotes
    assert (first.external_id, first.remote_id, first.published, first.updates) == ("R/1", 7, "", 0)
    assert first.published_at is None
    assert (second.remote_id, second.is_completed) == (8, True)
    assert second.published_at is not None


def test_changes_of_one_transaction_want_a_report_once(store: PostgresStore, database_url: str) -> None:
    run = make_run(store, make_stack(store))
    with store.begin() as tx:
        tx.change_run(run.id, step(Step.RELEASE))
        tx.claim("default", hold_of(), step(Step.CLAIM))
        tx.change_run(run.id, step(Step.INITIALIZE))
    assert len(publish_jobs(database_url)) == 2


def test_a_run_with_changes_has_a_deployment_and_the_next_one_finds_it(store: PostgresStore, database_url: str) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_confirmed(tx, run.id)
        assert tx.claim("default", hold_of(), step(Step.CLAIM)) is not None
        tx.change_run(run.id, step(Step.APPLY))
        tx.change_run(run.id, step(Step.FINISH))
    with psycopg.connect(database_url) as connection:
        kinds = connection.execute("SELECT kind, subject, id FROM reports ORDER BY kind").fetchall()
    assert [kind[:2] for kind in kinds] == [("deployment", run.id), ("run_check", f"{HEAD}/deploy/network")]
    with store.begin() as tx:
        stack = tx.get_stack(run.stack_id)
    later = make_run(store, stack, state=RunState.READY, age_s=-60)
    with store.begin() as tx:
        assert tx.list_earlier_successes(later.id) == []
        tx.save_remote(kinds[0][2], run.id, remote_id=9, published="success?", is_completed=False)
        assert tx.list_earlier_successes(later.id) == []
        tx.save_remote(kinds[0][2], run.id, remote_id=9, published="success", is_completed=True)
        (earlier,) = tx.list_earlier_successes(later.id)
        assert earlier.run_id == run.id
        assert tx.list_earlier_successes(run.id) == []
        assert (tx.has_later_success(run.id), tx.has_later_success(later.id)) == (False, False)
    first = make_run(store, stack, state=RunState.QUEUED, age_s=60)
    with store.begin() as tx:
        assert tx.has_later_success(first.id)


def test_a_check_is_computed_from_the_newest_run_on_it(store: PostgresStore, database_url: str) -> None:
    stack = make_stack(store)
    old = make_run(store, stack, age_s=60)
    new = make_run(store, stack)
    with store.begin() as tx:
        tx.change_run(old.id, lambda run: advance(run, Step.CANCEL, by="ada", at=NOW))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT run_id, wanted FROM reports").fetchall() == [(max(old.id, new.id), 3)]


def test_a_report_that_was_refused_for_good_is_tried_again_after_a_while(
    store: PostgresStore, database_url: str
) -> None:
    with store.begin() as tx:
        tx.save_repository(REPOSITORY)
        tx.want_report(ReportKind.CHECK, REPOSITORY.id, f"{HEAD}/config", run_id=None, document=b"{}")

    async def revive() -> int:
        app = make_job_app(database_url)
        async with app.open_async():
            return await revive_reports(app)

    def sql(statement: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(statement)

    assert asyncio.run(revive()) == 0, "its job still waits"
    sql("UPDATE procrastinate_jobs SET status = 'failed'")
    assert asyncio.run(revive()) == 0, "it failed just now"
    sql("UPDATE procrastinate_events SET at = at - interval '11 minutes'")
    assert asyncio.run(revive()) == 1
    assert asyncio.run(revive()) == 0, "the new job waits"
    assert len(publish_jobs(database_url)) == 1, "it took the other's place: what GitHub never takes leaves no heap"


def test_what_is_said_to_somebody_is_given_up_after_three_days(store: PostgresStore, database_url: str) -> None:
    """A check that is behind is a required one, perhaps; a comment where there is no pull request is nobody's."""
    make_stack(store)
    with store.begin() as tx:
        for kind in (ReportKind.CHECK, ReportKind.NOTICE, ReportKind.REPLY):
            tx.want_report(kind, REPOSITORY.id, "7/it", run_id=None, document=b"{}")
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
        connection.execute("UPDATE reports SET created_at = created_at - interval '4 days' WHERE kind <> 'reply'")

    async def revive() -> int:
        app = make_job_app(database_url)
        async with app.open_async():
            return await revive_reports(app)

    assert asyncio.run(revive()) == 2
    with psycopg.connect(database_url) as connection:
        kinds = "SELECT kind FROM reports JOIN procrastinate_jobs ON lock = 'report:' || reports.id ORDER BY 1"
        assert connection.execute(kinds.encode()).fetchall() == [("check",), ("reply",)]


def test_what_a_policy_says_on_a_pull_request_never_grows_too_old(store: PostgresStore, database_url: str) -> None:
    """A check run that works for twelve days is made anew; a comment has no end to wait for."""
    make_stack(store)
    with store.begin() as tx:
        check = want(store)
        notice = tx.want_report(ReportKind.NOTICE, REPOSITORY.id, "7/key", run_id=None, document=b"{}")
    for report_id in (check, notice):
        with store.begin() as tx:
            tx.save_remote(report_id, "it", remote_id=7, published="a" * 64, is_completed=False)
            tx.finish_report(report_id, 1)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE remotes SET made_at = made_at - interval '13 days'")
    with store.begin() as tx:
        assert tx.renew_checks() == 1
    with store.begin() as tx:
        found = [tx.find_report(report_id) for report_id in (check, notice)]
    assert [one.wanted for one in found if one is not None] == [2, 1]
