"""Pushes that arrive in another order than they were made: the stacks file in force is the newest commit's."""

from app.core.stack import Permission, settings_from_json
from app.sandbox import Repo
from tests.driver import OWNER, World

PLAIN = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
LOOSE = "version: 1\nstacks:\n  - {name: app, project_root: app, autodeploy: true, allow_promotion: true}\n"
STRICT = "version: 1\nstacks:\n  - {name: app, project_root: app, confirm: {permission: admin}}\n"
FILES = {".trackside/stacks.yml": PLAIN, "app/main.tf": 'resource "terraform_data" "web" { input = "one" }\n'}


def in_force(world: World) -> tuple[bool, Permission]:
    """Whether the stack deploys by itself, and what confirming needs."""
    settings = settings_from_json(str(world.sql("SELECT settings FROM stacks")[0][0]))
    return settings.autodeploy, settings.confirm_permission


def swapped(world: World, repo: Repo, older: str, newer: str) -> None:
    """Two pushes of the stacks file, the older one delivered last."""
    world.github.post.hold()
    world.push(repo, {".trackside/stacks.yml": older}, "Older")
    world.push(repo, {".trackside/stacks.yml": newer}, "Newer")
    world.github.post.release(reverse=True)
    world.settle()


def test_an_older_stacks_file_that_arrives_last_takes_nothing_back(world: World) -> None:
    """Who may confirm was narrowed; the delivery of the commit before, with all its doors open, comes after that."""
    repo = world.repository(FILES)
    world.settle()

    swapped(world, repo, LOOSE, STRICT)

    assert in_force(world) == (False, Permission.ADMIN)
    world.push(repo, {".trackside/stacks.yml": PLAIN}, "In order")
    world.settle()
    assert in_force(world) == (False, Permission.WRITE)


def test_a_mistake_that_was_taken_back_does_not_come_back(world: World) -> None:
    """The newest file says what the one in force says already; what stood between the two arrives last."""
    repo = world.repository(FILES)
    world.settle()

    swapped(world, repo, LOOSE, PLAIN)

    assert in_force(world) == (False, Permission.WRITE)


def test_a_branch_that_is_forced_back_is_decided_with_the_file_that_it_has_then(world: World) -> None:
    """A forced push is meant; what follows it in order counts, too."""
    repo = world.repository(FILES)
    world.settle()
    before = repo.sha("main")
    world.push(repo, {".trackside/stacks.yml": STRICT}, "Strict")
    world.settle()
    assert in_force(world) == (False, Permission.ADMIN)

    world.push(repo, {"README.md": "# again\n"}, "Instead", force=True, base=before)
    world.settle()
    assert in_force(world) == (False, Permission.WRITE)
    world.push(repo, {".trackside/stacks.yml": LOOSE}, "Loose")
    world.settle()
    assert in_force(world) == (True, Permission.WRITE)


def test_settings_of_the_organisation_that_were_taken_back_do_not_come_back(world: World) -> None:
    """The newest settings are those in force already; what stood between the two arrives last, and is left alone."""
    strict = "version: 1\ndefaults:\n  confirm: {permission: admin}\n"
    world.repository(FILES)
    owner = world.github.create_repository(OWNER, ".trackside", files={"README.md": "# acme\n"})
    owner.set_permission("alice", "write")
    world.push(owner, {"stacks.yml": strict}, "Strict")
    world.settle()
    assert in_force(world) == (False, Permission.ADMIN)

    world.github.post.hold()
    world.push(owner, {"stacks.yml": "version: 1\ndefaults:\n  autodeploy: true\n"}, "A mistake")
    world.push(owner, {"stacks.yml": strict}, "Taken back")
    world.github.post.release(reverse=True)
    world.settle()

    assert in_force(world) == (False, Permission.ADMIN)
