"""What catching up on missed events asks of the database: one at a time, a pace, nothing where the App may not work."""

from datetime import UTC, datetime, timedelta

from app.core.event import Standing
from app.core.missed import KnownRef, MissedDelivery, ask_again_in
from app.core.names import DeliveryId, Sha
from app.core.record import DeliveryOutcome, NewDelivery
from app.core.run import RunState, Step
from app.store.postgres import PostgresStore
from tests.store.world import REPOSITORY, bring_to_confirmed, hold_of, make_ready_run, make_stack, step

THEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def missed(number: int, *, minutes: int = 0) -> MissedDelivery:
    """A delivery that was tried that many minutes later."""
    at = THEN + timedelta(minutes=minutes)
    return MissedDelivery(guid=DeliveryId(f"guid-{number}"), event="push", attempt_id=number, delivered_at=at)


def test_one_process_at_a_time_is_let_in(store: PostgresStore) -> None:
    with (
        store.only_one("look") as is_first,
        store.only_one("look") as is_second,
        store.only_one("other") as is_other,
    ):
        assert (is_first, is_second, is_other) == (True, False, True)
    with store.only_one("look") as is_again:
        assert is_again


def test_the_oldest_are_asked_for_first_and_only_so_many_in_a_minute(store: PostgresStore) -> None:
    with store.begin() as tx:
        assert tx.note_missed([missed(3, minutes=3), missed(1), missed(2, minutes=2)]) == 3
        assert tx.note_missed([missed(1)]) == 0, "it is noted already"
        assert [one.attempt_id for one in tx.list_to_ask(per_minute=2)] == [1, 2]
        tx.note_asked(DeliveryId("guid-1"), wait=timedelta(minutes=5))
        assert [one.attempt_id for one in tx.list_to_ask(per_minute=2)] == [2]
        assert tx.list_to_ask(per_minute=1) == []
        assert tx.find_missed_at(DeliveryId("guid-1")) == THEN
        assert tx.find_missed_at(DeliveryId("guid-3")) is not None, "it may come before our note of asking"
        assert tx.find_missed_at(DeliveryId("guid-4")) is None


def test_what_arrived_is_settled_and_what_was_asked_for_too_often_is_given_up(store: PostgresStore) -> None:
    with store.begin() as tx:
        tx.note_missed([missed(1), missed(2)])
        tx.note_asked(DeliveryId("guid-2"), wait=timedelta())
    arrived = NewDelivery(guid=DeliveryId("guid-1"), event="push", body=b"{}", outcome=DeliveryOutcome.IGNORED)
    store.record_deliveries([arrived])
    with store.begin() as tx:
        assert tx.list_unheard([DeliveryId("guid-1"), DeliveryId("guid-2")]) == {"guid-2"}
        assert tx.settle_missed(max_asks=2) == (1, 0)
        assert tx.settle_missed(max_asks=1) == (0, 1)
        assert tx.list_to_ask(per_minute=9) == []


def test_each_wait_is_twice_the_one_before_up_to_six_hours() -> None:
    every = timedelta(minutes=5)
    assert [ask_again_in(asked, every) // every for asked in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert ask_again_in(99, every) == timedelta(hours=6)


def test_a_repository_is_looked_at_by_one_and_not_where_the_app_may_not_work(store: PostgresStore) -> None:
    make_stack(store)
    with store.begin() as tx:
        assert [one.id for one in tx.take_due_looks(every_s=900, limit=5)] == [REPOSITORY.id]
        assert tx.take_due_looks(every_s=900, limit=5) == []
        tx.want_look(REPOSITORY.id, in_s=-1)
        assert tx.save_standing([REPOSITORY.id], Standing.ARCHIVED) == [REPOSITORY.id]
        assert tx.save_standing([REPOSITORY.id], Standing.ARCHIVED) == []
        assert tx.take_due_looks(every_s=900, limit=5) == []
        tx.save_repository(REPOSITORY)
        assert not tx.may_publish(REPOSITORY.id), "an old event does not take it out of the archive"
        tx.save_standing([REPOSITORY.id], Standing.REMOVED)
        tx.save_repository(REPOSITORY)
        assert tx.may_publish(REPOSITORY.id), "an event shows that it is in reach"
        tx.save_installation(REPOSITORY.installation_id, "acme", is_active=False)
        assert tx.take_due_looks(every_s=900, limit=5) == []
        tx.save_installation(REPOSITORY.installation_id, "acme", is_active=True)
        assert len(tx.take_due_looks(every_s=900, limit=5)) == 1


def test_refs_are_remembered_changed_and_forgotten(store: PostgresStore) -> None:
    make_stack(store)
    one, two = Sha("1" * 40), Sha("2" * 40)
    with store.begin() as tx:
        tx.take_due_looks(every_s=900, limit=5)
        tx.save_refs(REPOSITORY.id, [KnownRef(ref="refs/tags/v1", sha=one), KnownRef(ref="refs/heads/main", sha=one)])
        assert tx.read_sight(REPOSITORY.id).is_first
        tx.mark_seen(REPOSITORY.id)
        changed = KnownRef(ref="refs/heads/main", sha=one, new_sha=two, new_since=THEN)
        tx.save_refs(REPOSITORY.id, [changed])
        tx.forget_refs(REPOSITORY.id, ["refs/tags/v1"])
        sight = tx.read_sight(REPOSITORY.id)
        assert (sight.is_first, dict(sight.refs)) == (False, {"refs/heads/main": changed})
        tx.forget_refs(REPOSITORY.id, None)
        assert tx.read_sight(REPOSITORY.id).is_first


def test_while_the_app_is_suspended_only_what_was_confirmed_is_handed_out(store: PostgresStore) -> None:
    run = make_ready_run(store)
    with store.begin() as tx:
        tx.save_installation(REPOSITORY.installation_id, "acme", is_active=False)
        assert tx.claim("default", hold_of(), step(Step.CLAIM)) is None
        tx.save_installation(REPOSITORY.installation_id, "acme", is_active=True)
        assert bring_to_confirmed(tx, run.id).state is RunState.CONFIRMED
        tx.save_installation(REPOSITORY.installation_id, "acme", is_active=False)
        assert tx.claim("default", hold_of(), step(Step.CLAIM)) is not None
