"""Provider packages are shared by what is in them: no lock file, network or run can put one under another's name."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from app.core.errors import UserError
from app.engine.bench import StackSettings
from app.engine.environment import LAID_OUT, Installation
from app.engine.layout import prepare_providers
from app.engine.lockfile import LOCK_FILE, find_address, read_lock
from app.engine.origin import Origin
from app.engine.providers import UNUSED_S, ProviderStore
from app.engine.release import system
from app.engine.terraform import Done, Failure
from tests.engine.mirror import Mirror, make_zip, open_mirror, tree
from tests.engine.test_terraform import Desk

TOY = "registry.terraform.io/acme/toy"
NEEDS = """
terraform {
  backend "local" {}
  required_providers {
    toy = { source = "acme/toy" }
  }
}
"""
ZEROS = "zh:" + "0" * 64
STACK = StackSettings(name="network")


def toy_zip(text: str = "first") -> bytes:
    """A provider that nobody starts: init does not."""
    return make_zip({"terraform-provider-toy_v1.2.3": f"#!/bin/sh\n# {text}\nexit 1\n".encode(), "LICENSE": b"free\n"})


def zh(archive: bytes) -> str:
    return f"zh:{hashlib.sha256(archive).hexdigest()}"


def lock_text(*hashes: str, version: str = "1.2.3") -> str:
    lines = "".join(f'    "{one}",\n' for one in hashes)
    return f'# kept\nprovider "{TOY}" {{\n  version     = "{version}"\n  hashes = [\n{lines}  ]\n}}\n'


def serve(mirror: Mirror, archive: bytes, version: str = "1.2.3") -> None:
    """The network mirror has this package."""
    mirror.files[f"/{TOY}/index.json"] = json.dumps({"versions": {version: {}}}).encode()
    archives = {"archives": {system(): {"url": f"toy_{version}.zip"}}}
    mirror.files[f"/{TOY}/{version}.json"] = json.dumps(archives).encode()
    mirror.files[f"/registry.terraform.io/acme/toy/toy_{version}.zip"] = archive


class Shelf:
    """A worker's packages, and runs that use them."""

    def __init__(self, mirror: Mirror, folder: Path) -> None:
        self.folder = folder
        self.store = ProviderStore(root=folder / "store", origin=Origin(mirror_url=mirror.url))
        self.runs = 0

    def desk(self, lock: str | None) -> Desk:
        """A run's workspace, with its checkout."""
        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        folder.mkdir()
        desk = Desk(folder)
        desk.write({"main.tf": NEEDS} | ({} if lock is None else {LOCK_FILE: lock}))
        return desk

    def prepare(self, desk: Desk, *, may_fetch: bool = True) -> Installation:
        """What the worker does before init."""
        prepared = prepare_providers(desk.folders.source, desk.folders.home, self.store, may_fetch=may_fetch)
        desk.log += prepared.lines
        desk.folders = replace(desk.folders, installation=prepared.installation)
        return prepared.installation

    def init(self, lock: str | None) -> Desk:
        """A run that comes through its init."""
        desk = self.desk(lock)
        self.prepare(desk)
        assert desk.engine(STACK).init() == Done(), desk.log
        return desk

    def refused(self, lock: str) -> str:
        """Why a run with that lock file does not even begin its init."""
        with pytest.raises(UserError) as caught:
            self.prepare(self.desk(lock))
        return str(caught.value)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with open_mirror() as mirror:
        yield mirror


@pytest.fixture
def shelf(mirror: Mirror, tmp_path: Path) -> Shelf:
    return Shelf(mirror, tmp_path)


def installed(desk: Desk) -> Path:
    """Where the run's engine has its provider from."""
    link = desk.folders.data_dir / f"providers/{TOY}/1.2.3/{system()}"
    assert link.is_symlink()
    return link.resolve()


def test_two_runs_share_one_package_and_init_only_links_it(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    first, second = shelf.init(lock_text(zh(toy_zip()))), shelf.init(lock_text(ZEROS, zh(toy_zip())))
    assert installed(first) == installed(second)
    assert installed(first).parent == shelf.store.packages
    assert mirror.count(".zip") == 1
    assert {path.stat().st_mode & 0o777 for path in installed(first).iterdir()} == {0o555}
    size = sum(path.lstat().st_size for path in first.folders.data_dir.rglob("*") if not path.is_dir())
    assert size < 10_000


def test_the_lock_file_gets_the_checksum_that_init_would_add_and_stays_otherwise(mirror: Mirror, shelf: Shelf) -> None:
    """A lock file made on another system: the archive's checksum is in it, that of the unpacked package is not."""
    serve(mirror, toy_zip())
    foreign = "h1:" + "A" * 43 + "="
    desk = shelf.init(lock_text(foreign, zh(toy_zip())))
    text = (desk.folders.source / LOCK_FILE).read_text()
    (locked,) = read_lock(text.encode())
    (added,) = locked.hashes - {foreign, zh(toy_zip())}
    assert text.replace(f'\n    "{added}",', "", 1) == lock_text(foreign, zh(toy_zip()))


def test_a_checksum_of_the_unpacked_package_is_enough(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    (locked,) = read_lock((shelf.init(lock_text(zh(toy_zip()))).folders.source / LOCK_FILE).read_bytes())
    (unpacked,) = (one for one in locked.hashes if one.startswith("h1:"))
    assert installed(shelf.init(lock_text(unpacked))).is_dir()
    fresh = Shelf(mirror, shelf.folder / "fresh")
    fresh.folder.mkdir()
    assert installed(fresh.init(lock_text(unpacked))).parent == fresh.store.packages
    assert mirror.count(".zip") == 2


def test_a_hostile_lock_file_and_network_harm_their_own_stack_alone(mirror: Mirror, shelf: Shelf) -> None:
    """The same name and version, other bytes: both stacks get what their own lock file says."""
    serve(mirror, toy_zip("evil"))
    evil = shelf.init(lock_text(zh(toy_zip("evil"))))
    serve(mirror, toy_zip("good"))
    good = shelf.init(lock_text(zh(toy_zip("good"))))
    assert installed(evil) != installed(good)
    assert b"good" in (installed(good) / "terraform-provider-toy_v1.2.3").read_bytes()


def test_a_package_that_is_not_what_the_lock_file_names_is_neither_used_nor_kept(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip("evil"))
    why = shelf.refused(lock_text(zh(toy_zip("good"))))
    assert f"the package for {system()} has none of the lock file's checksums, so it is not used" in why
    assert tree(shelf.store.root) == []


def test_a_lock_file_of_another_system_alone_says_what_to_run(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    for lock in (lock_text("h1:" + "A" * 43 + "="), lock_text()):
        why = shelf.refused(lock)
        assert f"no checksum of its package for {system()}" in why
        assert f"`terraform providers lock -platform={system()}`" in why


def test_a_package_changed_on_disk_is_found_out_by_the_engine(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    binary = installed(shelf.init(lock_text(zh(toy_zip())))) / "terraform-provider-toy_v1.2.3"
    binary.chmod(0o755)
    binary.write_text("#!/bin/sh\necho evil\n")
    desk = shelf.desk(lock_text(zh(toy_zip())))
    shelf.prepare(desk)
    failure = desk.engine(STACK).init()
    assert isinstance(failure, Failure)
    assert f"the lock file has no checksum of this package for {system()}" in failure.text
    assert "match any of the checksums" in " ".join(failure.text.split())


def test_a_network_that_does_not_answer_is_asked_once_and_left_to_the_engine(mirror: Mirror, shelf: Shelf) -> None:
    mirror.status = 503
    serve(mirror, toy_zip())
    other = lock_text(zh(toy_zip())).replace("acme/toy", "acme/more")
    desk = shelf.desk(lock_text(zh(toy_zip())) + other)
    installation = shelf.prepare(desk)
    assert installation.addresses == ()
    assert len(mirror.asked) == 1
    assert any("provider left to the engine: registry.terraform.io/acme/toy 1.2.3" in line for line in desk.log)


def test_a_fork_uses_what_is_here_and_has_nothing_fetched(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    assert shelf.prepare(shelf.desk(lock_text(zh(toy_zip()))), may_fetch=False).addresses == ()
    assert mirror.asked == []
    shelf.init(lock_text(zh(toy_zip())))
    assert shelf.prepare(shelf.desk(lock_text(zh(toy_zip()))), may_fetch=False).addresses == (TOY,)


def test_without_a_lock_file_the_engine_looks_for_itself(shelf: Shelf) -> None:
    desk = shelf.desk(None)
    assert shelf.prepare(desk).addresses == ()
    assert not (desk.folders.source / LOCK_FILE).exists()


@pytest.mark.parametrize(
    "lock",
    [
        'provider "../../../etc" {\n  version = "1.2.3"\n  hashes = ["zh:%s"]\n}\n' % ("0" * 64),
        'provider "evil.example.org/../x" {\n  version = "1.2.3"\n  hashes = ["zh:%s"]\n}\n' % ("0" * 64),
        lock_text(ZEROS, version="../1"),
        lock_text(ZEROS).replace('"1.2.3"', '"${file("/etc/passwd")}"'),
        lock_text(ZEROS) + lock_text(ZEROS),
        "{" * 1_000,
        "provider {\n",
        "",
        "x" * 1_100_000,
    ],
)
def test_what_a_lock_file_says_oddly_is_left_to_the_engine(mirror: Mirror, shelf: Shelf, lock: str) -> None:
    desk = shelf.desk(lock)
    assert shelf.prepare(desk).addresses == ()
    assert mirror.asked == []
    assert (desk.folders.source / LOCK_FILE).read_text() == lock


def test_a_lock_file_that_is_a_link_is_neither_read_nor_written(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    desk, outside = shelf.desk(None), shelf.folder / "outside"
    outside.write_text(lock_text(zh(toy_zip())))
    (desk.folders.source / LOCK_FILE).symlink_to(outside)
    assert shelf.prepare(desk).addresses == ()
    assert outside.read_text() == lock_text(zh(toy_zip()))


def test_links_that_a_hook_left_in_the_home_are_not_followed(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    desk, outside = shelf.desk(lock_text(zh(toy_zip()))), shelf.folder / "outside"
    outside.mkdir()
    (desk.folders.home / LAID_OUT).symlink_to(outside)
    (desk.folders.home / "trackside.tfrc").symlink_to(outside / "written")
    shelf.prepare(desk)
    assert desk.engine(STACK).init() == Done()
    assert list(outside.iterdir()) == []


def test_hostile_packages_are_refused(mirror: Mirror, shelf: Shelf) -> None:
    for archive, why in (
        (make_zip({"../../terraform-provider-toy_v1.2.3": b"x"}), "not a path inside it"),
        (make_zip({"terraform-provider-other_v1.2.3": b"x"}), "no provider in its package"),
        (b"nonsense", "not a readable zip archive"),
    ):
        serve(mirror, archive)
        assert why in shelf.refused(lock_text(zh(archive)))
    assert tree(shelf.store.root) == []


def test_runs_at_once_fetch_a_package_once(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    go = mirror.held.setdefault("/registry.terraform.io/acme/toy/toy_1.2.3.zip", Event())
    desks = [shelf.desk(lock_text(zh(toy_zip()))) for _ in range(4)]
    runs = [Thread(target=shelf.prepare, args=(desk,)) for desk in desks]
    for run in runs:
        run.start()
    assert mirror.reached.wait(30)
    go.set()
    for run in runs:
        run.join(60)
    assert [desk.folders.installation.addresses for desk in desks] == [(TOY,)] * 4
    assert mirror.count(".zip") == 1


def test_what_a_killed_worker_left_behind_is_cleaned_by_the_next(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    path = "/registry.terraform.io/acme/toy/toy_1.2.3.zip"
    mirror.held[path] = Event()
    desk = shelf.desk(lock_text(zh(toy_zip())))
    text = (
        "import sys\nfrom pathlib import Path\nfrom app.engine.layout import prepare_providers\n"
        "from app.engine.origin import Origin\nfrom app.engine.providers import ProviderStore\n"
        "url, root, home, store = sys.argv[1:]\n"
        "prepare_providers(Path(root), Path(home), ProviderStore(root=Path(store), origin=Origin(mirror_url=url)))\n"
    )
    words = [mirror.url, str(desk.folders.source), str(desk.folders.home), str(shelf.store.root)]
    with subprocess.Popen([sys.executable, "-c", text, *words]) as child:
        assert mirror.reached.wait(30)
        child.send_signal(signal.SIGKILL)
    assert len(tree(shelf.store.root)) == 1
    mirror.held.pop(path).set()
    shelf.init(lock_text(zh(toy_zip())))
    assert all(not path.startswith(".coming") for path in tree(shelf.store.root))


def test_packages_that_nothing_uses_any_more_are_removed(mirror: Mirror, shelf: Shelf) -> None:
    serve(mirror, toy_zip())
    package = installed(shelf.init(lock_text(zh(toy_zip()))))
    assert shelf.store.sweep() == []
    os.utime(package, (time.time() - UNUSED_S - 10,) * 2)
    killed = shelf.store.root / f"gone-{package.name}"
    killed.mkdir()
    (killed / "rest").touch()
    assert shelf.store.sweep() == [package.name]
    assert not package.exists()
    assert not killed.exists(), "of a worker that was killed while it removed the package"
    shelf.init(lock_text(zh(toy_zip())))
    assert mirror.count(".zip") == 2
    os.utime(package, (time.time() - UNUSED_S - 10,) * 2)
    shelf.init(lock_text(zh(toy_zip())))
    assert shelf.store.sweep() == [], "a run has just used it"


def test_a_plan_does_not_change_a_lock_file_that_does_not_fit(mirror: Mirror, shelf: Shelf) -> None:
    """`-lockfile=readonly` whenever there is one: what the configuration needs more is said, with the way out."""
    serve(mirror, toy_zip())
    desk = shelf.desk("# nothing locked\n")
    package = desk.folders.home / f"{LAID_OUT}/{TOY}/1.2.3/{system()}"
    package.mkdir(parents=True)
    (package / "terraform-provider-toy_v1.2.3").write_text("#!/bin/sh\n")
    (package / "terraform-provider-toy_v1.2.3").chmod(0o755)
    desk.folders = replace(desk.folders, installation=Installation(addresses=(TOY,), mirror_url=mirror.url))
    failure = desk.engine(STACK).init()
    assert isinstance(failure, Failure)
    assert f"the lock file does not fit the configuration: run `terraform init` and commit {LOCK_FILE}" in failure.text
    assert (desk.folders.source / LOCK_FILE).read_text() == "# nothing locked\n"


def test_a_registry_is_asked_by_https_alone(mirror: Mirror, tmp_path: Path) -> None:
    address = find_address(f"{mirror.url.removeprefix('http://')}/acme/toy")
    assert address is not None
    store = ProviderStore(root=tmp_path / "store")
    text = lock_text(ZEROS).replace(TOY, str(address)).encode()
    laid = store.lay_out(read_lock(text), tmp_path / "mirror", may_fetch=True)
    assert laid.addresses == ()
    assert f"https://{address.host}/.well-known/terraform.json" in laid.left[0]
    assert mirror.asked == []


def test_a_registry_is_asked_by_its_protocol(tmp_path: Path) -> None:
    """Discovery, the package's address, the package. The worker trusts the authority that this machine names."""
    with open_mirror(certificate=tmp_path / "authority.pem") as registry:
        host = registry.url.removeprefix("https://")
        os_name, machine = system().split("_")
        download = f"/providers/acme/toy/1.2.3/download/{os_name}/{machine}"
        registry.files = {
            "/.well-known/terraform.json": b'{"providers.v1": "/providers/", "modules.v1": "/modules/"}',
            download: json.dumps({"download_url": f"{registry.url}/toy.zip", "shasum": "not asked"}).encode(),
            "/toy.zip": toy_zip(),
        }
        (tmp_path / "lock").write_text(lock_text(zh(toy_zip())).replace(TOY, f"{host}/acme/toy"))
        assert laid_out_with_authority(tmp_path) == []
        assert (tmp_path / f"mirror/{host}/acme/toy/1.2.3/{system()}/terraform-provider-toy_v1.2.3").is_file()
        assert registry.asked == ["/.well-known/terraform.json", download, "/toy.zip"]


@pytest.mark.parametrize(
    ("installation", "present", "absent"),
    [
        (Installation(), ["direct {"], ["network_mirror", "filesystem_mirror", "exclude"]),
        (Installation(mirror_url="https://m.example.org/p"), ['url = "https://m.example.org/p/"'], ["direct"]),
        (
            Installation(addresses=(TOY,)),
            ['path = "/w/home/providers"', f'include = ["{TOY}"]', f'exclude = ["{TOY}"]', "direct {"],
            ["network_mirror"],
        ),
    ],
)
def test_the_engines_sources_are_written_out(installation: Installation, present: list[str], absent: list[str]) -> None:
    text = installation.cli_config(Path("/w/home"))
    assert all(part in text for part in present), text
    assert not any(part in text for part in absent), text


def test_a_registry_sends_nobody_to_what_is_not_https(mirror: Mirror, tmp_path: Path) -> None:
    """A lock file names any host, and the host any address: a worker's own network is not asked by plain http."""
    with open_mirror(certificate=tmp_path / "authority.pem") as registry:
        host = registry.url.removeprefix("https://")
        registry.files = {
            "/.well-known/terraform.json": json.dumps({"providers.v1": f"{mirror.url}/latest/"}).encode(),
        }
        (tmp_path / "lock").write_text(lock_text(ZEROS).replace(TOY, f"{host}/acme/toy"))
        (left,) = laid_out_with_authority(tmp_path)
    assert f"names {mirror.url}/latest/, which is not https" in left
    assert mirror.asked == []


def laid_out_with_authority(root: Path) -> list[str]:
    """What a process that trusts the authority in `root` leaves to the engine, of the lock file there."""
    text = (
        "import json, sys\nfrom pathlib import Path\nfrom app.engine.lockfile import read_lock\n"
        "from app.engine.providers import ProviderStore\n"
        "root = Path(sys.argv[1])\n"
        "locked = read_lock((root / 'lock').read_bytes())\n"
        "print(json.dumps(ProviderStore(root=root / 'store').lay_out(locked, root / 'mirror', may_fetch=True).left))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text, str(root)],
        env={**os.environ, "SSL_CERT_FILE": str(root / "authority.pem")},
        capture_output=True,
        text=True,
        check=True,
    )
    left: list[str] = json.loads(done.stdout)
    return left


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_lock_file_that_is_no_file_is_left_to_the_engine_and_costs_nothing(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """One descriptor for each run, and a worker has no more after a thousand."""
    make(tmp_path / LOCK_FILE)
    before = len(os.listdir("/proc/self/fd"))
    prepared = prepare_providers(tmp_path, tmp_path, ProviderStore(root=tmp_path / "store"))
    assert prepared.lines == (f"{LOCK_FILE} is left to the engine: reading {LOCK_FILE}: it is no plain file",)
    assert len(os.listdir("/proc/self/fd")) == before
