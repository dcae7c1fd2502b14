"""A release is in the tool folder whole and verified, or not at all; whatever the mirror does."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from pysequoia import Tsk

from app.core.errors import RetryableError, TracksideError, UserError
from app.engine.release import ReleaseMirror, checksum_of, system
from app.engine.tools import Engine, Toolbox
from app.engine.unpack import ZipBounds, unpack
from app.vault.openpgp import SigningKeys
from tests.engine.mirror import Mirror, make_zip, open_mirror, release_zip, tree

VENDOR = Tsk.generate("Vendor <vendor@example.org>")
ZIP = f"_1.9.8_{system()}.zip"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with open_mirror() as mirror:
        yield mirror


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    path = tmp_path / "vendors.asc"
    path.write_text(str(VENDOR.extract_certificate()))
    return path


class Shed:
    """A worker's tool folder, filled from a mirror whose releases a key vouches for."""

    def __init__(self, mirror: Mirror, folder: Path, keyring: Path) -> None:
        self.folder = folder / "tools"
        releases = ReleaseMirror(url=mirror.url, verify=SigningKeys(keyring).verify)
        self.box = Toolbox(search_path=str(folder), folder=self.folder, mirror=releases)

    def choose(self, constraint: str, tool: str = "terraform") -> Engine:
        return self.box.choose(tool, constraint, stack="network")

    def refused(self, kind: type[TracksideError] = UserError) -> str:
        """Why 1.9.8 is not to be had; nothing of it is in the folder then."""
        with pytest.raises(kind) as caught:
            self.choose("1.9.8")
        assert tree(self.folder) == []
        return str(caught.value)


@pytest.fixture
def shed(mirror: Mirror, tmp_path: Path, keyring: Path) -> Shed:
    return Shed(mirror, tmp_path, keyring)


def test_the_newest_version_that_satisfies_is_fetched_once_and_runs(mirror: Mirror, shed: Shed) -> None:
    for version in ("1.9.7", "1.9.8", "1.10.0"):
        mirror.add_release("terraform", version, signer=VENDOR)
    mirror.files["/terraform/index.json"] = (
        b'{"name": "terraform", "versions": {"1.9.7": {}, "1.9.8": {}, "1.10.0": {}, "1.9.9-rc1": {}, "../../etc": {}}}'
    )
    found = shed.choose("~> 1.9.0")
    assert found.label == "terraform 1.9.8"
    assert Path(found.argv[0]).stat().st_mode & 0o777 == 0o555
    assert tree(shed.folder) == ["terraform/1.9.8/LICENSE.txt", "terraform/1.9.8/terraform"]
    assert shed.choose("~> 1.9.0") == found
    assert mirror.count(ZIP) == mirror.count("index.json") == 1


def test_opentofu_comes_from_its_own_layout(mirror: Mirror, shed: Shed, tmp_path: Path) -> None:
    mirror.add_release("tofu", "1.10.0", signer=VENDOR)
    mirror.files["/opentofu/api.json"] = b'{"versions": [{"id": "1.10.0", "files": []}, {"id": "1.6.0"}]}'
    assert shed.choose(">= 1.7", "opentofu").label == "tofu 1.10.0"
    elsewhere = ReleaseMirror(tofu_url=f"{mirror.url}/opentofu", tofu_index_url=f"{mirror.url}/opentofu/api.json")
    assert elsewhere.serves("tofu")
    assert not elsewhere.serves("terraform")
    elsewhere.install("tofu", "1.10.0", tmp_path / "other")
    assert (tmp_path / "other/1.10.0/tofu").is_file()


def test_a_named_version_needs_no_index(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    assert shed.choose("= 1.9.8").version == "1.9.8"
    assert mirror.count("index.json") == 0


def test_the_planned_version_is_fetched_again_where_it_is_gone(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    found = shed.box.find_exactly("terraform 1.9.8")
    assert found is not None
    assert found.version == "1.9.8"


def test_without_a_fitting_version_the_way_out_is_named(mirror: Mirror, shed: Shed) -> None:
    mirror.files["/terraform/index.json"] = b'{"versions": {"1.9.8": {}}}'
    with pytest.raises(UserError, match=r"nor does the mirror have one: change the constraint"):
        shed.choose("> 2")
    assert "fetching terraform 1.9.8: not on the mirror" in shed.refused()


def test_a_fork_has_nothing_fetched(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    with pytest.raises(UserError, match="asks for version"):
        shed.box.choose("terraform", "1.9.8", stack="network", may_fetch=False)
    assert mirror.asked == []


def test_an_archive_with_another_checksum_is_not_installed(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    mirror.files[f"/terraform/1.9.8/terraform{ZIP}"] += b" "
    assert "nothing was installed" in shed.refused()


def test_checksums_that_were_changed_after_they_were_signed_are_refused(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    evil = release_zip("terraform", "9.9.9")
    mirror.files[f"/terraform/1.9.8/terraform{ZIP}"] = evil
    sums = f"{hashlib.sha256(evil).hexdigest()}  terraform{ZIP}\n".encode()
    mirror.files["/terraform/1.9.8/terraform_1.9.8_SHA256SUMS"] = sums
    assert "is not a signature of terraform_1.9.8_SHA256SUMS by a key of TOOLS_KEYRING" in shed.refused()
    assert mirror.count(ZIP) == 0


def test_a_foreign_key_a_damaged_signature_and_none_are_refused(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=Tsk.generate("Vendor <vendor@example.org>"))
    assert "is not a signature" in shed.refused()
    mirror.files["/terraform/1.9.8/terraform_1.9.8_SHA256SUMS.sig"] = b"nonsense"
    assert "is not a signature" in shed.refused()
    del mirror.files["/terraform/1.9.8/terraform_1.9.8_SHA256SUMS.sig"]
    assert "not on the mirror" in shed.refused()


def test_a_signed_release_under_another_versions_name_is_refused(mirror: Mirror, shed: Shed) -> None:
    """Everything is signed by the vendor, but it is the release before."""
    mirror.add_release("terraform", "1.9.7", signer=VENDOR)
    for path in list(mirror.files):
        mirror.files[path.replace("1.9.7", "1.9.8")] = mirror.files[path]
    assert f"has no checksum of terraform{ZIP}" in shed.refused()


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (make_zip({"../terraform": b"x"}), "not a path inside it"),
        (make_zip({"/terraform": b"x"}), "not a path inside it"),
        (make_zip({"bin/terraform": b"x"}), "is not a release"),
        (make_zip({"terraform": b"x", "sub/more": b"x"}), "is not a release"),
        (make_zip({}, links={"terraform": "/bin/sh"}), "a link or a device"),
        (make_zip({f"f{number}": b"" for number in range(60)}), "more than 50 files"),
        (make_zip({"terraform": b"x" * 1000})[:-30], "not a readable zip archive"),
        (b"", "not a readable zip archive"),
    ],
    ids=["up", "absolute", "folder", "more", "link", "many", "truncated", "empty"],
)
def test_archives_that_are_no_release_are_refused_signed_or_not(
    mirror: Mirror, shed: Shed, archive: bytes, why: str
) -> None:
    mirror.add_release("terraform", "1.9.8", archive, signer=VENDOR)
    assert why in shed.refused()
    assert not (shed.folder.parent / "terraform").exists()


def test_an_archive_is_bounded_by_what_it_holds_not_by_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "bomb.zip").write_bytes(make_zip({"a": b"\0" * 600_000, "b": b"\0" * 600_000}))
    with pytest.raises(UserError, match="holds more than it may"):
        unpack(tmp_path / "bomb.zip", tmp_path / "out", ZipBounds(max_files=5, max_bytes=1_000_000))
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 1_000_000


def test_a_transfer_that_is_cut_is_tried_again_later(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    path = f"/terraform/1.9.8/terraform{ZIP}"
    mirror.truncated[path] = 50
    shed.refused(RetryableError)
    mirror.status = 503
    assert "HTTP 503" in shed.refused(RetryableError)
    mirror.status = 200
    del mirror.truncated[path]
    assert shed.choose("1.9.8").version == "1.9.8"


def test_redirects_stay_on_the_host_or_go_by_https(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    path = f"/terraform/1.9.8/terraform{ZIP}"
    mirror.files["/elsewhere.zip"] = mirror.files[path]
    mirror.redirects[path] = "http://127.0.0.2:1/terraform.zip"
    assert "neither here nor https" in shed.refused(RetryableError)
    mirror.redirects[path] = path
    assert "more than 5 redirects" in shed.refused(RetryableError)
    mirror.redirects[path] = "file:///etc/passwd"
    assert "neither here nor https" in shed.refused(RetryableError)
    mirror.redirects[path] = "/elsewhere.zip"
    assert shed.choose("1.9.8").version == "1.9.8"


def test_two_workers_that_need_one_release_fetch_it_once(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    go = mirror.held.setdefault(f"/terraform/1.9.8/terraform{ZIP}", Event())
    found: list[Engine] = []
    workers = [Thread(target=lambda: found.append(shed.choose("1.9.8"))) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert mirror.reached.wait(30)
    go.set()
    for worker in workers:
        worker.join(60)
    assert [engine.version for engine in found] == ["1.9.8"] * 4
    assert mirror.count(ZIP) == 1


def test_what_a_killed_worker_left_behind_is_cleaned_by_the_next(mirror: Mirror, shed: Shed) -> None:
    """Killed in the middle of the archive, without a chance to tidy up."""
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    path = f"/terraform/1.9.8/terraform{ZIP}"
    mirror.held[path] = Event()
    text = (
        "import sys\nfrom pathlib import Path\nfrom app.engine.release import ReleaseMirror\n"
        "ReleaseMirror(url=sys.argv[1]).install('terraform', '1.9.8', Path(sys.argv[2]) / 'terraform')\n"
    )
    with subprocess.Popen([sys.executable, "-c", text, mirror.url, str(shed.folder)]) as child:
        assert mirror.reached.wait(30)
        child.send_signal(signal.SIGKILL)
    left = tree(shed.folder)
    assert left == [f"terraform/.coming-1.9.8/terraform{ZIP}"]
    mirror.held.pop(path).set()
    assert shed.choose("1.9.8").version == "1.9.8"
    assert tree(shed.folder) == ["terraform/1.9.8/LICENSE.txt", "terraform/1.9.8/terraform"]


def test_a_run_that_ends_does_not_wait_for_a_download(mirror: Mirror, shed: Shed) -> None:
    mirror.add_release("terraform", "1.9.8", signer=VENDOR)
    with pytest.raises(RetryableError, match="the run ends"):
        shed.box.mirror.install("terraform", "1.9.8", shed.folder, is_ending=lambda: True)
    assert tree(shed.folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted, which needs root")
def test_a_full_disk_leaves_nothing_behind(mirror: Mirror, shed: Shed) -> None:
    """A disk of one mebibyte, and a release that needs two."""
    mirror.add_release("terraform", "1.9.8", make_zip({"terraform": os.urandom(2_000_000)}), signer=VENDOR)
    shed.folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(shed.folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        assert "No space left on device" in shed.refused(RetryableError)
    finally:
        subprocess.run(["umount", str(shed.folder)], check=True)


def test_a_sums_file_that_contradicts_itself_says_nothing() -> None:
    one, two = "0" * 64, "1" * 64
    assert checksum_of(f"{one}  a.zip\n{two}  b.zip\n".encode(), "a.zip") == one
    assert checksum_of(f"{one} *a.zip\r\n\n".encode(), "a.zip") == one
    assert checksum_of(f"{one}  a.zip\n{two}  a.zip\n".encode(), "a.zip") == ""
    assert checksum_of(b"\xff\xfe  a.zip", "a.zip") == ""


def test_a_list_of_files_is_bounded_before_it_is_read(tmp_path: Path) -> None:
    names = {f"{number}{'x' * 60_000}": b"" for number in range(50)}
    (tmp_path / "listed.zip").write_bytes(make_zip(names))
    with pytest.raises(UserError, match=r"not a readable zip archive: its list of files is too long"):
        unpack(tmp_path / "listed.zip", tmp_path / "out", ZipBounds(max_files=100, max_bytes=1_000_000))
