"""What a root module requires of its engine is read without running anything, and guessed never."""

import json
import os
from pathlib import Path

import pytest

from app.engine.requirements import required_version

BLOCK = 'terraform {\n  required_version = "%s"\n}\n'


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"main.tf": BLOCK % "~> 1.9"}, "~> 1.9"),
        ({"a.tf": BLOCK % ">= 1.5", "b.tf": BLOCK % "< 1.10"}, ">= 1.5, < 1.10"),
        ({"main.tf": (BLOCK % ">= 1.5") + (BLOCK % "< 1.10")}, ">= 1.5, < 1.10"),
        ({"main.tf.json": json.dumps({"terraform": {"required_version": "~> 1.9"}})}, "~> 1.9"),
        ({"main.tf.json": json.dumps({"terraform": [{"required_version": "~> 1.9"}]})}, "~> 1.9"),
        ({"main.tf": BLOCK % ">= 1.5", "override.tf": BLOCK % "1.9.8"}, "1.9.8"),
        ({"main.tf": BLOCK % ">= 1.5", "a_override.tf": "locals {}"}, ">= 1.5"),
        ({"main.tofu": BLOCK % ">= 1.5"}, ""),
        ({"main.tf": BLOCK % "${var.x}"}, ""),
        ({"main.tf": BLOCK % "latest"}, ""),
        ({"main.tf": "terraform {\n  required_version = var.x\n}\n"}, ""),
        ({"main.tf": 'locals {\n  required_version = "1.0.0"\n}\n'}, ""),
        ({"main.tf": '# required_version = "1.0.0"\nterraform {\n}\n'}, ""),
        ({"main.tf": '/* terraform {\n required_version = "1.0.0"\n} */'}, ""),
        ({"main.tf": "terraform {{{ required_version"}, ""),
        ({"main.tf.json": '{"terraform": {"required_version": 7}}'}, ""),
        ({"main.tf.json": "[" * 100_000 + "required_version"}, ""),
        ({"broken.tf": 'x = required_version "', "main.tf": BLOCK % "~> 1.9"}, "~> 1.9"),
        ({"main.tf": ""}, ""),
        ({}, ""),
    ],
)
def test_terraform(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    assert required_version(_write(tmp_path, files), is_opentofu=False) == expected


def test_opentofu_reads_its_own_files_instead_of_those_of_the_same_name(tmp_path: Path) -> None:
    _write(tmp_path, {"a.tf": BLOCK % "1.0.0", "a.tofu": BLOCK % "~> 1.9", "b.tf": BLOCK % "< 1.12"})
    assert required_version(tmp_path, is_opentofu=True) == "~> 1.9, < 1.12"


def test_hostile_files_are_bounded_and_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, {"large.tf": "# " + "x" * 1_100_000 + "\n" + BLOCK % "1.0.0", "main.tf": BLOCK % "~> 1.9"})
    os.mkfifo(tmp_path / "pipe.tf")
    (tmp_path / "device.tf").symlink_to("/dev/zero")
    (tmp_path / "nowhere.tf").symlink_to("/nowhere")
    (tmp_path / "folder.tf").mkdir()
    assert required_version(tmp_path, is_opentofu=False) == "~> 1.9"
    for number in range(4):
        _write(tmp_path, {f"a{number}.tf": "{" * 900_000 + "required_version"})
    assert required_version(tmp_path, is_opentofu=False) == "~> 1.9"
    assert required_version(tmp_path / "missing", is_opentofu=False) == ""
