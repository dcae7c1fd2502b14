"""GitHub that fails, forgets and limits: what stands there in the end is true, and stands there once."""

from app.core.run import RunState
from tests.driver import World

FILES = {
    ".trackside/stacks.yml": "version: 1\nstacks:\n  - name: app\n    project_root: app\n",
    "app/main.tf": 'resource "terraform_data" "web" { input = "one" }\n',
}


def test_work_that_github_did_without_saying_so_is_found_and_not_done_again(world: World) -> None:
    """A 502 after a check run, a deployment, a status or a reply was made: in the end there is exactly one of each."""
    repo = world.repository()
    trouble = world.github.trouble
    for route in ("/check-runs$", "/deployments$"):
        trouble.fail_next("POST", route, 502, after_work=True)
    number, sha = world.land(repo, FILES, "First stack")

    plan = world.expect_check(repo, sha, "deploy/app", "action_required")

    assert plan.title == "+1 · waiting for confirmation"
    assert len(repo.check_runs(sha, latest=False)) == 1
    assert len(repo.deployments(sha)) == 1
    trouble.fail_next("POST", f"/issues/{number}/comments$", 502, after_work=True)
    world.comment(repo, number, "/trackside help")
    world.settle()
    assert len(world.replies(repo, number)) == 1
    trouble.fail_next("POST", "/check-runs$", 502, after_work=True)
    trouble.fail_next("PATCH", "/check-runs/", 502, after_work=True)
    trouble.fail_next("POST", "/statuses$", 502, after_work=True)
    world.press(plan, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    assert len(repo.check_runs(sha, latest=False)) == 2
    assert repo.deployments(sha)[0].state == "success"


def test_a_github_that_fails_and_limits_delays_the_truth_and_does_not_change_it(world: World) -> None:
    """500s, a secondary limit that says when to come back, credentials refused: the report is true later."""
    repo = world.repository()
    trouble = world.github.trouble
    trouble.fail_next("POST", "/check-runs$", 500, times=2)
    trouble.fail_next("*", "/access_tokens$", 503)
    _, sha = world.land(repo, FILES, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert plan.title == "+1 · waiting for confirmation"

    trouble.fail_next("*", "/permission$", 502)
    trouble.fail_next("*", "/check-runs", 401)
    trouble.hit_secondary_limit(2, retry_after_s=1)
    world.press(plan, "Confirm")

    applied = world.expect_check(repo, sha, "deploy/app", "success")
    assert world.expect_state(RunState.FINISHED).decided_by == "alice"
    assert applied.title == "applied: +1"
    assert len(repo.check_runs(sha, latest=False)) == 2
    assert repo.buttons(plan) == []
    assert [one.state for one in repo.deployments(sha)] == ["success"]
    assert world.sql("SELECT count(*) FROM run_steps WHERE step = 'apply'") == [(1,)]


def test_a_report_that_github_refuses_for_good_stops_neither_the_run_nor_the_others(world: World) -> None:
    """When check runs are refused, a plan still waits, an operator can confirm it, and the next report stands."""
    repo = world.repository()
    repo.refuse_check_runs = True
    _, sha = world.land(repo, FILES, "First stack")
    world.wait_for(RunState.UNCONFIRMED)
    assert repo.check_runs(sha) == []
    run = world.the_run()

    repo.refuse_check_runs = False
    assert world.operate("confirm", run.id).returncode == 0
    world.wait_for(RunState.FINISHED)
    world.expect_check(repo, sha, "deploy/app", "success")
