"""What the App hears: signed, in order, in the shapes that GitHub documents, logged, and sent again when asked."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from githubkit.webhooks import parse_obj

from app.sandbox import Repo, SandboxError, SandboxGitHub
from tests.sandbox.conftest import Api, Inbox


def events(github: SandboxGitHub) -> list[str]:
    github.wait_deliveries()
    return [one.event + (f".{one.action}" if one.action else "") for one in github.deliveries]


def payload(github: SandboxGitHub, event: str) -> dict[str, Any]:
    github.wait_deliveries()
    return [one.payload for one in github.deliveries if one.event == event][-1]


def test_a_delivery_is_signed_and_named(github: SandboxGitHub, repo: Repo, inbox: Inbox) -> None:
    sha = repo.push(files={"net/main.tf": "two\n"}, author="alice")
    github.wait_deliveries()
    headers, body = inbox.headers[0], inbox.bodies[0]
    expected = hmac.new(github.webhook_secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={expected}"
    assert headers["x-github-event"] == "push"
    assert headers["x-github-delivery"] == github.deliveries[0].guid
    assert headers["x-github-hook-installation-target-type"] == "integration"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("GitHub-Hookshot/")
    told = json.loads(body)
    assert (told["after"], told["sender"]["login"]) == (sha, "alice")
    assert told["installation"]["id"] == github.installation("acme").id


def test_every_payload_fits_githubs_description(github: SandboxGitHub, repo: Repo, inbox: Inbox, api: Api) -> None:
    sha = repo.push("topic", {"net/main.tf": "two\n"}, author="alice")
    number = repo.open_pull("topic", author="alice")
    repo.push("topic", {"net/main.tf": "three\n"}, author="alice")
    said = repo.comment_on_pull(number, "hello", by="rita")
    repo.edit_comment(said, "hello all", by="rita")
    repo.delete_comment(said, by="rita")
    repo.comment_on_commit(sha, "hello", by="rita")
    done = api(
        "POST",
        "/repos/acme/infra/check-runs",
        name="deploy/net",
        head_sha=sha,
        conclusion="action_required",
        output={"title": "t", "summary": "s"},
        actions=[{"label": "Confirm", "description": "d", "identifier": "c1"}],
    )
    repo.press(done.json()["id"], "Confirm", by="rita")
    repo.merge_pull(number, by="alice")
    github.rename_repository("acme/infra", "infra2")
    github.suspend("acme")
    github.ping()
    heard = events(github)
    assert heard == [
        "push", "check_suite.requested", "pull_request.opened",
        "push", "check_suite.requested", "pull_request.synchronize",
        "issue_comment.created", "issue_comment.edited", "issue_comment.deleted", "commit_comment.created",
        "check_run.created", "check_run.completed", "check_suite.completed", "check_run.requested_action",
        "pull_request.closed", "push", "check_suite.requested",
        "repository.renamed", "installation.suspend", "ping",
    ]  # fmt: skip
    for one in github.deliveries:
        parse_obj(one.event, one.payload)
    click = next(one.payload for one in github.deliveries if one.action == "requested_action")
    assert click["requested_action"] == {"identifier": "c1"}
    assert click["sender"]["login"] == "rita"


def test_a_push_says_what_changed(github: SandboxGitHub, repo: Repo, inbox: Inbox) -> None:
    before = repo.sha()
    commits = [repo.change({"a": "1", "README.md": None}, "one"), repo.change({"net/main.tf": "2"}, "two")]
    repo.push_commits("main", commits)
    told = payload(github, "push")
    assert (told["ref"], told["before"], told["created"], told["forced"]) == ("refs/heads/main", before, False, False)
    changes = [(one["message"], one["added"], one["removed"], one["modified"]) for one in told["commits"]]
    assert changes == [("one", ["a"], ["README.md"], []), ("two", [], [], ["net/main.tf"])]
    assert told["head_commit"]["message"] == "two"


def test_forced_created_and_deleted(github: SandboxGitHub, repo: Repo, inbox: Inbox) -> None:
    first = repo.sha()
    repo.push(files={"a": "1"})
    repo.push(files={"a": "2"}, base=first, force=True)
    assert payload(github, "push")["forced"] is True
    repo.set_branch("copy", "main")
    told = payload(github, "push")
    assert (told["created"], told["before"], told["base_ref"], told["commits"]) == (
        True,
        "0" * 40,
        "refs/heads/main",
        [],
    )
    repo.delete_branch("copy")
    told = payload(github, "push")
    assert (told["deleted"], told["after"], told["head_commit"]) == (True, "0" * 40, None)


def test_tags_are_told_up_to_three(github: SandboxGitHub, repo: Repo, inbox: Inbox) -> None:
    sha = repo.tag("v1", message="annotated")
    told = payload(github, "push")
    assert told["ref"] == "refs/tags/v1"
    assert told["after"] != sha
    assert told["head_commit"]["id"] == sha
    repo.push_tags(["a", "b", "c"])
    repo.push_tags(["d", "e", "f", "g"])
    github.wait_deliveries()
    refs = [one.payload["ref"] for one in github.deliveries if one.event == "push"]
    assert refs == ["refs/tags/v1", "refs/tags/a", "refs/tags/b", "refs/tags/c"]


def test_a_redelivery_has_the_same_guid_and_body(github: SandboxGitHub, repo: Repo, inbox: Inbox, api: Api) -> None:
    inbox.answer = 503
    repo.push(files={"a": "1"})
    github.wait_deliveries()
    failed = github.deliveries[0]
    assert (failed.ok, failed.status) == (False, "Invalid HTTP Response: 503")
    inbox.answer = 202
    github.redeliver(failed)
    github.wait_deliveries()
    again = github.deliveries[-1]
    assert (again.guid, again.ok, again.redelivery) == (failed.guid, True, True)
    assert inbox.bodies[0] == inbox.bodies[-1]


def test_nobody_listens(github: SandboxGitHub, repo: Repo) -> None:
    github.webhook_url = "http://127.0.0.1:9/hook"
    repo.push(files={"a": "1"})
    github.wait_deliveries()
    assert (github.deliveries[0].status_code, github.deliveries[0].status) == (0, "failed to connect to host")


def test_trouble_with_the_post(github: SandboxGitHub, repo: Repo, inbox: Inbox) -> None:
    github.post.lose = 1
    repo.push(files={"a": "1"})
    github.wait_deliveries()
    assert [one.status for one in github.deliveries] == ["timed out", "OK"]
    github.post.hold()
    repo.push(files={"a": "2"})
    github.wait_deliveries()
    assert len(github.deliveries) == 2
    github.post.double = True
    github.post.release(reverse=True)
    github.wait_deliveries()
    assert [one.event for one in github.deliveries[2:]] == ["check_suite", "push"]
    repo.tag("v1")
    github.wait_deliveries()
    assert github.deliveries[-1].guid == github.deliveries[-2].guid


def test_the_log_forgets_after_three_days(github: SandboxGitHub, repo: Repo, inbox: Inbox) -> None:
    repo.push(files={"a": "1"})
    github.wait_deliveries()
    github.clock.advance(3 * 86400 + 1)
    assert github.deliveries == []


def test_what_an_installation_may_not_read_it_does_not_hear(github: SandboxGitHub, repo: Repo, inbox: Inbox) -> None:
    github.installation("acme").permissions.pop("checks")
    repo.push(files={"a": "1"})
    assert events(github) == ["push"]
    github.suspend("acme")
    repo.push(files={"a": "2"})
    assert events(github) == ["push", "installation.suspend"]


def test_buttons_live_in_pull_requests(github: SandboxGitHub, repo: Repo, inbox: Inbox, api: Api) -> None:
    actions = [{"label": "Confirm", "description": "d", "identifier": "c1"}]
    sha = repo.push(files={"a": "1"})
    number = api("POST", "/repos/acme/infra/check-runs", name="x", head_sha=sha, conclusion="neutral", actions=actions)
    run = number.json()["id"]
    with pytest.raises(SandboxError, match="in no pull request"):
        repo.press(run, "Confirm", by="rita")
    github.buttons_on_commits = True
    repo.press(run, "Confirm", by="rita")
    with pytest.raises(SandboxError, match="does not offer 'Discard'; its buttons: Confirm"):
        repo.press(run, "Discard", by="rita")
    with pytest.raises(SandboxError, match="rita has no write access"):
        repo.push(files={"a": "1"}, author="rita")
    repo.press_raw(run, "stale", by="rita")
    assert payload(github, "check_run")["requested_action"] == {"identifier": "stale"}


def test_an_app_that_answers_500_is_in_the_log_and_what_is_dropped_is_not(github: SandboxGitHub) -> None:
    """A dropped event stands nowhere; a refused one stands in the log with its status."""
    github.create_repository("acme", "infra", files={"README.md": "# infra\n"})
    github.wait_deliveries()
    github.webhook_url = "http://127.0.0.1:9/never-there"
    before = len(github.deliveries)
    github.post.refuse, github.post.drop = 1, 1
    for _ in range(3):
        github.ping()
    github.wait_deliveries()
    codes = [one.status_code for one in github.deliveries[before:]]
    assert codes == [500, 0]
