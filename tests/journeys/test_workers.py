"""Many workers: what one planned another applies; drained, resumed and removed ones; what the metrics say of them."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.core.run import RunState
from tests.driver import World, open_world, wait_until

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
HANGS = """
resource "terraform_data" "web" {{
  provisioner "local-exec" {{ command = "echo $$ > '{file}'; exec sleep 300" }}
}}
"""
"""Applying this does not end by itself."""


@pytest.fixture
def hasty(tmp_path: Path, database_url: str) -> Iterator[World]:
    """GitHub and Trackside with one worker, and the shortest lease."""
    with open_world(tmp_path, database_url, LEASE_S="5", ISOLATION="none") as made:
        yield made


def who(world: World, step: str) -> str:
    """Who took that step of the one run, last."""
    ((by,),) = world.sql(f"SELECT by FROM run_steps WHERE step = '{step}' ORDER BY id DESC LIMIT 1")  # noqa: S608
    return str(by)


def said(world: World, *words: str) -> str:
    """What `trackside workers …` prints."""
    done = world.operate("workers", *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def states(world: World) -> dict[str, str]:
    """Worker to its state, as listed."""
    return {one["name"]: one["state"] for one in json.loads(said(world, "--json"))["workers"]}


def test_what_one_worker_planned_another_applies(world: World) -> None:
    """A drained worker gets no new runs, its pool's other workers do; and an apply needs nothing of who planned."""
    world.start_worker("second")
    wait_until(lambda: len(world.plane.store.list_workers()) == 2, "both workers were seen")
    assert said(world, "drain", "second").startswith("worker second of pool default is drained: it gets no new run")

    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": ONE}, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert who(world, "plan") == "worker first/1"

    said(world, "drain", "first")
    assert states(world) == {"first": "drained", "second": "drained"}
    world.press(plan, "Confirm")
    world.wait_for(RunState.CONFIRMED)
    assert said(world, "resume", "second") == (
        "worker second of pool default is resumed: it gets runs again, within seconds\n"
    )
    world.expect_state(RunState.FINISHED)
    assert (who(world, "apply"), who(world, "finish")) == ("worker second/1", "worker second/1")
    audit = world.sql("SELECT command, is_allowed FROM audit WHERE command LIKE 'workers%' ORDER BY id")
    assert audit == [("workers drain second", True), ("workers drain first", True), ("workers resume second", True)]


def test_a_pool_is_drained_as_a_whole_and_says_so_to_its_workers(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    """No worker of it gets a run, those that start later neither; each says in its log that it is drained, and when
    that is over."""
    wait_until(lambda: len(world.plane.store.list_workers()) == 1, "the worker was seen")
    assert "pool default is drained: none of its workers" in said(world, "drain", "--pool", "default")
    world.start_worker("later")
    repo = world.repository()
    world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": ONE}, "First stack")
    world.wait_carried_out()
    wait_until(lambda: len(world.plane.store.list_workers()) == 2, "the later one was seen")
    assert states(world) == {"first": "drained", "later": "drained"}
    assert world.the_run().state is RunState.READY
    log = capfd.readouterr().out
    assert log.count("`trackside workers resume --pool default` ends that") >= 2

    said(world, "resume", "--pool", "default")
    world.expect_state(RunState.UNCONFIRMED)
    wait_until(lambda: "resumed" in capfd.readouterr().out, "a worker says that it is resumed")


def test_a_worker_that_is_removed_while_it_plans_loses_the_run_by_its_lease(hasty: World, tmp_path: Path) -> None:
    """Its engine is stopped, the run is planned again once the lease has run out, and who removed it was told so."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    world, repo = hasty, hasty.repository()
    code = f'resource "terraform_data" "web" {{ input = file("{pipe}") }}\n'
    world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": code}, "First stack")
    run = world.wait_for(RunState.PLANNING)

    told = said(world, "remove", "first")
    assert f"run {run.id} (app, planning): the worker has lost it and stops its engine" in told
    assert "its next claim lists it again" in told
    wait_until(lambda: world.the_run().fencing == 2, "another assignment took it")
    lost = world.sql("SELECT before, after FROM run_steps WHERE step = 'lose'")
    assert lost == [("planning", "ready")]
    pipe.unlink()
    pipe.write_text("now it is a file")
    again = world.expect_state(RunState.UNCONFIRMED)
    assert again.fencing >= 2


def test_a_worker_that_applies_is_not_removed_by_the_way(hasty: World, tmp_path: Path) -> None:
    """Only with the flag that says so; then the outcome is unknown, and the stack waits for a person."""
    world, repo, file = hasty, hasty.repository(), tmp_path / "applying"
    code = HANGS.format(file=file)
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": code}, "First stack")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), "the apply has begun")

    refused = world.operate("workers", "remove", "first")
    assert refused.returncode == 1
    assert "it is applying" in refused.stderr
    assert "say --even-if-applying" in refused.stderr
    assert world.the_run().state is RunState.APPLYING
    told = said(world, "remove", "first", "--even-if-applying")
    assert "its outcome is unknown, and its stack on hold" in told
    run = world.wait_for(RunState.FAILED)
    assert run.is_outcome_unknown
    command = int(file.read_text())
    wait_until(lambda: not Path(f"/proc/{command}").exists(), "what the engine had started is gone")


def test_names_that_nobody_has_are_said_to_be_none(world: World) -> None:
    for words, reason in (
        (("drain", "nobody"), "finding worker nobody: there is none; `trackside workers` lists them"),
        (("resume", "--pool", "nowhere"), "finding pool nowhere: there is none; there are default"),
        (("drain",), "choosing workers: name one, or a pool with --pool"),
    ):
        done = world.operate("workers", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert reason in done.stderr


def test_the_list_and_the_metrics_say_who_works_and_what_waits(hasty: World, tmp_path: Path) -> None:
    """A table for people, numbers for an alert: workers by state, runs with workers, the queue of each pool."""
    world, repo, file = hasty, hasty.repository(), tmp_path / "applying"
    stacks = STACKS + "  - name: other\n    project_root: other\n"
    files = {".trackside/stacks.yml": stacks, "app/main.tf": HANGS.format(file=file), "other/main.tf": ONE}
    sha = world.push(repo, files, "First stacks")
    world.expect_check(repo, sha, "deploy/other", "action_required")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), "the apply has begun")
    other = repo.check_run(sha, "deploy/other")
    assert other is not None
    world.press(other, "Confirm")
    world.wait_for(RunState.CONFIRMED, "other")

    run = next(run for run in world.runs() if run.stack_name == "app")
    head, line = said(world).splitlines()
    assert head.split() == ["POOL", "NAME", "STATE", "SLOTS", "VERSION", "SEEN", "RUNS"]
    assert re.fullmatch(rf"default  first  busy   1/1    \S+ +\d s ago  {run.id} \(app, applying\)", line), line
    numbers = httpx.get(f"{world.url}/metrics", trust_env=False).text
    for wanted in (
        'trackside_workers{state="busy"} 1.0',
        'trackside_workers{state="gone"} 0.0',
        'trackside_assignments{phase="apply"} 1.0',
        'trackside_queue_length{pool="default"} 1.0',
    ):
        assert wanted in numbers
    waits = re.search(r'trackside_queue_oldest_wait_seconds\{pool="default"\} (\S+)', numbers)
    assert waits is not None
    assert float(waits[1]) > 0
    world.operate("workers", "remove", "first", "--even-if-applying")
    world.wait_for(RunState.FAILED, "app")
    world.wait_for(RunState.FINISHED, "other")
