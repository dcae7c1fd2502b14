"""Artifacts in S3: what one worker planned another applies, past the control plane, and trouble is borne."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.run import RunState
from app.store.s3_client import make_s3_client
from tests.aws import Trouble, aws_access, changes_what_is_signed, new_bucket, troubled
from tests.driver import World, open_world

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": ONE}


@pytest.fixture
def bucket(s3_url: str) -> str:
    return new_bucket(s3_url)


@pytest.fixture
def stored(tmp_path: Path, database_url: str, s3_url: str, bucket: str) -> Iterator[tuple[World, Trouble]]:
    """A world whose artifacts are in a bucket, behind a proxy that can misbehave."""
    with troubled(s3_url) as (url, trouble):
        access = aws_access(s3_url)
        variables = {
            "ARTIFACT_URL": f"s3://{bucket}/acme",
            "S3_ENDPOINT_URL": url,
            "AWS_REGION": access.region,
            "AWS_ACCESS_KEY_ID": access.access_key_id,
            "AWS_SECRET_ACCESS_KEY": access.secret_access_key.reveal(),
        }
        with open_world(tmp_path, database_url, **variables) as world:
            yield world, trouble


def keys(s3_url: str, bucket: str) -> list[str]:
    """What is in the bucket."""
    found = make_s3_client(aws_access(s3_url)).list_objects_v2(Bucket=bucket).get("Contents", [])
    return [one["Key"] for one in found]


def test_a_plan_stored_in_s3_is_applied_by_another_worker(
    stored: tuple[World, Trouble], s3_url: str, bucket: str
) -> None:
    """One worker plans and ends; a person confirms; another worker fetches the workspace and applies it."""
    world, trouble = stored
    repo = world.repository()
    sha = world.push(repo, FILES, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    run = world.the_run()
    assert run.plan is not None
    archive = f"acme/workspaces/{run.id.lower()}/1-{run.plan.digest[:16]}"
    assert keys(s3_url, bucket) == [archive]
    assert "canary-aws-secret" not in world.log(run)

    world.close()
    world.start_worker("second")
    world.press(plan, "Confirm")
    run = world.expect_state(RunState.FINISHED)
    archives = [asked for asked in trouble.requests if asked.endswith(archive)]
    assert archives == [f"{how} /{bucket}/{archive}" for how in ("DELETE", "PUT", "HEAD", "GET", "DELETE")]
    (state,) = keys(s3_url, bucket)
    assert state.startswith("acme/state/"), "the workspace went with the run, the state stays"
    assert "X-Amz" not in world.log(run)


def test_a_store_that_stumbles_on_the_way_loses_nothing(stored: tuple[World, Trouble]) -> None:
    """500 and 503 on the way in, a lost answer, a body that is cut on the way out: all of it is tried again."""
    world, trouble = stored
    repo = world.repository()
    trouble.answer("PUT", 503)
    trouble.lose_answer("PUT")
    trouble.answer("HEAD", 500)
    sha = world.push(repo, FILES, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert trouble.hurt == ["PUT status", "PUT lose", "HEAD status"]
    trouble.cut_answer("GET", 100)
    trouble.answer("GET", 500)
    world.press(plan, "Confirm")
    run = world.expect_state(RunState.FINISHED)
    assert (run.attempts, run.plan_number) == (0, 1)
    assert trouble.hurt[3:] == ["GET cut", "GET status"]


@changes_what_is_signed
def test_an_upload_that_was_cut_never_counts(stored: tuple[World, Trouble], s3_url: str, bucket: str) -> None:
    """A store that keeps half an archive and says it is well: the run is planned again, and waits with a whole one."""
    world, trouble = stored
    repo = world.repository()
    trouble.swallow("PUT", 100)
    sha = world.push(repo, FILES, "First stack")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    run = world.the_run()
    assert (run.fencing, trouble.hurt) == (2, ["PUT swallow"])
    lost = world.sql("SELECT before, after, cause FROM run_steps WHERE step = 'lose'")
    assert [row[:2] for row in lost] == [("planning", "ready")]
    assert str(lost[0][2]).startswith("the stored workspace has 100 bytes instead of ")
    world.press(plan, "Confirm")
    world.expect_state(RunState.FINISHED)


def test_a_store_that_is_down_says_so_on_readyz(stored: tuple[World, Trouble]) -> None:
    """The operator sees which part is not ready, and why; it is ready again as soon as the store is."""
    world, trouble = stored
    assert world.is_answering()
    trouble.answer("GET", 503, times=8)
    assert not world.is_answering()
    trouble.next.clear()
    assert world.is_answering()
