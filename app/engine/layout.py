"""Prepares a run's `init`: its lock file is read, and the packages that it names are laid out in the run's own folder.

Stands between a checkout (hostile) and the store of packages. Without a lock file nothing is laid out: which versions
are meant is found out by the engine alone then.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import UserError
from app.engine.download import never
from app.engine.environment import LAID_OUT, Installation
from app.engine.files import read_plain
from app.engine.hcl import Unreadable
from app.engine.lockfile import LOCK_FILE, MAX_LOCK_BYTES, read_lock, with_hashes
from app.engine.providers import ProviderStore
from app.engine.workspace import remove_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """How this run's engine gets its providers."""

    installation: Installation
    lines: tuple[str, ...] = ()
    """For the log."""


def prepare_providers(
    root: Path, home: Path, store: ProviderStore, *, may_fetch: bool = True, is_ending: Callable[[], bool] = never
) -> Prepared:
    """Lay out what the root module's lock file names; the checksum of each package is added to it, as `init` would.

    Raises: UserError when a package is not the one that the lock file names.
    """
    mirror_url = store.origin.mirror_url
    try:
        text = _read(root / LOCK_FILE)
    except FileNotFoundError:
        return Prepared(installation=Installation(mirror_url=mirror_url))
    except Unreadable as error:
        return Prepared(
            installation=Installation(mirror_url=mirror_url), lines=(f"{LOCK_FILE} is left to the engine: {error}",)
        )
    folder = home / LAID_OUT
    remove_tree(folder)  # a hook may have put a link there
    folder.mkdir(mode=0o755)
    laid = store.lay_out(read_lock(text), folder, may_fetch=may_fetch, is_ending=is_ending)
    changed = with_hashes(text, laid.added)
    if changed != text:
        _write(root / LOCK_FILE, changed)
    addresses = tuple(str(address) for address in laid.addresses)
    lines = [f"provider {one.address} {one.version}: unpacked already, linked" for one in laid.added]
    lines += [f"provider left to the engine: {why}" for why in laid.left]
    installation = Installation(addresses=addresses, mirror_url=mirror_url)
    return Prepared(installation=installation, lines=tuple(lines))


def _read(path: Path) -> bytes:
    """Raises: FileNotFoundError; Unreadable when it is no plain file, or too large."""
    try:
        return read_plain(path, max_bytes=MAX_LOCK_BYTES)
    except UserError as error:
        raise Unreadable(str(error)) from error


def _write(path: Path, text: bytes) -> None:
    """Replace the file; never through a link, and never half."""
    new = path.with_name(f"{path.name}.trackside")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with open(descriptor, "wb") as file:
            file.write(text)
        new.replace(path)
    except OSError as error:
        raise UserError(f"writing {LOCK_FILE}: {error.strerror}") from error
