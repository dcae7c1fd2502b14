"""Trigger policies: what was applied makes others run, and both say so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.run import RunState, Trigger
from tests.driver import World, open_world

STACKS = """
version: 1
stacks:
  - {name: network, project_root: network}
  - {name: app, project_root: app}
policies:
  - {name: next, type: trigger, path: policies/next.rego, attach: [network]}
"""
NEXT = """package trackside
import rego.v1
trigger contains "app" if {
    input.run.state == "FINISHED"
    input.run.type == "TRACKED"
    some change in input.run.changes
    change.phase == "apply"
}
trigger contains "lost" if input.run.state == "FINISHED"
"""
CODE = 'resource "terraform_data" "it" { input = "one" }\n'


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """Everything, with a worker."""
    with open_world(tmp_path, database_url) as made:
        yield made


def test_what_was_applied_makes_the_next_stack_run_and_both_say_so(world: World) -> None:
    """The run of `network` is confirmed and applied; then `app` gets a run of its own newest commit, which waits for
    its own confirmation. Each check names the other run, the page links it, and an id that nobody knows is said."""
    repo = world.repository(
        {".trackside/stacks.yml": STACKS, "policies/next.rego": NEXT, "network/main.tf": CODE, "app/main.tf": CODE}
    )
    sha = repo.sha("main")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    world.expect_state(RunState.FINISHED, "app")
    world.press(world.expect_check(repo, sha, "deploy/network", "action_required"), "Confirm")
    network = world.expect_state(RunState.FINISHED, "network")
    world.settle()

    made, _ = sorted(world.runs("app"), key=lambda run: run.created_at, reverse=True)
    assert (made.trigger, made.caused_by, made.head_sha) == (Trigger.POLICY, network.id, sha)
    assert made.state is RunState.FINISHED, "its stack has nothing to do"
    said = world.expect_check(repo, sha, "deploy/network", "success").summary or ""
    assert f"- `app`: run `{made.id}`, by policy `next`" in said
    assert "- `lost`: no run (there is no stack of this repository with that id), by policy `next`" in said
    other = world.expect_check(repo, sha, "deploy/app", "success").summary or ""
    assert f"Trigger policy `next` asked for it when run `{network.id}` had ended." in other
    page = world.page(f"/runs/{network.id}")
    assert f'href="/runs/{made.id}"' in page
