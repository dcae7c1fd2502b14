"""What only history needs goes in its time, and nothing else does: tidied as the jobs process does it every hour."""

import io
import os
import time
from pathlib import Path

from app.core.run import RunState
from app.flows.tidy import Kept, Tidy
from app.store.artifacts_disk import DiskArtifacts
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n  - {name: net, project_root: net}\n"
CODE = 'resource "terraform_data" "web" {{ input = "{value}" }}\n'
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(value=1), "net/main.tf": CODE.format(value=1)}
DAY_S = 24 * 3600


def tidy_of(world: World, *, state_versions: int = 0) -> Tidy:
    """The use case, on the world's store."""
    kept = Kept(logs_days=30, deliveries_days=30, decisions_days=30, state_versions=state_versions)
    return Tidy(store=world.plane.store, artifacts=DiskArtifacts(world.root / "data" / "artifacts"), kept=kept)


def files(world: World) -> list[str]:
    """Every file among the artifacts."""
    root = world.root / "data" / "artifacts"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def age(path: Path, days: float) -> None:
    """Make everything below look that old."""
    then = time.time() - days * DAY_S
    for one in [path, *path.rglob("*")]:
        os.utime(one, (then, then))


def execute(world: World, statement: str) -> None:
    """Change the database as time would."""
    with world.plane.store.begin() as tx:
        tx._connection.exec_driver_sql(statement)


def test_artifacts_that_nothing_names_go_after_a_day_and_what_waits_stays(world: World) -> None:
    """A waiting run's workspace and every state stay however old; those of nobody go, but not before a day."""
    repo = world.repository()
    sha = world.push(repo, FILES, "First stacks")
    world.press(world.expect_check(repo, sha, "deploy/net", "action_required"), "Confirm")
    ended = world.expect_state(RunState.FINISHED, "net")
    needed = files(world)
    assert [name.split("/")[0] for name in needed] == ["state", "workspaces"]
    waiting = world.the_run("app")

    root = world.root / "data" / "artifacts"
    artifacts, digest = DiskArtifacts(root), "f" * 16
    orphans = [
        "workspaces/01arz3ndektsv4rrffq69g5fav/1-" + digest,
        f"workspaces/{ended.id.lower()}/1-{digest}",
        f"workspaces/{waiting.id.lower()}/0-{digest}",
        f"state/{ended.stack_id.lower()}/01arz3ndektsv4rrffq69g5fav",
    ]
    for key in orphans:
        artifacts.put(key, io.BytesIO(b"of nobody"), max_bytes=99)
    (root / "state" / ".partial-0123").write_bytes(b"its writer died")
    assert tidy_of(world).tidy() == 0
    assert set(orphans) < set(files(world)), "an upload may still be under way"
    age(root, 1.1)
    assert tidy_of(world).tidy() == len(orphans) + 1
    assert files(world) == needed
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    world.expect_state(RunState.FINISHED, "app")


def test_the_workspace_of_an_unknown_outcome_is_kept_until_somebody_has_looked(world: World) -> None:
    """Everything of an apply that was lost stays until a person has looked, however long that takes, and no longer."""
    repo = world.repository()
    sha = world.push(repo, FILES, "First stacks")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    execute(world, "UPDATE runs SET is_outcome_unknown = true, state = 'failed' WHERE stack_name = 'app'")
    execute(world, "UPDATE runs SET state = 'failed' WHERE stack_name = 'net'")
    execute(world, "UPDATE stacks SET hold_reason = 'lost'")
    age(world.root / "data" / "artifacts", 400)
    assert tidy_of(world).tidy() == 1
    (kept,) = files(world)
    assert kept.split("/")[1] == world.the_run("app").id.lower()
    assert world.operate("unlock", world.the_run("app").stack_id).returncode == 0
    assert tidy_of(world).tidy() == 1
    assert files(world) == []


def test_logs_and_bodies_go_after_their_days_and_that_they_were_stays(world: World) -> None:
    """A month later logs and payloads are gone; runs, deliveries and what became of them are still told."""
    repo = world.repository()
    sha = world.push(repo, FILES, "First stacks")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    run = world.the_run("app")
    deliveries = world.sql("SELECT count(*) FROM deliveries")
    before = world.log(run)
    assert tidy_of(world).tidy() == 0
    assert world.log(run) == before != ""

    execute(world, "ALTER TABLE assignments DISABLE TRIGGER assignments_keep")  # time is not turned back otherwise
    execute(world, "UPDATE assignments SET ended_at = ended_at - interval '31 days' WHERE ended_at IS NOT NULL")
    execute(world, "ALTER TABLE assignments ENABLE TRIGGER assignments_keep")
    execute(world, "UPDATE deliveries SET received_at = received_at - interval '31 days'")
    execute(world, "UPDATE deliveries SET outcome = 'pending' WHERE event <> 'push'")
    assert tidy_of(world).tidy() > 0
    assert world.log(run) == ""
    assert world.sql("SELECT count(*) FROM deliveries") == deliveries
    assert world.sql("SELECT DISTINCT octet_length(body) FROM deliveries WHERE outcome <> 'pending'") == [(0,)]
    assert world.sql("SELECT count(*) FROM deliveries WHERE outcome = 'pending' AND octet_length(body) = 0") == [(0,)]
    execute(world, "UPDATE deliveries SET outcome = 'ignored' WHERE outcome = 'pending'")
    assert world.the_run("app").state is RunState.UNCONFIRMED


def test_versions_of_a_state_are_all_kept_unless_a_number_is_set(world: World) -> None:
    """With a number set the newest stay readable, the current one always; older rows and their bytes go together."""
    repo = world.repository()
    sha = world.push(repo, FILES, "First stacks")
    for number in (2, 3):
        world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
        world.expect_state(RunState.FINISHED, "app")
        sha = world.push(repo, {"app/main.tf": CODE.format(value=number)}, "Next")
    stack = world.runs("app")[0].stack_id
    states = world.plane.states_by_hand
    versions = [version.id for version in states.list_versions(stack)[0]]
    assert len(versions) >= 2
    assert tidy_of(world).tidy() == 0
    assert tidy_of(world, state_versions=1).tidy() == len(versions) - 1
    left, current = states.list_versions(stack)
    assert [version.id for version in left] == versions[:1] == [current]
    assert [name.split("/")[2].upper() for name in files(world) if name.startswith("state/")] == versions[:1]
    assert states.pull(stack, "", "a test").data.startswith(b"{")
