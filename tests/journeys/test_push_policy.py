"""Push policies in Rego: what the repository's own policies say is what happens, and a broken one changes nothing."""

from app.core.run import RunState
from tests.driver import World

STACKS = """
version: 1
stacks:
  - {name: app, project_root: app, labels: [prod]}
  - {name: net, project_root: net}
policies:
  - {name: only-tags, type: push, path: policies/only-tags.rego, attach: [app]}
"""
ONLY_TAGS = """package spacelift

track { startswith(input.push.tag, "v") }
ignore { input.push.tag == "" }
"""
EMPTY = "# nothing yet\n"
CHANGE = 'resource "terraform_data" "one" {}\n'
FILES = {
    ".trackside/stacks.yml": STACKS,
    "policies/only-tags.rego": ONLY_TAGS,
    "app/main.tf": CHANGE,
    "net/main.tf": EMPTY,
}


def test_a_policy_tracks_a_tag_and_the_deployment_names_it(world: World) -> None:
    """The branch does not run the stack any more, its tags do, lightweight or annotated; the run names the tag."""
    repo = world.repository()
    sha = world.push(repo, FILES, "A policy")
    verdict, reason, _ = world.decision(sha, "app")
    assert (verdict, reason) == ("ignore", "policy only-tags said ignore (line 4)")
    assert [run.stack_name for run in world.runs()] == ["net"]
    assert world.sql("SELECT policy FROM decisions WHERE stack_name = 'app'") == [("only-tags",)]

    repo.tag("v1", sha, by="alice", message="The first release")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert world.decision(sha, "app", "refs/tags/v1")[:2] == ("track", "policy only-tags said track (line 3)")
    run = world.the_run("app")
    assert (run.tag, run.trigger.value, run.head_sha) == ("v1", "tag", sha)
    world.press(check, "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")
    (deployment,) = repo.deployments(sha, environment="app")
    assert deployment.payload["tag"] == "v1"
    assert world.decision(sha, "net", "refs/tags/v1")[0] == "ignore"

    repo.tag("draft-1", sha, by="alice")
    assert world.decision(sha, "app", "refs/tags/draft-1")[1] == "tag draft-1 ignored: no policy tracks it"


def test_two_policies_on_a_stack_are_evaluated_apart_and_combined(world: World) -> None:
    """One says track, the other ignore: ignore wins, the record has what each of them said, and notify puts it on the
    commit."""
    stacks = STACKS.replace("only-tags, type: push, path: policies/only-tags.rego", "main, type: push, path: main.rego")
    freeze = "  - {name: freeze, type: push, path: freeze.rego, attach: {labels: [prod]}}\n"
    files = FILES | {
        ".trackside/stacks.yml": stacks + freeze,
        "main.rego": "package trackside\n\ntrack if input.push.branch == input.stack.branch\n",
        "freeze.rego": 'package trackside\n\nignore if contains(input.push.message, "freeze")\n\n'
        'notify := true\n\nmessage contains "no deploys on Friday"\n',
    }
    repo = world.repository()
    frozen = world.push(repo, files, "Under a freeze")
    verdict, reason, _ = world.decision(frozen, "app")
    assert (verdict, reason) == ("ignore", "policy freeze said ignore (line 3)")
    check = world.expect_check(repo, frozen, "deploy/app", "neutral")
    assert "no deploys on Friday" in (check.summary or "")
    (row,) = world.sql("SELECT policies FROM decisions WHERE stack_name = 'app'")
    assert [(each["name"], each["rules"]["track"], each["rules"]["ignore"]) for each in row[0]] == [  # type: ignore[attr-defined]
        ("main", True, False),
        ("freeze", False, True),
    ]
    thawed = world.push(repo, {"app/main.tf": EMPTY}, "Thawed")
    assert world.decision(thawed, "app")[:2] == ("track", "policy main said track (line 3)")
    world.expect_check(repo, thawed, "deploy/app", "success")


def test_a_broken_policy_keeps_the_last_good_one_in_force(world: World) -> None:
    """The commit says which file, which line and what to do; its push is decided by the policies from before."""
    repo = world.repository()
    world.push(repo, FILES, "A policy")
    world.settle()
    for text in ("package trackside\n\ntrack if {\n", 'package trackside\n\ntrack := "yes"\n', None):
        sha = world.push(repo, {"policies/only-tags.rego": text, "app/main.tf": f"# {text!r}\n"}, "Broken")
        check = world.expect_check(repo, sha, "config", "failure")
        assert "policies/only-tags.rego" in (check.text or "")
        assert world.decision(sha, "app")[:2] == ("ignore", "policy only-tags said ignore (line 4)")
    assert world.runs("app") == []
    mended = world.push(repo, {"policies/only-tags.rego": "package trackside\n\ntrack := true\n"}, "Mended")
    assert world.decision(mended, "app")[0] == "track"


def test_a_policy_without_end_fails_closed_and_the_next_push_is_right(world: World) -> None:
    """What cannot be decided starts nothing, says so on the commit, and holds nobody else up."""
    pairs = "x := numbers.range(1, 20000)[_]; numbers.range(1, 20000)[_] == x"
    endless = f"package trackside\n\ntrack if {{\n\tcount([x | {pairs}]) > 0\n}}\n"
    repo = world.repository()
    sha = world.push(repo, FILES | {"policies/only-tags.rego": endless}, "Endless")
    check = world.expect_check(repo, sha, "deploy/app", "failure")
    assert check.title == "not decided: nothing was started"
    assert "policy only-tags gave no answer" in (check.summary or "")
    verdict, reason, _ = world.decision(sha, "app")
    assert verdict == "fail"
    assert "timeout" in reason
    world.expect_check(repo, sha, "deploy/net", "success")
    assert world.runs("app") == []

    mended = world.push(repo, {"policies/only-tags.rego": "package trackside\n\ntrack := true\n"}, "Mended")
    assert world.decision(mended, "app")[:2] == ("track", "policy only-tags said track (line 3)")
    assert world.expect_state(RunState.UNCONFIRMED, "app").head_sha == mended


def test_a_policy_can_wait_for_something_outside_and_lock_by_key(world: World) -> None:
    """The run stays queued until CI says that the image is there; a failed one fails the run with its name."""
    policy = (
        "package trackside\n\ntrack := true\n\nprioritize := true\n\n"
        'external_dependency contains sprintf("image-%s", [substring(input.push.hash, 0, 7)])\n\n'
        'flag contains "by-policy"\n'
    )
    repo = world.repository()
    sha = world.push(repo, FILES | {"policies/only-tags.rego": policy}, "Wait for me")
    run = world.expect_state(RunState.QUEUED, "app")
    name = f"image-{sha[:7]}"
    assert (run.waits_for, run.is_prioritized, run.flags) == ((name,), True, ("by-policy",))
    assert name in (world.expect_check(repo, sha, "deploy/app", None).title or "")
    assert world.operate("external", run.id, "other", "finished").returncode == 1
    done = world.operate("external", run.id, name, "finished")
    assert done.returncode == 0, done.stderr
    world.expect_check(repo, sha, "deploy/app", "action_required")

    world.operate("discard", run.id)
    failed = world.push(repo, {"app/main.tf": EMPTY}, "Another")
    waiting = world.expect_state(RunState.QUEUED, "app")
    world.operate("external", waiting.id, f"image-{failed[:7]}", "failed")
    world.expect_check(repo, failed, "deploy/app", "failure")
    assert f"image-{failed[:7]} failed" in world.expect_state(RunState.FAILED, "app").reason


def test_a_policy_wants_signed_tags_and_github_is_asked_who_signed(world: World) -> None:
    """Only a tag whose own object is verified, of a commit that alice signed, is tracked; policies that do not care
    cost no question."""
    policy = (
        "package trackside\n\n"
        'track if {\n\tinput.push.tag != ""\n\tinput.push.tag_verified\n\tinput.push.signer == "alice"\n}\n'
    )
    repo = world.repository()
    sha = world.push(repo, FILES | {"policies/only-tags.rego": policy}, "Signed", sign=True)
    world.settle()
    repo.tag("light", sha, by="alice")
    assert world.decision(sha, "app", "refs/tags/light")[0] == "ignore"
    repo.tag("v1", sha, by="alice", message="Signed", sign=True)
    assert world.decision(sha, "app", "refs/tags/v1")[0] == "track"
    world.expect_check(repo, sha, "deploy/app", "action_required")

    world.push(repo, {"policies/only-tags.rego": ONLY_TAGS}, "Anybody")
    world.settle()
    asked = world.github.count_requests(path_contains="graphql")
    repo.tag("v2", by="alice")
    world.settle()
    assert world.github.count_requests(path_contains="graphql") == asked
