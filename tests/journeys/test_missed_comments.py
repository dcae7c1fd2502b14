"""After a silence longer than GitHub's log: commands that people wrote meanwhile are answered, never carried out."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.core.run import RunState
from tests.driver import World, open_world, wait_until
from tests.journeys.test_missed_log import CHANGED, FILES, counted, execute

QUICK = {"DELIVERY_LOG_EVERY_S": "3600", "REFS_EVERY_S": "86400", "REFS_GRACE_S": "3600"}
SILENCE = "UPDATE looks SET seen_until = seen_until - interval '4 days', ended_at = ended_at - interval '4 days'"


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """A world that reads the delivery log at its start, and then when a test lets time go by."""
    with open_world(tmp_path, database_url, **QUICK) as made:
        yield made


def test_commands_of_a_long_silence_are_answered_once_and_not_carried_out(world: World) -> None:
    """A confirm that nobody heard is answered "please repeat"; words, what was heard before, and what is too young
    are not answered. A second silence finds nothing new."""
    repo = world.repository(FILES)
    assert world.operate("discard", world.expect_state(RunState.UNCONFIRMED).id).returncode == 0
    number, sha = world.land(repo, CHANGED, "Change")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.comment(repo, number, "/trackside help")
    world.settle()
    heard = len(world.replies(repo, number))
    world.github.post.drop = 3
    for body in ("/trackside confirm app", "Looks good to me", "/trackside discard app"):
        world.comment(repo, number, body)
    assert world.github.post.drop == 0
    said = [one for one in repo.comments(number) if not one.by_app]
    for one in said[:-1]:
        one.created_at -= timedelta(hours=2)
    wait_until(lambda: len(world.sql("SELECT 1 FROM looks WHERE seen_until IS NOT NULL")) >= 1, "the log was read")

    execute(world, SILENCE)
    wait_until(lambda: counted(world, "found", "comments") == 1, "it was found")
    world.settle()
    answers = world.replies(repo, number)[heard:]
    assert len(answers) == 1
    assert "Please repeat it: `/trackside confirm`" in answers[0]
    assert [one.content for one in repo.reactions(said[1])] == ["-1"]
    assert world.expect_state(RunState.UNCONFIRMED).decided_by == ""

    execute(world, "UPDATE looks SET ended_at = NULL WHERE path = 'comments'")
    execute(world, SILENCE)
    again = "SELECT 1 FROM looks WHERE path = 'comments' AND began_at IS NULL AND ended_at IS NOT NULL"
    wait_until(lambda: bool(world.sql(again)), "it was looked again")
    world.settle()
    assert len(world.replies(repo, number)) == heard + 1


def test_a_short_silence_asks_for_no_conversation(world: World) -> None:
    """As long as the log goes back far enough it tells all: no request is spent on comments."""
    world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    read = "SELECT 1 FROM looks WHERE path = 'delivery_log' AND ended_at > now() - interval '1 hour'"
    wait_until(lambda: bool(world.sql(read)), "the log was read")
    execute(world, "UPDATE looks SET seen_until = seen_until - interval '2 days', ended_at = now() - interval '1 day'")
    wait_until(lambda: bool(world.sql(read)), "the log was read again")
    assert world.github.count_requests("GET", "/issues/comments") == 0
    assert world.sql("SELECT path FROM looks WHERE path = 'comments'") == []
