"""`module_repositories`: what a run's clone token reads beside the run's own repository."""

import httpx
import pytest

from app.core.run import RunState
from app.sandbox import Repo
from app.sandbox.records import Repository
from tests.driver import OWNER, World

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
MODULE = 'resource "terraform_data" "inner" { input = "from the module" }\n'


def module(world: World, name: str = "mod") -> Repo:
    """A private repository of acme that holds a module."""
    return world.github.create_repository(OWNER, name, files={"main.tf": MODULE})


def code(repo: Repo, how: str = "git::{url}") -> str:
    return f'module "inner" {{ source = "{how.format(url=repo.clone_url)}" }}\n'


def list_modules(world: World, text: str) -> None:
    """The owner's settings list them."""
    owner = world.github.create_repository(OWNER, ".trackside", files={"README.md": "# acme\n"})
    owner.set_permission("alice", "write")
    world.push(owner, {"stacks.yml": f"version: 1\n{text}"}, "Modules")
    world.settle()


@pytest.mark.parametrize("listed", ["infra: [MOD]", '"*": [mod]', 'infra: "*"'])
def test_a_private_module_of_a_listed_repository_is_planned_and_applied(world: World, listed: str) -> None:
    """Init fetches it with the run's own token, which reads nothing else and is revoked when the plan is made."""
    inner = module(world)
    list_modules(world, f"module_repositories: {{{listed}}}\n")
    repo = world.repository({".trackside/stacks.yml": STACKS, "app/main.tf": code(inner)})

    run = world.expect_state(RunState.UNCONFIRMED)

    assert "module repositories that this run may read: " in world.log(run)
    world.comment_on_commit(repo, repo.sha(), "/trackside confirm")
    world.expect_state(RunState.FINISHED)
    tokens = [one for one in world.github.tokens.values() if one.permissions.get("checks") is None]
    assert tokens == [], "the clone token was revoked"


def test_a_private_repository_that_is_not_listed_is_not_readable(world: World) -> None:
    """Not for init, and not for the repository of another entry."""
    inner = module(world)
    module(world, "other")
    list_modules(world, "module_repositories: {infra: [other], elsewhere: [mod]}\n")
    world.repository({".trackside/stacks.yml": STACKS, "app/main.tf": code(inner)})

    run = world.expect_state(RunState.FAILED)

    assert "Could not download module" in run.reason
    assert "module repositories that this run may read: other" in world.log(run)


def test_without_the_owners_settings_a_run_reads_its_own_repository_alone(world: World) -> None:
    """As before."""
    world.repository({".trackside/stacks.yml": STACKS, "app/main.tf": code(module(world))})
    run = world.expect_state(RunState.FAILED)
    assert "Could not download module" in run.reason


def test_a_listed_repository_that_is_gone_stops_nobody(world: World) -> None:
    """GitHub gives no token for a list with a name that it does not know: the run gets its own, and its log says so."""
    list_modules(world, 'module_repositories: {"*": [gone]}\n')
    plain = 'resource "terraform_data" "web" { input = "one" }\n'
    world.repository({".trackside/stacks.yml": STACKS, "app/main.tf": plain})

    run = world.expect_state(RunState.UNCONFIRMED)

    assert "module repositories cannot be read in this run (gone)" in world.log(run)


def test_the_stand_in_holds_a_narrowed_token_to_its_repositories_over_git(world: World) -> None:
    """As GitHub does: what the token was not made for is not there."""
    inner, other = module(world), module(world, "other")
    minted = world.github.installation_token(OWNER, repository_ids=[inner.id], permissions={"contents": "read"})

    def ask(record: Repository) -> int:
        url = f"{world.served.url}/{record.full_name}.git/info/refs?service=git-upload-pack"
        return httpx.get(url, auth=("x-access-token", minted), trust_env=False).status_code

    assert (ask(inner.record), ask(other.record)) == (200, 404)
