"""A backup: database, artifacts and key file as one file, written whole and read only when it is whole.

A tar under zstd, mode 0600; the first member says what it is, the last one that it is all there. Artifacts and sealed
columns are ciphertext in it as they are in their places; the key that opens them is in it too, unless left out.
"""

import os
import secrets
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO, Final, Protocol, cast

import msgspec
import zstandard

from app.core.artifact import Stored
from app.core.errors import UserError
from app.store.backup_tables import DatabaseInfo, check_empty, copy_in, snapshot

FORMAT: Final = 1
MAX_ARTIFACT_BYTES: Final = 16 * 1024**3
MAX_KEY_FILE_BYTES: Final = 4096
_MAX_HEAD_BYTES: Final = 4 * 1024 * 1024
_HEAD, _KEY, _END = "trackside-backup.json", "key", "end.json"
_TABLES, _ARTIFACTS = "tables/", "artifacts/"
_BLOCK_BYTES: Final = 1024 * 1024
_PACKED_BYTES: Final = 16 * 1024
_WINDOW_BYTES: Final = 8 * 1024 * 1024


class Artifacts(Protocol):
    """What a backup asks of the artifacts."""

    def put(self, key: str, source: BinaryIO | Iterator[bytes], *, max_bytes: int) -> int: ...
    def open(self, key: str) -> AbstractContextManager[BinaryIO]: ...
    def find(self, key: str) -> Stored | None: ...
    def list_artifacts(self, folder: str) -> Iterator[Stored]: ...


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first member: what the backup is of."""

    format: int
    made_at: datetime
    database: DatabaseInfo
    has_key: bool


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last member."""

    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a backup holds, or what a restore brought back."""

    made_at: datetime
    tables: int
    artifacts: int
    size_bytes: int
    has_key: bool


def write_backup(path: Path, *, url: str, artifacts: Artifacts, key_file: Path | None) -> Kept:
    """Write a new file; nothing stands at the path before all of it was written. `key_file`: None leaves keys out.

    Raises: UserError when something is at the path already or cannot be written there, or the key file cannot be read.
    """
    if path.exists():
        raise UserError(f"writing backup {path}: it exists already")
    key = _read_key(key_file) if key_file else b""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with snapshot(url) as database:
            head = Head(format=FORMAT, made_at=datetime.now(UTC), database=database.info, has_key=bool(key))
            with _Writer.create(draft) as writer:
                writer.add(_HEAD, msgspec.json.encode(head))
                for table in database.info.tables:
                    with writer.adding(_TABLES + table.name, path.parent) as rows:
                        database.copy_out(table, rows.write)
                # Listed after the moment of the rows: what a row names and has not been deleted since, is here.
                for stored in artifacts.list_artifacts(""):
                    writer.add_artifact(artifacts, stored)
                if key:
                    writer.add(_KEY, key)
                writer.add(_END, msgspec.json.encode(End(members=writer.members)))
        path.hardlink_to(draft)
        size = path.stat().st_size
    except FileExistsError as error:
        raise UserError(f"writing backup {path}: it exists already") from error
    except OSError as error:
        raise UserError(f"writing backup {path}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    tables = len(head.database.tables)
    return Kept(made_at=head.made_at, tables=tables, artifacts=writer.artifacts, size_bytes=size, has_key=bool(key))


def read_backup(path: Path, *, url: str, artifacts: Artifacts, key_file: Path | None) -> Kept:
    """Bring everything back, into an empty database; what is brought back last makes it count, so that it can be tried
    again. `key_file`: where its key goes; None: the keys are elsewhere.

    Raises: UserError when the backup is damaged or cut, the database is not empty, or another key is at its place.
    """
    head = _check_whole(path)
    check_empty(url, head.database)
    found = 0
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=path.parent) as name:
        folder = Path(name)
        for member, content in _members(path):
            if member.startswith(_ARTIFACTS):
                found += _bring_back(artifacts, member.removeprefix(_ARTIFACTS), content)
            elif member == _KEY and key_file is not None:
                _write_key(key_file, content.read(MAX_KEY_FILE_BYTES))
            elif member.startswith(_TABLES):
                _keep(folder, member.removeprefix(_TABLES), content)
        copy_in(url, head.database, lambda table: (folder / table).open("rb"))
    size, tables = path.stat().st_size, len(head.database.tables)
    return Kept(made_at=head.made_at, tables=tables, artifacts=found, size_bytes=size, has_key=head.has_key)


class _Writer:
    """Adds members to a backup."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.members, self.artifacts = 0, 0

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator["_Writer"]:
        """A new file, for its owner alone."""
        compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            with (
                compressor.stream_writer(file, closefd=False) as packed,
                tarfile.open(mode="w|", fileobj=cast(IO[bytes], packed), format=tarfile.PAX_FORMAT) as tar,
            ):
                yield cls(tar)
            file.flush()
            os.fsync(file.fileno())

    def add(self, name: str, data: bytes) -> None:
        """One small member."""
        self._add(name, len(data), BytesIO(data))

    @contextmanager
    def adding(self, name: str, near: Path) -> Iterator[IO[bytes]]:
        """One member whose size is known when it was written."""
        with tempfile.TemporaryFile(dir=near) as spool:
            yield spool
            size = spool.tell()
            spool.seek(0)
            self._add(name, size, spool)

    def add_artifact(self, artifacts: Artifacts, stored: Stored) -> None:
        """One artifact, unless it was deleted since it was listed: a workspace goes with its run."""
        try:
            with artifacts.open(stored.key) as content:
                self._add(_ARTIFACTS + stored.key, stored.size_bytes, content)
        except UserError:
            return
        self.artifacts += 1

    def _add(self, name: str, size: int, content: IO[bytes]) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        self._tar.addfile(member, content)
        self._tar.members = []  # type: ignore[attr-defined]  # public, but not in its stubs: memory stays bounded
        self.members += 1


def _check_whole(path: Path) -> Head:
    """Read it all once, and believe nothing of it before. Raises: UserError."""
    head, end, count = None, None, 0
    for name, content in _members(path):
        if name in (_HEAD, _END):
            data = content.read(_MAX_HEAD_BYTES)
            try:
                if name == _HEAD and count == 0:
                    head = msgspec.json.decode(data, type=Head)
                if name == _END:
                    end = msgspec.json.decode(data, type=End)
            except msgspec.MsgspecError as error:
                raise UserError(f"reading backup {path}: {name} cannot be read: {error}") from error
        if head is None:
            raise UserError(f"reading backup {path}: this is no backup of Trackside's")
        if head.format != FORMAT:
            raise UserError(f"reading backup {path}: it has format {head.format}, and this version reads {FORMAT}")
        count += name != _END
    if head is None or end is None or end.members != count:
        raise UserError(f"reading backup {path}: it is cut: its end is missing")
    return head


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of every member, to be read in turn. Raises: UserError when the file is damaged or cut."""
    try:
        with path.open("rb") as file:
            plain = _Plain(file)
            tar = tarfile.open(mode="r|", fileobj=cast(IO[bytes], plain))  # noqa: SIM115 - a stream holds nothing
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # as above
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise UserError(f"reading backup {path}: {member.name[:100]!r} is no file")
                yield member.name, content
            while plain.read(_BLOCK_BYTES):
                pass
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise UserError(f"reading backup {path}: it is damaged or cut: {error}") from error
    except OSError as error:
        raise UserError(f"reading backup {path}: {error.strerror or error}") from error


class _Plain:
    """What a compressed file holds; its end is one only when the compressor wrote it, with the checksum before it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._waiting = file, bytearray()
        self._inflate = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()

    def read(self, size: int) -> bytes:
        """At most `size` bytes. Raises: EOFError when the file ends too early."""
        while len(self._waiting) < size and not self._inflate.eof:
            packed = self._file.read(_PACKED_BYTES)
            if not packed:
                raise EOFError("it ends too early")
            self._waiting += self._inflate.decompress(packed)
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken


def _bring_back(artifacts: Artifacts, key: str, content: IO[bytes]) -> int:
    """Store an artifact that is not there (any more): in a bucket that survived, all of them are."""
    if artifacts.find(key) is None:
        artifacts.put(key, iter(lambda: content.read(_BLOCK_BYTES), b""), max_bytes=MAX_ARTIFACT_BYTES)
    return 1


def _keep(folder: Path, table: str, content: IO[bytes]) -> None:
    if not table.isidentifier():
        raise UserError(f"reading a backup: {table[:100]!r} is no table")
    with os.fdopen(os.open(folder / table, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while piece := content.read(_BLOCK_BYTES):
            out.write(piece)


def _read_key(path: Path) -> bytes:
    try:
        return path.read_bytes()[:MAX_KEY_FILE_BYTES]
    except OSError as error:
        raise UserError(f"reading key file {path}: {error.strerror}; --without-keys leaves it out") from None


def _write_key(path: Path, data: bytes) -> None:
    """Put the key file where it was. Raises: UserError when another one is there."""
    if path.exists():
        if path.read_bytes() != data:
            raise UserError(f"restoring key file {path}: another one is there already; move it away first")
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as out:
        out.write(data)
