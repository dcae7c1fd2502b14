"""The owner's repository `.trackside`: defaults, policies and pools for every repository of the owner."""

from sqlalchemy import text

from app.core.run import RunState
from app.sandbox import Repo
from tests.driver import OWNER, World

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
CODE = 'resource "terraform_data" "web" { input = "one" }\n'
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": CODE}
GUARD = 'package trackside\n\ntrack if input.push.branch == "main"\n\nignore if input.push.message == "hush"\n'
GUARDED = "version: 1\npolicies:\n  - {name: guard, type: push, path: policies/guard.rego, attach: '*'}\n"


def organisation(world: World) -> Repo:
    """acme's repository `.trackside`, with the App installed and nothing in it that counts."""
    repo = world.github.create_repository(OWNER, ".trackside", files={"README.md": "# acme\n"})
    repo.set_permission("alice", "write")
    return repo


def settings(world: World, stack: str = "app") -> dict[str, object]:
    """The stack's effective settings."""
    (found,) = [one for one in world.plane.store.list_all_stacks() if one.name == stack]
    return {
        "autodeploy": found.settings.autodeploy,
        "labels": found.settings.labels,
        "environment": found.settings.environment,
        "confirm": found.settings.confirm_permission.value,
        "policies": [policy.name for policy in found.policies],
    }


def test_a_push_of_the_owner_takes_effect_in_every_repository(world: World) -> None:
    """Stacks that are there already get defaults and policies at once, without an event of their own; so do later
    ones. What an entry says itself wins, labels are added."""
    own = STACKS + "  - {name: net, project_root: net, autodeploy: true, labels: [own], environment: {REGION: own}}\n"
    world.repository({**FILES, ".trackside/stacks.yml": own, "net/main.tf": CODE})
    world.settle()
    owner = organisation(world)
    all_of_it = GUARDED + (
        "defaults:\n  confirm: {permission: admin}\n  autodeploy: false\n  labels: [acme]\n"
        "  environment: {REGION: eu}\n"
    )

    sha = world.push(owner, {"stacks.yml": all_of_it, "policies/guard.rego": GUARD}, "Settings")

    check = world.expect_check(owner, sha, "config", "success")
    assert check.title == "valid: defaults, 1 policy"
    assert "1 repository with stacks is taken in again" in (check.summary or "")
    assert settings(world) == {
        "autodeploy": False,
        "labels": ("acme",),
        "environment": {"REGION": "eu"},
        "confirm": "admin",
        "policies": [".trackside/guard"],
    }
    assert settings(world, "net") == {
        "autodeploy": True,
        "labels": ("own", "acme"),
        "environment": {"REGION": "own"},
        "confirm": "admin",
        "policies": [".trackside/guard"],
    }
    later = world.github.create_repository(OWNER, "later", files={"README.md": "#\n"})
    later.set_permission("alice", "write")
    world.push(later, {".trackside/stacks.yml": STACKS.replace("app", "late"), "late/main.tf": CODE}, "Later")
    world.settle()
    assert settings(world, "late")["labels"] == ("acme",)


def test_the_organisations_policy_decides_and_is_named(world: World) -> None:
    """A repository's own policy of that name shadows nothing; the record and `why` say whose policy it was."""
    owner = organisation(world)
    world.push(owner, {"stacks.yml": GUARDED, "policies/guard.rego": GUARD}, "A guard")
    world.settle()
    mine = STACKS + "policies:\n  - {name: guard, type: push, path: policies/guard.rego, attach: [app]}\n"
    own = 'package trackside\n\ntrack if input.push.branch == "main"\n'
    repo = world.repository({**FILES, ".trackside/stacks.yml": mine, "policies/guard.rego": own})
    world.settle()
    (stack,) = world.plane.store.list_all_stacks()
    assert [policy.name for policy in stack.policies] == ["guard", ".trackside/guard"]

    sha = world.push(repo, {"app/main.tf": CODE + "# two\n"}, "hush")

    verdict, reason, _ = world.decision(sha)
    assert verdict == "ignore"
    assert ".trackside/guard" in reason
    world.comment_on_commit(repo, sha, "/trackside why")
    world.settle()
    assert ".trackside/guard" in world.remarks(repo, sha)[-1]
    versions = world.sql("SELECT DISTINCT organisation_version_id FROM decisions")
    assert versions == world.sql("SELECT id FROM organisation_versions")


def test_a_waiting_plan_is_not_confirmed_under_settings_that_were_replaced(world: World) -> None:
    """The owner turns `confirm: admin` on while a plan waits: a writer's yes is refused, an admin plans again."""
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    sha = repo.sha()
    owner = organisation(world)
    world.push(owner, {"stacks.yml": "version: 1\ndefaults: {confirm: {permission: admin}}\n"}, "Admins confirm")
    world.settle()
    world.comment_on_commit(repo, sha, "/trackside confirm")
    world.settle()
    assert world.runs()[-1].state is RunState.UNCONFIRMED
    assert "admin" in world.remarks(repo, sha)[-1]

    repo.set_permission("carol", "admin")
    world.comment_on_commit(repo, sha, "/trackside confirm", by="carol")
    world.settle()
    assert "the settings of" in world.remarks(repo, sha)[-1]
    assert world.runs()[-1].state is RunState.UNCONFIRMED

    world.comment_on_commit(repo, sha, "/trackside replan", by="carol")
    world.expect_state(RunState.UNCONFIRMED)
    world.comment_on_commit(repo, sha, "/trackside confirm", by="carol")
    world.expect_state(RunState.FINISHED)


def test_a_broken_push_annotates_every_mistake_and_changes_nothing(world: World) -> None:
    """File and policy alike; what was in force stays, and the check says so; mended, it comes into force."""
    world.repository(FILES)
    world.settle()
    owner = organisation(world)
    first = world.push(owner, {"stacks.yml": "version: 1\ndefautls: {}\n"}, "Broken from the start")
    check = world.expect_check(owner, first, "config", "failure")
    assert "nothing is set for the organisation until it is mended" in (check.summary or "")
    world.push(owner, {"stacks.yml": "version: 1\ndefaults: {labels: [acme]}\n"}, "Good")
    world.settle()
    broken_text = GUARDED + "defaults: {labels: [other], branch: main}\npools: {default: infra}\n"

    sha = world.push(owner, {"stacks.yml": broken_text, "policies/guard.rego": GUARD}, "Broken")

    check = world.expect_check(owner, sha, "config", "failure")
    assert check.title == "2 problems in the organisation's settings"
    assert "The last valid version stays in force" in (check.summary or "")
    assert [(one["path"], one["start_line"]) for one in check.annotations] == [("stacks.yml", 4), ("stacks.yml", 5)]
    assert settings(world)["labels"] == ("acme",)
    broken = world.push(
        owner, {"stacks.yml": GUARDED, "policies/guard.rego": "package trackside\n\ntrack if {\n\tfoo(\n"}, "Policy"
    )
    check = world.expect_check(owner, broken, "config", "failure")
    assert [one["path"] for one in check.annotations] == ["policies/guard.rego"]
    assert settings(world)["policies"] == []
    gone = world.push(owner, {"stacks.yml": None}, "No file")
    check = world.expect_check(owner, gone, "config", "failure")
    assert "the file is gone, but it is in force" in (check.text or "")
    assert settings(world)["labels"] == ("acme",)
    mended = world.push(owner, {"stacks.yml": GUARDED, "policies/guard.rego": GUARD}, "Mended")
    world.expect_check(owner, mended, "config", "success")
    assert settings(world)["policies"] == [".trackside/guard"]
    assert settings(world)["labels"] == ()


def test_what_is_not_the_owners_default_branch_does_not_count(world: World) -> None:
    """A branch, a pull request's head, another account's repository of that name, one that was renamed away."""
    world.repository(FILES)
    owner = organisation(world)
    world.push(owner, {"stacks.yml": "version: 1\ndefaults: {labels: [acme]}\n"}, "Settings")
    world.settle()
    world.push(owner, {"stacks.yml": "version: 1\ndefaults: {labels: [branch]}\n"}, "Branch", branch="try")
    owner.open_pull("try", title="Try", author="alice")
    world.settle()
    assert settings(world)["labels"] == ("acme",)
    stranger = world.github.create_repository("stranger", ".trackside", files={"README.md": "#\n"})
    stranger.push(files={"stacks.yml": "version: 1\ndefaults: {labels: [foreign]}\n"}, message="x", author="stranger")
    world.settle()
    assert settings(world)["labels"] == ("acme",)
    assert world.sql("SELECT count(*) FROM organisation_versions") == [(1,)]
    world.github.rename_repository("acme/.trackside", "old-settings")
    away = world.github.repo("acme/old-settings")
    world.push(away, {"stacks.yml": "version: 1\ndefaults: {labels: [renamed]}\n"}, "Renamed away")
    world.settle()
    assert settings(world)["labels"] == ("acme",), "the last good version stays"


def test_a_pool_that_does_not_serve_the_repository_is_a_mistake_of_its_stacks_file(world: World) -> None:
    """Named with line and remedy; once the owner lets the pool serve it, the refused file comes into force."""
    owner = organisation(world)
    world.push(owner, {"stacks.yml": "version: 1\npools: {default: '*', gpu: [other]}\n"}, "Pools")
    world.settle()
    repo = world.repository(FILES)
    world.settle()
    more = STACKS + "  - name: net\n    project_root: net\n    worker_pool: gpu\n"

    sha = world.push(repo, {".trackside/stacks.yml": more}, "A dear pool")

    check = world.expect_check(repo, sha, "config", "failure")
    assert "**line 6**" in (check.text or "")
    assert "the worker pool `gpu` of stack `net` does not serve this repository" in (check.text or "")
    assert "pools that do: `default`" in (check.text or "")
    assert [stack.name for stack in world.plane.store.list_all_stacks()] == ["app"]

    world.push(owner, {"stacks.yml": "version: 1\npools: {default: '*', gpu: [other, Infra]}\n"}, "Serve infra")

    world.expect_check(repo, sha, "config", "success")
    assert [stack.name for stack in world.plane.store.list_all_stacks()] == ["app", "net"]


def test_a_pool_that_stops_serving_runs_nothing_of_the_repository(world: World) -> None:
    """Not even a plan that was confirmed: the run says why, and the commit of the stacks file says what to do."""
    repo = world.repository(FILES)
    world.expect_state(RunState.UNCONFIRMED)
    sha = repo.sha()
    owner = organisation(world)
    world.push(owner, {"stacks.yml": "version: 1\npools: {default: [other]}\n"}, "Not infra")
    check = world.expect_check(repo, sha, "config", "failure")
    assert "no pool does" in (check.text or "")

    world.comment_on_commit(repo, sha, "/trackside confirm")

    run = world.expect_state(RunState.FAILED)
    assert "the worker pool default does not serve acme/infra" in run.reason


def test_a_pull_request_of_the_owner_is_rehearsed(world: World) -> None:
    """Mistakes, policy tests, and what would be decided otherwise in every repository; nothing is in force."""
    repo = world.repository(FILES)
    sha = world.push(repo, {"app/main.tf": CODE + "# two\n"}, "hush")
    world.settle()
    owner = organisation(world)
    test = (
        "package trackside_test\n\nimport data.trackside\n\n"
        'test_hush if trackside.ignore with input as {"push": {"message": "hush", "branch": "main"}}\n'
    )
    files = {
        "stacks.yml": GUARDED + "pools: {default: [other]}\n",
        "policies/guard.rego": GUARD,
        "policies/guard_test.rego": test,
    }
    head = world.push(owner, files, "A guard", branch="guard")
    owner.open_pull("guard", title="A guard", author="alice")

    check = world.expect_check(owner, head, "config", "success")

    assert (check.title or "").startswith("valid: 1 policy, 1 pool · 1 of ")
    assert "Policy tests: 1 passed." in (check.summary or "")
    assert "since their worker pool would not serve them: `infra/app`" in (check.summary or "")
    assert f"| `push to main` at `{sha[:7]}` | `infra/app` | tracked | ignored |" in (check.text or "")
    assert settings(world)["policies"] == []
    worse = world.push(owner, {"stacks.yml": "version: 1\npolices: []\n"}, "A slip", branch="guard")
    check = world.expect_check(owner, worse, "config", "failure")
    assert [(one["path"], one["start_line"]) for one in check.annotations] == [("stacks.yml", 2)]


def test_a_repository_that_was_read_before_its_file_was_kept_is_read_again(world: World) -> None:
    """What an older version took in has no copy of what the file says: git is asked once."""
    world.repository(FILES)
    world.settle()
    with world.plane.store.begin() as tx:
        tx._execute(text("UPDATE config_versions SET configuration = NULL"))
        tx._execute(text("UPDATE repositories SET owner_id = 0"))
    owner = organisation(world)
    world.push(owner, {"stacks.yml": "version: 1\ndefaults: {labels: [acme]}\n"}, "Settings")
    world.settle()
    assert settings(world)["labels"] == ("acme",)
