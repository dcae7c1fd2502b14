"""The summary checks on commits: every stack with verdict and reason, and no request that says nothing new."""

from tests.driver import World

STACKS = """
version: 1
stacks:
  - {name: app, project_root: app}
  - {name: net, project_root: net}
"""
ONE_STACK = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
RESOURCE = 'resource "terraform_data" "one" {}\n'
BROKEN = 'resource "terraform_data" "one" { input = var.missing }\n'
EMPTY = "# nothing yet\n"
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": EMPTY, "net/main.tf": EMPTY}


def test_a_push_that_touches_one_of_two_stacks_says_why_the_other_did_not_run(world: World) -> None:
    """`trackside/deploy` concludes at once, never fails, and costs one request however the run goes on."""
    repo = world.repository(FILES)
    world.settle()
    sha = world.push(repo, {"app/main.tf": RESOURCE}, "One stack")
    summary = world.expect_check(repo, sha, "trackside/deploy", "success")
    assert summary.title == "1 of 2 stacks affected: 1 tracked"
    run = world.runs("app")[-1]
    assert f"| `app` | [tracked](<{world.url}/runs/{run.id}>) | app/main.tf changed |" in (summary.summary or "")
    assert "- `net`: outside net" in (summary.text or "")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    assert repo.check_runs(sha, name="trackside/deploy", latest=False) == [summary]
    assert not [one for one in world.github.requests if one.method == "PATCH" and one.path.endswith(f"/{summary.id}")]


def test_a_tag_that_nobody_tracks_says_so_on_its_commit(world: World) -> None:
    """The commit of the branch keeps what was said about the branch, and learns about the tag."""
    repo = world.repository(FILES)
    world.settle()
    sha = world.push(repo, {"README.md": "words\n"}, "Words")
    outside = world.expect_check(repo, sha, "trackside/deploy", "success")
    assert outside.title == "none of 2 stacks is affected"
    repo.tag("v1", sha, by="alice")
    told = world.expect_check(repo, sha, "trackside/deploy", "success")
    assert "- `app` (tag `v1`): tag v1 ignored: no policy tracks tags" in (told.text or "")
    assert "- `net`: outside net" in (told.text or "")


def test_a_repository_of_one_stack_has_no_summary_beside_its_only_check(world: World) -> None:
    """The stack's own check says all that there is: no request is spent."""
    repo = world.repository({".trackside/stacks.yml": ONE_STACK, "app/main.tf": RESOURCE})
    sha = repo.sha("refs/heads/main")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    assert [check.name for check in repo.check_runs(sha)] == ["deploy/app"]


def test_the_check_of_a_pull_request_passes_at_once_when_nothing_is_affected(world: World) -> None:
    """It may be required: every head has it, also one that no stack cares about."""
    repo = world.repository(FILES)
    world.settle()
    head = world.push(repo, {"README.md": "words\n"}, "Words", branch="words")
    repo.open_pull("words", title="Words", author="alice")
    check = world.expect_check(repo, head, "trackside", "success")
    assert check.title == "none of 2 stacks is affected"
    assert repo.check_run(head, "trackside/deploy") is None
    second = world.push(repo, {"README.md": "more words\n"}, "More words", branch="words")
    world.expect_check(repo, second, "trackside", "success")


def test_the_check_of_a_pull_request_ends_with_its_plans(world: World) -> None:
    """In progress until every proposed run has ended; a plan that failed fails it, whatever the others did."""
    repo = world.repository(FILES)
    world.settle()
    head = world.push(repo, {"app/main.tf": RESOURCE}, "Good", branch="work")
    repo.open_pull("work", title="Work", author="alice")
    good = world.expect_check(repo, head, "trackside", "success")
    assert good.title == "1 of 2 stacks affected: 1 planned"
    assert "[planned +1]" in (good.summary or "")
    second = world.push(repo, {"net/main.tf": BROKEN}, "Bad", branch="work")
    bad = world.expect_check(repo, second, "trackside", "failure")
    assert bad.title == "2 of 2 stacks affected: 1 failed, 1 planned"
    assert (bad.summary or "").splitlines()[2].startswith("| `net` | [failed]")


def test_more_than_twenty_stacks_have_the_summary_alone_until_somebody_acts(world: World) -> None:
    """One check run instead of two dozen and as many deployments; a comment can still mean a stack that it shows."""
    names = [f"s{number:02}" for number in range(22)]
    stacks = "".join(f"  - {{name: {name}, project_root: {name}}}\n" for name in names)
    files = {f"{name}/main.tf": RESOURCE for name in names}
    repo = world.repository({".trackside/stacks.yml": f"version: 1\nstacks:\n{stacks}"} | files)
    sha = repo.sha("refs/heads/main")
    summary = world.expect_check(repo, sha, "trackside/deploy", "success")
    assert summary.title == "22 of 22 stacks affected: 22 waiting for confirmation"
    assert "[waiting for confirmation +1]" in (summary.summary or "")
    assert [check.name for check in repo.check_runs(sha)] == ["trackside/deploy"]
    assert repo.deployments(sha) == []
    writes = [one for one in world.github.requests if one.method in ("POST", "PATCH") and "/repos/" in one.path]
    assert len([one for one in writes if "access_tokens" not in one.path]) <= 20

    world.comment_on_commit(repo, sha, "/trackside confirm s07")
    acted = world.expect_check(repo, sha, "deploy/s07", "success")
    assert (acted.title or "").startswith("applied: +1")
    assert len(repo.deployments(sha)) == 1
    told = world.expect_check(repo, sha, "trackside/deploy", "success")
    assert told.title == "22 of 22 stacks affected: 21 waiting for confirmation, 1 applied"


def test_a_merge_group_has_the_check_that_its_queue_waits_for(world: World) -> None:
    """On the group's own commit, once for the pull request and once for the queue; it ends, so nothing is blocked."""
    repo = world.repository(FILES)
    world.settle()
    head = world.push(repo, {"app/main.tf": RESOURCE}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="alice")
    world.expect_check(repo, head, "trackside", "success")
    group = repo.enqueue_pull(number, by="alice")
    queued = world.expect_check(repo, group.head_sha, "trackside", "success")
    assert queued.title == "1 of 2 stacks affected: 1 planned"
    landed = repo.land_group(group)
    told = world.expect_check(repo, landed, "trackside/deploy", "success")
    assert "| `app` | [tracked]" in (told.summary or "")
    assert repo.check_run(landed, "trackside") == queued, "the landed commit is the group's own"
