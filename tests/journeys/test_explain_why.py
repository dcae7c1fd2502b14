"""`/trackside why` in comments and `trackside why` on the server: the same decisions, in words."""

import json

from tests.driver import World

STACKS = """
version: 1
stacks:
  - {name: app, project_root: app}
  - {name: net, project_root: net}
policies:
  - {name: only-tags, type: push, path: policies/only-tags.rego, attach: [net]}
"""
POLICY = """\
package trackside

track if input.push.tag != ""

ignore if {
	print("branch", input.push.branch)
	input.push.tag == ""
}
"""
FILES = {
    ".trackside/stacks.yml": STACKS,
    "policies/only-tags.rego": POLICY,
    "app/main.tf": 'resource "terraform_data" "one" {}\n',
    "net/main.tf": "# nothing yet\n",
}


def test_a_comment_is_answered_with_every_stack_its_policies_and_its_run(world: World) -> None:
    """Verdict and reason in words, the rule with its line, what the policy printed; whoever may read may ask."""
    repo = world.repository()
    _, sha = world.land(repo, FILES, "Stacks")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    run = world.the_run("app")

    world.comment_on_commit(repo, sha, "/trackside why", by="bob")
    world.settle()

    (answer,) = world.remarks(repo, sha)
    assert answer.splitlines() == [
        f"What was decided about `{sha[:7]}`:",
        "",
        f"- `app`: **tracked**, app/main.tf changed. Run `{run.id}`: waiting for confirmation.",
        "- `net`: **ignored**, policy only-tags said ignore (line 5).",
        "  - policy `only-tags`: `ignore` (line 5)",
        "    - printed `6: branch main`",
    ]


def test_a_comment_on_a_pull_request_is_answered_about_its_head(world: World) -> None:
    """One stack alone when it is named; a name that nobody has is said."""
    repo = world.repository(FILES)
    world.settle()
    world.push(repo, {"app/main.tf": "# words\n"}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="alice")
    world.settle()

    world.comment(repo, number, "/trackside why app")
    world.comment(repo, number, "/trackside why nett")
    world.settle()

    first, second = world.replies(repo, number)
    assert "`app` (pull request" in first
    assert "**proposed**" in first
    assert "`net`" not in first
    assert second.startswith("Nothing was decided for `nett` about")


def test_an_operator_asks_on_the_server(world: World) -> None:
    """Lines for people, one JSON document for programs, exit code 1 when there is nothing to say."""
    repo = world.repository(FILES)
    sha = repo.sha("refs/heads/main")
    world.settle()

    told = world.operate("why", "acme/infra", sha)
    assert told.returncode == 0, told.stderr
    assert "policy only-tags: ignore (line 5)" in told.stdout
    assert "printed: 6: branch main" in told.stdout
    one = world.operate("why", "acme/infra", sha, "--stack", "net", "--json")
    (document,) = json.loads(one.stdout)
    assert (document["stack"], document["verdict"], document["run"]) == ("net", "ignore", None)
    assert document["policies"][0]["rules"]["ignore"] is True
    assert document["input"]["push"]["branch"] == "main"
    assert document["input"]["stack"]["name"] == "net"
    nothing = world.operate("why", "acme/infra", "f" * 40, "--stack", "net")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == f"no decision of stack net is recorded for {'f' * 40} of acme/infra\n"
    other = world.operate("why", "acme/infra", sha, "--stack", "nets").stderr
    assert other == f"no decision of stack nets is recorded for {sha} of acme/infra; there are some of app, net\n"
    elsewhere = world.operate("why", "acme/infrs", sha)
    assert (elsewhere.returncode, elsewhere.stdout) == (1, "")
    assert elsewhere.stderr.startswith("trackside: looking up repository 'acme/infrs': no event of it has arrived")
    short = world.operate("why", "acme/infra", "abc1234")
    assert (short.returncode, "no full commit SHA" in short.stderr) == (1, True)
