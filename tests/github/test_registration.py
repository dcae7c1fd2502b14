"""The App itself: who owns it, where it is installed, which deliveries went wrong, and sending them again."""

from datetime import timedelta

import pytest

from app.core.errors import UserError
from app.github.client import GitHubApp
from app.sandbox import Repo, SandboxGitHub


def test_the_app_names_its_owner_and_what_it_asks_for(app: GitHubApp, sandbox: SandboxGitHub) -> None:
    identity = app.find_app_owner()
    assert (identity.owner, identity.slug, identity.bot) == ("trackside-labs", "trackside", "trackside[bot]")
    assert identity.permissions["checks"] == "write"
    assert "push" in identity.events


def test_installations_are_listed_by_number_with_what_they_granted(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo
) -> None:
    sandbox.create_user("bob")
    sandbox.install("bob", permissions={"metadata": "read"})
    sandbox.suspend("bob")
    first, second = app.list_installations()
    assert (first.account, first.is_suspended, first.permissions["checks"]) == ("acme", False, "write")
    assert (second.account, second.is_suspended, second.permissions) == ("bob", True, {"metadata": "read"})


def test_more_installations_than_a_page_are_all_listed(app: GitHubApp, sandbox: SandboxGitHub, repo: Repo) -> None:
    for number in range(100):
        sandbox.create_user(f"user-{number}")
        sandbox.install(f"user-{number}")
    assert len(app.list_installations()) == 101
    assert sandbox.count_requests("GET", "/app/installations") == 2


def test_what_was_not_delivered_is_listed_and_sent_again(app: GitHubApp, sandbox: SandboxGitHub, repo: Repo) -> None:
    sandbox.webhook_url = "http://127.0.0.1:9/never-there"
    start = sandbox.clock.now() - timedelta(seconds=1)
    repo.push(files={"net/main.tf": "two\n"}, message="Two")
    sandbox.wait_deliveries()
    (attempt,) = [one for one in app.list_deliveries(start) if one.event == "push"]
    assert not attempt.is_ok
    app.redeliver(attempt.id)
    sandbox.wait_deliveries()
    again = [one for one in app.list_deliveries(start) if one.event == "push"]
    assert [one.guid for one in again] == [attempt.guid] * 2
    assert again[0].id > again[1].id


def test_only_deliveries_since_a_moment_are_listed(app: GitHubApp, sandbox: SandboxGitHub, repo: Repo) -> None:
    sandbox.webhook_url = "http://127.0.0.1:9/never-there"
    for _ in range(101):
        sandbox.ping()
    sandbox.wait_deliveries()
    old = sandbox.clock.now()
    assert len(app.list_deliveries(old - timedelta(minutes=1))) == 101
    sandbox.clock.advance(60)
    sandbox.ping()
    sandbox.wait_deliveries()
    before = sandbox.count_requests("GET", "/app/hook/deliveries")
    assert [one.event for one in app.list_deliveries(old + timedelta(seconds=30))] == ["ping"]
    assert sandbox.count_requests("GET", "/app/hook/deliveries") - before == 1


def test_a_delivery_that_the_log_forgot_cannot_be_sent_again(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo
) -> None:
    with pytest.raises(UserError, match="asking for delivery 1 again: not found on GitHub"):
        app.redeliver(1)
