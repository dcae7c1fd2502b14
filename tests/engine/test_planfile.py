"""The plan file says where the state was; a damaged or a foreign one says nothing, and never more."""

import json
import zipfile
from pathlib import Path

import pytest

from app.core.statepoint import NO_STATE, StatePoint
from app.engine.planfile import read_state_point
from app.engine.terraform import Done, Planned
from tests.engine.test_terraform import PLAIN, Desk


def test_the_point_is_that_of_the_state_that_was_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write({"main.tf": PLAIN})
    engine = desk.engine()
    assert [engine.init(), engine.plan()] == [Done(), Planned(has_changes=True)]
    assert read_state_point(desk.folders.plan_file) == NO_STATE
    assert engine.apply() == Done()
    desk.write({"main.tf": PLAIN.replace("hello", "again")})
    assert engine.plan() == Planned(has_changes=True)
    state = json.loads((desk.folders.source / "terraform.tfstate").read_text())
    found = read_state_point(desk.folders.plan_file)
    assert found == StatePoint(serial=state["serial"], lineage=state["lineage"])


def packed(folder: Path, name: str, data: bytes) -> Path:
    """A zip archive of one member."""
    path = folder / "plan"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, data)
    return path


HEAD = b'{"version": 4, "terraform_version": "1.11.4", "serial": %s, "lineage": %s, "outputs": {}}'


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("tfstate", b""),
        ("tfstate", b"{}"),
        ("tfstate", HEAD % (b"-1", b'"a"')),
        ("tfstate", HEAD % (b"9" * 40, b'"a"')),
        ("tfstate", HEAD % (b"1", b'"%s"' % (b"a" * 200))),
        ("tfstate", HEAD.replace(b"4", b"3", 1) % (b"1", b'"a"')),
        ("other", HEAD % (b"1", b'"a"')),
    ],
)
def test_what_is_not_as_the_engine_writes_it_says_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    assert read_state_point(packed(tmp_path, name, data)) is None


def test_what_is_no_archive_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"PK\x03\x04 and no more")
    assert read_state_point(tmp_path / "plan") is None
    assert read_state_point(tmp_path / "gone") is None
    whole = packed(tmp_path, "tfstate", HEAD % (b"1", b'"a"'))
    assert read_state_point(whole) == StatePoint(serial=1, lineage="a")
    data = bytearray(whole.read_bytes())
    data[40] ^= 0xFF
    whole.write_bytes(data)
    assert read_state_point(whole) is None


def test_a_list_of_members_without_end_is_not_read(tmp_path: Path) -> None:
    """A run's own commands can write the plan file: what the worker reads of it must not take the worker's memory."""
    whole = packed(tmp_path, "tfstate", HEAD % (b"1", b'"a"'))
    with zipfile.ZipFile(whole, "a") as archive:
        for number in range(300):
            archive.writestr(f"{number}{'x' * 60_000}", b"")
    assert read_state_point(whole) is None
