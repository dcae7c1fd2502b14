"""A commit's files with everything that a stack asks for beside them: submodules, and what Git LFS keeps.

Submodules are fetched by our own git and never by `git submodule`: nothing of a repository's is run, and the addresses
in it lead nowhere but to https servers, with the run's token on its own server alone.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from app.core.errors import UserError
from app.core.names import Secret
from app.engine.git import Mirror, Source
from app.engine.process import base_env, run
from app.engine.workspace import remove_tree

MAX_DEPTH: Final = 8
"""Submodules of submodules of …"""
MAX_SUBMODULES: Final = 100
MAX_GITMODULES_BYTES: Final = 256 * 1024
MAX_LFS_FILES: Final = 10_000
MAX_LFS_BYTES: Final = 4 * 1024 * 1024 * 1024
MAX_URL_CHARS: Final = 2_000
_POINTER_BYTES: Final = 1024
_POINTER: Final = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n\Z"
)
_SCP: Final = re.compile(r"(?:[^/@:]+@)?([^/:@]+):(?!//)(.+)")
_COPY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What is fetched beside the commit's own files."""

    submodules: bool = False
    lfs: bool = False


class Checkout:
    """One checkout of a run. `scratch` is a folder for what is on its way."""

    def __init__(self, mirror: Mirror, source: Source, *, extras: Extras, scratch: Path) -> None:
        self._mirror, self._source, self._extras, self._scratch = mirror, source, extras, scratch
        self._left = MAX_SUBMODULES
        self.told: list[str] = []
        """What came beside the files, for the log."""

    def write(self, sha: str, into: Path) -> None:
        """Write the commit's files, and what was asked for, into a new or empty folder.

        Raises: what Mirror raises, and UserError that names the submodule or file which cannot be had.
        """
        self._write(self._mirror, self._source, sha, into, depth=0)

    def _write(self, mirror: Mirror, source: Source, sha: str, into: Path, *, depth: int) -> None:
        mirror.checkout(source, sha, into)
        if self._extras.lfs:
            self._fill(mirror, source, sha, into)
        if self._extras.submodules:
            for path, commit, url in self._submodules(mirror, source, sha):
                self._add(path, commit, self._submodule_source(url), into, depth=depth + 1)

    def _add(self, path: str, commit: str, source: Source, into: Path, *, depth: int) -> None:
        about = f"fetching submodule {path[:200]}"
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise UserError(
                f"{about}: more than {MAX_SUBMODULES} submodules, or more than {MAX_DEPTH} within each other"
            )
        place = into / path
        if any(part.is_symlink() for part in (place, *place.parents) if part.is_relative_to(into) and part != into):
            raise UserError(f"{about}: its place is behind a link")
        try:
            self._write(self._mirror.beside("submodules"), source, commit, place, depth=depth)
        except UserError as error:
            raise UserError(f"{about}: {error}") from error
        self.told.append(f"submodule {path}: {commit} of {source.url}")

    def _submodules(self, mirror: Mirror, source: Source, sha: str) -> Iterator[tuple[str, str, str]]:
        """Path, commit and address of each submodule of a commit. Raises: UserError for one without address."""
        links = mirror.find_links(source, sha)
        if not links:
            return
        text = mirror.read_file(source, sha, ".gitmodules", max_bytes=MAX_GITMODULES_BYTES) or b""
        addresses = read_gitmodules(text, home=self._scratch)
        for path, commit in links:
            if path not in addresses:
                raise UserError(f"fetching submodule {path[:200]}: .gitmodules does not say where it is")
            yield path, commit, submodule_url(source.url, addresses[path], path=path)

    def _submodule_source(self, url: str) -> Source:
        """The token goes to the run's own server alone. The mirror is of this pair of repositories: another repository
        with the same submodule asks the server whether it may read it."""
        is_ours = urlsplit(url)[:2] == urlsplit(self._source.url)[:2]
        name = hashlib.sha256(f"{self._source.repository_id} {url}".encode()).hexdigest()
        return Source(int(name[:15], 16), url, self._source.token if is_ours else Secret(""))

    def _fill(self, mirror: Mirror, source: Source, sha: str, into: Path) -> None:
        """Put what Git LFS keeps in place of the pointers to it."""
        pointers = dict(_pointers(into))
        if not pointers:
            return
        if len(pointers) > MAX_LFS_FILES or sum(size for _, size in pointers.values()) > MAX_LFS_BYTES:
            raise UserError(f"fetching LFS files: more than {MAX_LFS_FILES} files, or more than {MAX_LFS_BYTES} bytes")
        storage = self._scratch / "lfs"
        try:
            mirror.fetch_lfs(source, sha, storage)
            for path, (oid, size) in pointers.items():
                _put(storage / "objects" / oid[:2] / oid[2:4] / oid, path, oid, size, name=str(path.relative_to(into)))
        finally:
            remove_tree(storage)
        self.told.append(f"LFS: {len(pointers)} files")


def read_gitmodules(text: bytes, *, home: Path) -> dict[str, str]:
    """Where each submodule is, by its path; read by git itself, which includes nothing.

    Raises: UserError when git cannot read it.
    """
    env = base_env(home) | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CEILING_DIRECTORIES": "/"}
    done = run(["git", "config", "--file", "-", "--no-includes", "-z", "--list"], env=env, cwd=home, stdin=text)
    if done.code != 0:
        raise UserError(f"reading .gitmodules: {done.error_text(300)}")
    found: dict[str, dict[str, str]] = {}
    for entry in done.stdout.decode("utf-8", "replace").split("\0"):
        key, _, value = entry.partition("\n")
        name, _, field = key.removeprefix("submodule.").rpartition(".")
        if key.startswith("submodule.") and name:
            found.setdefault(name, {})[field] = value
    return {one["path"].strip("/"): one["url"] for one in found.values() if one.get("path") and one.get("url")}


def submodule_url(base: str, url: str, *, path: str) -> str:
    """Where a submodule is fetched from: relative addresses from its parent's, ssh spelled as https on the same server.

    Raises: UserError for every other kind: files, programs (`ext::`), other protocols, credentials in it.
    """
    parts = urlsplit(base)
    about = f"fetching submodule {path[:200]}: its address {url[:200]!r}"
    if not url.isprintable() or " " in url or len(url) > MAX_URL_CHARS:
        raise UserError(f"{about} cannot be used")
    if url.startswith(("./", "../")):
        return f"{parts.scheme}://{parts.netloc}{_climbed(parts.path, url, about)}"
    scp = _SCP.fullmatch(url)
    if scp is not None and scp[1] == parts.hostname:
        return f"{parts.scheme}://{parts.netloc}/{scp[2].lstrip('/')}"
    asked = urlsplit(url)
    if asked.scheme == "ssh" and asked.hostname == parts.hostname:
        return f"{parts.scheme}://{parts.netloc}/{asked.path.lstrip('/')}"
    is_web = asked.scheme == "https" or (asked.scheme == "http" and asked[:2] == parts[:2])
    if not is_web or not asked.hostname or "@" in asked.netloc:
        raise UserError(f"{about} is not https without credentials, nor ssh on {parts.hostname}, nor relative")
    return url


def _climbed(base: str, url: str, about: str) -> str:
    """A relative address, as git reads it: from the parent's own, which is the folder that `..` leaves first."""
    folders, rest = [part for part in base.split("/") if part], url
    while rest.startswith(("./", "../")):
        step, _, rest = rest.partition("/")
        if step == ".." and not folders:
            raise UserError(f"{about} leads out of its server")
        if step == "..":
            folders.pop()
    if ".." in rest.split("/") or not rest:
        raise UserError(f"{about} cannot be used")
    return "/" + "/".join([*folders, rest])


def _pointers(folder: Path) -> Iterator[tuple[Path, tuple[str, int]]]:
    """Files that point to what LFS keeps, each with the digest and the size of that; links are not followed."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.is_symlink() or not path.is_file() or path.stat().st_size > _POINTER_BYTES:
                continue
            found = _POINTER.match(path.read_bytes())
            if found is not None:
                yield path, (found[1].decode(), int(found[2]))


def _put(kept: Path, path: Path, oid: str, size: int, *, name: str) -> None:
    """Put a downloaded file in a pointer's place, if it is what the pointer says."""
    about = f"fetching LFS file {name[:200]}"
    if not kept.is_file() or kept.stat().st_size != size:
        raise UserError(f"{about}: the server did not give it")
    fresh, digest = path.with_name(f".{oid[:16]}.lfs"), hashlib.sha256()
    with kept.open("rb") as source, fresh.open("xb") as target:
        while block := source.read(_COPY_BYTES):
            digest.update(block)
            target.write(block)
    if digest.hexdigest() != oid:
        raise UserError(f"{about}: what came is not what its pointer names")
    shutil.copymode(path, fresh)
    fresh.replace(path)
