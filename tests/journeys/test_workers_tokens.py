"""A pool's token is replaced while its workers work: the new one is added, workers are switched, the old one goes."""

import os
from pathlib import Path

import pytest

from app.core.run import RunState
from tests.driver import POOL_TOKEN, Restarts, open_restarts, wait_until

NEW_TOKEN = "the-token-that-takes-its-place"
STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n  - {name: other, project_root: other}\n"
ONE = 'resource "terraform_data" "web" {{ input = "{}" }}\n'
WAITS = """
resource "terraform_data" "web" {{
  provisioner "local-exec" {{ command = "echo begun > {file}; cat {pipe}" }}
}}
"""
"""Applying this ends when somebody has opened the pipe and closed it."""


def seen(restarts: Restarts) -> set[str]:
    """Who claimed."""
    return {worker.facts.name for worker in restarts.world.plane.store.list_workers()}


def test_a_token_is_rotated_under_running_work(
    tmp_path: Path, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both tokens of a pool claim while it is replaced. Once the old one is gone, a worker that still has it gets no
    run and says why; what it applies goes on and ends well, since that hangs on the assignment's own token."""
    pipe, file = tmp_path / "pipe", tmp_path / "applying"
    os.mkfifo(pipe)
    with open_restarts(tmp_path, database_url, ISOLATION="none") as restarts:
        world = restarts.world
        end_switched = world.start_worker("switched")
        world.start_worker("forgotten", WORKER_CONCURRENCY="2")
        wait_until(lambda: seen(restarts) == {"switched", "forgotten"}, "both claim with the old token")

        restarts.start_web(WORKER_TOKENS=f"default={NEW_TOKEN},default={POOL_TOKEN}")
        end_switched()
        repo = world.repository()
        code = WAITS.format(file=file, pipe=pipe)
        first = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": code}, "First stack")
        world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
        wait_until(file.exists, "the old token's worker applies")
        world.start_worker("renewed", WORKER_TOKEN=NEW_TOKEN)
        wait_until(lambda: "renewed" in seen(restarts), "the new token claims beside the old one")

        restarts.start_web(WORKER_TOKENS=f"default={NEW_TOKEN}")
        log = ""

        def is_refused() -> bool:
            nonlocal log
            log += capfd.readouterr().out
            return "401 checking the token: it belongs to no worker pool; when it was replaced" in log

        wait_until(is_refused, "the worker with the old token says what is wrong")
        assert POOL_TOKEN not in log
        second = world.push(repo, {"other/main.tf": ONE.format("other")}, "Second stack")
        world.wait_for(RunState.UNCONFIRMED, "other")
        assert world.sql("SELECT worker FROM assignments ORDER BY created_at DESC LIMIT 1") == [("renewed/1",)]

        assert world.runs("app")[-1].state is RunState.APPLYING
        with pipe.open("w"):
            pass
        run = world.expect_state(RunState.FINISHED, "app")
        assert run.attempts == 0
        assert world.sql("SELECT by FROM run_steps WHERE step = 'finish' AND by LIKE 'worker forgotten/%'") != []
        world.expect_check(repo, first, "deploy/app", "success")
        world.expect_check(repo, second, "deploy/other", "action_required")
