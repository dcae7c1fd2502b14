"""What GitHub never told, not even in its log: branches and tags that moved are found where they are, and run once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.run import RunState
from app.flows.decide import COVERED
from app.sandbox import Repo
from tests.driver import World, open_world, wait_until
from tests.journeys.test_missed_log import CHANGED, FILES, counted, execute

POLICY = (
    'package spacelift\n\ntrack { input.push.tag != "" }\ntrack { input.push.branch == "main" }\npropose { false }\n'
)
TAGGED = {
    ".trackside/stacks.yml": (
        "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
        "policies:\n  - {name: tags, type: push, path: tags.rego, attach: [app]}\n"
    ),
    "tags.rego": POLICY,
    "app/main.tf": FILES["app/main.tf"],
}
QUICK = {"DELIVERY_LOG_EVERY_S": "1", "REFS_EVERY_S": "1", "REFS_GRACE_S": "1"}


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """A world that looks all the time, and waits a second for an event on its way."""
    with open_world(tmp_path, database_url, **QUICK) as made:
        yield made


def seen(world: World, repo: Repo) -> None:
    """Wait until the repository's refs were looked at once, and what is there is known."""
    first = "SELECT repository_id FROM ref_looks WHERE first_at IS NOT NULL"
    wait_until(lambda: (repo.id,) in world.sql(first), "the repository was seen")


def test_a_push_that_github_lost_altogether_is_found_and_says_so(world: World) -> None:
    """No event, no line in the log: the branch's head is decided all the same, against what was decided before, and
    record and check say how it was found."""
    repo = world.repository(FILES)
    before = repo.sha()
    world.expect_state(RunState.UNCONFIRMED)
    seen(world, repo)
    world.github.post.drop = 2
    sha = world.push(repo, CHANGED, "Lost")
    world.github.post.drop = 0
    wait_until(lambda: world.runs()[-1].head_sha == sha, "it was found")
    assert counted(world, "found", "heads") == 1
    verdict, reason, note = world.decision(sha)
    assert (verdict, reason) == ("track", "app/main.tf changed")
    assert note == "found by ls-remote: GitHub sent no event"
    assert (sha, before) in world.sql("SELECT head_sha, before FROM decisions")
    world.settle()
    assert world.runs()[-1].triggered_by == "found by ls-remote"


def test_five_tags_in_one_push_are_all_decided_and_old_ones_are_not(world: World) -> None:
    """GitHub sends no event for more than three tags. Each of them runs once; a tag that was there at first sight runs
    never, not even after it was looked at again and again."""
    repo = world.repository()
    repo.push_tags(["old1", "old2", "old3", "old4"], by="alice")
    world.push(repo, TAGGED, "First stacks")
    world.expect_state(RunState.UNCONFIRMED)
    seen(world, repo)
    names = [f"v{number}" for number in range(5)]
    repo.push_tags(names, by="alice")
    wanted = [f"refs/tags/{name}" for name in names]
    decided = "SELECT DISTINCT ref FROM decisions WHERE event = 'tag' ORDER BY ref"
    wait_until(
        lambda: world.sql(decided) == [(ref,) for ref in wanted], "all were decided", found=lambda: world.sql(decided)
    )
    world.wait_carried_out()
    assert sorted(run.ref for run in world.runs() if run.ref.startswith("refs/tags/")) == wanted
    repo.delete_tag("v0", by="alice")
    gone = "SELECT ref FROM known_refs WHERE ref = 'refs/tags/v0'"
    wait_until(lambda: not world.sql(gone), "a deleted tag is forgotten")
    assert world.sql("SELECT ref FROM decisions WHERE ref LIKE 'refs/tags/old%'") == []


def test_log_redelivery_and_ls_remote_find_the_same_push_and_it_runs_once(tmp_path: Path, database_url: str) -> None:
    """The push was refused; ls-remote finds it first, then GitHub delivers it again, twice: one decision, one run."""
    quick = QUICK | {"DELIVERY_LOG_EVERY_S": "3600"}
    with open_world(tmp_path, database_url, **quick) as world:
        repo = world.repository(FILES)
        world.expect_state(RunState.UNCONFIRMED)
        seen(world, repo)
        world.github.post.refuse = 4  # each with the event of its check suite
        first = world.push(repo, {"app/two.tf": "# two\n"}, "Refused")
        second = world.push(repo, CHANGED, "Refused, too")
        world.github.wait_deliveries()
        refused = [one for one in world.github.deliveries if not one.ok]
        wait_until(lambda: world.runs()[-1].head_sha == second, "it was found")
        world.settle()
        execute(world, "UPDATE looks SET ended_at = ended_at - interval '2 hours'")
        wait_until(lambda: counted(world, "recovered") == len(refused), "the log brought them as well")
        world.github.redeliver(refused[-1])
        world.settle()
        assert [run.head_sha == second for run in world.runs()].count(True) == 1
        assert first not in [run.head_sha for run in world.runs()], "it was decided as part of what was found"
        decided = [sha for (sha,) in world.sql("SELECT head_sha FROM decisions")]
        assert [decided.count(sha) for sha in (first, second)] == [0, 1]
        covered = [row for row in world.sql("SELECT reason FROM deliveries") if row == (COVERED,)]
        assert len(covered) == 2


def test_a_branch_that_was_forced_back_unseen_is_followed(world: World) -> None:
    """A lost forced push to an older commit: the stack's head goes back with its branch."""
    repo = world.repository(FILES)
    base = repo.sha()
    world.expect_state(RunState.UNCONFIRMED)
    world.push(repo, CHANGED, "Goes away")
    world.settle()
    seen(world, repo)
    world.github.post.drop = 2
    repo.set_branch("main", base, by="alice")
    world.github.post.drop = 0
    wait_until(lambda: world.sql("SELECT head_sha FROM stacks") == [(base,)], "the head went back")
    assert world.decision(base)[2].startswith("found by ls-remote: GitHub sent no event; forced push")
