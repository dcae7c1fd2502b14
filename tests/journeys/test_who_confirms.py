"""Who may confirm: roles, teams, authors and environments are asked of GitHub at the moment of the command."""

from app.core.run import RunState
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app%s}\n"
ONE = 'resource "terraform_data" "web" { input = "one" }\noutput "web" { value = "shown" }\n'


def files(more: str) -> dict[str, str]:
    """A stack with one resource and one output."""
    return {".trackside/stacks.yml": STACKS % more, "app/main.tf": ONE}


def test_a_plan_is_confirmed_by_a_member_of_the_team_who_did_not_make_it(world: World) -> None:
    """A pending member is none, an author of any commit of the push is refused whatever they may else, and the waiting
    check says who can; each refusal is written down."""
    world.github.team("acme/platform", ["alice", "dora"], pending=["bob"])
    repo = world.repository()
    for login in ("bob", "carol", "dora"):
        repo.set_permission(login, "write")
    more = ", confirm: {teams: [platform], not_author: true}"
    commits = [
        repo.change(files(more), "First", author="alice"),
        repo.change({"app/more.tf": "# more\n"}, author="carol"),
    ]
    sha = repo.push_commits(None, commits, author="carol")[-1]
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert "is a member of `acme/platform` and neither made the change nor" in (check.summary or "")

    for login in ("alice", "bob", "carol"):
        world.comment_on_commit(repo, sha, "/trackside confirm app", by=login)
        world.settle()
    alice, bob, carol = world.remarks(repo, sha)
    assert "alice made this change or asked for this run: stack app is confirmed by another" in alice
    assert "bob is no active member of acme/platform, which confirms stack app" in bob
    assert "carol is no active member of acme/platform" in carol
    world.github.trouble.fail_next("GET", "memberships", 403)
    world.comment_on_commit(repo, sha, "/trackside confirm app", by="dora")
    world.settle()
    assert "it cannot be told whether you may decide about `app`, so you may not" in world.remarks(repo, sha)[-1]
    world.press(check, "Confirm", by="dora")
    world.expect_check(repo, sha, "deploy/app", "success")
    assert world.sql("SELECT actor, is_allowed FROM audit WHERE command LIKE 'confirm%' ORDER BY id") == [
        ("alice", False),
        ("bob", False),
        ("carol", False),
        ("dora", False),
        ("dora", True),
    ]


def test_an_environments_reviewers_confirm_and_admins_pass_over_them_by_force_alone(world: World) -> None:
    """`autodeploy` does not go past required reviewers; a rule that nobody here can fulfil refuses everybody, with its
    reason; without the environment there is no rule."""
    repo = world.repository()
    repo.set_permission("carol", "admin")
    repo.set_permission("dora", "write")
    repo.environment("production", reviewers=["dora"])
    number, sha = world.land(repo, files(", autodeploy: true, github_environment: production"), "First")
    world.expect_check(repo, sha, "deploy/app", "action_required")

    world.comment_on_commit(repo, sha, "/trackside confirm app")
    world.settle()
    assert "alice is no required reviewer of GitHub's environment production (dora)" in world.remarks(repo, sha)[-1]
    repo.environment("production", reviewers=["dora"], wait_minutes=30, unknown_rules=["quantum"])
    world.comment_on_commit(repo, sha, "/trackside confirm app", by="dora")
    world.settle()
    said = world.remarks(repo, sha)[-1]
    assert "rules that cannot be fulfilled here (a wait timer of 30 minutes; a rule of the type quantum" in said
    repo.environment("production", reviewers=["dora"])
    world.comment(repo, number, "/trackside confirm", by="carol")
    world.expect_check(repo, sha, "deploy/app", "success")
    (told,) = world.sql("SELECT reason FROM audit WHERE actor = 'carol'")
    assert "By force: `carol is no required reviewer of GitHub's environment production (dora)`" in str(told[0])
    assert world.replies(repo, number) == [told[0]], "a reaction alone would not say it"


def test_a_public_repository_shows_counts_and_states_and_nothing_of_a_plan(world: World) -> None:
    """Unless the stack says `public_plans`: neither changes, nor outputs, nor what the engine said of a failure."""
    repo = world.github.create_repository("acme", "infra", private=False)
    repo.set_permission("alice", "write")
    sha = world.push(repo, files(""), "First")
    waiting = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert waiting.title == "+1 · outputs +1 · waiting for confirmation"
    shown = f"{waiting.summary}{waiting.text}"
    assert "terraform_data" not in shown
    assert f"/runs/{world.the_run().id}>) , for" not in shown
    world.press(waiting, "Confirm")
    applied = world.expect_check(repo, sha, "deploy/app", "success")
    assert "shown" not in f"{applied.summary}{applied.text}"

    broken = world.push(repo, {"app/main.tf": 'output "a" { value = var.hidden_name }\n'}, "Broken")
    failed = world.expect_check(repo, broken, "deploy/app", "failure")
    assert "hidden_name" not in f"{failed.title}{failed.summary}{failed.text}"
    assert "hidden_name" in world.page(f"/runs/{world.expect_state(RunState.FAILED).id}")

    opened = world.push(repo, files(", public_plans: true") | {"app/main.tf": ONE.replace("one", "two")}, "Open")
    assert "terraform_data.web" in (world.expect_check(repo, opened, "deploy/app", "action_required").text or "")


EYES = "package trackside\nimport rego.v1\napprove if count(input.reviews.current.approvals) > 0\n"


def test_no_review_confirms_past_an_environments_reviewers(world: World) -> None:
    """On a stack with `autodeploy` the last approval confirms, unless GitHub's environment asks for somebody; and a
    rejection never does, whatever the policy makes of it."""
    repo = world.repository()
    for login in ("bob", "dora"):
        repo.set_permission(login, "write")
    repo.environment("production", reviewers=["dora"])
    stacks = STACKS % ", autodeploy: true, github_environment: production"
    policies = "policies:\n  - {name: eyes, type: approval, path: eyes.rego, attach: '*'}\n"
    brought = {".trackside/stacks.yml": stacks + policies, "eyes.rego": EYES, "app/main.tf": ONE}
    sha = world.push(repo, brought, "First")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.comment_on_commit(repo, sha, "/trackside approve app")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    world.comment_on_commit(repo, sha, "/trackside reject app", by="bob")
    world.expect_state(RunState.UNCONFIRMED)
    assert world.sql("SELECT count(*) FROM reviews") == [(2,)]
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]
