"""`stop`, `cancel` and `retry`: runs that people end before their time, and make once more."""

from pathlib import Path

from app.core.names import AssignmentId
from app.core.plan import Counts, Delta, PlanSummary
from app.core.protocol import (
    Assignment,
    Next,
    Outcome,
    PlanReport,
    ResultReport,
    Stage,
    StageReport,
)
from app.core.run import RunState, RunType
from tests.driver import World, open_world, wait_until

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app%s}\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
TWO = 'resource "terraform_data" "web" { input = "two" }\n'
BROKEN = 'resource "terraform_data" "web" { input = var.missing }\n'
FAILS_ONCE = """
resource "terraform_data" "web" {
  provisioner "local-exec" { command = "rm '%s'" }
}
"""
"""Applying fails unless somebody has made the file."""
SLOW = """
locals { many = sum(flatten([for a in range(700) : [for b in range(700) : a * b]])) }
resource "terraform_data" "web" { input = local.many }
"""
"""Planning this takes seconds of thought."""
FILES = {".trackside/stacks.yml": STACKS % "", "app/main.tf": ONE}


def test_a_plan_under_way_is_stopped_and_made_once_more(tmp_path: Path, database_url: str) -> None:
    """The worker hears of it with its next heartbeat; the check says who it was; the retry is a run of its own."""
    with open_world(tmp_path, database_url, LEASE_S="5") as world:
        repo = world.repository(FILES | {"app/main.tf": SLOW, ".trackside/stacks.yml": STACKS % ", autodeploy: true"})
        sha = repo.sha("main")
        run = world.wait_for(RunState.PLANNING)
        world.comment_on_commit(repo, sha, "/trackside stop", by="bob")
        world.comment_on_commit(repo, sha, "/trackside cancel")
        world.comment_on_commit(repo, sha, "/trackside stop app")
        check = world.expect_check(repo, sha, "deploy/app", "neutral")
        assert check.title == "stopped by alice"
        assert f"`/trackside retry {run.id}` makes it once more" in (check.summary or "")
        said = "\n".join(world.remarks(repo, sha))
        assert "stop needs write" in said
        assert "What it takes now: `/trackside stop app`" in said
        assert "is being stopped" in said
        assert world.sql("SELECT count(*) FROM confirmations") == [(0,)], "autodeploy does not outrun the person"

        world.push(repo, {"README.md": "unrelated\n"}, "Unrelated")
        world.comment_on_commit(repo, sha, "/trackside retry")
        world.expect_check(repo, sha, "deploy/app", "success")
        again = world.runs("app")[-1]
        assert (again.retry_of, again.type, again.head_sha) == (run.id, RunType.TRACKED, sha)
        assert world.runs("app")[0].decided_by == "alice"


def test_a_preview_is_stopped_by_whoever_may_write_and_planned_by_a_retry(tmp_path: Path, database_url: str) -> None:
    """Without a name the one run that is being planned is meant; a newer push's stop says what it was for."""
    with open_world(tmp_path, database_url, LEASE_S="5") as world:
        repo = world.repository(FILES)
        world.settle()
        head = world.push(repo, {"app/main.tf": SLOW}, "Slow", branch="work")
        number = repo.open_pull("work", title="Slow", author="alice")
        wait_until(lambda: world.runs("app")[-1].state is RunState.PLANNING, "the engine plans")
        world.comment(repo, number, "/trackside stop")
        world.expect_check(repo, head, "plan/app", "neutral")
        world.comment(repo, number, "/trackside retry app")
        check = world.expect_check(repo, head, "plan/app", "success")
        first, second = (run for run in world.runs("app") if run.type is RunType.PROPOSED)
        assert (first.state, second.retry_of) == (RunState.STOPPED, first.id)
        assert f"Makes run `{first.id}` once more." in (check.summary or "")
        assert world.replies(repo, number) == []


def test_a_worker_that_dies_with_a_run_that_was_to_stop_has_stopped_it(tmp_path: Path, database_url: str) -> None:
    """What a person has stopped is not planned again because its worker never heard of it."""
    with open_world(tmp_path, database_url, LEASE_S="20") as world:
        stacks = STACKS % ", worker_pool: mine"
        repo = world.repository(FILES | {".trackside/stacks.yml": stacks})
        world.wait_carried_out()
        held = world.take("mine")
        assert world.operate("stop", held.run_id).returncode == 0
        check = world.expect_check(repo, repo.sha("main"), "deploy/app", "neutral")
        assert (check.title or "").startswith("stopped by ")
        assert world.the_run().state is RunState.STOPPED


def test_a_waiting_run_is_withdrawn_and_the_next_one_goes(world: World) -> None:
    """cancel takes what has not started; what waits for a decision says so; a stack's id is enough on the server."""
    repo = world.repository(FILES)
    first = repo.sha("main")
    world.settle()
    second = world.push(repo, {"app/main.tf": TWO}, "Two")
    third = world.push(repo, {"app/main.tf": ONE + "\n"}, "Three")
    check = world.expect_check(repo, third, "deploy/app", None)
    assert "Number 2 in the queue of `app`." in (check.summary or "")
    assert f"`/trackside cancel {world.runs()[-1].id}` withdraws it." in (check.summary or "")

    world.comment_on_commit(repo, first, "/trackside cancel app")
    world.comment_on_commit(repo, second, "/trackside cancel", by="bob")
    world.settle()
    assert "has been planned and waits for a decision, so there is nothing to cancel" in world.remarks(repo, first)[-1]
    assert "cancel needs write" in world.remarks(repo, second)[-1]
    stack = world.runs()[0].stack_id
    several = world.operate("cancel", stack)
    assert (several.returncode, "several runs of this stack can be meant" in several.stdout) == (1, True)
    world.comment_on_commit(repo, second, "/trackside cancel")
    assert world.expect_check(repo, second, "deploy/app", "neutral").title == "canceled by alice"
    assert "Number 1 in the queue" in (world.expect_check(repo, third, "deploy/app", None).summary or "")
    assert world.operate("cancel", stack).returncode == 0
    assert world.runs()[-1].state is RunState.CANCELED
    nothing = world.operate("stop", stack)
    assert (nothing.returncode, nothing.stdout) == (1, "nothing to stop: no run of this stack takes it\n")


def test_a_failed_run_is_retried_by_its_button_once(unboxed: World) -> None:
    """Same commit, a new run, a new check run of the same name; the second click finds it done; the next run's check
    says that the one before failed."""
    world = unboxed
    repo, gate = world.repository(), world.root / "gate"
    sha = world.push(repo, FILES | {"app/main.tf": FAILS_ONCE % gate}, "Fails once")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    failed = world.expect_check(repo, sha, "deploy/app", "failure")
    assert repo.buttons(failed) == ["Retry"]
    identifier = failed.actions[0]["identifier"]

    world.press(failed, "Retry", by="bob")
    world.settle()
    assert "retry needs write" in world.remarks(repo, sha)[-1]
    gate.write_text("")
    world.press(failed, "Retry")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    first, second = world.runs()
    assert (second.retry_of, second.state) == (first.id, RunState.UNCONFIRMED)
    assert f"The run before, `{first.id}` of the commit `{sha[:7]}`, failed." in (plan.summary or "")
    repo.press_raw(failed, identifier, by="alice")
    world.settle()
    assert f"run `{second.id}` makes `{first.id}` of `app` once more already" in world.remarks(repo, sha)[-1]
    world.press(plan, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")


def test_what_a_newer_commit_has_passed_is_not_retried(world: World) -> None:
    """Retry would take the stack back: refused, with the way on; nothing finished is retried either."""
    repo = world.repository(FILES | {"app/main.tf": BROKEN})
    first = repo.sha("main")
    world.expect_check(repo, first, "deploy/app", "failure")
    failed = world.the_run()
    second = world.push(repo, {"app/main.tf": ONE}, "Mended")
    world.press(world.expect_check(repo, second, "deploy/app", "action_required"), "Confirm")
    world.expect_state(RunState.FINISHED)

    refused = world.operate("retry", failed.id)
    assert refused.returncode == 1
    assert "Retry the run of that commit, or deploy it" in refused.stdout
    world.comment_on_commit(repo, second, "/trackside retry app")
    world.settle()
    assert "was applied already, so there is nothing to retry" in world.remarks(repo, second)[-1]
    assert len(world.runs()) == 2


def test_a_stop_that_crosses_the_plan_on_its_way_wins(tmp_path: Path, database_url: str) -> None:
    """Not even autodeploy outruns the person: the run is stopped when its plan comes in, or when its workspace does."""
    with open_world(tmp_path, database_url, LEASE_S="300") as world:
        _crossing(world)


def _crossing(world: World) -> None:
    repo = world.repository(FILES | {".trackside/stacks.yml": STACKS % ", worker_pool: mine, autodeploy: true"})
    world.wait_carried_out()
    work = world.plane.doors.work
    summary = PlanSummary(delta=Delta(resources=Counts(create=1)))

    def planned(given: Assignment) -> PlanReport:
        for stage in Stage:
            work.stage(
                AssignmentId(given.id),
                given.token,
                StageReport(fencing=given.fencing, stage=stage, state_mode="managed"),
            )
        return PlanReport(
            fencing=given.fencing, digest="a" * 64, engine="terraform 1.11.4", has_changes=True, summary=summary
        )

    first = world.take("mine")
    report = planned(first)
    assert world.operate("stop", first.run_id).returncode == 0
    assert work.report_plan(AssignmentId(first.id), first.token, report).next is Next.DONE
    run = world.the_run()
    assert (run.state, run.confirmed_digest) == (RunState.STOPPED, None)

    off = {".trackside/stacks.yml": STACKS % ", worker_pool: mine", "app/main.tf": TWO}
    world.push(repo, off, "No autodeploy")
    world.wait_carried_out()
    second = world.take("mine")
    hold, token = AssignmentId(second.id), second.token
    assert work.report_plan(hold, token, planned(second)).next is Next.ARCHIVE
    assert world.operate("stop", second.run_id).returncode == 0
    work.put_archive(hold, token, second.fencing, iter([b"workspace"]))
    work.report_result(hold, token, ResultReport(fencing=second.fencing, outcome=Outcome.PLANNED))
    run = world.runs()[-1]
    assert run.state is RunState.STOPPED
    assert run.decided_by.endswith("(on the server)")
    assert not [path for path in (world.root / "data").rglob("workspaces/*/*") if path.is_file()], "its archive is gone"
    world.settle()
