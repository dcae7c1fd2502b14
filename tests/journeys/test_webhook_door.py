"""The webhook's door on the real thing: what is not GitHub's is refused, what is broken kept, nothing comes twice."""

import hashlib
import hmac
import json
import uuid

import httpx

from app.core.run import RunState
from app.sandbox.hooks import Delivery
from tests.driver import World, wait_until

FILES = {
    ".trackside/stacks.yml": "version: 1\nstacks:\n  - name: app\n    project_root: app\n",
    "app/main.tf": 'resource "terraform_data" "web" { input = "one" }\n',
}
MB = 1024 * 1024


def send(world: World, body: bytes, *, event: str = "push", guid: str = "", signature: str | None = None) -> int:
    """The status that the door answers a delivery with, signed rightly unless a signature is given."""
    right = "sha256=" + hmac.new(world.github.webhook_secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": event, "X-GitHub-Delivery": guid or str(uuid.uuid4())}
    if signature != "":
        headers["X-Hub-Signature-256"] = signature or right
    return httpx.post(f"{world.url}/webhooks/github", content=body, headers=headers, trust_env=False).status_code


def kept(world: World) -> list[tuple[object, ...]]:
    """Event and outcome of every delivery that was kept, but for the installation's."""
    return world.sql("SELECT event, outcome FROM deliveries WHERE event <> 'installation' ORDER BY received_at")


def test_what_github_did_not_sign_is_refused_and_what_it_signed_is_kept_whatever_it_is(world: World) -> None:
    """401 without the right signature, 413 over 25 MB, 400 for broken JSON, 200 for events of later versions."""
    world.repository()
    world.settle()
    body = json.dumps({"zen": "Half measures are as bad as nothing at all."}).encode()

    assert send(world, body, signature="sha256=" + "0" * 64) == 401
    assert send(world, body, signature="") == 401
    assert send(world, body, signature="sha1=" + "0" * 40) == 401
    assert send(world, b"x" * (26 * MB)) == 413
    assert kept(world) == []

    assert send(world, b"{broken") == 400
    assert send(world, b"[" * 100_000) == 400
    assert send(world, body, event="sponsorship") == 200
    assert send(world, body, event="push") == 202
    assert send(world, b'{"ref": 7, "repository": {"id": "no"}}', event="push") == 202
    assert send(world, b'{"action": "requested_action", "check_run": null}', event="check_run") == 202
    world.settle()

    outcomes = kept(world)
    assert outcomes == [
        ("push", "malformed"),
        ("push", "malformed"),
        ("sponsorship", "ignored"),
        ("push", "malformed"),
        ("push", "malformed"),
        ("check_run", "malformed"),
    ]
    assert all(reason for (reason,) in world.sql("SELECT reason FROM deliveries"))
    assert world.sql("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'") == [(0,)]


def test_one_push_makes_one_run_however_often_it_arrives(world: World) -> None:
    """Redelivered, doubled on its way, or sent by a second hook under another GUID: decided once, said why."""
    repo = world.repository()
    world.github.post.double = True
    sha = world.push(repo, FILES, "First stack")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.github.post.double = False
    first, second = (one for one in world.github.deliveries if one.event == "push")
    assert (first.status_code, second.status_code) == (202, 200)

    again = world.github.redeliver(first)
    world.settle()
    assert (again.guid, again.status_code) == (first.guid, 200)

    twin = str(uuid.uuid4())
    assert send(world, of_another_hook(first), guid=twin) == 202
    world.settle()
    ((outcome, reason),) = world.sql(f"SELECT outcome, reason FROM deliveries WHERE guid = '{twin}'")  # noqa: S608
    assert (outcome, reason) == ("ignored", f"duplicate of {first.guid}")
    assert world.the_run().state is RunState.UNCONFIRMED
    assert len(repo.check_runs(sha, latest=False)) == 1
    assert len(repo.deployments(sha)) == 1


def test_two_deliveries_that_swapped_places_are_both_decided(world: World) -> None:
    """GitHub promises no order: the older push that arrives last is decided too, and takes nothing back."""
    repo = world.repository()
    first = world.push(repo, FILES, "First stack")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")
    code = FILES["app/main.tf"]
    world.github.post.hold()
    second = world.push(repo, {"app/main.tf": code.replace("one", "two")}, "Two")
    third = world.push(repo, {"app/main.tf": code.replace("one", "three")}, "Three")

    world.github.post.release(reverse=True)

    world.wait_carried_out()
    wait_until(lambda: world.runs()[1].state is RunState.UNCONFIRMED, "the newer one is planned")
    assert [run.head_sha for run in world.runs()] == [first, third]
    assert world.sql("SELECT head_sha FROM stacks") == [(third,)]
    decided = world.sql("SELECT head_sha, verdict, reason FROM decisions ORDER BY created_at")
    assert [row[:2] for row in decided] == [(first, "track"), (third, "track"), (second, "ignore")]
    assert "the stack is at a newer commit that holds this one" in str(decided[-1][2])


def of_another_hook(delivery: Delivery) -> bytes:
    """The same event as a second hook of the App's owner would send it."""
    return json.dumps(delivery.payload | {"hook_id": 4242}).encode()
