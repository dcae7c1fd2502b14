"""Plans that nobody decides about: announced, discarded, their archive gone, and the stack free for the next run."""

from app.core.run import RunState
from tests.driver import World, wait_until

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
TWO = 'resource "terraform_data" "web" { input = "two" }\n'


def archives(world: World) -> int:
    """How many workspaces are kept."""
    return sum(1 for path in (world.root / "data").rglob("workspaces/*/*") if path.is_file())


def aged(world: World, days: float) -> None:
    """Time has passed: what waits has waited that much longer, and what was announced is that much nearer."""
    shift = f"make_interval(secs => {days * 86400})"
    world.sql(
        f"UPDATE runs SET updated_at = updated_at - {shift}, expires_at = expires_at - {shift}"  # noqa: S608 - a number
        " WHERE state = 'unconfirmed' RETURNING id"
    )


def test_a_plan_expires_a_week_after_it_stood_and_its_check_says_so_a_day_before(world: World) -> None:
    """Announced on the check, then discarded as expired; the archive goes; the next run goes; a retry plans anew."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": ONE}, "One")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    later = world.push(repo, {"app/main.tf": TWO}, "Two")
    world.settle()
    assert archives(world) == 1

    aged(world, 5.9)
    wait_until(lambda: world.sql("SELECT count(*) FROM runs WHERE expires_at IS NULL") == [(2,)], "a sweep looks")
    assert "expires" not in (world.expect_check(repo, sha, "deploy/app", "action_required").summary or "")
    aged(world, 0.2)
    run = world.runs()[0]
    wait_until(lambda: world.runs()[0].expires_at is not None, "the expiry is announced")
    announced = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert announced.id == check.id
    assert "this plan expires, and is discarded, at 20" in (announced.summary or "")
    assert world.runs()[0].state is RunState.UNCONFIRMED

    aged(world, 1)
    wait_until(lambda: world.runs()[0].state is RunState.DISCARDED, "the plan expires")
    world.expect_check(repo, later, "deploy/app", "action_required")
    expired = world.expect_check(repo, sha, "deploy/app", "neutral")
    assert expired.title == "discarded"
    assert "expired: nobody decided within 7 days" in (expired.summary or "")
    assert repo.buttons(expired) == []
    ended = world.runs()[0]
    assert (ended.reason, ended.decided_by) == ("expired: nobody decided within 7 days", "")
    assert archives(world) == 1, "the one of the plan that waits now"
    assert world.sql(f"SELECT step FROM run_steps WHERE run_id = '{run.id}' ORDER BY id DESC LIMIT 1") == [("expire",)]  # noqa: S608 - our own id


def test_a_replan_begins_the_week_anew(world: World) -> None:
    """What was announced was the plan before: the next one has its own time."""
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": ONE}, "One")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    aged(world, 6.5)
    wait_until(lambda: world.the_run().expires_at is not None, "the expiry is announced")

    world.comment_on_commit(repo, sha, "/trackside replan app")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert world.the_run().plan_number == 2
    assert world.the_run().expires_at is None
    assert "expires" not in (check.summary or "")
