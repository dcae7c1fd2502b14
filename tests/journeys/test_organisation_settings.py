"""The owner's repository `.trackside`: defaults, policies and pools for every repository of the owner."""

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
    text = GUARDED + (
        "defaults:\n  confirm: {permission: admin}\n  autodeploy: false\n  labels: [acme]\n"
        "  environment: {REGION: eu, ro_REGION: ro}\n"
    )
    text = text.replace(", ro_REGION: ro", "")

    sha = world.push(owner, {"stacks.yml": text, "policies/guard.rego": GUARD}, "Settings")

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
    rows = world.sql(
        f"SELECT count(*) FROM decisions WHERE head_sha = '{sha}' AND organisation_version_id ="
        " (SELECT max(id) FROM organisation_versions)"
    )
    assert rows == [(1,)]


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
