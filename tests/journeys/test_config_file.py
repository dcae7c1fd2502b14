"""The stacks file with mistakes, missing, deleted; and accounts that are not served."""

from app.core.run import RunState
from tests.driver import World

FILE = ".trackside/stacks.yml"
GOOD = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
CODE = 'resource "terraform_data" "web" { input = "one" }\n'
BAD = """\
version: 1
stacks:
  - name: App
    project_root: app
  - name: net
    projct_root: net
  - name: net
    project_root: /srv/net
  - name: dns
    autodeploy: "yes"
policies:
  - {name: only-tags, type: push, path: only-tags.rego, attach: [nett]}
"""


def test_every_mistake_of_a_stacks_file_is_named_with_line_and_remedy_and_the_last_good_one_stays(world: World) -> None:
    """A broken file starts nothing of its own: the check `config` teaches, and the push is decided as before."""
    repo = world.repository()
    first = world.push(repo, {FILE: GOOD, "app/main.tf": CODE}, "First stack")
    world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, first, "deploy/app", "success")
    assert repo.check_run(first, "config") is None

    second = world.push(repo, {FILE: BAD, "app/main.tf": CODE.replace("one", "two")}, "Six mistakes and a change")

    told = world.expect_check(repo, second, "config", "failure")
    assert told.title == "6 problems in .trackside/stacks.yml"
    assert "The last valid version stays in force." in (told.summary or "")
    rows = (told.text or "").splitlines()
    lines = [row.partition("**line ")[2].partition("**")[0] for row in rows]
    assert lines == ["3", "6", "7", "8", "10", "12"]
    for row, message, remedy in zip(
        rows,
        ("the name", "unknown key", "two stacks are called", "is absolute", "must be true or false", "is no stack"),
        ("`app`", "`project_root`", "change one of them", "write it from", "write `true` or `false`", "`net`"),
        strict=True,
    ):
        assert message in row
        assert remedy in row
    changed = world.expect_check(repo, second, "deploy/app", "action_required")
    assert changed.title == "~1 · waiting for confirmation"
    assert world.sql("SELECT is_valid FROM config_versions ORDER BY seq") == [(True,), (False,)]
    assert world.delivery("push")[1] == "decided for 1 stacks: 1 track"

    third = world.push(repo, {FILE: None}, "No file at all")

    gone = world.expect_check(repo, third, "config", "failure")
    assert "the file is gone, but the repository has stacks" in (gone.text or "")
    assert "`stacks: []`" in (gone.text or "")
    assert world.sql("SELECT name, is_detached FROM stacks") == [("app", False)]
    assert world.runs()[-1].state is RunState.UNCONFIRMED

    fourth = world.push(repo, {FILE: "version: 1\nstacks: []\n"}, "Give every stack up")

    world.settle()
    assert repo.check_run(fourth, "config") is None
    assert world.sql("SELECT name, is_detached FROM stacks") == [("app", True)]
    assert world.runs()[-1].state is RunState.DISCARDED


def test_a_repository_with_terraform_and_no_stacks_file_is_told_what_to_write(world: World) -> None:
    """A neutral check holds a file that is ready to use, behind a link; a branch or a README is left in peace."""
    repo = world.repository()
    plain = world.push(repo, {"docs/index.md": "Nothing to run.\n"}, "Only words")
    side = world.push(repo, {"app/main.tf": CODE}, "Try it", branch="try")
    sha = world.push(repo, {"app/main.tf": CODE, "modules/x/main.tf": CODE, "net/main.tf": CODE}, "Terraform")

    check = world.expect_check(repo, sha, "config", "neutral")
    assert check.title == "no .trackside/stacks.yml yet"
    assert "/acme/infra/new/main?filename=.trackside%2Fstacks.yml&value=" in (check.summary or "")
    suggested = (check.text or "").partition("```yaml\n")[2].partition("```")[0]
    assert "project_root: app" in suggested
    assert "modules/**" in suggested
    assert repo.check_runs(plain) == []
    assert repo.check_runs(side) == []
    assert world.runs() == []

    taken = world.push(repo, {FILE: suggested, "app/main.tf": CODE + "\n"}, "As suggested")
    world.expect_check(repo, taken, "deploy/app", "action_required")
    assert repo.check_run(taken, "deploy/net") is None, "nothing of it changed"


def test_an_account_that_is_not_allowed_gets_nothing(world: World) -> None:
    """Whoever else installs the App: its deliveries end as ignored, nothing of it is fetched, nothing written there."""
    repo = world.github.create_repository("stranger", "infra", files={"README.md": "# infra\n"})
    asked = len(world.github.requests)

    sha = repo.push(files={FILE: GOOD, "app/main.tf": CODE}, message="Free planning?", author="stranger")

    world.settle()
    assert world.delivery("push") == ("ignored", "account stranger is not served: see ALLOWED_ACCOUNTS")
    repo.comment_on_commit(sha, "/trackside confirm", by="stranger")
    world.settle()
    assert world.delivery("commit_comment") == ("ignored", "account stranger is not served: see ALLOWED_ACCOUNTS")
    about = [one.path for one in world.github.requests[asked:] if one.path != "/app/hook/deliveries"]
    assert about == [], "nothing but the delivery log is read meanwhile"
    assert repo.check_runs(sha) == []
    assert world.sql("SELECT count(*) FROM runs") == [(0,)]
