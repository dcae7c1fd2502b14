"""What policies and people said of a plan is kept with it, and nothing is confirmed against them, whatever our code."""

from dataclasses import replace

import msgspec
import psycopg
import pytest

from app.core.review import PlanReview
from app.core.ruling import Approval, ApprovalRuling, PlanRuling
from app.core.run import Run, RunState
from app.store.postgres import PostgresStore
from tests.store.world import NOW, PLAN_DIGEST, bring_to_unconfirmed, make_ready_run

DENIED = PlanRuling(name="cost", digest="d1", path="cost.rego", denies=("too\x00dear",), deny_lines=(3,))
OPEN = ApprovalRuling(name="eyes", digest="d2", path="eyes.rego", decision=Approval.UNDECIDED)
CONFIRM = """
INSERT INTO confirmations (run_id, plan_number, plan_digest, head_sha, stack_digest, actor, at)
SELECT id, 1, %s, head_sha, stack_digest, 'mallory', now() FROM runs
"""


def waiting(store: PostgresStore) -> Run:
    """A run that waits with its plan."""
    run = make_ready_run(store)
    with store.begin() as tx:
        return bring_to_unconfirmed(tx, run.id)


def review_of(run: Run, *, state: RunState = RunState.UNCONFIRMED, number: int = 1) -> PlanReview:
    """Alice's approval."""
    return PlanReview(
        run_id=run.id,
        plan_number=number,
        state=state,
        author="alice",
        is_approval=True,
        note="fine\x00",
        at=NOW,
        role="maintain",
        teams=("platform",),
        source="comment",
    )


def refused(database_url: str, before: str, *, match: str) -> None:
    """A confirmation in raw SQL is refused once that was done."""
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute(before.encode())
        with pytest.raises(psycopg.IntegrityError, match=match):
            sql.execute(CONFIRM.encode(), (PLAN_DIGEST,))


def test_what_people_and_policies_said_is_read_back(store: PostgresStore) -> None:
    run = waiting(store)
    with store.begin() as tx:
        tx.add_review(review_of(run))
        tx.save_approvals(run.id, 1, [OPEN])
        (found,) = tx.list_reviews(run.id)
        again = tx.get_run(run.id)
    assert found == msgspec.convert(found, PlanReview)
    assert (found.author, found.note, found.teams, found.role) == ("alice", "fine\ufffd", ("platform",), "maintain")
    assert again.plan is not None
    assert (again.plan.approvals, again.plan.approval) == ((OPEN,), Approval.UNDECIDED)


def test_nobody_pushes_another_s_word_out_by_saying_theirs_again_and_again(
    store: PostgresStore, database_url: str
) -> None:
    run = waiting(store)
    with store.begin() as tx:
        tx.add_review(replace(review_of(run), author="bob", is_approval=False))
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute(
            "INSERT INTO reviews (run_id, plan_number, state, author, is_approval, note, source, at) SELECT run_id, 1,"
            " state, CASE WHEN n % 2 = 0 THEN 'mallory' ELSE 'Mallory' END, n <> 1500, n, 'sql', now()"
            " FROM reviews, generate_series(1, 1500) AS n"
        )
    with store.begin() as tx:
        tx.add_review(replace(review_of(run), author="carol"))
        found = tx.list_reviews(run.id)
        assert tx.count_reviews(run.id) == 1502
    assert [(one.author, one.is_approval) for one in found] == [("bob", False), ("mallory", False), ("carol", True)]


@pytest.mark.parametrize(("state", "number"), [(RunState.PENDING_REVIEW, 1), (RunState.UNCONFIRMED, 2)])
def test_a_review_of_another_plan_or_of_a_run_that_does_not_wait_is_refused(
    store: PostgresStore, database_url: str, state: RunState, number: int
) -> None:
    run = waiting(store)
    with psycopg.connect(database_url) as sql, pytest.raises(psycopg.IntegrityError, match="does not wait for one"):
        sql.execute(
            "INSERT INTO reviews (run_id, plan_number, state, author, is_approval, source, at)"
            " VALUES (%s, %s, %s, 'mallory', true, 'sql', now())",
            (run.id, number, state.value),
        )


def test_no_review_is_taken_back(store: PostgresStore, database_url: str) -> None:
    run = waiting(store)
    with store.begin() as tx:
        tx.add_review(review_of(run))
    for statement in ("UPDATE reviews SET is_approval = false", "DELETE FROM reviews", "TRUNCATE reviews"):
        with psycopg.connect(database_url) as sql, pytest.raises(psycopg.IntegrityError, match="append-only"):
            sql.execute(statement.encode())


def test_the_database_takes_no_confirmation_of_a_plan_that_is_not_approved(
    store: PostgresStore, database_url: str
) -> None:
    run = waiting(store)
    with store.begin() as tx:
        tx.save_approvals(run.id, 1, [OPEN])
    refused(database_url, "SELECT 1", match="its policies say none and undecided")
    attached = """UPDATE stacks SET policies = '[{"name": "eyes", "type": "approval", "digest": "d2"}]'"""
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute("UPDATE plans SET approval = 'none'")
    refused(database_url, attached, match="was not asked about plan 1")


def test_the_database_takes_no_confirmation_of_a_plan_that_was_denied_or_not_judged(
    store: PostgresStore, database_url: str
) -> None:
    """A policy that was attached since, or has another text, has not judged the plan."""
    waiting(store)
    attached = """UPDATE stacks SET policies = '[{"name": "cost", "type": "plan", "digest": "d1"}]'"""
    refused(database_url, attached, match="was not asked about plan 1")
    with psycopg.connect(database_url) as sql, pytest.raises(psycopg.IntegrityError, match="shown to a person"):
        sql.execute("UPDATE plans SET verdict = 'denied'")
    melt = "UPDATE plans SET is_frozen = false"  # as a migration could: the guard of frozen plans is another's
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute("ALTER TABLE plans DISABLE TRIGGER plans_keep_frozen")
        sql.execute(melt.encode())
    rulings = msgspec.json.encode((DENIED,)).decode().replace("\\u0000", "")
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute("UPDATE plans SET rulings = %s, verdict = 'denied'", (rulings,))
    refused(database_url, "SELECT 1", match="its policies say denied and none")
