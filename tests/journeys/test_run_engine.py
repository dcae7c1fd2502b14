"""What a stack's settings say to the engine: files of variables, workspace, folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.run import RunState
from tests.driver import World, open_world

FILES = {
    "app/main.tf": """
terraform {
  backend "local" {}
}
variable "size" {}
variable "zone" {}
resource "terraform_data" "web" { input = "${var.size} in ${var.zone} of ${terraform.workspace}" }
""",
    "app/env/prod.tfvars": 'size = "large"\nzone = "overridden"\n',
    "app/env/zone.tfvars": 'zone = "a"\n',
}


@pytest.fixture
def open_machine(tmp_path: Path, database_url: str) -> Iterator[World]:
    """Runs are not isolated: a backend may keep its state in a folder of the worker's machine."""
    with open_world(tmp_path, database_url, ISOLATION="none") as made:
        yield made


def test_var_files_backend_config_and_workspace_reach_plan_and_apply(open_machine: World) -> None:
    """In the order in which they are listed; the apply of another assignment works in the same workspace."""
    world = open_machine
    repo = world.repository()
    stacks = """
version: 1
stacks:
  - name: app
    project_root: app
    workspace: blue
    var_files: [env/prod.tfvars, env/zone.tfvars]
    backend_config: [env/prod.backend]
"""
    backend = f'workspace_dir = "{world.root / "states"}"\n'
    files = {".trackside/stacks.yml": stacks, "app/env/prod.backend": backend, **FILES}
    sha = world.push(repo, files, "Blue")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert "large in a of blue" in (plan.text or "")
    world.press(plan, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    assert "large in a of blue" in (world.root / "states" / "blue" / "terraform.tfstate").read_text()


def test_settings_that_do_not_fit_the_commit_fail_with_their_names(world: World) -> None:
    """A folder, a file of variables or a workspace that is not there is said on the commit in the words of the file."""
    repo = world.repository()
    stacks = """
version: 1
stacks:
  - {name: nowhere, project_root: infra/missing, additional_project_globs: ["app/**"]}
  - {name: unread, project_root: app, var_files: [env/missing.tfvars]}
  - {name: blue, project_root: net, workspace: blue}
"""
    one = 'resource "terraform_data" "web" { input = terraform.workspace }\n'
    sha = world.push(repo, {".trackside/stacks.yml": stacks, "app/main.tf": one, "net/main.tf": one}, "Misfits")
    nowhere = world.expect_check(repo, sha, "deploy/nowhere", "failure")
    assert "project root 'infra/missing': no such folder" in (nowhere.summary or "")
    unread = world.expect_check(repo, sha, "deploy/unread", "failure")
    assert "env/missing.tfvars" in (unread.summary or "")
    blue = world.expect_check(repo, sha, "deploy/blue", "failure")
    assert "workspace 'blue' needs `state: external`" in (blue.summary or "")
    assert {run.state for run in world.runs()} == {RunState.FAILED}
