"""The App's comment on a pull request: from its opening to what became of its merge, and what people do to it."""

from app.core.run import RunState
from tests.driver import World

STACKS = """
version: 1
stacks:
  - {name: app, project_root: app}
  - {name: quiet, project_root: app, comments: off}
  - {name: still, project_root: still, comments: changes}
"""
THREE = """
resource "terraform_data" "one" { input = "1" }
resource "terraform_data" "two" { input = "2" }
resource "terraform_data" "three" { input = "3" }
"""
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": "# none\n", "still/main.tf": "# none\n"}
REPLAN = "Replan with the selection"


def test_one_comment_goes_with_a_pull_request_from_its_first_plan_to_its_deployment(world: World) -> None:
    """It is made once and edited in place; it knows the merge, takes ticks for a part of the waiting plan, and ends
    with what was applied. A stack can keep out of it, always or while it changes nothing."""
    repo = world.repository(FILES)
    world.settle()
    files = {"app/main.tf": THREE, "still/main.tf": "# still none\n"}
    head = world.push(repo, files, "Three", branch="work")
    number = repo.open_pull("work", title="Three", author="alice")
    comment = world.own_comment(repo, number)
    assert "What this pull request would change." in comment.body
    assert "| `app` | [planned](<" in comment.body
    assert f"| +3 | `{head[:7]}` |" in comment.body
    assert "`quiet`" not in comment.body
    assert "`still`" not in comment.body
    assert "<details><summary><code>app</code>: +3</summary>" in comment.body
    assert "- [ ]" not in comment.body, "nothing is chosen of a preview"

    again = world.push(repo, {"app/more.tf": 'resource "terraform_data" "four" {}\n'}, "Four", branch="work")
    assert world.own_comment(repo, number).id == comment.id
    assert f"| +4 | `{again[:7]}` |" in comment.body

    landed = repo.merge_pull(number, by="alice", method="squash")
    world.expect_check(repo, landed, "deploy/app", "action_required")
    assert world.own_comment(repo, number).id == comment.id
    assert f"Merged as `{landed[:7]}`" in comment.body
    assert "| `app` | [waiting for confirmation](<" in comment.body
    assert "`/trackside confirm app` applies exactly this plan" in comment.body

    repo.tick(comment, "terraform_data.one", by="alice")
    repo.tick(comment, "terraform_data.two", by="alice")
    world.settle()
    assert comment.body.count("- [x]") == 2, "ticks stay"
    repo.tick(comment, REPLAN, by="alice")
    run = world.expect_state(RunState.UNCONFIRMED, "app")
    assert run.targeting is not None
    assert set(run.targeting.chosen) == {"terraform_data.one", "terraform_data.two"}
    assert run.decided_by == "alice"
    assert "plan 2" in comment.body
    assert "- [x]" not in comment.body

    world.comment(repo, number, "/trackside confirm app")
    world.expect_state(RunState.FINISHED, "app")
    assert world.own_comment(repo, number).id == comment.id
    assert "| `app` | [applied](<" in comment.body
    assert world.replies(repo, number) == []
    assert world.sql("SELECT command, is_allowed FROM audit WHERE source = 'tick'") == [(f"replan {run.id}", True)]
