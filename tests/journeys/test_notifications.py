"""Notification policies: somebody is told what happens to a run, in order, signed, and nobody else is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.run import RunState
from tests.driver import World, open_world
from tests.receiver import Receiver, open_receiver

SIGNING = "the-secret-that-signs-0123456789"
STACKS = """
version: 1
stacks:
  - {name: app, project_root: app, labels: [prod]}
policies:
  - {name: tell, type: notification, path: policies/tell.rego, attach: "*"}
"""
CODE = 'resource "terraform_data" "web" { input = "one" }\n'
TELL = """package trackside
import rego.v1
change := input.run_updated
slack contains {"channel_id": "C0ABCDEFG", "message": msg, "mention_users": ["U123"]} if {
    change.state == "UNCONFIRMED"
    msg := sprintf("<!channel> %s by %s", [change.run.commit.message, change.username])
}
webhook contains {"endpoint_id": endpoint.id, "headers": {"X-Stack": change.stack.id}} if {
    some endpoint in input.webhook_endpoints
    "ci" in endpoint.labels
}
pull_request contains {"commit": change.run.commit.hash, "body": body, "deduplication_key": "state"} if {
    change.run.type == "PROPOSED"
    body := sprintf("**%s** @alice\\n\\n```\\nspacelift::logs::planning\\n```", [change.state])
}
inbox contains {"title": "it is done", "body": "<b>bold</b>", "severity": "WARNING"} if change.state == "FINISHED"
webhook contains {"endpoint_id": "nowhere"} if change.state == "FINISHED"
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Who is told."""
    with open_receiver() as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, database_url: str, receiver: Receiver) -> Iterator[World]:
    """A world whose Slack is the receiver."""
    with open_world(tmp_path, database_url, SLACK_WEBHOOK_URL=f"{receiver.url}/slack") as made:
        yield made


def test_a_whole_run_is_told_in_order_and_signed(world: World, receiver: Receiver) -> None:
    """Every state of a run reaches the endpoint that the operator set up, numbered and signed; Slack is told once and
    mentions whom the policy names alone; the page shows who was told, and what could not be. While the endpoint is
    away for a moment, nothing overtakes its first message."""
    said = world.operate("webhook", "add", "ci", "--label", "ci", stdin=f"{receiver.url}/hook?token=t\n{SIGNING}\n")
    assert said.stdout == (
        f"endpoint ci is set up: messages go to {receiver.url}, signed; policies of acme name it as `endpoint_id`\n"
    )
    repo = world.repository()
    receiver.statuses = [503]
    files = {".trackside/stacks.yml": STACKS, "app/main.tf": CODE, "policies/tell.rego": TELL}
    sha = world.push(repo, files, "One & <two>")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    world.press(check, "Confirm")
    run = world.expect_state(RunState.FINISHED)

    lost, *told = receiver.to("/hook?token=t")
    assert (lost.body, lost.headers["x-trackside-delivery"]) == (told[0].body, told[0].headers["x-trackside-delivery"])
    states = "QUEUED READY PREPARING INITIALIZING PLANNING UNCONFIRMED CONFIRMED PREPARING_APPLY APPLYING FINISHED"
    assert [one.json["state"] for one in told] == states.split()
    assert [one.json["stateVersion"] for one in told] == list(range(1, 11))
    assert [(one.json["order"], one.headers["x-trackside-order"]) for one in told] == [
        (number, str(number)) for number in range(1, 11)
    ]
    assert all(one.is_signed_with(SIGNING) for one in told)
    last = told[-1].json
    assert (last["account"], last["stack"]["id"], last["stack"]["labels"]) == ("acme", "acme/infra/app", ["prod"])
    assert last["run"]["delta"] == {"added": 1, "changed": 0, "deleted": 0, "resources": 0}
    assert told[-1].headers["x-stack"] == "acme/infra/app"

    (slack,) = receiver.to("/slack")
    assert slack.json["text"] == (
        f"<@U123> &lt;!channel&gt; One &amp; &lt;two&gt; by {_worker(world)} <{world.url}/runs/{run.id}|app>"
    )
    page = world.page(f"/runs/{run.id}")
    assert "it is done" in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "there is no endpoint <code>nowhere</code>" in page
    listed = world.operate("webhook", "list").stdout.splitlines()
    assert listed[1].split()[:4] == ["ci", "on", "0", "10"]
    metrics = world.page("/metrics")
    assert 'trackside_notifications_total{channel="webhook",outcome="sent"} 10.0' in metrics
    assert 'trackside_notifications_total{channel="webhook",outcome="refused"} 1.0' in metrics


def _worker(world: World) -> str:
    """Who let the plan wait: the worker that made it."""
    return str(world.sql("SELECT by FROM run_steps WHERE after = 'unconfirmed'")[0][0])


QUIET = STACKS.replace("labels: [prod]", "labels: [prod], comments: off")
"""The App's own comment would be another one."""


def test_a_comment_of_a_policy_is_edited_in_place_and_said_again_when_it_is_gone(world: World) -> None:
    """One comment per key for the life of the pull request, also when GitHub's answer is lost; it shows the log in a
    fence and mentions nobody."""
    repo = world.repository({".trackside/stacks.yml": QUIET, "app/main.tf": CODE, "policies/tell.rego": TELL})
    world.settle()
    world.push(repo, {"app/main.tf": CODE.replace("one", "two")}, "Two", branch="two")
    world.github.trouble.fail_next("POST", r"/issues/\d+/comments", 502, after_work=True)
    number = repo.open_pull("two", title="Two", author="alice")
    world.settle()
    (said,) = world.replies(repo, number)
    assert said.startswith("**FINISHED** @\u200balice\n\n```\n── plan ──\n")
    assert said.endswith("planned: there are changes\n```")

    (comment,) = [one for one in repo.comments(number) if one.by_app]
    world.push(repo, {"app/main.tf": "locals {\n"}, "Broken", branch="two")
    world.settle()
    (again,) = [one for one in repo.comments(number) if one.by_app]
    assert (again.id, again.body.startswith("**FAILED**")) == (comment.id, True)

    repo.delete_comment(comment, by="alice")
    world.push(repo, {"app/main.tf": CODE.replace("one", "three")}, "Three", branch="two")
    world.settle()
    (anew,) = [one for one in repo.comments(number) if one.by_app]
    assert (anew.id != comment.id, anew.body.startswith("**FINISHED**")) == (True, True)
