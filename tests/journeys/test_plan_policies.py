"""Plan and approval policies: a plan is judged before it waits, and waits for as many people as they ask for."""

from app.core.run import RunState
from app.sandbox import Repo
from tests.driver import World

STACKS = """version: 1
stacks:
  - {name: app, project_root: app%s}
policies:
  - {name: cost, type: plan, path: policies/cost.rego, attach: "*"}
%s"""
TWO_EYES = '  - {name: two-eyes, type: approval, path: policies/two.rego, attach: "*"}\n'
COST = """package trackside

import rego.v1

deny contains sprintf("%s must not be made", [r.address]) if {
	some r in created_resources
	r.change.after.input == sanitized("forbidden")
}

warn contains "somebody should look" if {
	some r in created_resources
	r.change.after.input == sanitized("odd")
}

flag contains "judged"
"""
TWO = """package trackside

import rego.v1

approve if count(input.reviews.current.approvals) > 1

reject if {
	some r in input.reviews.current.rejections
	r.author == "carol"
}

said := sprintf("%d of 2", [count(input.reviews.current.approvals)])

flag contains said

flag contains "saw the plan policy's" if "judged" in input.run.flags

reset_flag contains f if some f in input.run.flags
"""
RESOURCE = 'resource "terraform_data" "web" { input = "%s" }\n'


def files(value: str, more: str = "", policies: str = "") -> dict[str, str]:
    """A stack whose one resource has that input."""
    return {
        ".trackside/stacks.yml": STACKS % (more, policies),
        "policies/cost.rego": COST,
        "policies/two.rego": TWO,
        "app/main.tf": RESOURCE % value,
    }


def reviewers(repo: Repo) -> None:
    """Two more people who may write."""
    for login in ("bob", "carol"):
        repo.set_permission(login, "write")


def test_a_plan_that_a_policy_denies_fails_and_the_check_says_which_rule_and_why(world: World) -> None:
    """Policy, message, file and line stand on the commit; the next plan is judged anew, and a warning asks a person,
    whatever `autodeploy` says; no value left the worker but as a hash."""
    repo = world.repository()
    sha = world.push(repo, files("forbidden", ", autodeploy: true"), "Forbidden")
    check = world.expect_check(repo, sha, "deploy/app", "failure")
    assert check.title == "+1 · denied by a policy"
    said = check.summary or ""
    assert "Policy `cost` (`policies/cost.rego:5`) denies the plan:" in said
    assert "`terraform_data.web must not be made`" in said
    run = world.the_run()
    assert run.state is RunState.FAILED
    assert run.reason.startswith("policy cost denies the plan (policies/cost.rego:5):")
    assert run.flags == ("judged",)
    assert "policies/cost.rego:5" in world.page(f"/runs/{run.id}")

    odd = world.push(repo, {"app/main.tf": RESOURCE % "odd"}, "Odd")
    warned = world.expect_check(repo, odd, "deploy/app", "action_required")
    assert "🟨 Policy `cost` (`policies/cost.rego:10`) warns:" in (warned.summary or "")
    fine = world.push(repo, {"app/main.tf": RESOURCE % "fine"}, "Fine")
    world.press(warned, "Discard")
    world.expect_check(repo, fine, "deploy/app", "success")
    assert world.sql("SELECT verdict FROM plans ORDER BY created_at") == [("denied",), ("warned",), ("passed",)]


def test_a_plan_is_confirmed_once_enough_people_have_approved_it_and_a_replan_asks_anew(world: World) -> None:
    """Until then there is no button, and a confirm says what is missing; each person counts once, by their newest word;
    a rejection that counts fails the run."""
    repo = world.repository()
    reviewers(repo)
    sha = world.push(repo, files("fine", policies=TWO_EYES), "First")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert check.title == "+1 · waiting for approval"
    assert [action["label"] for action in check.actions] == ["Discard", "Replan"]
    assert world.the_run().flags == ("0 of 2", "judged", "saw the plan policy's")

    world.comment_on_commit(repo, sha, "/trackside confirm app")
    world.comment_on_commit(repo, sha, "/trackside approve app", by="bob")
    world.settle()
    world.comment_on_commit(repo, sha, "/trackside approve app looks right to me", by="bob")
    world.settle()
    said = world.remarks(repo, sha)
    assert "is not approved: policy `two-eyes` needs an approval: 0 approvals, 0 rejections." in said[0]
    assert "Still open: policy `two-eyes` needs an approval: 1 approval (`bob`), 0 rejections." in said[-1]
    assert "1 approval (`bob`)" in (world.expect_check(repo, sha, "deploy/app", "action_required").summary or "")

    world.comment_on_commit(repo, sha, "/trackside approve app", by="alice")
    approved = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert approved.title == "+1 · waiting for confirmation"
    assert world.the_run().flags == ("2 of 2", "judged", "saw the plan policy's")
    world.press(approved, "Replan")
    again = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert again.title == "+1 · waiting for approval"
    for login in ("alice", "bob"):
        world.comment_on_commit(repo, sha, "/trackside approve app", by=login)
        world.settle()
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    world.expect_check(repo, sha, "deploy/app", "success")

    second = world.push(repo, {"app/main.tf": RESOURCE % "other"}, "Second")
    world.settle()
    world.comment_on_commit(repo, second, "/trackside reject app not today", by="carol")
    rejected = world.expect_check(repo, second, "deploy/app", "failure")
    assert rejected.title == "~1 · rejected"
    assert "policy two-eyes rejects the run (policies/two.rego:7): rejected by carol" in (rejected.summary or "")
    assert world.sql("SELECT author, is_approval, note FROM reviews ORDER BY id DESC LIMIT 1") == [
        ("carol", False, "not today")
    ]
    assert not [action for action in rejected.actions if action["label"] == "Confirm"]


def test_a_preview_with_a_warning_waits_for_its_review_and_a_newer_push_ends_it(world: World) -> None:
    """It ends by approvals, because the branch moved on, or because the pull request is closed; `autodeploy` waits for
    approvals, and then goes on by itself."""
    repo = world.repository()
    reviewers(repo)
    world.push(repo, files("fine", ", autodeploy: true", TWO_EYES), "First")
    sha = repo.sha("main")
    world.expect_check(repo, sha, "deploy/app", "action_required")
    for login in ("alice", "bob"):
        world.comment_on_commit(repo, sha, "/trackside approve app", by=login)
        world.settle()
    world.expect_check(repo, sha, "deploy/app", "success")
    assert world.sql("SELECT actor FROM confirmations") == [("autodeploy",)]

    odd = RESOURCE % "fine" + RESOURCE.replace("web", "db") % "odd"
    head = world.push(repo, {"app/main.tf": odd}, "Work", branch="work")
    number = repo.open_pull("work", title="Work", author="alice")
    waiting = world.expect_check(repo, head, "plan/app", "action_required")
    assert waiting.title == "+1 · waiting for review"
    newer = world.push(repo, {"app/more.tf": "# more\n"}, "More work", branch="work")
    world.expect_check(repo, head, "plan/app", "failure")
    world.expect_check(repo, newer, "plan/app", "action_required")
    for login in ("alice", "bob"):
        world.comment(repo, number, "/trackside approve app", by=login)
        world.settle()
    world.expect_check(repo, newer, "plan/app", "success")

    last = world.push(repo, {"app/more.tf": "# even more\n"}, "Even more", branch="work")
    world.expect_check(repo, last, "plan/app", "action_required")
    repo.close_pull(number, by="alice")
    world.expect_check(repo, last, "plan/app", "failure")
