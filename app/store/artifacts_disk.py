"""Big sealed bytes as files in a folder: all or nothing, never overwritten, readable by this account alone.

Knows nothing of what the bytes mean; they are ciphertext already. Keys are ours, and checked all the same.
"""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from app.core.artifact import Stored
from app.core.errors import BrokenError, NoRoomError, UserError

CHUNK_BYTES: Final = 1024 * 1024
MAX_KEY_CHARS: Final = 300
_KEY: Final = re.compile(r"[a-z0-9_-][a-z0-9_.-]*(/[a-z0-9_-][a-z0-9_.-]*)*")
NO_ROOM: Final = (
    "there is no space left on the control plane's disk for artifacts (ARTIFACT_URL, else DATA_DIR): make room there"
)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PARTIAL: Final = ".partial-"
"""Begins the name of a file that is still being written; no key part begins with a dot."""
_TRIES: Final = 3
"""How often the folders of a new file are made."""


class DiskArtifacts:
    """Artifacts under one folder. Files are 0600, folders 0700."""

    def __init__(self, root: Path) -> None:
        """The folder is made when the first artifact is stored."""
        self._root = root

    def put(self, key: str, source: BinaryIO | Iterator[bytes], *, max_bytes: int) -> int:
        """Store all or nothing; the size.

        Raises: UserError when larger; NoRoomError when the disk is full; BrokenError when the key exists already.
        """
        path = self._path(key)
        try:
            partial = path.parent / f"{_PARTIAL}{secrets.token_hex(8)}"
            descriptor = self._begin(partial)
            try:
                size = _write(descriptor, pieces_of(source), key=key, max_bytes=max_bytes)
                os.link(partial, path)  # refuses to replace: exactly one of two writers wins
            finally:
                partial.unlink(missing_ok=True)
            _sync_folder(path.parent)
        except FileExistsError as error:
            raise BrokenError(f"storing artifact {key}: it exists already") from error
        except OSError as error:
            if error.errno in _NO_ROOM:
                # Waiting makes no room: who stores is told at once, and nobody tries for as long as it lasts.
                raise NoRoomError(f"storing artifact {key}: {NO_ROOM}") from error
            raise BrokenError(f"storing artifact {key}: {error.strerror or error}") from error
        return size

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """The bytes, to be read once. Raises: UserError naming the key when it is not there (any more)."""
        path = self._path(key)
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"opening artifact {key}: it is not there (any more)") from error
        except OSError as error:
            raise BrokenError(f"opening artifact {key}: {error.strerror or error}") from error
        with file:
            yield file

    def delete(self, key: str) -> None:
        """Gone afterwards, also when it never was."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise BrokenError(f"deleting artifact {key}: {error.strerror or error}") from error

    def find(self, key: str) -> Stored | None:
        """What is known of an artifact, or None when it is not there."""
        path = self._path(key)
        try:
            return _stored(key, path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BrokenError(f"asking for artifact {key}: {error.strerror or error}") from error

    def list_artifacts(self, folder: str) -> Iterator[Stored]:
        """Everything below `folder/`, by key; with an empty one everything that there is."""
        top = self._path(folder) if folder else self._root
        for path in sorted(top.rglob("*")):
            if path.name.startswith(_PARTIAL) or path.is_symlink() or not path.is_file():
                continue
            with suppress(FileNotFoundError):  # deleted meanwhile
                yield _stored(path.relative_to(self._root).as_posix(), path)

    def sweep_partial(self, *, older_than_s: float) -> int:
        """Let go of files whose writer died, and of folders that nothing is in any more; how many files."""
        before, found = datetime.now(UTC) - timedelta(seconds=older_than_s), 0
        for path in sorted(self._root.rglob("*"), reverse=True):
            with suppress(OSError):  # deleted meanwhile, or a folder that is not empty
                is_old = datetime.fromtimestamp(path.lstat().st_mtime, UTC) < before
                if is_old and path.name.startswith(_PARTIAL):
                    path.unlink()
                    found += 1
                elif is_old and path.is_dir() and not path.is_symlink():
                    path.rmdir()
        return found

    def offer_put(self, key: str, *, size_bytes: int, sha256: str, expires_s: float) -> None:
        """Nothing: a folder has no address, so the bytes come through the control plane."""

    def offer_get(self, key: str, *, expires_s: float) -> None:
        """Nothing, as `offer_put`."""

    def check_ready(self) -> None:
        """Returns when something can be written. Raises: BrokenError saying why not."""
        try:
            self._make_folders(self._root)
            probe = self._root / f"{_PARTIAL}{secrets.token_hex(8)}"
            try:
                probe.touch(mode=0o600, exist_ok=False)
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise BrokenError(f"writing to the artifact folder {self._root}: {error.strerror or error}") from error

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root.joinpath(*key.split("/"))

    def _begin(self, partial: Path) -> int:
        """A new file, in folders that are made for it. A sweep may take an empty old folder away in between; one that
        was made just now it leaves alone."""
        for _ in range(_TRIES - 1):
            with suppress(FileNotFoundError):
                self._make_folders(partial.parent)
                return _create(partial)
        self._make_folders(partial.parent)
        return _create(partial)

    def _make_folders(self, folder: Path) -> None:
        missing = [folder, *folder.parents]
        for parent in reversed(missing[: missing.index(self._root) + 1]):
            with suppress(FileExistsError):
                parent.mkdir(mode=0o700, parents=True)


def check_key(key: str) -> None:
    """Nothing when the key is one of ours. Raises: BrokenError."""
    if len(key) > MAX_KEY_CHARS or _KEY.fullmatch(key) is None:
        raise BrokenError(f"using artifact key {key[:60]!r}: not a key of ours")


def pieces_of(source: BinaryIO | Iterator[bytes]) -> Iterator[bytes]:
    """What a file or an iterator gives, piece by piece."""
    read = getattr(source, "read", None)  # a file is an iterator too, of lines
    if read is None:
        yield from source
        return
    while piece := read(CHUNK_BYTES):
        yield piece


def _stored(key: str, path: Path) -> Stored:
    facts = path.lstat()
    return Stored(key=key, size_bytes=facts.st_size, stored_at=datetime.fromtimestamp(facts.st_mtime, UTC))


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _write(descriptor: int, pieces: Iterator[bytes], *, key: str, max_bytes: int) -> int:
    size = 0
    with os.fdopen(descriptor, "wb") as file:
        for piece in pieces:
            size += len(piece)
            if size > max_bytes:
                raise UserError(f"storing artifact {key}: larger than {max_bytes} bytes")
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
