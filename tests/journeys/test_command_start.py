"""`plan` and `deploy`: who may start what, of which commit, by comment, by button and on the server."""

from app.core.run import RunState, RunType, Trigger
from app.sandbox import Repo
from tests.driver import World
from tests.worker.world import boxes

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app%s}\n  - {name: net, project_root: net}\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
TWO = 'resource "terraform_data" "web" { input = "two" }\n'
FILES = {".trackside/stacks.yml": STACKS % "", "app/main.tf": ONE, "net/main.tf": ONE}
PROMOTES = FILES | {".trackside/stacks.yml": STACKS % ", allow_promotion: true"}


def opened(world: World, repo: Repo, files: dict[str, str | None], branch: str = "work") -> tuple[int, str]:
    """Alice opens a pull request; its number and its head."""
    head = world.push(repo, files, "Work", branch=branch)
    return repo.open_pull(branch, title="Work", author="alice"), head


def commands(world: World) -> list[tuple[object, ...]]:
    """What the audit log has, in its order: who, how, what (its first word), whether it was allowed."""
    return world.sql("SELECT actor, source, split_part(command, ' ', 1), is_allowed FROM audit ORDER BY id")


def test_a_pull_request_is_planned_again_by_comment_and_by_button(world: World) -> None:
    """The stacks that its event ran, or those named; each run is a new one, reported under the same check."""
    repo = world.repository(FILES)
    world.settle()
    number, head = opened(world, repo, {"app/main.tf": TWO})
    first = world.expect_check(repo, head, "plan/app", "success")
    assert repo.buttons(first) == ["Plan again"]

    world.comment(repo, number, "/trackside plan")
    second = world.expect_check(repo, head, "plan/app", "success")
    assert second.id != first.id
    (asked,) = [one for one in repo.comments(number) if one.body == "/trackside plan"]
    assert [one.content for one in repo.reactions(asked)][-1] == "+1"
    made = world.runs("app")[-1]
    assert (made.type, made.trigger, made.triggered_by) == (RunType.PROPOSED, Trigger.COMMAND, "alice")
    assert (made.pull_number, made.source_sha) == (number, repo.sha(f"refs/pull/{number}/merge"))
    assert world.runs("net")[-1].head_sha != head, "its event did not concern it"

    world.press(second, "Plan again")
    third = world.expect_check(repo, head, "plan/app", "success")
    assert third.id != second.id
    world.comment(repo, number, f"/trackside plan net --sha {head}")
    world.expect_check(repo, head, "plan/net", "success")
    summary = world.expect_check(repo, head, "trackside", "success")
    assert "net" in (summary.summary or "")
    assert world.replies(repo, number) == []
    assert commands(world) == [
        ("alice", "comment", "plan", True),
        ("alice", "button", "plan", True),
        ("alice", "comment", "plan", True),
    ]


def test_a_plan_that_cannot_be_made_is_answered_with_why(world: World) -> None:
    """No permission, no such stack, no stack at all, an older commit, one that nobody pushed here: nothing runs."""
    repo = world.repository(FILES)
    world.settle()
    number, head = opened(world, repo, {"README.md": "words\n"})
    before = len(world.runs())

    for body, by in (
        ("plan app", "bob"),
        ("plan nett", "alice"),
        ("plan", "alice"),
        (f"plan app --sha {repo.sha('main')}", "alice"),
        ("plan app --sha 3fa9c1d", "alice"),
    ):
        world.comment(repo, number, f"/trackside {body}", by=by)
        world.settle()

    assert len(world.runs()) == before
    denied, unknown, which, other, short = world.replies(repo, number)
    assert "plan needs write" in denied
    assert "`nett` is no stack of this repository" in unknown
    assert "- `/trackside plan app`\n- `/trackside plan net`" in which
    assert f"then write `/trackside plan app --sha {head}`" in other
    assert "`--sha` takes all 40 digits of a commit" in short
    assert [row[3] for row in commands(world)] == [False] * 4


@boxes()
def test_a_fork_is_validated_once_a_writer_says_which_commit_they_have_read(world: World) -> None:
    """Without the full commit nothing runs; with it the run gets nothing of ours; the next push makes it void."""
    repo = world.repository(FILES)
    world.settle()
    repo.set_permission("mallory", "read")
    fork = world.github.fork_repository(repo.full_name, "mallory")
    head = fork.push("main", files={"app/main.tf": TWO}, message="Mine", author="mallory")
    number = repo.open_pull("mallory:main", title="Mine", author="mallory")
    world.settle()

    world.comment(repo, number, "/trackside plan app")
    world.comment(repo, number, "/trackside deploy app")
    world.comment(repo, number, f"/trackside plan app --sha {head}", by="mallory")
    world.comment_on_commit(repo, head, "/trackside plan app")
    world.settle()
    unread, never, denied = world.replies(repo, number)
    assert f"`/trackside plan app --sha {head}` has it validated" in unread
    assert "so there is nothing to deploy before it is merged" in never
    assert "plan needs write" in denied
    assert "is on no branch of this repository" in world.remarks(repo, head)[-1]
    assert not [run for run in world.runs() if run.head_sha == head]

    world.comment(repo, number, f"/trackside plan app --sha {head}")
    assert world.expect_check(repo, head, "plan/app", "success").title == "validated, not planned"
    assert world.runs("app")[-1].is_from_fork
    assert world.expect_check(repo, head, "trackside", "success").title == "1 of 2 stacks affected: 1 validated"
    newer = fork.push("main", files={"app/main.tf": ONE + "\n"}, message="More", author="mallory")
    world.settle()
    world.comment(repo, number, f"/trackside plan app --sha {head}")
    world.settle()
    assert f"`/trackside plan app --sha {newer}`" in world.replies(repo, number)[-1]


def test_the_first_run_of_a_stack_that_only_the_file_brought(world: World) -> None:
    """Its files did not change, so no push runs it: `deploy` does, and what it makes is a deployment like any other."""
    repo = world.repository({"app/main.tf": ONE, "README.md": "code first\n"})
    world.settle()
    sha = world.push(repo, {".trackside/stacks.yml": STACKS % ""}, "Now with stacks")
    world.settle()
    assert world.runs("app") == []

    world.comment_on_commit(repo, sha, "/trackside deploy")
    world.settle()
    assert "- `/trackside deploy app`" in world.remarks(repo, sha)[-1], "the file's push concerns no stack"
    world.comment_on_commit(repo, sha, "/trackside deploy app")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    world.comment_on_commit(repo, sha, "/trackside deploy app")
    world.settle()
    run = world.the_run("app")
    assert (
        f"run `{run.id}` of `app` and this commit is waiting for confirmation already" in world.remarks(repo, sha)[-1]
    )
    assert world.sql("SELECT head_sha, head_seq FROM stacks WHERE name = 'app'") == [(sha, 1)]
    world.press(plan, "Confirm")
    world.expect_state(RunState.FINISHED, "app")
    assert [one.state for one in repo.deployments()] == ["success"]


def test_only_what_the_branch_holds_and_nothing_older_is_deployed(world: World) -> None:
    """A commit elsewhere, a commit that the head has passed, a pull request not merged: refused with the way on."""
    repo = world.repository(FILES)
    first = repo.sha("main")
    world.settle()
    second = world.push(repo, {"app/main.tf": TWO}, "Two")
    number, head = opened(world, repo, {"app/main.tf": TWO + "\n"})
    world.settle()
    before = len(world.runs())

    world.comment_on_commit(repo, first, "/trackside deploy app")
    world.comment_on_commit(repo, head, "/trackside deploy app")
    world.comment(repo, number, "/trackside deploy app")
    world.comment(repo, number, "/trackside deploy app", by="bob")
    world.settle()

    assert len(world.runs()) == before
    assert f"`app` is at `{second[:7]}`, which `{first[:7]}` does not hold" in world.remarks(repo, first)[-1]
    assert "is not on `main`, the branch that `app` deploys" in world.remarks(repo, head)[-1]
    promotion, denied = world.replies(repo, number)
    assert "`app` deploys merged commits only" in promotion
    assert "deploy needs write" in denied
    assert repo.buttons(world.expect_check(repo, head, "plan/app", "success")) == ["Plan again"]
    assert world.sql("SELECT head_sha, head_seq FROM stacks WHERE name = 'app'") == [(second, 2)]


def test_a_preview_becomes_a_deployment_where_the_stack_allows_it(world: World) -> None:
    """The button plans anew, as a tracked run of the head, and moves the stack; a head that does not hold what is
    deployed would take it back, and is refused."""
    repo = world.repository(PROMOTES)
    world.settle()
    older, behind = opened(world, repo, {"app/main.tf": ONE + "# behind\n"}, branch="behind")
    world.settle()
    number, head = opened(world, repo, {"app/main.tf": TWO})
    preview = world.expect_check(repo, head, "plan/app", "success")
    assert repo.buttons(preview) == ["Deploy", "Plan again"]

    world.press(preview, "Deploy", by="bob")
    world.settle()
    assert "deploy needs write" in world.remarks(repo, head)[-1]
    first = next(run for run in world.runs("app") if run.type is RunType.TRACKED)
    world.operate("discard", first.id)
    world.press(preview, "Deploy")
    plan = world.expect_check(repo, head, "deploy/app", "action_required")
    run = world.runs("app")[-1]
    assert (run.type, run.head_sha, run.head_seq, run.pull_number) == (RunType.TRACKED, head, 2, number)
    world.press(plan, "Confirm")
    world.expect_check(repo, head, "deploy/app", "success")
    assert head in [deployment.sha for deployment in repo.deployments() if deployment.state == "success"]

    world.comment(repo, older, "/trackside deploy app")
    world.settle()
    assert f"`app` is at `{head[:7]}`, which `{behind[:7]}` does not hold" in world.replies(repo, older)[-1]
    landed = repo.merge_pull(number, by="alice", method="merge")
    world.expect_check(repo, landed, "deploy/app", "success")
    assert world.runs("app")[-1].head_seq == 3, "the merge is deployed as any other, and finds nothing to do"


def test_an_operator_starts_runs_on_the_server(world: World) -> None:
    """plan, deploy, drift and destroy by the stack's id; a wrong id, a short commit and a stack never deployed are one
    line each; what destroys everything is confirmed by its run's id alone."""
    repo = world.repository({"app/main.tf": ONE, "net/main.tf": ONE})
    sha = world.push(repo, {".trackside/stacks.yml": STACKS % ", autodeploy: true"}, "Stacks")
    world.settle()
    app = str(world.sql("SELECT id FROM stacks WHERE name = 'app'")[0][0])

    never = world.operate("drift", app)
    assert (never.returncode, "was never deployed" in never.stdout) == (1, True)
    assert world.operate("deploy", "nowhere").stderr.startswith("trackside: looking up stack nowhere: there is none")
    assert "no full commit SHA" in world.operate("plan", app, "--sha", "3fa9c1d").stderr
    assert world.operate("plan", app).returncode == 0
    world.expect_check(repo, sha, "plan/app", "success")
    assert world.operate("deploy", app).returncode == 0
    world.expect_check(repo, sha, "deploy/app", "success")
    assert world.operate("drift", app).returncode == 0
    assert world.expect_check(repo, sha, "drift/app", "success").title == "no drift"

    assert world.operate("destroy", app).returncode == 0
    check = world.expect_check(repo, sha, "destroy/app", "action_required")
    assert "**This plan destroys the stack: all that its state holds, 1 resource.**" in (check.summary or "")
    run = world.runs("app")[-1]
    assert run.type is RunType.DESTROY
    world.comment_on_commit(repo, sha, "/trackside confirm app")
    world.comment_on_commit(repo, sha, "/trackside confirm")
    assert world.expect_state(RunState.UNCONFIRMED, "app").id == run.id, "a name means the deployment"
    remarks = world.remarks(repo, sha)[-2:]
    assert [f"`/trackside confirm {run.id}`" in said for said in remarks] == [True, True]
    by_stack = world.operate("confirm", app)
    assert (by_stack.returncode, "a stack's id never means a destroy" in by_stack.stdout) == (1, True)
    assert run.id in by_stack.stdout
    assert world.expect_state(RunState.UNCONFIRMED, "app").id == run.id
    again = world.operate("destroy", app)
    assert (again.returncode, "is waiting for confirmation already" in again.stdout) == (1, True)
    world.comment_on_commit(repo, sha, f"/trackside confirm {run.id}")
    assert world.expect_check(repo, sha, "destroy/app", "success").title == "destroyed: -1"
    assert world.operate("drift", app).returncode == 0
    assert (world.expect_check(repo, sha, "drift/app", "neutral").title or "").startswith("drift: +1")
