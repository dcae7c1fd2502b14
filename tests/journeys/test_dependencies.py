"""Stacks that depend on others: outputs of one become variables of the next, in the order of the graph."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.run import RunState, Trigger
from tests.driver import World, open_world, wait_until

CANARY = "canary-7d20c9-output"
STACKS = """
version: 1
stacks:
  - {name: vpc, project_root: vpc}
  - name: app
    project_root: app
    depends_on:
      - {stack: vpc, outputs: {vpc_id: TF_VAR_vpc_id, zones: TF_VAR_zones, key: TF_VAR_key}, sensitive: true}
  - name: web
    project_root: web
    depends_on: [{stack: app}]
"""
VPC = f"""
resource "terraform_data" "vpc" {{ input = "LABEL" }}
output "vpc_id" {{ value = "vpc-ID" }}
output "zones" {{ value = ["a", "$${{b}}"] }}
output "label" {{ value = terraform_data.vpc.output }}
output "key" {{
  value     = "{CANARY}"
  sensitive = true
}}
"""
APP = """
variable "vpc_id" { type = string }
variable "zones" { type = list(string) }
variable "key" { type = string }
resource "terraform_data" "app" { input = "in ${var.vpc_id}, ${join("+", var.zones)}" }
resource "terraform_data" "loud" {
  triggers_replace = var.vpc_id
  provisioner "local-exec" { command = "echo key is $TF_VAR_key" }
}
resource "terraform_data" "copy" { input = var.key }
"""
WEB = 'resource "terraform_data" "web" { input = "one" }\n'


def vpc(label: str, number: str) -> str:
    return VPC.replace("LABEL", label).replace("ID", number)


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """Everything, with a worker; what takes people hours is written within a minute, which GitHub would not take."""
    with open_world(tmp_path, database_url) as made:
        made.github.secondary.is_on = False
        yield made


def test_what_was_applied_above_is_planned_with_below_and_nothing_runs_below_without_news(world: World) -> None:
    """`app` waits for `vpc` and says so; once that is applied, its outputs are in the plan of `app`. A pull request is
    planned with them, too, and before there are any its check says what is missing and what to do. A push that changes
    nothing that `app` takes has its run skipped, in words, and those below it; one that does has it run of its own
    commit. Stacks that one command deploys are ordered. What is sensitive is printed and shown nowhere.
    """
    files = {".trackside/stacks.yml": STACKS, "vpc/main.tf": vpc("one", "1"), "app/main.tf": APP, "web/main.tf": WEB}
    repo = world.repository(files)
    first = repo.sha("main")
    above = world.expect_check(repo, first, "deploy/vpc", "action_required")
    waiting = world.expect_check(repo, first, "deploy/app", None)
    run = world.the_run("vpc")
    assert waiting.title == f"queued: waits for vpc (run {run.id})"
    assert f"After it, by their dependencies: `app` (run `{world.the_run('app').id}`)." in (above.summary or "")
    assert world.decision(first, "app")[2] == "it runs after vpc"

    world.push(repo, {"app/main.tf": APP.replace("in $", "inside $")}, "A preview", branch="preview")
    repo.open_pull("preview", title="A preview", author="alice")
    assert (
        "these inputs are missing: vpc.key => TF_VAR_key, vpc.vpc_id => TF_VAR_vpc_id and vpc.zones => TF_VAR_zones. "
        "Outputs are kept when a tracked run is applied: deploy vpc once, and see that it has outputs of these names"
    ) in (world.expect_check(repo, repo.sha("preview"), "plan/app", "failure").summary or "")

    world.press(above, "Confirm")
    planned = world.expect_check(repo, first, "deploy/app", "action_required")
    assert "in vpc-1, a+${b}" in (planned.text or "")
    world.press(planned, "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")
    world.press(world.expect_check(repo, first, "deploy/web", "action_required"), "Confirm")
    world.expect_state(RunState.FINISHED, "web")

    second = world.push(repo, {"vpc/main.tf": vpc("two", "1")}, "Another label")
    world.press(world.expect_check(repo, second, "deploy/vpc", "action_required"), "Confirm")
    skipped = world.expect_state(RunState.SKIPPED, "app")
    why = "nothing that it takes has changed: vpc.key, vpc.vpc_id and vpc.zones"
    assert (skipped.trigger, skipped.asked_by, skipped.head_sha, skipped.reason) == (
        Trigger.DEPENDENCY,
        "vpc",
        first,
        why,
    )
    assert why in (world.expect_check(repo, first, "deploy/app", "neutral").summary or "")
    assert world.expect_state(RunState.SKIPPED, "web").reason == "app had nothing to run for"
    world.comment_on_commit(repo, second, "/trackside why app")
    world.settle()
    said = world.remarks(repo, second)[-1]
    assert "vpc runs, so it runs after it" in said
    assert f"Run `{skipped.id}`: skipped (`{why}`)." in said

    world.push(repo, {"app/main.tf": APP.replace("in $", "within $")}, "A better preview", branch="preview")
    preview = world.expect_check(repo, repo.sha("preview"), "plan/app", "success")
    assert "within vpc-1, a+${b}" in (preview.text or "")

    third = world.push(repo, {"vpc/main.tf": vpc("two", "2")}, "Another id")
    world.press(world.expect_check(repo, third, "deploy/vpc", "action_required"), "Confirm")
    again = world.expect_check(repo, first, "deploy/app", "action_required")
    made_for = f"Made because `vpc` runs, in run `{world.runs('vpc')[-1].id}`"
    assert f"{made_for}: it is of the newest commit that was tracked for app." in (again.summary or "")
    assert "in vpc-2, a+${b}" in (again.text or "")
    world.press(again, "Confirm")
    applied = world.expect_state(RunState.FINISHED, "app")
    assert "key is ***" in world.log(applied)

    world.comment_on_commit(repo, third, "/trackside deploy app vpc")
    world.settle()
    wait_until(lambda: all(run.state is RunState.FINISHED for run in world.runs()[-3:]), "all three have ended")
    deployed = {name: world.runs(name)[-1] for name in ("vpc", "app", "web")}
    assert [run.head_sha for run in deployed.values()] == [third, third, first]
    assert list(deployed["app"].upstreams) == [deployed["vpc"].id]
    assert f"After it: `web` (run `{deployed['web'].id}`)." in world.remarks(repo, third)[-1]
    _search(world, repo.full_name)


def _search(world: World, full_name: str) -> None:
    """The sensitive value is in no log, no check, no page, and nowhere in the database in clear."""
    repo = world.github.repo(full_name)
    for run in world.runs():
        checks = [f"{one.title}{one.summary}{one.text}" for one in repo.check_runs(run.head_sha)]
        places = [world.log(run), world.page(f"/runs/{run.id}"), *checks]
        assert not any(CANARY in place for place in places), run.stack_name
    tables = world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    hexed = CANARY.encode().hex()
    for (table,) in tables:
        found = world.sql(
            f"SELECT count(*) FROM {table} AS row WHERE row::text LIKE '%{CANARY}%' OR row::text LIKE '%{hexed}%'"  # noqa: S608
        )
        assert found == [(0,)], table
