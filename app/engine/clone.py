"""Somebody's own clone, asked with git as it lies there: what differs, what a commit says, what its files are.

Fits where a mirror does, but fetches nothing: what the clone does not have is said, with the way to get it. Files are
read from the working tree, since that is what an author is about to push.
"""

# ruff: noqa: ARG002 - the arguments are those of a mirror, which knows many repositories

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.core.errors import UserError
from app.core.names import ZERO_SHA, Sha, is_sha
from app.engine.git import EMPTY_TREE, Commit
from app.engine.process import Completed, run

_SETTINGS: Final = {"core.fsmonitor": "false", "core.hooksPath": os.devnull, "core.quotePath": "false"}
_TIMEOUT_S: Final = 60


class Clone:
    """A folder inside a clone. `source` is there for the shape of a mirror: there is one repository here."""

    def __init__(self, folder: Path, *, environ: dict[str, str]) -> None:
        """`environ`: of the person whose clone it is; git needs its search path and home.

        Raises: UserError when the folder is in no clone.
        """
        passed: tuple[str, ...] = ("PATH", "HOME", "XDG_CONFIG_HOME")
        self._env = {name: environ[name] for name in passed if name in environ}
        self._env |= {"LANG": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "none"}
        self._env |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_CONFIG_COUNT": str(len(_SETTINGS))}
        for number, (key, value) in enumerate(_SETTINGS.items()):
            self._env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        self._folder = folder
        found = self._git("rev-parse", "--show-toplevel")
        if found.code != 0:
            raise UserError(f"reading the clone at {folder}: {found.error_text(300)}")
        self.root = Path(found.stdout.decode("utf-8", "replace").rstrip("\n"))
        """The top of the working tree."""

    def fetch(self, source: object, *, wants: Sequence[str]) -> None:
        """Make sure that the commits are here. Raises: UserError naming the one that is not, and how to get it."""
        for want in wants:
            self._require(want)

    def changed_files(self, source: object, base: str, head: str) -> tuple[str, ...] | None:
        """Paths that differ between two commits, a moved file with both of its; None when the base is not here."""
        if base == ZERO_SHA or (base != EMPTY_TREE and self._find(f"{base}^{{commit}}") is None):
            return None
        options = ("-r", "-z", "--no-renames", "--name-only", "--ignore-submodules=none")
        done = self._git("diff-tree", *options, base, self._require(head))
        if done.code != 0:
            raise UserError(f"comparing {base[:40]} with {head[:40]}: {done.error_text(300)}")
        return tuple(path.decode("utf-8", "replace") for path in done.stdout.split(b"\0") if path)

    def merge_base(self, source: object, one: str, other: str) -> Sha | None:
        """The best common ancestor; None for unrelated histories."""
        done = self._git("merge-base", self._require(one), self._require(other))
        sha = done.stdout.decode().strip()
        return Sha(sha) if is_sha(sha) else None

    def commit(self, source: object, sha: str) -> Commit:
        """What a commit says."""
        fields = "--format=%H%x00%P%x00%an%x00%ae%x00%ct%x00%B"
        done = self._git("log", "-1", "--no-walk", fields, "--no-show-signature", self._require(sha), "--")
        shown = done.stdout.decode("utf-8", "replace").split("\0", 5)
        if len(shown) != 6:
            raise UserError(f"reading commit {sha[:40]}: {done.error_text(300)}")
        return Commit(
            sha=Sha(shown[0]),
            parents=tuple(Sha(parent) for parent in shown[1].split()),
            author_name=shown[2],
            author_email=shown[3],
            message=shown[5].rstrip("\n"),
            committed_at=datetime.fromtimestamp(int(shown[4]), UTC),
        )

    def read_file(self, source: object, sha: str, path: str, *, max_bytes: int) -> bytes | None:
        """A file of the working tree, whatever the commit; None when there is none, or it lies outside of the tree."""
        file = (self.root / path).resolve()
        if not file.is_relative_to(self.root.resolve()) or not file.is_file():
            return None
        if file.stat().st_size > max_bytes:
            raise UserError(f"reading {path}: more than the limit of {max_bytes} bytes")
        return file.read_bytes()

    def find_files(self, source: object, sha: str, suffixes: Iterable[str]) -> tuple[str, ...]:
        """Paths of a commit's files whose names end with one of the suffixes."""
        endings = tuple(suffixes)
        done = self._git("ls-tree", "-r", "-z", "--name-only", "--full-tree", self._require(sha))
        paths = (path.decode("utf-8", "replace") for path in done.stdout.split(b"\0") if path)
        return tuple(path for path in paths if path.endswith(endings))

    def resolve_tag(self, source: object, ref: str) -> Sha:
        """The commit that a ref or an object means; a branch is where its remote was at the last fetch."""
        branch = ref.removeprefix("refs/heads/")
        names = [f"refs/remotes/origin/{branch}", ref] if branch != ref else [ref]
        found = next((sha for name in names if (sha := self._find(f"{name}^{{commit}}"))), None)
        return found or self._require(ref)

    def resolve(self, name: str) -> Sha:
        """The commit that a person means by a name: `main`, `HEAD~2`, a short SHA."""
        return self._require(name)

    def _require(self, name: str) -> Sha:
        found = self._find(f"{name}^{{commit}}")
        if found is None:
            way = f"git fetch origin {name}" if is_sha(name) else "git fetch origin"
            raise UserError(f"looking up {name[:100]!r}: it is not in this clone; get it with `{way[:100]}`")
        return found

    def _find(self, name: str) -> Sha | None:
        if name.startswith("-"):
            return None
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        sha = done.stdout.decode("utf-8", "replace").strip()
        return Sha(sha) if done.code == 0 and is_sha(sha) else None

    def _git(self, *arguments: str) -> Completed:
        return run(["git", "-C", str(self._folder), *arguments], env=self._env, timeout_s=_TIMEOUT_S)
