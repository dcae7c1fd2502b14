"""Whose commits a run would apply: those of its push, and those of pushes before it that were never applied."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from app.core.choice import Targeting
from app.core.decision import Answer, Decision, EventKind, Verdict
from app.core.missed import FOUND_BY
from app.core.names import DeliveryId, Sha
from app.core.permit import Stretch
from app.core.run import Run, RunState, RunType, Trigger
from app.core.stack import Stack
from app.flows.makers import MAX_STRETCHES, Makers, makers_of
from app.flows.weigh import starters
from app.store.postgres import PostgresStore
from tests.store.world import CONFIG, NOW, make_stack, plan_of, run_of

MAIN = "refs/heads/main"


def sha(number: int) -> Sha:
    """A commit by its number."""
    return Sha(f"{number:040x}")


@dataclass
class History:
    """What happened to one stack, oldest first."""

    store: PostgresStore
    stack: Stack
    runs: int = 0

    def run(self, number: int, *, state: RunState = RunState.DISCARDED, by: str = "alice", **more: object) -> Run:
        """A run of that commit."""
        self.runs += 1
        at = NOW + timedelta(minutes=self.runs)
        given = {"head_sha": sha(number), "triggered_by": by, "created_at": at} | more
        made = replace(run_of(self.stack, state=state), **given)  # type: ignore[arg-type]  # a test's words
        with self.store.begin() as tx:
            assert tx.add_run(made, event_key=None)
        return made

    def pushed(self, since: int, number: int, **run: object) -> Run:
        """A push, its decision and its run."""
        self.decided(since, number)
        return self.run(number, **run)  # type: ignore[arg-type]  # a test's words

    def decided(self, since: int, number: int, *, ref: str = MAIN, kind: EventKind = EventKind.PUSH) -> None:
        """The decision about a push alone."""
        decision = Decision(
            stack_id=self.stack.id,
            stack_name=self.stack.name,
            ref=ref,
            head_sha=sha(number),
            before=sha(since),
            config_version_id=CONFIG,
            policy="default",
            input={},
            answer=Answer(verdict=Verdict.TRACK, reason="changed", rules={}),
            event=kind,
        )
        with self.store.begin() as tx:
            tx.add_decisions(DeliveryId(f"{kind.value}-{since}-{number}-{ref}"), {}, [decision])

    def makers(self, run: Run) -> Makers:
        """What has to be asked about a run."""
        with self.store.begin() as tx:
            return makers_of(tx, run, self.stack)

    def stretches(self, run: Run) -> list[tuple[int | None, int]]:
        """Where they begin and end."""
        made = self.makers(run)
        assert not made.obstacle
        return [(int(one.since, 16) if one.since else None, int(one.head, 16)) for one in made.stretches]


@pytest.fixture
def history(store: PostgresStore) -> History:
    """A stack to which nothing has happened."""
    return History(store, make_stack(store))


def test_a_push_after_one_that_was_applied_is_all_that_its_run_applies(history: History) -> None:
    history.pushed(1, 2, state=RunState.FINISHED)
    assert history.stretches(history.pushed(5, 6)) == [(5, 6)], "what was pushed between was of no concern to the stack"


def test_what_was_pushed_and_turned_down_before_is_applied_with_the_next_push(history: History) -> None:
    """So that nobody waits for another's push to confirm what they made themselves; also where only a part was
    applied, or nothing (SKIP_APPLYING)."""
    history.pushed(1, 2, state=RunState.FINISHED)
    history.pushed(2, 3, by="Mallory")
    history.run(3, type=RunType.DESTROY, state=RunState.FINISHED)
    history.pushed(4, 5, state=RunState.FAILED, by="bob")
    last = history.pushed(5, 6, by="carol")
    assert history.stretches(last) == [(2, 3), (4, 6)]
    assert history.makers(last).pushers == {"mallory", "bob", "carol"}
    part = Targeting(of_plan=1, chosen=("a.b",))
    history.pushed(6, 7, state=RunState.FINISHED, targeting=part)
    assert history.stretches(history.pushed(7, 8)) == [(2, 3), (4, 8)]
    history.pushed(8, 9, state=RunState.FINISHED, plan=plan_of())
    assert history.stretches(history.pushed(9, 10)) == [(2, 3), (4, 10)]


def test_a_tag_and_an_order_apply_what_came_since_the_last_that_was_applied(history: History) -> None:
    """The first ever has no beginning that anybody knows; a pull request knows its own commits; whoever ordered an
    earlier run made nothing of it."""
    tag = history.run(3, ref="refs/tags/v1", trigger=Trigger.TAG)
    assert history.stretches(tag) == [(None, 3)]
    history.pushed(3, 4, state=RunState.FINISHED)
    history.decided(0, 9, ref="refs/tags/v2", kind=EventKind.TAG)
    tag = history.run(9, ref="refs/tags/v2", trigger=Trigger.TAG)
    assert history.stretches(tag) == [(4, 9)]
    order = history.run(9, trigger=Trigger.COMMAND, by="bob")
    assert history.stretches(order) == [(4, 9)]
    assert history.makers(order).pushers == {"alice"}
    again = history.run(4, trigger=Trigger.COMMAND)
    assert history.stretches(again) == [(4, 9), (4, 4)]
    promoted = history.run(11, ref="refs/heads/work", trigger=Trigger.COMMAND, pull_number=7)
    assert history.stretches(promoted) == [(4, 9), (4, 4), (None, 11)]


def test_what_destroys_everything_brings_nothing(history: History) -> None:
    history.pushed(1, 2, state=RunState.FINISHED)
    history.pushed(2, 3)
    assert history.makers(history.run(3, type=RunType.DESTROY)).stretches == (Stretch(since=sha(3), head=sha(3)),)


def test_pushes_in_vain_that_are_too_many_are_named(history: History) -> None:
    for number in range(MAX_STRETCHES + 1):
        last = history.pushed(10 * number + 1, 10 * number + 2)
    assert history.makers(last).obstacle == (
        "asking who made the change: more than 20 pushes to stack network were never applied, and count with it"
    )


def test_who_pushed_is_not_known_of_what_was_found_and_of_its_retries(history: History) -> None:
    found = history.run(2, by=FOUND_BY)
    again = history.run(2, by="alice", trigger=Trigger.COMMAND, retry_of=found.id)
    order = history.run(2, by="alice", trigger=Trigger.COMMAND)
    with history.store.begin() as tx:
        assert starters(tx, again) == {"alice", FOUND_BY}
        assert starters(tx, order) == {"alice"}
        assert starters(tx, history.run(3, by="")) == {FOUND_BY}
    assert history.makers(found).pushers == frozenset()
