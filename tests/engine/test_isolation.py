"""What a worker finds on its machine decides what keeps its runs apart, and it says so."""

import os
from pathlib import Path

import pytest

from app.core.errors import UserError
from app.engine.box import engine_files
from app.engine.isolation import Isolation, Kind, find_isolation


def _fake(folder: Path, script: str) -> str:
    """A search path on which that is bwrap."""
    folder.mkdir(exist_ok=True)
    (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bwrap").chmod(0o755)
    return f"{folder}{os.pathsep}{os.defpath}"


def test_without_bubblewrap_there_is_none_and_the_reason_names_the_way_to_it(tmp_path: Path) -> None:
    found = find_isolation("auto", search_path=str(tmp_path))
    assert not found.is_on
    assert found.summary == "none: there is no bwrap on PATH; install bubblewrap"


def test_a_bubblewrap_that_does_not_work_here_is_not_used_and_its_own_words_are_told(tmp_path: Path) -> None:
    path = _fake(tmp_path, "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    found = find_isolation("auto", search_path=path)
    assert not found.is_on
    assert "user namespace: bwrap: No permissions to create new namespace" in found.summary


def test_a_bubblewrap_that_shuts_nothing_away_is_not_used(tmp_path: Path) -> None:
    path = _fake(tmp_path, 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    assert find_isolation("auto", search_path=path).kind is Kind.NONE


def test_a_worker_that_must_isolate_does_not_start_without(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="starting with ISOLATION=bubblewrap: there is no bwrap on PATH"):
        find_isolation("bubblewrap", search_path=str(tmp_path))


def test_none_asks_for_nothing() -> None:
    assert find_isolation("none", search_path=os.environ["PATH"]) == Isolation(why_not="ISOLATION=none")


def test_a_folder_that_runs_may_read_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ISOLATION_READABLE: not an absolute path that exists: /no/such, relative"):
        find_isolation("auto", readable=[Path("/no/such"), Path("relative"), tmp_path])


def test_an_engine_outside_of_usr_brings_what_it_consists_of(tmp_path: Path) -> None:
    assert engine_files(["/usr/local/bin/terraform"]) == (("/usr/local/bin/terraform",), ())
    tool = str(tmp_path / "terraform")
    assert engine_files([tool]) == ((tool,), (Path(tool),))


def test_each_run_has_a_user_id_of_its_own() -> None:
    found = Isolation(kind=Kind.OWN_USER, first_uid=50_000)
    ids = {found.uid_of(f"01JABCDEFGHJKMNPQRSTVWXY{number:02}") for number in range(50)}
    assert len(ids) > 45
    assert all(50_000 <= uid < 60_000 for uid in ids)
    assert Isolation(kind=Kind.USER_NAMESPACE).uid_of("x") == os.geteuid()
