"""The App's comment on a pull request: from its opening to what became of its merge, and what people do to it."""

from app.core.command import Command, Verb
from app.core.run import RunState
from tests.driver import World, wait_until

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
    """It is made once and edited in place; it knows the merge, takes ticks for a part of the waiting plan, also one
    that crossed an edit of our own, and ends with what was applied. A stack can keep out of it, always or while it
    changes nothing."""
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
    world.settle()
    world.github.post.hold()
    repo.tick(comment, "terraform_data.two", by="alice")
    world.plane.operate.keep(world.runs("app")[-1].stack_id, Command(verb=Verb.LOCK, note="mine"), "alice")
    wait_until(lambda: "`mine`" in comment.body, "our own edit, which knows nothing of the second tick, is there")
    assert comment.body.count("- [x]") == 1
    world.github.post.release()
    world.settle()
    assert comment.body.count("- [x]") == 2, "ticks stay, and none is lost to our own edit"
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
    assert "| `app` | [applied a part](<" in comment.body
    assert world.replies(repo, number) == []
    ticked = f"replan {run.id} only 2 4"
    assert world.sql("SELECT command, is_allowed FROM audit WHERE source = 'tick'") == [(ticked, True)]


def test_whatever_people_do_to_the_comment_it_stays_true_and_there_is_one(world: World) -> None:
    """Another text is put back; an old box, and a box of somebody who may not, are refused in words; one that was
    deleted comes back with the next news; and a page that showed an older text takes nothing back."""
    stacks = STACKS.replace("project_root: app}", "project_root: app, confirm: {permission: admin}}")
    repo = world.repository()
    world.push(repo, {".trackside/stacks.yml": stacks, "still/main.tf": "# none\n"}, "Stacks")
    repo.set_permission("carol", "admin")
    number, sha = world.land(repo, {"app/main.tf": THREE}, "Three")
    comment = world.own_comment(repo, number)
    said = comment.body
    assert "`app` | [waiting for confirmation]" in said

    repo.edit_comment(comment, said.replace("create", "destroy"), by="alice")
    repo.tick(comment, "terraform_data.one", by="alice")
    assert world.own_comment(repo, number).body == said.replace("[ ] **1.", "[x] **1."), "the text is put back"

    repo.tick(comment, REPLAN, by="alice")
    world.settle()
    assert comment.body == said.replace("[ ] **1.", "[x] **1.")
    assert "alice has write permission on acme/infra, and replan needs admin" in world.replies(repo, number)[-1]
    assert world.runs("app")[-1].plan_number == 1

    repo.edit_comment(comment, said.replace("[ ] **2.", "[x] **2."), by="carol")
    repo.tick(comment, REPLAN, by="carol")
    run = world.expect_state(RunState.UNCONFIRMED, "app")
    assert run.targeting is not None
    assert run.targeting.chosen == ("terraform_data.three",), "box 1 is empty on the page that carol sent"

    old = said.replace("- [ ] **Replan", "- [x] **Replan")
    repo.edit_comment(comment, old, by="carol")
    world.settle()
    assert "Not done: the plan `" in world.replies(repo, number)[-1]
    assert "plan 2" in comment.body
    assert world.runs("app")[-1].plan_number == 2

    repo.delete_comment(comment, by="alice")
    world.settle()
    assert world.own_comments(repo, number) == [], "nothing is new"
    world.comment(repo, number, "/trackside discard app", by="carol")
    assert "| `app` | [discarded](<" in world.own_comment(repo, number).body
    refused = world.sql("SELECT actor FROM audit WHERE source = 'tick' AND NOT is_allowed ORDER BY id")
    assert refused == [("alice",), ("carol",)]
    assert repo.check_run(sha, "deploy/app") is not None


def test_a_command_means_no_plan_that_the_comment_does_not_show_yet(world: World) -> None:
    """While the comment still has the plan before, `confirm` is refused; once it has the new one, it is meant."""
    repo = world.repository(FILES)
    world.settle()
    number, _ = world.land(repo, {"app/main.tf": THREE}, "Three")
    comment = world.own_comment(repo, number)
    run = world.runs("app")[-1]
    world.github.trouble.fail_next("PATCH", r"/issues/comments/\d+$", 500, times=1000)
    world.comment(repo, number, "/trackside replan app")
    shown = "SELECT 1 FROM plans WHERE number = 2 AND published_at IS NOT NULL"
    wait_until(lambda: world.sql(shown) != [], "the check shows plan 2")
    assert "plan 1" in comment.body
    world.comment(repo, number, "/trackside confirm app")
    world.wait_carried_out()
    wait_until(lambda: world.replies(repo, number) != [], "it is answered")
    assert "my comment here still shows the plan before it" in world.replies(repo, number)[-1]
    world.github.trouble.clear()
    wait_until(lambda: "plan 2" in comment.body, "the comment shows plan 2")
    world.settle()
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]
    world.comment(repo, number, "/trackside confirm app")
    assert world.expect_state(RunState.FINISHED, "app").id == run.id


def test_a_comment_whose_answer_was_lost_is_found_and_one_that_is_gone_is_made_again(world: World) -> None:
    """A POST that was done and answered 502 is looked for before it is repeated; an event that never came is found out
    by trying."""
    repo = world.repository(FILES)
    world.settle()
    world.github.trouble.fail_next("POST", r"/issues/\d+/comments$", 502, after_work=True)
    number, _ = world.land(repo, {"app/main.tf": THREE}, "Three")
    comment = world.own_comment(repo, number)
    assert "waiting for confirmation" in comment.body
    repo.pull(number).comments.remove(comment)
    world.comment(repo, number, "/trackside discard app")
    assert "discarded" in world.own_comment(repo, number).body
