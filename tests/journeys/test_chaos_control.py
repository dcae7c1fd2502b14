"""kill -9 of the web process and of the jobs: no delivery is lost, no report is made twice, every run ends."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from app.core.run import RunState
from app.store.url import conninfo
from tests.driver import Processes, World, open_processes, wait_until

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
CODE = 'resource "terraform_data" "web" {{ input = "{value}" }}\n'
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(value=0)}

HOLD_NOTES = "LOCK TABLE remotes IN SHARE MODE"
"""Until the transaction's end nobody can note what was asked of GitHub, or what it answered."""
WAITS_FOR_NOTES = "SELECT 1 FROM pg_locks WHERE relation = 'remotes'::regclass AND NOT granted"


@pytest.fixture
def machine(tmp_path: Path, database_url: str) -> Iterator[tuple[World, Processes]]:
    """Trackside as processes."""
    with open_processes(tmp_path, database_url) as made:
        yield made


def test_what_the_killed_web_process_answered_for_is_kept_and_what_it_did_not_can_be_sent_again(
    machine: tuple[World, Processes],
) -> None:
    """In a hail of deliveries each answered one is in the database, each other one is a redelivery away."""
    world, processes = machine
    repo = world.repository()
    world.settle()
    world.github.post.hold()
    pushed = [world.push(repo, {"docs/page.md": f"{number}\n"}, f"Page {number}") for number in range(20)]
    world.github.post.release()
    wait_until(lambda: any(one.event == "push" and one.ok for one in world.github.deliveries), "the hail has begun")

    processes.kill("web")

    world.github.wait_deliveries()
    wait_until(world.is_answering, "the web process is back")
    kept = {str(guid) for (guid,) in world.sql("SELECT guid FROM deliveries")}
    assert {one.guid for one in world.github.deliveries if one.ok} <= kept
    for delivery in [one for one in world.github.deliveries if not one.ok]:
        world.github.redeliver(delivery)
    world.settle()
    answered = world.sql("SELECT count(*) FROM deliveries WHERE event = 'push' AND outcome = 'event'")
    assert answered == [(len(pushed),)]


def test_a_web_process_that_is_killed_while_a_worker_plans_and_applies_costs_no_run(
    machine: tuple[World, Processes],
) -> None:
    """The worker asks again until the control plane is back; its run ends, once, and the log has no hole."""
    world, processes = machine
    repo, gate = world.repository(), world.make_gate()
    code = f"""
locals {{ many = sum(flatten([for a in range(200) : [for b in range(200) : a * b]])) }}
resource "terraform_data" "web" {{
  input = local.many
  provisioner "local-exec" {{ command = "echo begun; cat '{gate}'" }}
}}
"""
    sha = world.push(repo, FILES | {"app/main.tf": code}, "First stack")
    world.wait_for(RunState.PLANNING)
    processes.kill("web")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")

    wait_until(world.is_answering, "the web process is back")
    world.press(plan, "Confirm")
    world.wait_for(RunState.APPLYING)
    processes.kill("web")
    gate.write_text("go on\n")

    run = world.wait_for(RunState.FINISHED)
    world.expect_check(repo, sha, "deploy/app", "success")
    assert world.sql("SELECT count(*) FROM run_steps WHERE step IN ('apply', 'lose', 'fail')") == [(1,)]
    assert "go on" in world.log(run)
    assert "Apply complete" in world.log(run)
    assert world.sql("SELECT DISTINCT is_quarantined FROM state_versions") == [(False,)]


def test_jobs_that_are_killed_between_githubs_work_and_their_note_of_it_publish_once(
    machine: tuple[World, Processes], database_url: str
) -> None:
    """The check run was made and nobody wrote it down: the next jobs process finds it instead of making another."""
    world, processes = machine
    repo = world.repository()
    world.settle()
    with psycopg.connect(conninfo(database_url)) as notes:
        notes.execute(HOLD_NOTES)
        sha = world.push(repo, FILES, "First stack")
        wait_until(lambda: bool(world.sql(WAITS_FOR_NOTES)), "the check run is about to be asked for")
        with world.github.mutex:  # GitHub holds its breath: the request is sent, its work is not done yet
            notes.rollback()
            wait_until(lambda: bool(world.sql("SELECT 1 FROM remotes")), "the request was noted")
            notes.execute(HOLD_NOTES)
        wait_until(lambda: bool(repo.check_runs(sha)), "GitHub did the work")
        wait_until(lambda: bool(world.sql(WAITS_FOR_NOTES)), "the answer is about to be noted")
        jobs = processes.pid("jobs")
        processes.kill("jobs")
        wait_until(lambda: processes.pid("jobs") != jobs, "another jobs process runs")

    plan = world.expect_check(repo, sha, "deploy/app", "action_required")

    assert len(repo.check_runs(sha, latest=False)) == 1
    assert len(repo.deployments(sha)) == 1
    world.press(plan, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    assert len(repo.check_runs(sha, latest=False)) == 2
    assert world.the_run().state is RunState.FINISHED
