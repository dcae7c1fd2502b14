"""The App itself: who owns it, where it is installed, which deliveries went wrong, and sending them again."""

from datetime import datetime, timedelta

import pytest

from app.core.errors import UserError
from app.github.client import GitHubApp
from app.github.registration import DeliveryAttempt
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
    (attempt,) = [one for one in app.read_deliveries().attempts if is_push(one, start)]
    assert not attempt.is_ok
    app.redeliver(attempt.id)
    sandbox.wait_deliveries()
    again = [one for one in app.read_deliveries().attempts if is_push(one, start)]
    assert [one.guid for one in again] == [attempt.guid] * 2
    assert again[0].id > again[1].id


def is_push(attempt: DeliveryAttempt, since: datetime) -> bool:
    return attempt.event == "push" and attempt.delivered_at >= since


def test_the_log_is_read_page_by_page_newest_first(app: GitHubApp, sandbox: SandboxGitHub, repo: Repo) -> None:
    sandbox.webhook_url = "http://127.0.0.1:9/never-there"
    for _ in range(101):
        sandbox.ping()
    sandbox.wait_deliveries()
    first = app.read_deliveries()
    assert len(first.attempts) == 100
    assert first.cursor != ""
    sandbox.ping()
    sandbox.wait_deliveries()
    rest = app.read_deliveries(first.cursor)
    assert rest.cursor == ""
    numbers = [one.id for one in (*first.attempts, *rest.attempts)]
    assert numbers == sorted(set(numbers), reverse=True), "a page that was begun does not move when news comes"
    assert [one.event for one in rest.attempts][:1] == ["ping"]
    assert not any(one.is_ok for one in rest.attempts)


def test_a_delivery_that_the_log_forgot_cannot_be_sent_again(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo
) -> None:
    with pytest.raises(UserError, match="asking for delivery 1 again: not found on GitHub"):
        app.redeliver(1)
