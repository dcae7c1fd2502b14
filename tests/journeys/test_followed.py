"""Repositories and the App come, go, pause and change their names: runs, reports and requests follow."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.run import RunState
from tests.driver import OWNER, World, open_world, wait_until
from tests.journeys.test_missed_heads import seen
from tests.journeys.test_missed_log import CHANGED, FILES

SLOW = {"DELIVERY_LOG_EVERY_S": "3600", "REFS_EVERY_S": "86400", "ALLOWED_ACCOUNTS": f"{OWNER},acme-corp"}
QUICK = {"DELIVERY_LOG_EVERY_S": "1", "REFS_EVERY_S": "1", "REFS_GRACE_S": "1"}


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """A world that looks all the time."""
    with open_world(tmp_path, database_url, **QUICK) as made:
        yield made


def waits(world: World) -> RunState:
    """The newest run's state, once nothing moves."""
    world.wait_carried_out()
    return world.runs()[-1].state


def test_an_archived_repository_is_left_alone_and_comes_back(world: World) -> None:
    """Its waiting plan is discarded, with why; nothing is asked about it and nothing written, and the page tells what
    GitHub cannot be told. Unarchived: what is behind catches up, and the next push runs."""
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    seen(world, repo)
    world.github.archive_repository(repo.full_name)
    world.github.wait_deliveries()
    wait_until(lambda: world.runs()[-1].state is RunState.DISCARDED, "the plan was discarded")
    assert "the repository was archived" in world.page(f"/runs/{world.the_run().id}")
    wait_until(lambda: not world.sql(PUBLISHING), "no job is left")
    refused = [one for one in world.github.requests if one.status == 403]
    assert refused == [], "nothing was tried"
    due = world.sql(DUE)
    assert due == [(True,)], "it stays due, and is not taken"

    world.github.archive_repository(repo.full_name, archived=False)
    world.settle()
    check = repo.check_run(repo.sha(), "deploy/app")
    assert check is not None
    assert check.title is not None
    assert "discarded" in check.title
    world.push(repo, CHANGED, "Goes on")
    world.expect_state(RunState.UNCONFIRMED)


def test_a_suspended_app_waits_with_everything_and_catches_up(world: World) -> None:
    """Suspended: no request is made for the account, nothing new is claimed. Back: what was pushed meanwhile is found
    and planned, and every report stands."""
    repo = world.repository(FILES)
    first = repo.sha()
    world.expect_state(RunState.UNCONFIRMED)
    seen(world, repo)
    world.github.suspend(OWNER)
    world.wait_carried_out()
    asked = len([one for one in world.github.requests if one.auth == "installation"])
    assert world.operate("discard", world.the_run().id).returncode == 0
    sha = world.push(repo, CHANGED, "While suspended")
    wait_until(lambda: not world.sql(PUBLISHING), "no job is left")
    assert len([one for one in world.github.requests if one.auth == "installation"]) == asked
    assert len(world.runs()) == 1

    world.github.suspend(OWNER, suspended=False)
    wait_until(lambda: world.runs()[-1].head_sha == sha, "the push was found")
    world.expect_state(RunState.UNCONFIRMED)
    check = world.expect_check(repo, first, "deploy/app", "neutral")
    assert check.title is not None
    assert "discarded" in check.title


def test_a_repository_that_is_taken_from_the_app_and_given_back(world: World) -> None:
    """Taken away: its waiting plan is discarded, its refs are forgotten. Given back: old tags run not, a push does."""
    other = world.repository(name="other")
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    seen(world, repo)
    world.github.select_repositories(OWNER, ["other"])
    world.github.wait_deliveries()
    wait_until(lambda: world.runs()[-1].state is RunState.DISCARDED, "the plan was discarded")
    assert world.runs()[-1].reason == "the App was removed from the repository"
    assert world.sql("SELECT ref FROM known_refs") == []
    repo.push_tags(["v1"], by="alice")

    world.github.select_repositories(OWNER, [other.record.name, repo.record.name])
    seen(world, repo)
    world.push(repo, CHANGED, "Back again")
    world.expect_state(RunState.UNCONFIRMED)
    assert [run.ref for run in world.runs()] == ["refs/heads/main", "refs/heads/main"]


def test_another_default_branch_brings_its_own_configuration(world: World) -> None:
    """The stacks file of the new default branch is in force at once, and its stack is where that branch is."""
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    sha = world.push(repo, CHANGED, "On trunk", branch="trunk")
    world.settle()
    world.github.set_default_branch(repo.full_name, "trunk")
    wait_until(lambda: world.sql("SELECT head_sha FROM stacks") == [(sha,)], "the stack follows")
    world.settle()
    assert world.runs()[-1].ref == "refs/heads/trunk"
    assert world.sql("SELECT settings::json ->> 'branch' FROM stacks") == [("trunk",)]


def test_an_account_is_renamed_and_a_repository_given_away(tmp_path: Path, database_url: str) -> None:
    """The names follow, and stack, run, waiting plan and the account's secrets stay; handed to an account that is not
    served, a repository is let go: its plan is discarded, and nothing of it is asked any more."""
    with open_world(tmp_path, database_url, **SLOW) as world:
        repo = world.repository(FILES)
        world.expect_state(RunState.UNCONFIRMED)
        before = world.sql("SELECT id, head_sha FROM stacks")
        (told,) = (one.payload for one in world.github.deliveries if one.event == "push")
        world.operate("secret", "set", "TOKEN", "--scope", repo.record.owner.login, stdin="hunter2-hunter2\n")
        words = ["webhook", "add", "ci", "--account", repo.record.owner.login]
        assert world.operate(*words, stdin="https://ci.example/hook\n" + "s" * 20 + "\n").returncode == 0
        account = {"login": "acme-corp", "id": repo.record.owner.id}
        renamed = {"action": "renamed", "account": account, "installation": told["installation"]}
        world.github.post.send("installation_target", renamed)
        wait_until(lambda: world.sql(NAMES) == [("acme-corp", "infra")], "the name follows")
        assert world.sql("SELECT accounts::text FROM endpoints") == [('["acme-corp"]',)]
        assert world.sql("SELECT owner, name FROM secrets") == [("acme-corp", "TOKEN")]
        assert world.sql("SELECT id, head_sha FROM stacks") == before
        assert world.runs()[-1].state is RunState.UNCONFIRMED

        opened = {"action": "publicized", "repository": {**told["repository"], "private": False}}
        check = world.expect_check(repo, repo.sha("main"), "deploy/app", "action_required")
        assert "terraform_data" in (check.text or "")
        world.github.post.send("repository", {**opened, "installation": told["installation"], "sender": told["sender"]})
        wait_until(lambda: "terraform_data" not in (check.text or ""), "everybody can read the check now")
        wait_until(lambda: not world.sql(PUBLISHING), "what was asked for that has been answered")

        there = {**told["repository"], "owner": {**told["repository"]["owner"], "login": "stranger"}}
        there["full_name"] = "stranger/infra"
        asked = len(world.github.requests)
        moved = {"action": "transferred", "repository": there, "installation": told["installation"]}
        world.github.post.send("repository", {**moved, "changes": {}, "sender": told["sender"]})
        wait_until(lambda: world.runs()[-1].state is RunState.DISCARDED, "the plan was discarded")
        wait_until(lambda: not world.sql(PUBLISHING), "no job is left")
        assert world.runs()[-1].reason == "the App was removed from the repository"
        assert len(world.github.requests) == asked


def test_an_app_that_is_taken_away_lets_go_of_everything_and_asks_nothing(tmp_path: Path, database_url: str) -> None:
    """Its waiting plan is discarded, its refs are forgotten, and GitHub, which would refuse, is not asked."""
    with open_world(tmp_path, database_url, **SLOW) as world:
        repo = world.repository(FILES)
        world.expect_state(RunState.UNCONFIRMED)
        wait_until(lambda: not world.sql(PUBLISHING), "all is told")
        asked = len(world.github.requests)
        world.github.uninstall(OWNER)
        wait_until(lambda: world.runs()[-1].state is RunState.DISCARDED, "the plan was discarded")
        wait_until(lambda: not world.sql(PUBLISHING), "no job is left")
        assert world.runs()[-1].reason == "the App was removed from the repository"
        assert world.sql("SELECT ref FROM known_refs") == []
        world.push(repo, CHANGED, "Nobody is told")
        world.wait_carried_out()
        assert len(world.github.requests) == asked
        assert len(world.runs()) == 1


NAMES = "SELECT owner, name FROM repositories"
PUBLISHING = "SELECT 1 FROM procrastinate_jobs WHERE task_name = 'publish' AND status IN ('todo', 'doing')"
DUE = "SELECT due_at < now() + interval '2 s' FROM ref_looks"
