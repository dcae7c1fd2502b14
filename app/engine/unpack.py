"""Unpacks zip archives of tools and providers: plain files of bounded number and size, whatever the archive says.

Knows nothing of what is in them. An archive is hostile until its checksum was verified, and odd even then.
"""

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from app.core.errors import UserError

_PIECE: Final = 1024 * 1024
MAX_LIST_BYTES: Final = 2 * 1024 * 1024
"""Of an archive's list of files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipBounds:
    """What an archive may hold."""

    max_files: int
    max_bytes: int
    """Of all files, unpacked."""


def unpack(archive: Path, folder: Path, bounds: ZipBounds) -> list[str]:
    """The names of the files that are in the new folder now, sorted; each 0555, on disk.

    Raises: UserError when the archive is damaged, larger than its bounds, or names anything but files inside itself.
    """
    folder.mkdir(mode=0o755)
    try:
        with open_zip(archive) as opened:
            entries = _checked(opened.infolist(), bounds.max_files)
            left = bounds.max_bytes
            for entry in entries:
                path = folder.joinpath(*PurePosixPath(entry.filename).parts)
                path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                with opened.open(entry) as source:
                    left -= _copy(source, path, left)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(f"unpacking {archive.name}: not a readable zip archive: {str(error)[:200]}") from error
    return sorted(entry.filename for entry in entries)


@contextmanager
def open_zip(path: Path, *, max_list_bytes: int = MAX_LIST_BYTES) -> Iterator[zipfile.ZipFile]:
    """An archive whose list of files is bounded: it is held in memory, some ten times its bytes, before anything else.

    Raises: BadZipFile.
    """
    with _Bounded(io.FileIO(path), max_list_bytes) as file, zipfile.ZipFile(file) as opened:
        yield opened


class _Bounded(io.BufferedReader):
    """Gives no more than so much at once."""

    def __init__(self, raw: io.FileIO, max_bytes: int) -> None:
        super().__init__(raw)
        self._max_bytes = max_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises: BadZipFile when there is more."""
        is_all = size is None or size < 0
        data = super().read(self._max_bytes + 1 if is_all or size is None else min(size, self._max_bytes + 1))
        if len(data) > self._max_bytes:
            raise zipfile.BadZipFile("its list of files is too long")
        return data


def _checked(entries: list[zipfile.ZipInfo], max_files: int) -> list[zipfile.ZipInfo]:
    files = [entry for entry in entries if not entry.is_dir()]
    if len(files) > max_files:
        raise UserError(f"unpacking: more than {max_files} files in the archive")
    for entry in entries:
        name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
        pure = PurePosixPath(name)
        is_inside = not pure.is_absolute() and ".." not in pure.parts and pure.parts and "\\" not in name
        if not is_inside or not name.isprintable() or len(name) > 500:
            raise UserError(f"unpacking: the archive names {name[:100]!r}, which is not a path inside it")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"unpacking: {name[:100]!r} in the archive is a link or a device")
    if len({entry.filename for entry in files}) < len(files):
        raise UserError("unpacking: the archive names a file twice")
    return files


def _copy(source: IO[bytes], path: Path, max_bytes: int) -> int:
    """How many bytes the new file has. What the archive says of its size is not believed."""
    size = 0
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as target:
        while data := source.read(_PIECE):
            size += len(data)
            if size > max_bytes:
                raise UserError("unpacking: the archive holds more than it may")
            target.write(data)
        target.flush()
        os.fchmod(target.fileno(), 0o555)
        os.fsync(target.fileno())
    return size
