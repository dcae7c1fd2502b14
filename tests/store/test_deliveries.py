"""Deliveries: kept once, with their job, in one statement; twins end as twins; nothing is lost."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from app.core.errors import RetryableError
from app.core.names import DeliveryId, Digest
from app.core.record import DeliveryOutcome, NewDelivery
from app.store.jobs_app import make_job_app, revive_deliveries
from app.store.postgres import PostgresStore
from tests.database import made_store
from tests.store.world import HEAD, REPOSITORY

ONE, TWO = DeliveryId("11111111-aaaa"), DeliveryId("22222222-bbbb")
BODY = b'{"ref": "refs/heads/main"}'
SAME = Digest("5" * 64)


def count_jobs(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'deliver' AND queue_name = 'deliver'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def keep(store: PostgresStore, guid: DeliveryId, outcome: DeliveryOutcome = DeliveryOutcome.PENDING) -> bool:
    return guid in store.record_deliveries([NewDelivery(guid=guid, event="push", body=BODY, outcome=outcome)])


def test_a_delivery_is_kept_with_its_job(store: PostgresStore, database_url: str) -> None:
    assert keep(store, ONE)
    assert count_jobs(database_url) == 1
    assert store.oldest_pending_delivery_s() > 0
    with store.begin() as tx:
        delivery = tx.lock_delivery(ONE)
        assert delivery is not None
        assert (delivery.event, delivery.body, delivery.outcome) == ("push", BODY, DeliveryOutcome.PENDING)


def test_the_same_guid_again_is_seen_and_has_no_second_job(store: PostgresStore, database_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: keep(store, ONE), range(16)))
    assert sorted(kept) == [False] * 15 + [True]
    assert count_jobs(database_url) == 1


def test_what_is_kept_together_has_its_jobs_in_the_order_of_arrival(store: PostgresStore, database_url: str) -> None:
    """New ones among known ones; of two with one GUID the first is kept, and it has a job only if it is pending."""
    keep(store, ONE)
    turned_away = NewDelivery(guid=DeliveryId("5"), event="push", body=b"1", outcome=DeliveryOutcome.MALFORMED)
    pending = [NewDelivery(guid=DeliveryId(guid), event="push", body=BODY, lane="lane") for guid in "975913"]
    new = store.record_deliveries([*pending[:2], turned_away, *pending[2:], replace(pending[0], guid=ONE)])
    assert new == set("97513")
    with psycopg.connect(database_url) as connection:
        jobs = "SELECT args ->> 'guid' FROM procrastinate_jobs WHERE lock = 'lane' ORDER BY id"
        assert connection.execute(jobs.encode()).fetchall() == [("9",), ("7",), ("1",), ("3",)]
    with store.begin() as tx:
        kept = tx.lock_delivery(DeliveryId("5"))
    assert kept is not None
    assert (kept.body, kept.outcome) == (b"1", DeliveryOutcome.MALFORMED)


def test_two_doors_that_keep_the_same_deliveries_in_another_order_never_block_each_other(store: PostgresStore) -> None:
    """Sent again while the first is under way, and another process has the door: one of each stays."""
    given = [NewDelivery(guid=DeliveryId(f"guid-{number:02}"), event="push", body=BODY) for number in range(64)]
    with ThreadPoolExecutor(4) as pool:
        orders = [given, given[::-1]] * 20
        new = list(pool.map(store.record_deliveries, orders))
    assert sum(map(len, new)) == 64


def test_a_delivery_that_is_already_answered_has_no_job(store: PostgresStore, database_url: str) -> None:
    assert keep(store, ONE, DeliveryOutcome.MALFORMED)
    assert count_jobs(database_url) == 0


def test_a_delivery_is_closed_with_its_reason(store: PostgresStore) -> None:
    keep(store, ONE)
    with store.begin() as tx:
        tx.close_delivery(ONE, DeliveryOutcome.IGNORED, "branch deleted\x00")
    with store.begin() as tx:
        delivery = tx.lock_delivery(ONE)
        assert delivery is not None
        assert delivery.reason == "branch deleted\ufffd"
        assert tx.lock_delivery(TWO) is None
    assert store.oldest_pending_delivery_s() == 0


def test_of_two_twins_the_one_noted_first_is_carried_out_and_stays_the_first(store: PostgresStore) -> None:
    keep(store, ONE)
    keep(store, TWO)
    with store.begin() as tx:
        assert tx.find_twin(TWO, SAME) is None
    with store.begin() as tx:
        assert tx.find_twin(ONE, SAME) == TWO
    with store.begin() as tx:
        assert tx.find_twin(TWO, SAME) is None


def test_two_twins_at_once_never_both_give_way(store: PostgresStore) -> None:
    keep(store, ONE)
    keep(store, TWO)

    def look(guid: DeliveryId) -> DeliveryId | None:
        with store.begin() as tx:
            return tx.find_twin(guid, SAME)

    with ThreadPoolExecutor(2) as pool:
        twins = list(pool.map(look, (ONE, TWO)))
    assert sorted(map(str, twins)) in (["11111111-aaaa", "None"], ["22222222-bbbb", "None"])


def test_equal_bodies_far_apart_or_turned_away_are_no_twins(store: PostgresStore, database_url: str) -> None:
    keep(store, ONE)
    keep(store, TWO)
    with store.begin() as tx:
        assert tx.find_twin(ONE, SAME) is None
        tx.close_delivery(ONE, DeliveryOutcome.IGNORED, "")
        assert tx.find_twin(TWO, SAME) is None
        tx.close_delivery(ONE, DeliveryOutcome.EVENT, "")
        assert tx.find_twin(TWO, SAME) == ONE
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE deliveries SET received_at = received_at - interval '11 minutes' WHERE guid = %s", (ONE,)
        )
    with store.begin() as tx:
        assert tx.find_twin(TWO, SAME) is None


def test_a_database_that_is_not_there_is_a_retryable_error() -> None:
    with made_store("postgresql://postgres@127.0.0.1:1/none?connect_timeout=1", pool_size=1) as nowhere:
        with pytest.raises(RetryableError), nowhere.begin() as tx:
            tx.now()
        with pytest.raises(RetryableError):
            nowhere.list_missing_migrations()


def test_the_door_opens_again_after_its_connections_were_cut(store: PostgresStore, database_url: str) -> None:
    keep(store, ONE)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    assert keep(store, TWO)
    assert store.list_missing_migrations() == []


def test_where_the_stacks_file_was_read_last_is_known_of_this_default_branch_alone(store: PostgresStore) -> None:
    with store.begin() as tx:
        tx.save_repository(REPOSITORY)
        assert tx.find_config_head(REPOSITORY.id) is None
        tx.save_config_head(REPOSITORY.id, HEAD)
        tx.save_repository(replace(REPOSITORY, name="renamed"))
        assert tx.find_config_head(REPOSITORY.id) == HEAD
        tx.save_repository(replace(REPOSITORY, default_branch="release"))
        assert tx.find_config_head(REPOSITORY.id) is None


def test_a_delivery_whose_job_ended_in_an_error_of_ours_is_tried_again_after_a_while(
    store: PostgresStore, database_url: str
) -> None:
    """In its lane, after what came since; for three days, and never one that was carried out."""
    lane = "repository:77"
    store.record_deliveries([NewDelivery(guid=guid, event="push", body=BODY, lane=lane) for guid in (ONE, TWO)])
    with store.begin() as tx:
        tx.close_delivery(TWO, DeliveryOutcome.EVENT, "decided")

    async def revive() -> int:
        app = make_job_app(database_url)
        async with app.open_async():
            return await revive_deliveries(app)

    def sql(statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    assert asyncio.run(revive()) == 0, "its job still waits"
    sql(f"UPDATE procrastinate_jobs SET status = 'doing' WHERE args ->> 'guid' = '{ONE}'")  # noqa: S608 - ours
    assert asyncio.run(revive()) == 0, "somebody is at it"
    sql("UPDATE procrastinate_jobs SET status = 'failed'")
    assert asyncio.run(revive()) == 0, "it failed just now"
    sql("UPDATE procrastinate_events SET at = at - interval '11 minutes'")
    assert asyncio.run(revive()) == 1
    jobs = "SELECT args ->> 'guid', status, priority, lock FROM procrastinate_jobs ORDER BY 1"
    assert sql(jobs) == [(ONE, "todo", -5, "repository:77"), (TWO, "failed", 0, "repository:77")]
    assert asyncio.run(revive()) == 0, "the new job waits"
    sql("UPDATE procrastinate_jobs SET status = 'failed'")
    sql("DELETE FROM procrastinate_events")
    sql("UPDATE deliveries SET received_at = received_at - interval '4 days'")
    assert asyncio.run(revive()) == 0, "nobody waits for it any more"
