"""Logins under way and sessions: once, for their time, under a hash; what is over is let go of."""

import pytest
from sqlalchemy import text

from app.store.postgres import PostgresStore

KEY, OTHER = "a" * 64, "b" * 64


MOMENTS = {
    ("sessions", "used_at"): "UPDATE sessions SET used_at = used_at - CAST(:by AS interval)",
    ("sessions", "created_at"): "UPDATE sessions SET created_at = created_at - CAST(:by AS interval)",
    ("logins", "created_at"): "UPDATE logins SET created_at = created_at - CAST(:by AS interval)",
}


def aged(store: PostgresStore, table: str, column: str, by: str) -> None:
    """As if so much time had passed since."""
    with store.begin() as tx:
        tx._connection.execute(text(MOMENTS[table, column]), {"by": by})


def find(store: PostgresStore, key: str = KEY) -> bytes | None:
    """What is kept of a session."""
    with store.begin() as tx:
        return tx.find_session(key)


def test_a_login_comes_back_once_within_ten_minutes(store: PostgresStore) -> None:
    with store.begin() as tx:
        tx.add_login(KEY, browser="b", sealed=b"sealed")
        tx.add_login(OTHER, browser="b", sealed=b"sealed")
    with store.begin() as tx:
        assert tx.take_login(KEY) == ("b", b"sealed")
        assert tx.take_login(KEY) is None
        assert tx.take_login("c" * 64) is None
    aged(store, "logins", "created_at", "10 minutes")
    with store.begin() as tx:
        assert tx.take_login(OTHER) is None


def test_the_oldest_logins_make_room_for_new_ones(store: PostgresStore) -> None:
    for key in (KEY, OTHER, "c" * 64):
        with store.begin() as tx:
            tx.add_login(key, browser="b", sealed=b"sealed")
    with store.begin() as tx:
        assert (tx.trim_logins(keep=3), tx.trim_logins(keep=2)) == (0, 1)
        assert tx.take_login(KEY) is None
        assert tx.take_login(OTHER) is not None


@pytest.mark.parametrize(
    ("column", "by", "is_there"),
    [
        ("used_at", "11 hours 59 minutes", True),
        ("used_at", "12 hours", False),
        ("created_at", "6 days 23 hours 59 minutes", True),
        ("created_at", "7 days", False),
    ],
)
def test_a_session_ends_when_it_is_not_used_for_12_hours_or_after_a_week(
    store: PostgresStore, column: str, by: str, is_there: bool
) -> None:
    with store.begin() as tx:
        tx.add_session(KEY, b"one")
    aged(store, "sessions", column, by)
    assert (find(store) is not None) is is_there
    with store.begin() as tx:
        assert tx.sweep_sessions(limit=10) == (0 if is_there else 1)


def test_using_a_session_keeps_it(store: PostgresStore) -> None:
    with store.begin() as tx:
        tx.add_session(KEY, b"one")
    for _ in range(3):
        aged(store, "sessions", "used_at", "11 hours")
        assert find(store) == b"one"


def test_what_has_ended_stays_ended(store: PostgresStore) -> None:
    with store.begin() as tx:
        tx.add_session(KEY, b"one")
        tx.save_session(KEY, b"two")
    assert find(store) == b"two"
    with store.begin() as tx:
        tx.delete_session(KEY)
        tx.save_session(KEY, b"three")
    assert find(store) is None


def test_logins_that_are_over_are_let_go_of(store: PostgresStore) -> None:
    with store.begin() as tx:
        for number in range(3):
            tx.add_login(str(number) * 64, browser="b", sealed=b"s")
    aged(store, "logins", "created_at", "1 hour")
    with store.begin() as tx:
        tx.add_login(KEY, browser="b", sealed=b"s")
        assert tx.sweep_logins(limit=2) == 2
        assert tx.sweep_logins(limit=2) == 1
        assert tx.take_login(KEY) is not None
