"""Comments: which plan they can mean, what is no command, and how each misunderstanding is answered."""

from app.core.run import RunState, RunType
from app.sandbox import Repo
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n  - name: net\n    project_root: net\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\n'
BOTH = {".trackside/stacks.yml": STACKS, "app/main.tf": ONE, "net/main.tf": ONE}


def test_a_comment_means_only_a_plan_that_its_author_can_have_read(world: World) -> None:
    """Written before the plan was published, or delivered much later: answered with the way on, never obeyed."""
    repo = world.repository()
    number, sha = world.land(repo, {path: text for path, text in BOTH.items() if "net" not in path}, "One stack")
    world.github.wait_deliveries()
    world.github.post.hold()
    repo.comment_on_pull(number, "/trackside confirm", by="alice")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.github.post.release()

    world.expect_state(RunState.UNCONFIRMED)
    (words,) = world.replies(repo, number)
    assert "plan 1 of `app` was published after your comment" in words
    assert "write `/trackside confirm app` again" in words
    assert reactions(repo, number)[-1] == "-1"

    world.github.post.hold()
    world.github.clock.advance(-11 * 60)
    repo.comment_on_pull(number, "/trackside discard", by="alice")
    world.github.clock.advance(11 * 60)
    world.github.post.release()

    world.expect_state(RunState.UNCONFIRMED)
    words = world.replies(repo, number)[-1]
    assert "your command reached me late" in words
    assert "`/trackside discard`" in words

    world.comment(repo, number, "/trackside discard")
    assert world.expect_state(RunState.DISCARDED).decided_by == "alice"


def test_what_is_not_said_plainly_by_a_person_does_nothing(world: World) -> None:
    """Quotes, code, hidden remarks, bots, edits, open pull requests: no run moves, and no noise is made."""
    repo = world.repository()
    number, sha = world.land(repo, BOTH, "Two stacks")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    repo.set_permission("robot[bot]", "admin")

    line = "/trackside confirm app"
    world.comment(repo, number, f"> {line}\n\n```\n{line}\n```\n`{line}`")
    world.comment(repo, number, "<!--\n/trackside confirm app\n-->\nLet us not /trackside confirm app yet.")
    world.settle()
    assert world.delivery("issue_comment") == ("ignored", "no command in it")
    harmless = next(one for one in repo.comments(number) if not one.by_app)
    repo.edit_comment(harmless, "/trackside confirm app", by="alice")
    world.settle()
    assert world.delivery("issue_comment")[0] == "ignored"
    world.comment(repo, number, "/trackside confirm app", by="robot[bot]")
    world.settle()
    assert world.delivery("issue_comment") == ("ignored", "written by a bot or an App")
    assert world.replies(repo, number) == []
    assert not any(repo.reactions(comment) for comment in repo.comments(number))

    world.push(repo, {"app/main.tf": ONE + "\n"}, "Not merged", branch="later")
    still_open = repo.open_pull("later", author="alice")
    world.comment(repo, still_open, "/trackside confirm app")
    world.settle()
    (words,) = world.replies(repo, still_open)
    assert "It was a preview: merge the pull request, and decide about the run of the merged commit" in words
    assert {run.state for run in world.runs() if run.type is RunType.TRACKED} == {RunState.UNCONFIRMED}
    assert world.sql("SELECT command, is_allowed, reason FROM audit WHERE reason LIKE '%bot%'") == [
        ("confirm", False, "a bot gives no commands")
    ]
    asked = world.sql("SELECT command, is_allowed FROM audit WHERE actor = 'alice'")
    assert asked == [(f"confirm {world.runs()[-1].id}", False)]


def test_a_misunderstanding_is_answered_with_what_was_probably_meant(world: World) -> None:
    """A slip gets the nearest command, an ambiguous command its candidates ready to copy, help the whole grammar."""
    repo = world.repository()
    number, sha = world.land(repo, BOTH, "Two stacks")
    world.expect_check(repo, sha, "deploy/app", "action_required")

    world.comment(repo, number, "/trackside confrim app")
    world.comment(repo, number, "/trackside confirm")
    world.comment(repo, number, "/trackside help")
    world.comment(repo, number, "/trackside discard storage")
    world.settle()

    slip, which, grammar, unknown = world.replies(repo, number)
    assert "I do not understand `/trackside confrim app`. Did you mean `/trackside confirm app`?" in slip
    assert "Several runs could be meant, so I did nothing" in which
    assert "- `/trackside confirm app`" in which
    assert "- `/trackside confirm net`" in which
    assert grammar.startswith("I read these commands")
    assert "`storage` is neither a stack with a run here" in unknown
    assert reactions(repo, number) == ["-1", "-1", "+1", "-1"]
    assert {run.state for run in world.runs() if run.type is RunType.TRACKED} == {RunState.UNCONFIRMED}


def test_several_commands_of_one_comment_are_carried_out_in_order_and_answered_once(world: World) -> None:
    """Each line is a command of its own: one is confirmed, one discarded, and one answer names what was refused."""
    repo = world.repository()
    number, sha = world.land(repo, BOTH, "Two stacks")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.expect_check(repo, sha, "deploy/net", "action_required")

    body = "Half of it:\n\n/trackside confirm app\n/trackside discard net too early for this\n/trackside replan net\n"
    world.comment(repo, number, body)

    assert world.expect_state(RunState.FINISHED, "app").decided_by == "alice"
    discarded = world.expect_state(RunState.DISCARDED, "net")
    assert discarded.reason == "too early for this"
    (words,) = world.replies(repo, number)
    assert words.startswith("Not done: the run of `net` was discarded already by `alice`")
    assert reactions(repo, number) == ["-1"]
    assert world.sql("SELECT is_allowed FROM audit ORDER BY id") == [(True,), (True,), (False,)]
    check = world.expect_check(repo, sha, "deploy/net", "neutral")
    assert "too early for this" in (check.summary or "")

    world.comment(repo, number, "/trackside confirm app", by="bob")
    world.settle()
    assert "bob has read permission on acme/infra, and confirm needs write" in world.replies(repo, number)[-1]
    assert world.sql("SELECT actor, source FROM audit ORDER BY id DESC LIMIT 1") == [("bob", "comment")]


def reactions(repo: Repo, number: int) -> list[str]:
    """What the App answered people's comments with, the last word on each, oldest first."""
    return [repo.reactions(comment)[-1].content for comment in repo.comments(number) if repo.reactions(comment)]
