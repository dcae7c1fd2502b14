"""`lock` and `unlock`: a person has a stack for themselves; holds and locks are given back."""

from app.core.run import RunState
from tests.driver import World

STACKS = """
version: 1
stacks:
  - {name: app, project_root: app, autodeploy: true}
  - {name: net, project_root: net}
policies:
  - {name: sees, type: push, path: sees.rego, attach: [app]}
"""
POLICY = """
package trackside

track if not is_null(input.push)
notify if true
message contains sprintf("locked by %v", [input.stack.locked_by]) if true
ignore if input.stack.locked_by == "nobody"
"""
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
FILES = {".trackside/stacks.yml": STACKS, "sees.rego": POLICY, "app/main.tf": ONE, "net/main.tf": ONE}


def test_a_stack_that_carol_has_locked_waits_for_her(world: World) -> None:
    """Others' runs wait and say for whom; hers go, but not by themselves; policies see it; she gives it back."""
    repo = world.repository(FILES)
    repo.set_permission("carol", "write")
    first = repo.sha("main")
    world.expect_check(repo, first, "deploy/app", "success")

    world.comment_on_commit(repo, first, "/trackside lock app moving the @database", by="carol")
    world.comment_on_commit(repo, first, "/trackside lock app me too")
    world.comment_on_commit(repo, first, "/trackside lock nothing")
    world.comment_on_commit(repo, first, "/trackside lock net", by="bob")
    world.settle()
    said = "\n".join(world.remarks(repo, first))
    assert "`app` is yours, `carol`" in said
    assert "`carol` has locked `app` (`moving the @database`)" in said
    assert "`nothing` is no stack of this repository" in said
    assert "lock needs write" in said

    second = world.push(repo, {"app/main.tf": ONE + "\n# more\n"}, "By alice")
    check = world.expect_check(repo, second, "deploy/app", None)
    assert check.title == "queued: waits for carol, who has locked the stack: moving the @database"
    assert "`/trackside cancel" in (check.summary or "")
    world.comment_on_commit(repo, second, "/trackside cancel app")
    world.settle()
    third = world.push(repo, {"app/main.tf": ONE.replace("one", "three")}, "By alice again")
    world.comment_on_commit(repo, third, "/trackside cancel app")
    world.settle()
    world.comment_on_commit(repo, third, "/trackside deploy app", by="carol")
    plan = world.expect_check(repo, third, "deploy/app", "action_required")
    assert "`carol` has locked the stack" in (plan.summary or ""), "autodeploy is off while locked"
    world.press(plan, "Confirm")  # a run of hers: anybody who may can confirm it
    world.expect_check(repo, third, "deploy/app", "success")

    world.comment_on_commit(repo, third, "/trackside unlock app")
    world.settle()
    assert "`app` is kept by `the lock of carol: moving the @database`" in world.remarks(repo, third)[-1]
    fourth = world.push(repo, {"app/main.tf": ONE.replace("one", "four")}, "By alice once more")
    world.expect_check(repo, fourth, "deploy/app", None)
    world.comment_on_commit(repo, fourth, "/trackside unlock app done", by="carol")
    world.expect_check(repo, fourth, "deploy/app", "success")
    assert world.sql("SELECT lock_owner, lock_note FROM stacks WHERE name = 'app'") == [("", "")]


def test_somebody_else_s_run_is_confirmed_by_the_owner_alone(world: World) -> None:
    """A plan that waited already when the stack was locked is the owner's to decide."""
    repo = world.repository(FILES)
    repo.set_permission("carol", "write")
    sha = repo.sha("main")
    plan = world.expect_check(repo, sha, "deploy/net", "action_required")
    world.comment_on_commit(repo, sha, "/trackside lock net", by="carol")
    world.settle()

    world.press(plan, "Confirm")
    world.settle()
    assert "`carol` has locked `net`" in world.remarks(repo, sha)[-1]
    assert world.runs("net")[-1].state is RunState.UNCONFIRMED
    locked = world.expect_check(repo, sha, "deploy/net", "action_required")
    assert "`carol` has locked the stack" in (locked.summary or "")
    world.comment_on_commit(repo, sha, "/trackside confirm net", by="carol")
    world.expect_check(repo, sha, "deploy/net", "success")


def test_an_admin_takes_any_lock_away_and_that_is_written_down(world: World) -> None:
    """By comment and on the server, with the note; a stack that nothing keeps is told so."""
    repo = world.repository(FILES)
    repo.set_permission("dora", "admin")
    sha = repo.sha("main")
    world.settle()
    stack = str(world.sql("SELECT id FROM stacks WHERE name = 'net'")[0][0])

    world.comment_on_commit(repo, sha, "/trackside lock net")
    world.comment_on_commit(repo, sha, "/trackside unlock net she is away", by="dora")
    world.settle()
    assert "the lock of alice (by force) was taken away" in world.remarks(repo, sha)[-1]
    assert world.operate("lock", stack, "maintenance").returncode == 0
    assert "locked by " in world.operate("stacks").stdout
    freed = world.operate("unlock", stack)
    assert (freed.returncode, "`net` is free again" in freed.stdout) == (0, True)
    idle = world.operate("unlock", "net")  # its name, where no other stack has it
    assert (idle.returncode, idle.stdout) == (0, "`net` is neither on hold nor locked.\n")
    assert world.operate("stop", "acme/infra/net").returncode == 1
    assert world.sql("SELECT command, is_allowed, reason FROM audit ORDER BY id DESC LIMIT 1") == [
        ("stop", False, "nothing to stop: no run of this stack takes it")
    ]
    unknown = world.operate("lock", "nowhere")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    rows = world.sql("SELECT command, is_allowed, reason FROM audit WHERE command = 'unlock net' ORDER BY id LIMIT 1")
    assert rows[0][:2] == ("unlock net", True)
    assert str(rows[0][2]).startswith("she is away: `net` is free again")
