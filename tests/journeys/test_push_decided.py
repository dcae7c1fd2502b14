"""What a push means for each stack: every decision can be read, also when the answer is no."""

from app.core.names import ZERO_SHA
from app.core.run import RunState
from tests.driver import World

STACKS = """
version: 1
stacks:
  - {name: app, project_root: infra/app, additional_project_globs: ["modules/**"]}
  - {name: net, project_root: infra/net}
"""
EMPTY = "# nothing yet\n"
FILES = {".trackside/stacks.yml": STACKS, "infra/app/main.tf": EMPTY, "infra/net/main.tf": EMPTY}


def test_a_push_outside_every_root_runs_nothing_and_its_record_says_why(world: World) -> None:
    """The neighbour `infra/net2` is not in `infra/net`; the commit says so, once; the answer no is a record too."""
    repo = world.repository(FILES)
    sha = world.push(repo, {"infra/net2/main.tf": EMPTY, "docs/index.md": "# Docs\n"}, "Elsewhere")
    assert world.decision(sha, "net") == ("ignore", "outside infra/net", "")
    assert world.decision(sha, "app") == ("ignore", "outside infra/app and its additional globs", "")
    assert [(check.name, check.title) for check in repo.check_runs(sha)] == [
        ("trackside/deploy", "none of 2 stacks is affected")
    ]
    assert repo.commit_comments(sha) == []
    assert world.delivery("push") == ("event", "decided for 2 stacks: 2 ignore")
    assert len(world.runs()) == 2, "those of the first push"

    module = world.push(repo, {"modules/vpc/main.tf": EMPTY}, "A shared module")
    assert world.decision(module, "app") == ("track", "modules/vpc/main.tf changed, which modules/** matches", "")
    assert world.decision(module, "net")[0] == "ignore"
    world.expect_check(repo, module, "deploy/app", "success")
    assert sorted(check.name for check in repo.check_runs(module)) == ["deploy/app", "trackside/deploy"]


def test_a_push_to_another_branch_makes_a_proposed_run(world: World) -> None:
    """A new branch is compared with where it left the default branch, later pushes with what was there before; what is
    proposed is planned, reported as `plan/<stack>` and never applied."""
    repo = world.repository(FILES)
    world.push(repo, {"infra/net/more.tf": EMPTY}, "The default branch goes on")
    first = world.push(repo, {"infra/app/main.tf": "# one\n"}, "Work", branch="work", base=repo.sha("main~1"))
    verdict, reason, note = world.decision(first, "app")
    assert (verdict, note) == ("propose", "new branch, compared with where it left main")
    assert reason == "infra/app/main.tf changed; branch work is not the tracked branch main"
    assert world.decision(first, "net")[:2] == ("ignore", "outside infra/net")

    second = world.push(repo, {"infra/net/main.tf": "# two\n"}, "More work", branch="work")
    assert world.decision(second, "app")[0] == "ignore", "what came with the first push is not new any more"
    assert world.decision(second, "net")[0] == "propose"
    world.expect_check(repo, first, "plan/app", "success")
    world.expect_check(repo, second, "plan/net", "success")
    proposed = [run for run in world.runs() if run.ref == "refs/heads/work"]
    assert [(run.stack_name, run.type.value, run.head_sha) for run in proposed] == [
        ("app", "proposed", first),
        ("net", "proposed", second),
    ]
    assert [check.name for check in repo.check_runs(second)] == ["plan/net"]
    assert {run.head_seq for run in world.runs("app")} == {1}, "a proposed run moves no head"

    repo.delete_branch("work", by="alice")
    world.settle()
    assert world.delivery("push") == ("ignored", "refs/heads/work was deleted")
    assert (ZERO_SHA,) not in world.sql("SELECT head_sha FROM decisions")


def test_a_new_branch_that_a_stack_tracks_starts_a_run(world: World) -> None:
    """Only what changed since the branch left the default branch counts."""
    stacks = f"{STACKS}  - {{name: live, project_root: infra/app, branch: release}}\n"
    repo = world.repository(FILES | {".trackside/stacks.yml": stacks})
    sha = world.push(repo, {"infra/app/main.tf": "# one\n"}, "First release", branch="release")
    verdict, _, note = world.decision(sha, "live")
    assert (verdict, note) == ("track", "new branch, compared with where it left main")
    world.expect_check(repo, sha, "deploy/live", "success")
    world.expect_check(repo, sha, "plan/app", "success")
    assert [run.ref for run in world.runs("live")] == ["refs/heads/main", "refs/heads/release"]


def test_tags_are_ignored_until_a_policy_tracks_them(world: World) -> None:
    """Lightweight or annotated, every stack's record names the tag and the reason."""
    repo = world.repository(FILES)
    sha = world.push(repo, {"infra/app/main.tf": "# one\n"}, "Release me")
    world.expect_check(repo, sha, "deploy/app", "success")
    runs = len(world.runs())

    repo.tag("v1", sha, by="alice")
    assert world.decision(sha, "app", "refs/tags/v1") == ("ignore", "tag v1 ignored: no policy tracks tags", "")
    assert world.decision(sha, "net", "refs/tags/v1")[0] == "ignore"
    repo.tag("v2", sha, by="alice", message="The second release")
    assert world.decision(sha, "app", "refs/tags/v2") == ("ignore", "tag v2 ignored: no policy tracks tags", "")
    assert world.delivery("push") == ("event", "decided for 2 stacks: 2 ignore")
    repo.delete_tag("v1", by="alice")
    world.settle()
    assert world.delivery("push") == ("ignored", "refs/tags/v1 was deleted")
    assert len(world.runs()) == runs


def test_a_forced_push_is_compared_with_what_it_replaced(world: World) -> None:
    """The record says that it was forced, and only the stacks whose files differ run."""
    repo = world.repository(FILES)
    base = repo.sha()
    world.push(repo, {"infra/app/main.tf": "# one\n"}, "Taken back")
    world.settle()
    forced = world.push(repo, {"README.md": "# again\n"}, "Instead", force=True, base=base)
    assert world.decision(forced, "app") == ("track", "infra/app/main.tf changed", "forced push")
    assert world.decision(forced, "net")[0] == "ignore"
    world.expect_check(repo, forced, "deploy/app", "success")


def test_a_forced_push_whose_old_commit_is_gone_counts_as_everything_changed(world: World) -> None:
    """What cannot be compared is not guessed: every stack on the branch runs, and the record says why."""
    repo = world.repository(FILES)
    base = repo.sha()
    world.settle()
    world.github.post.hold()
    lost = world.push(repo, {"docs/a.md": "a\n"}, "Nobody will have seen this")
    forced = world.push(repo, {"docs/b.md": "b\n"}, "Instead", force=True, base=base)
    repo.record.git.git("prune", "--expire=now")
    world.github.post.lose = 1
    world.github.post.release()

    for stack in ("app", "net"):
        verdict, reason, note = world.decision(forced, stack)
        assert (verdict, reason) == ("track", "what changed is not known: everything counts as changed")
        assert note == f"{lost[:7]}, the commit before, could not be had: everything counts as changed"
        world.expect_check(repo, forced, f"deploy/{stack}", "success")
    assert world.expect_state(RunState.FINISHED).head_sha == forced


def test_a_branch_that_is_forced_back_to_an_older_commit_gets_a_run_of_it(world: World) -> None:
    """A rollback is a push like any other: what the branch holds now is planned, and on the same commit as before."""
    repo = world.repository(FILES)
    world.settle()
    old = repo.sha()
    world.push(repo, {"infra/app/main.tf": "# one\n"}, "Taken back")
    world.settle()
    repo.set_branch("main", old, by="alice")
    assert world.decision(old, "app") == ("track", "infra/app/main.tf changed", "forced push")
    assert [run.head_sha == old for run in world.runs("app")] == [True, False, True]
    newest = world.expect_state(RunState.FINISHED, "app")
    check = world.expect_check(repo, old, "deploy/app", "success")
    assert check.external_id == f"{newest.id}/1"
