"""Autodeploy at its edge: what a stack's setting confirms is what was planned, or nothing."""

from app.core.names import AssignmentId
from app.core.plan import PlanSummary
from app.core.protocol import Next, PlanReport, Stage, StageReport
from app.core.run import RunState
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


class Planned:
    """A plan of the stack that is under way, on a worker in this test's hands."""

    def __init__(self, world: World) -> None:
        self._work = world.plane.doors.work
        held = world.take("elsewhere")
        self._hold, self._token, self._fencing = AssignmentId(held.id), held.token, held.fencing
        initializing = StageReport(fencing=self._fencing, stage=Stage.INITIALIZING, state_mode="managed")
        self._work.stage(self._hold, self._token, initializing)
        self._work.stage(self._hold, self._token, StageReport(fencing=self._fencing, stage=Stage.PLANNING))

    def end(self) -> Next:
        """It is handed in, with changes; what the worker is told to do next."""
        report = PlanReport(
            fencing=self._fencing, digest="a" * 64, engine="terraform 1.11.4", has_changes=True, summary=PlanSummary()
        )
        return self._work.report_plan(self._hold, self._token, report).next


def test_two_pushes_within_the_time_of_a_plan_are_deployed_one_after_the_other(world: World) -> None:
    """The first is no longer the newest when its plan is there: it goes on, since the newer one waits behind it."""
    repo = world.repository()
    world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE}, "First stack")
    world.wait_carried_out()
    first = Planned(world)
    world.push(repo, {"app/main.tf": CODE.replace("one", "two")}, "At once another")
    world.wait_carried_out()
    assert [run.state for run in world.runs()] == [RunState.PLANNING, RunState.QUEUED]

    assert first.end() is Next.APPLY
    assert world.sql("SELECT source FROM confirmations") == [("autodeploy",)]


def test_settings_that_change_while_a_stack_plans_leave_its_plan_to_a_person(world: World) -> None:
    """An autodeploy stack applies by itself only under the settings that were planned."""
    repo = world.repository()
    world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": CODE}, "First stack")
    world.wait_carried_out()
    planned = Planned(world)

    world.push(repo, {".trackside/stacks.yml": STACKS + "    environment: {TF_VAR_region: eu}\n"}, "Another setting")
    world.wait_carried_out()

    assert planned.end() is Next.ARCHIVE
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]
