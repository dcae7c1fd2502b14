"""Keeps unpacked provider packages for all runs of a worker, and lays out for one run those that its lock file names.

Packages are kept by the checksum of what is in them, never by name: which package a name means is said by each run's
own lock file, so that no run, lock file or answer of a network can put anything under another's name. Fetched outside
of every run; read-only; the engine verifies them again at each init.
"""

import base64
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.core.errors import BrokenError, RetryableError, TracksideError, UserError
from app.engine.download import Bounds, Downloader, NotThere, never
from app.engine.folderlock import folder_lock
from app.engine.lockfile import Address, Locked
from app.engine.origin import Origin
from app.engine.release import system
from app.engine.unpack import ZipBounds, unpack
from app.engine.workspace import remove_tree

ARCHIVE: Final = Bounds(max_bytes=1024 * 1024 * 1024, timeout_s=900)
CONTENT: Final = ZipBounds(max_files=1_000, max_bytes=3 * 1024 * 1024 * 1024)
UNUSED_S: Final = 30 * 24 * 3600
"""A package that no run has asked for that long is removed."""
_LOCK_TIMEOUT_S: Final = 1_000
_GONE: Final = "gone-"
"""Begins the name of a package that is being removed."""
_HEX: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """What a run finds in its mirror folder."""

    addresses: tuple[Address, ...] = ()
    added: dict[Locked, str]
    """The checksum of each unpacked package, for the run's lock file."""
    left: tuple[str, ...] = ()
    """Why others are left to the engine, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStore:
    """The packages of one worker, in `root`/packages/<checksum>."""

    root: Path
    origin: Origin = Origin()  # noqa: RUF009 - frozen

    @property
    def packages(self) -> Path:
        """What every run may read, and none may write."""
        return self.root.absolute() / "packages"

    def lay_out(
        self, locked: Iterable[Locked], folder: Path, *, may_fetch: bool, is_ending: Callable[[], bool] = never
    ) -> Laid:
        """Fill a run's own mirror folder with links to the packages that its lock file names; fetch what is lacking.

        Raises: UserError when a package is not the one that the lock file names. A network that does not answer is no
        error here: the engine asks itself then.
        """
        added: dict[Locked, str] = {}
        left: list[str] = []
        for one in locked:
            try:
                package = self._find(one) or (self._fetch(one, is_ending) if may_fetch else None)
            except (RetryableError, NotThere) as error:
                left.append(f"{one.address} {one.version}: {error}")
                may_fetch = may_fetch and isinstance(error, NotThere)  # one wait for a dead network is enough
                continue
            if package is not None:
                _link(package, folder / str(one.address) / one.version / system())
                added[one] = _as_h1(package.name)
        return Laid(addresses=tuple(sorted(one.address for one in added)), added=added, left=tuple(left))

    def sweep(self, *, now: float | None = None) -> list[str]:
        """The packages that were removed because no run has asked for them in a long time."""
        before, removed = (time.time() if now is None else now) - UNUSED_S, []
        if not self.packages.is_dir():
            return []
        for gone in self.root.glob(f"{_GONE}*"):
            remove_tree(gone)  # of a worker that was killed here
        for package in sorted(self.packages.iterdir()):
            if _HEX.fullmatch(package.name) and package.stat().st_mtime < before:
                gone = self.root / f"{_GONE}{package.name}"
                package.rename(gone)
                remove_tree(gone)
                removed.append(package.name)
        return removed

    def _find(self, one: Locked) -> Path | None:
        """The package, when it is here by one of the lock file's checksums."""
        for text in sorted(one.hashes):
            name = _from_h1(text) if text.startswith("h1:") else self._known(text.removeprefix("zh:"))
            package = self.packages / name
            if name and package.is_dir():
                os.utime(package)
                return package
        return None

    def _known(self, archive: str) -> str:
        """The checksum of the content of an archive that was unpacked here; empty when it was not."""
        try:
            name = (self.root / "archives" / archive).read_text("ascii")[:65]
        except (OSError, ValueError):
            return ""
        return name if _HEX.fullmatch(name) else ""

    def _fetch(self, one: Locked, is_ending: Callable[[], bool]) -> Path:
        """Raises: NotThere, RetryableError; UserError when what came is not what the lock file names."""
        key = hashlib.sha256(f"{one.address} {one.version}".encode()).hexdigest()
        with folder_lock(self.root, key, timeout_s=_LOCK_TIMEOUT_S, is_ending=is_ending):
            found = self._find(one)  # another run may have fetched it meanwhile
            if found is not None:
                return found
            coming = self.root / f".coming-{key}"
            remove_tree(coming)  # of a worker that was killed here
            try:
                coming.mkdir(mode=0o700)
                return self._unpack(one, coming, Downloader(is_ending=is_ending))
            except OSError as error:
                raise RetryableError(f"keeping {one.address}: {error.strerror}") from error
            finally:
                remove_tree(coming)

    def _unpack(self, one: Locked, coming: Path, downloader: Downloader) -> Path:
        url = self.origin.archive_url(one.address, one.version, system(), downloader)
        archive, content = coming / "package.zip", coming / "content"
        digest = downloader.save(url, archive, ARCHIVE)
        is_archive_locked = f"zh:{digest}" in one.hashes
        if not is_archive_locked and not any(text.startswith("h1:") for text in one.hashes):
            raise _not_locked(one)
        names = unpack(archive, content, CONTENT)
        name = content_digest(content, names)
        if not is_archive_locked and _as_h1(name) not in one.hashes:
            raise _not_locked(one)
        if not any(part.startswith(f"terraform-provider-{one.address.type}") for part in names):
            raise UserError(f"fetching provider {one.address} {one.version}: no provider in its package")
        self.packages.mkdir(mode=0o755, parents=True, exist_ok=True)
        package = self.packages / name
        if not package.is_dir():
            content.rename(package)
        (self.root / "archives").mkdir(mode=0o700, exist_ok=True)
        note = coming / "note"
        note.write_text(name, "ascii")
        note.rename(self.root / "archives" / digest)
        return package


def content_digest(folder: Path, names: Iterable[str]) -> str:
    """The `h1` checksum of files in a folder, in hex: SHA-256 over their own ones, by name.

    Source: https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash#Hash1
    """
    total = hashlib.sha256()
    for name in sorted(names, key=str.encode):
        with (folder / name).open("rb") as file:
            total.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n".encode())
    return total.hexdigest()


def _not_locked(one: Locked) -> TracksideError:
    """The sentence, and the way out: a lock file that was made on another system, or another package."""
    action = f"fetching provider {one.address} {one.version}"
    if not any(text.startswith("zh:") for text in one.hashes):
        return UserError(
            f"{action}: the lock file has no checksum of its package for {system()}: run "
            f"`terraform providers lock -platform={system()}` (or tofu) and commit .terraform.lock.hcl"
        )
    return UserError(
        f"{action}: the package for {system()} has none of the lock file's checksums, so it is not used: find out who "
        f"changed it; if that is right, run `terraform providers lock -platform={system()}` (or tofu) and commit "
        ".terraform.lock.hcl"
    )


def _as_h1(name: str) -> str:
    return "h1:" + base64.b64encode(bytes.fromhex(name)).decode()


def _from_h1(text: str) -> str:
    return base64.b64decode(text.removeprefix("h1:")).hex()


def _link(package: Path, path: Path) -> None:
    """A link to the package, in folders of the run's own."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(package, target_is_directory=True)
    except OSError as error:
        raise BrokenError(f"linking a provider into {path.parent}: {error.strerror}") from error
