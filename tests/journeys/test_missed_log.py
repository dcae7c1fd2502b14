"""No event is lost: what GitHub could not bring is asked for again, arrives by the ordinary door, and counts once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath

import httpx
import pytest

from app.core.missed import Path
from app.core.run import RunState
from tests.driver import World, open_world, wait_until

FILES = {
    ".trackside/stacks.yml": "version: 1\nstacks:\n  - name: app\n    project_root: app\n",
    "app/main.tf": 'resource "terraform_data" "web" { input = "one" }\n',
}
CHANGED = {"app/main.tf": 'resource "terraform_data" "web" { input = "two" }\n'}
QUICK = {"DELIVERY_LOG_EVERY_S": "1", "REFS_EVERY_S": "86400", "REFS_GRACE_S": "3600"}


@pytest.fixture
def world(tmp_path: FilePath, database_url: str) -> Iterator[World]:
    """A world that reads the delivery log all the time, and looks at refs as good as never."""
    with open_world(tmp_path, database_url, **QUICK) as made:
        yield made


def counted(world: World, outcome: str, path: str = "delivery_log") -> int:
    """What the metric says."""
    text = httpx.get(f"{world.url}/metrics", trust_env=False).raise_for_status().text
    name = f'trackside_missed_events_total{{outcome="{outcome}",path="{path}"}}'
    other = f'trackside_missed_events_total{{path="{path}",outcome="{outcome}"}}'
    found = [line.split()[-1] for line in text.splitlines() if line.startswith((name, other))]
    return int(float(found[0])) if found else 0


def execute(world: World, statement: str) -> None:
    """Change the database as time would."""
    with world.plane.store.begin() as tx:
        tx._connection.exec_driver_sql(statement)


@contextmanager
def no_look(world: World) -> Iterator[None]:
    """No look at the log is under way, and none begins, until the block ends."""
    while True:
        with world.plane.store.only_one(Path.DELIVERY_LOG) as is_ours:
            if is_ours:
                yield
                return
        threading.Event().wait(0.02)


def test_pushes_that_an_app_out_of_order_refused_come_back_by_themselves(world: World) -> None:
    """The app answers 500, then nobody answers at all: both pushes are decided without anybody's help, in their order,
    once each, and the metric says how."""
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    world.github.post.refuse = 1
    first = world.push(repo, CHANGED, "Refused")
    world.github.wait_deliveries()
    world.github.post.lose = 1
    second = world.push(repo, {"app/more.tf": "# more\n"}, "Timed out")
    world.github.wait_deliveries()

    wait_until(lambda: counted(world, "recovered") >= 2, "both came back", found=lambda: world.sql(NOTED))
    world.settle()
    assert [run.head_sha for run in world.runs()][1:] == [first, second]
    assert world.sql("SELECT count(*) FROM runs GROUP BY head_sha, type") == [(1,), (1,), (1,)]
    assert counted(world, "found") == counted(world, "asked") == 2
    sent = [one for one in world.github.deliveries if one.redelivery]
    assert [one.ok for one in sent] == [True, True]


def test_what_never_arrives_is_asked_for_less_and_less_and_never_faster_than_allowed(
    tmp_path: FilePath, database_url: str
) -> None:
    """Ten lost deliveries at two a minute: two are asked for, the oldest first, and no third within the minute."""
    with open_world(tmp_path, database_url, **QUICK, REDELIVERIES_PER_MINUTE="2") as world:
        repo = world.repository(FILES)
        world.expect_state(RunState.UNCONFIRMED)
        world.github.post.refuse = 11
        for number in range(5):
            world.push(repo, {f"app/{number}.tf": "# lost\n"}, f"Lost {number}")
        world.github.wait_deliveries()
        lost = [one.guid for one in world.github.deliveries if not one.ok]
        wait_until(lambda: counted(world, "asked") == 2, "two were asked for", found=lambda: world.sql(NOTED))
        wait_until(lambda: len(world.sql(LOOKED)) == 1, "the log was read since")
        waiting = "SELECT count(*) FROM missed_deliveries WHERE asked = 0"
        wait_until(lambda: world.sql(waiting) == [(8,)], "all of them were found", found=lambda: world.sql(NOTED))
        again = [one for one in world.github.deliveries if one.redelivery]
        assert [one.guid for one in again] == lost[:2]
        execute(world, "UPDATE missed_deliveries SET asked_at = asked_at - interval '2 minutes', next_ask_at = now()")
        wait_until(lambda: counted(world, "recovered") >= 2, "the next ones came", found=lambda: world.sql(NOTED))
        waits = world.sql("SELECT next_ask_at > asked_at + interval '1.5 s' FROM missed_deliveries WHERE asked = 2")
        assert waits != []
        assert (False,) not in waits, "the second time it waits twice as long"


def test_a_delivery_that_cannot_be_had_any_more_is_given_up(world: World) -> None:
    """It was asked for often enough: no more requests are spent on it, and the metric says so."""
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    world.github.post.refuse = 1000
    world.push(repo, CHANGED, "Refused")
    world.github.wait_deliveries()
    wait_until(lambda: counted(world, "asked") >= 2, "push and check suite were asked for")
    execute(world, "UPDATE missed_deliveries SET asked = 12, next_ask_at = now()")
    wait_until(lambda: counted(world, "given_up") == 2, "they were given up")
    asked = counted(world, "asked")
    wait_until(lambda: len(world.sql(LOOKED)) == 1, "the log was read since")
    assert counted(world, "asked") == asked
    world.github.post.refuse = 0


def test_a_click_and_a_command_that_come_late_are_not_obeyed(world: World) -> None:
    """What was pressed or written more than ten minutes before it reaches us is answered: please repeat."""
    repo = world.repository()
    number, sha = world.land(repo, FILES, "First stack")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    wait_until(lambda: world.sql(DONE) != [], "the log was read to its end")
    world.settle()
    with no_look(world):
        world.github.post.refuse = 2
        world.press(check, "Confirm")
        comment = world.comment(repo, number, "/trackside confirm")
        world.github.wait_deliveries()
        lost = [one for one in world.github.post._log if not one.ok]
        assert [one.event for one in lost] == ["check_run", "issue_comment"]
        for one in lost:
            one.delivered_at -= timedelta(minutes=11)
        assert lost[1].payload["comment"]["id"] == comment
        lost[1].payload["comment"]["created_at"] = f"{datetime.now(UTC) - timedelta(minutes=11):%Y-%m-%dT%H:%M:%SZ}"
        execute(world, "UPDATE looks SET seen_until = NULL")
    wait_until(lambda: world.remarks(repo, sha) != [], "the click was answered", found=lambda: world.sql(NOTED))
    world.settle()
    assert "Please press it again" in world.remarks(repo, sha)[0]
    assert world.runs()[-1].state is RunState.UNCONFIRMED, "nor is the comment"
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]
    assert "Please repeat it" in world.replies(repo, number)[-1]


def test_the_log_is_left_alone_for_as_long_as_github_asks(world: World) -> None:
    """A limit with `retry-after`: nothing is asked before that, by whichever process; then what was lost comes."""
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    wait_until(lambda: world.sql(DONE) != [], "the log was read to its end")
    world.settle()
    world.github.trouble.hit_secondary_limit(1, retry_after_s=3000)
    world.github.post.refuse = 1
    lost = world.push(repo, CHANGED, "Refused")
    wait_until(lambda: world.sql(RESTS) == [(True,)], "the look rests: GitHub would not send it again now")

    asked = world.github.count_requests("", "/app/hook/deliveries")
    assert [world.plane.tasks.looks["delivery_log"]() for _ in range(3)] == [0, 0, 0]
    assert world.github.count_requests("", "/app/hook/deliveries") == asked
    assert world.sql(RESTS) == [(True,)]
    execute(world, "UPDATE looks SET rests_until = now()")
    wait_until(lambda: world.runs()[-1].head_sha == lost, "the push came", found=lambda: world.sql(NOTED))


def test_a_push_that_comes_back_late_takes_nothing_back(world: World) -> None:
    """The newer push came at once; the older one, refused, comes by the log: its commit is on the branch, so it is
    decided, and what is deployed stays where the newer one brought it."""
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    world.github.post.refuse = 1
    older = world.push(repo, CHANGED, "Refused")
    world.github.wait_deliveries()
    newer = world.push(repo, {"app/more.tf": "# more\n"}, "Newer")
    wait_until(lambda: counted(world, "recovered") == 1, "the older one came", found=lambda: world.sql(NOTED))
    world.settle()
    assert world.sql("SELECT head_sha FROM stacks") == [(newer,)]
    assert world.runs()[-1].head_sha == newer, older


DONE = "SELECT 1 FROM looks WHERE path = 'delivery_log' AND ended_at IS NOT NULL"
RESTS = "SELECT rests_until > now() + interval '40 minutes' FROM looks WHERE path = 'delivery_log'"
NOTED = "SELECT event, asked, outcome, next_ask_at - now() FROM missed_deliveries"
LOOKED = "SELECT path FROM looks WHERE path = 'delivery_log' AND ended_at > now() - interval '1 s'"
