"""`trackside backup` and `restore`: the data folder is lost, and everything that waited still waits, and is applied."""

import json
import shutil
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.run import RunState
from app.jobs import run_jobs
from app.settings import load_settings
from app.wiring import open_control
from tests.aws import aws_access, new_bucket
from tests.driver import HttpThread, World, open_world, wait_until

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n  - {name: net, project_root: net}\n"
CODE = 'resource "terraform_data" "web" {{ input = "{value}" }}\n'
FILES = {
    ".trackside/stacks.yml": STACKS,
    "app/main.tf": CODE.format(value="one"),
    "net/main.tf": CODE.format(value="kept in the state"),
}


@contextmanager
def elsewhere(world: World, database_url: str) -> Iterator[World]:
    """The same GitHub, and Trackside anew on another database: web, jobs and a worker."""
    environ = world.environ | {"DATABASE_URL": database_url}
    with open_control(load_settings(environ), database_url) as plane:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        world.github.webhook_url = f"{url}/webhooks/github"
        http = HttpThread(plane.make_web(), sock)
        stop = threading.Event()
        jobs = threading.Thread(target=run_jobs, args=(plane.make_job_app, plane.tasks, stop), daemon=True)
        jobs.start()
        anew = replace(world, plane=plane, environ=environ, url=url, _stops=[])
        anew.start_worker("anew")
        try:
            yield anew
        finally:
            anew.close()
            stop.set()
            jobs.join(30)
            http.stop()
            sock.close()


@pytest.mark.parametrize("is_in_s3", [False, True], ids=["disk", "s3"])
def test_what_was_lost_is_restored_and_the_waiting_plan_applied(
    is_in_s3: bool, tmp_path: Path, database_url: str, empty_database_url: str, s3_url: str
) -> None:
    """Database, artifacts and key are gone; a restore brings back a waiting plan, its workspace, a readable state."""
    variables = {}
    if is_in_s3:
        access = aws_access(s3_url)
        variables = {
            "ARTIFACT_URL": f"s3://{new_bucket(s3_url)}/before",
            "S3_ENDPOINT_URL": s3_url,
            "AWS_REGION": access.region,
            "AWS_ACCESS_KEY_ID": access.access_key_id,
            "AWS_SECRET_ACCESS_KEY": access.secret_access_key.reveal(),
        }
    with open_world(tmp_path, database_url, **variables) as world:
        repo = world.repository()
        sha = world.push(repo, FILES, "First stacks")
        world.press(world.expect_check(repo, sha, "deploy/net", "action_required"), "Confirm")
        net = world.expect_state(RunState.FINISHED, "net")
        waiting = world.expect_state(RunState.UNCONFIRMED, "app")

        made = world.operate("backup", str(tmp_path))
        assert made.returncode == 0, made.stderr
        (file,) = tmp_path.glob("*.backup")
        assert made.stdout.startswith(f"{file}: ")
        assert ", 2 artifacts, " in made.stdout
        assert made.stderr == "it holds the key that opens it all: keep it as you would keep the key\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        world.close()

        shutil.rmtree(tmp_path / "data")
        if is_in_s3:
            world.environ["ARTIFACT_URL"] = f"s3://{new_bucket(s3_url)}/after"
        world.environ["DATABASE_URL"] = empty_database_url
        restored = world.operate("restore", str(file))
        assert restored.returncode == 0, restored.stderr
        assert "2 artifacts, the key file" in restored.stdout
        again = world.operate("restore", str(file))
        assert (again.returncode, again.stdout) == (1, "")
        assert "it is not empty" in again.stderr

        with elsewhere(world, empty_database_url) as anew:
            state = anew.operate("state", "pull", net.stack_id)
            assert json.loads(state.stdout)["resources"][0]["instances"][0]["attributes"]["input"]["value"]
            assert anew.log(net) != ""
            anew.press(anew.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
            applied = anew.expect_state(RunState.FINISHED, "app")
            assert (applied.id, applied.confirmed_digest) == (waiting.id, waiting.plan.digest if waiting.plan else None)
            assert anew.log(applied).startswith(anew.log(waiting)[:100])


def test_a_key_that_was_rotated_seals_and_the_ones_before_still_open(world: World, tmp_path: Path) -> None:
    """A plan that was sealed with the old key is applied after the rotation, by processes that know both."""
    repo = world.repository()
    sha = world.push(repo, FILES, "First stacks")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    rotated = world.operate("rotate-key")
    assert rotated.returncode == 0, rotated.stderr
    assert "2 keys open" in rotated.stdout
    file = tmp_path / "data" / "key"
    assert len(file.read_text().splitlines()) == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with open_control(load_settings(world.environ), world.environ["DATABASE_URL"]) as after:
        assert after.vault.keyring.open(after.vault.seal(b"new", {}), {}) == b"new"
        assert world.plane.vault.open(after.vault.seal(b"new", {}), {}) == b"new", (
            "a process of before reads the file anew"
        )
        assert b"".join(chunk.text for chunk in after.store.read_log(world.runs("app")[0].id))
    world.press(plan, "Confirm")
    world.expect_state(RunState.FINISHED, "app")
    wait_until(lambda: not world.unsettled(), "everything is told")
