"""Commands that lead to an apply by a side door: a retry is what it makes once more, and asks for as much."""

from app.core.run import RunState, RunType
from app.sandbox import Repo
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app%s}\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
BROKEN = 'resource "terraform_data" "web" { input = var.missing }\n'
GUARDED = STACKS % ", autodeploy: true, confirm: {permission: admin}"


def promoted(world: World) -> tuple[Repo, str]:
    """A repository whose stack deployed an unmerged commit, of pull request 1, and failed; the commit."""
    repo = world.repository({".trackside/stacks.yml": STACKS % ", allow_promotion: true", "app/main.tf": ONE})
    world.settle()
    head = world.push(repo, {"app/main.tf": BROKEN}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="alice")
    world.settle()
    world.comment_on_commit(repo, repo.sha("main"), "/trackside discard app")
    world.comment(repo, number, "/trackside deploy app")
    world.expect_check(repo, head, "deploy/app", "failure")
    return repo, head


def test_a_deployment_is_made_once_more_by_those_alone_who_may_deploy(world: World) -> None:
    """Where a stack applies by itself, a retry is an apply: whoever may not confirm cannot have one, by comment or by
    button; a preview is anybody's who may write."""
    repo = world.repository({".trackside/stacks.yml": GUARDED, "app/main.tf": BROKEN})
    repo.set_permission("carol", "write")
    sha = repo.sha("main")
    failed = world.expect_check(repo, sha, "deploy/app", "failure")

    world.comment_on_commit(repo, sha, "/trackside retry app", by="carol")
    world.press(failed, "Retry", by="carol")
    world.settle()

    said = world.remarks(repo, sha)
    assert len(said) == 2
    assert all("carol has write permission on acme/infra, and to retry a deployment needs admin" in one for one in said)
    assert len(world.runs("app")) == 1
    refused = world.sql("SELECT source, is_allowed FROM audit WHERE actor = 'carol' ORDER BY source")
    assert refused == [("button", False), ("comment", False)]

    head = world.push(repo, {"app/main.tf": BROKEN + "\n"}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="carol")
    world.expect_check(repo, head, "plan/app", "failure")
    world.comment(repo, number, "/trackside retry app", by="carol")
    world.settle()
    assert [run.type for run in world.runs("app")] == [RunType.TRACKED, RunType.PROPOSED, RunType.PROPOSED]


def test_an_unmerged_commit_is_not_deployed_again_once_the_stack_forbids_it(world: World) -> None:
    """allow_promotion was taken away: the run that it made is not made once more, on the server neither."""
    repo, head = promoted(world)
    before = len(world.runs("app"))
    world.push(repo, {".trackside/stacks.yml": STACKS % ""}, "Merged commits only")
    world.settle()

    world.comment_on_commit(repo, head, "/trackside retry app")
    world.settle()

    assert "deploys merged commits only" in world.remarks(repo, head)[-1]
    failed = world.runs("app")[-1]
    assert (failed.type, failed.state) == (RunType.TRACKED, RunState.FAILED)
    assert world.operate("retry", failed.id).returncode == 1
    assert len(world.runs("app")) == before


def test_an_unmerged_commit_is_deployed_again_while_the_stack_allows_it(world: World) -> None:
    """The retry of a promotion is one, and asks what a promotion asks: a pull request that was closed since, or has
    another head by now, does not stand for the commit any more, by comment, by button or on the server."""
    repo, head = promoted(world)
    failed, run = world.expect_check(repo, head, "deploy/app", "failure"), world.runs("app")[-1]
    repo.close_pull(1, by="alice")
    world.press(failed, "Retry")
    world.settle()
    world.comment_on_commit(repo, head, "/trackside retry app")
    world.settle()
    assert ["closed without a merge" in one for one in world.remarks(repo, head)] == [True, True]
    repo.reopen_pull(1, by="alice")

    newer = world.push(repo, {"README.md": "more\n"}, "More", branch="work")
    world.settle()
    refused = world.operate("retry", run.id)
    assert (refused.returncode, f"`{newer[:7]}` is" in refused.stdout) == (1, True)
    assert not [each for each in world.runs("app") if each.retry_of], "nothing was made so far"
    repo.set_branch("work", head, by="alice")

    world.comment_on_commit(repo, head, "/trackside retry app")
    world.settle()
    again = world.runs("app")[-1]
    assert (again.type, again.head_sha, again.retry_of) == (RunType.TRACKED, head, run.id)


def test_a_command_that_meets_no_run_or_stack_stands_in_the_audit_log_too(world: World) -> None:
    """Whoever tries doors is written down, also where there is none."""
    repo = world.repository({".trackside/stacks.yml": STACKS % "", "app/main.tf": ONE})
    world.settle()
    sha = repo.sha("main")

    world.comment_on_commit(repo, sha, "/trackside confirm nowhere\n/trackside unlock nowhere", by="bob")
    world.settle()

    found = world.sql("SELECT command, source, is_allowed FROM audit WHERE actor = 'bob' ORDER BY id")
    assert found == [("confirm", "comment", False), ("unlock", "comment", False)]
    assert len(world.remarks(repo, sha)) == 1
