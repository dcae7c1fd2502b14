"""A stack with a push policy in Rego, which this version does not run: closed by default."""

from tests.driver import World

STACKS = """
version: 1
stacks:
  - {name: app, project_root: app}
  - {name: net, project_root: net}
policies:
  - {name: only-tags, type: push, path: policies/only-tags.rego, attach: [app]}
"""
POLICY = 'package trackside\n\ntrack { input.push.tag != "" }\n'
FILES = {
    ".trackside/stacks.yml": STACKS,
    "policies/only-tags.rego": POLICY,
    "app/main.tf": "# nothing yet\n",
    "net/main.tf": "# nothing yet\n",
}


def test_a_push_policy_that_cannot_be_asked_starts_nothing_and_says_so_on_the_commit(world: World) -> None:
    """Nothing runs by default rules behind a policy's back; the stacks without one are not held up."""
    repo = world.repository()
    sha = world.push(repo, FILES, "A policy")
    check = world.expect_check(repo, sha, "deploy/app", "failure")
    assert check.title == "not decided: nothing was started"
    assert "push policy only-tags is attached" in (check.summary or "")
    assert check.actions == []
    verdict, reason, _ = world.decision(sha, "app")
    assert verdict == "fail"
    assert "only-tags" in reason
    assert world.sql("SELECT policy FROM decisions WHERE stack_name = 'app'") == [("only-tags",)]
    assert [run.stack_name for run in world.runs()] == ["net"]
    world.expect_check(repo, sha, "deploy/net", "success")
