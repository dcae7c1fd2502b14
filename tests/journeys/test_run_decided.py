"""What becomes of a plan without a confirm: nothing to do, planned only, turned down, planned again."""

from app.core.run import RunState
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'


def test_a_plan_without_changes_is_finished_without_a_person_and_without_a_deployment(world: World) -> None:
    """A no-op asks nobody anything."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": "# nothing yet\n"}, "An empty stack")
    check = world.expect_check(repo, sha, "deploy/app", "success")
    assert check.title == "no changes"
    assert check.actions == []
    run = world.expect_state(RunState.FINISHED)
    assert run.confirmed_digest is None
    assert repo.deployments() == []
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]


def test_a_discarded_plan_is_never_applied_and_makes_way_for_the_next_commit(world: World) -> None:
    """The check turns neutral, the deployment inactive, and the run that waited behind it is planned."""
    repo = world.repository()
    first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": ONE}, "First")
    plan = world.expect_check(repo, first, "deploy/app", "action_required")
    second = world.push(repo, {"app/main.tf": ONE.replace("one", "two")}, "Second")
    queued = world.expect_check(repo, second, "deploy/app", None)
    assert f"of the commit {first[:7]}" in (queued.title or "")

    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Discard")
    discarded = world.expect_check(repo, first, "deploy/app", "neutral")
    assert discarded.id == plan.id
    assert discarded.title == "discarded by alice"
    assert discarded.actions == []
    (deployment,) = repo.deployments(first)
    assert [status.state for status in deployment.statuses] == ["queued", "inactive"]
    waiting = world.expect_check(repo, second, "deploy/app", "action_required")
    assert waiting.title == "+1 · waiting for confirmation", "nothing of the first plan was applied"
    assert [run.state for run in world.runs()] == [RunState.DISCARDED, RunState.UNCONFIRMED]
    assert world.sql("SELECT count(*) FROM state_versions") == [(0,)]


def test_a_replan_makes_a_new_check_run_and_only_its_plan_can_be_confirmed(world: World) -> None:
    """Plan 1's check run keeps its place without buttons, plan 2 is a new one of the same name, and that is applied."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": ONE}, "First")
    first = world.expect_check(repo, sha, "deploy/app", "action_required")
    old = world.the_run().plan

    world.press(first, "Replan")
    second = world.expect_check(repo, sha, "deploy/app", "action_required")
    new = world.the_run().plan
    assert old is not None
    assert new is not None
    assert (second.id != first.id, second.name) == (True, first.name)
    assert (old.number, new.number) == (1, 2)
    assert "plan 2" in (second.summary or "")
    assert first.status == "completed", "a completed check run is never reopened"
    assert first.actions == []
    assert first.title == "plan 1: replaced by plan 2"
    assert [run.external_id.split("/")[1] for run in repo.check_runs(sha, name="deploy/app", latest=False)] == [
        "2",
        "1",
    ]

    world.press(second, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    assert world.the_run().confirmed_digest == new.digest
    assert world.sql("SELECT plan_number, plan_digest FROM confirmations") == [(2, new.digest)]
    assert world.sql("SELECT command, source, is_allowed FROM audit ORDER BY id") == [
        (f"replan {world.the_run().id}", "button", True),
        (f"confirm {world.the_run().id}", "button", True),
    ]
    assert len(repo.deployments(sha)) == 1
