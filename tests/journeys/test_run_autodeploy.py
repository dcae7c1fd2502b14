"""Autodeploy at its edge: what a stack's setting confirms is what was planned, or nothing."""

from app.core.names import AssignmentId
from app.core.plan import PlanSummary
from app.core.protocol import Next, PlanReport, Stage, StageReport
from tests.driver import World

STACKS = """
version: 1
stacks:
  - name: app
    project_root: app
    autodeploy: true
    worker_pool: elsewhere
"""
CODE = 'resource "terraform_data" "web" {\n  input = "one"\n}\n'


def test_settings_that_change_while_a_stack_plans_leave_its_plan_to_a_person(world: World) -> None:
    """An autodeploy stack applies by itself only under the settings that were planned."""
    repo = world.repository()
    world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE}, "First stack")
    world.wait_carried_out()
    work = world.plane.doors.work
    held = world.take("elsewhere")
    hold, token, fencing = AssignmentId(held.id), held.token, held.fencing
    work.stage(hold, token, StageReport(fencing=fencing, stage=Stage.INITIALIZING, state_mode="managed"))
    work.stage(hold, token, StageReport(fencing=fencing, stage=Stage.PLANNING))

    world.push(repo, {".trackside/stacks.yml": STACKS + "    environment: {TF_VAR_region: eu}\n"}, "Another setting")
    world.wait_carried_out()
    report = PlanReport(
        fencing=fencing, digest="a" * 64, engine="terraform 1.11.4", has_changes=True, summary=PlanSummary()
    )

    assert work.report_plan(hold, token, report).next is Next.ARCHIVE
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]
