"""One run's box: what its commands see of the machine, and where. Without isolation they see what the worker sees.

Of the workspace four folders can be written, and the plan file by the plan alone. Each is a mount of its own: what runs
inside cannot put a link in its place, so the worker can go on using it.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from app.core.errors import BrokenError
from app.engine.isolation import WORKSPACE, Isolation, Kind, shown

_WRITABLE: Final = ("source", "data", "home", "tmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The box of one run's workspace."""

    isolation: Isolation
    workspace: Path
    """As the worker sees it; named after the run."""
    tools: tuple[Path, ...] = ()
    """Files and folders elsewhere that the engine consists of."""
    plan: Literal["", "ro", "rw"] = ""
    """Whether the plan file is there, and can be written."""

    @property
    def uid(self) -> int:
        """Whose the workspace's files have to be."""
        return self.isolation.uid_of(self.workspace.name)

    @property
    def is_own_user(self) -> bool:
        """True when no other process has the commands' user id."""
        return self.isolation.kind is Kind.OWN_USER

    def seen(self, path: Path) -> Path:
        """A path of the workspace, as the commands see it."""
        if not self.isolation.is_on:
            return path
        return WORKSPACE / path.relative_to(self.workspace)

    def adopt(self, *paths: Path) -> None:
        """Make files and folders, with all that is in them, the commands' own. Links are not followed."""
        if not self.is_own_user:
            return
        uid = self.uid
        try:
            for path in paths:
                if path.lstat().st_uid == uid:
                    continue
                os.chown(path, uid, uid, follow_symlinks=False)
                if path.is_dir() and not path.is_symlink():
                    for folder, folders, files, descriptor in os.fwalk(path):
                        del folder
                        for name in (*folders, *files):
                            os.chown(name, uid, uid, dir_fd=descriptor, follow_symlinks=False)
        except OSError as error:
            raise BrokenError(f"giving {self.workspace} to user {uid}: {error.strerror}: {error.filename}") from error

    def wrap(self, argv: Sequence[str], cwd: Path, *, info_fd: int) -> list[str]:
        """The argument vector that runs it inside."""
        plan_file = self.workspace / "plan.tfplan"
        binds = ["--info-fd", str(info_fd)]
        for name in _WRITABLE:
            binds += ["--bind", str(self.workspace / name), str(WORKSPACE / name)]
        if self.plan and plan_file.is_file():
            binds += ["--bind" if self.plan == "rw" else "--ro-bind", str(plan_file), str(self.seen(plan_file))]
        binds += ["--bind", str(self.workspace / "tmp"), "/tmp"]  # noqa: S108 - inside: the run's own
        for name, text in self._people().items():
            binds += ["--ro-bind", str(self._written(name, text)), f"/etc/{name}"]
        for path in self.tools:
            binds += shown(path, source=path.resolve())
        return self.isolation.argv(binds, argv, cwd=str(self.seen(cwd)), uid=self.uid)

    def _people(self) -> dict[str, str]:
        inside = self.isolation.inside_uid
        uid = self.uid if inside is None else inside
        home = WORKSPACE / "home"
        return {"passwd": f"run:x:{uid}:{uid}:run:{home}:/bin/sh\n", "group": f"run:x:{uid}:\n"}

    def _written(self, name: str, text: str) -> Path:
        """A file beside what the run can write, readable for all."""
        path = self.workspace / f"etc-{name}"
        if not path.exists():
            path.write_text(text)
            path.chmod(0o644)
        return path


def engine_files(argv: Iterable[str]) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """An engine's argument vector as it is started in a box, and which files of this machine it needs there.

    A virtual environment's interpreter is a link that finds its library by what lies around it: its target is started.
    """
    words, files = [], list[Path]()
    for word in argv:
        path = Path(word)
        if word == sys.executable:
            path = path.resolve()
            files.append(Path(sys.base_prefix))
        if path.is_absolute():
            files.append(path)
        words.append(str(path) if path.is_absolute() else word)
    return tuple(words), tuple(path for path in dict.fromkeys(files) if not _is_system(path))


def _is_system(path: Path) -> bool:
    return path.is_relative_to("/usr") or Path("/") == path
