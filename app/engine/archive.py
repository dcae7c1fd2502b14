"""The handover archive: a run's workspace as one encrypted stream, packed by the worker that planned it.

tar, then zstd, then the cipher that is handed in; memory stays bounded both ways. What is restored, by the worker that
applies, was verified to its last byte before any of it stands in the workspace, and nothing in it leads out of it.
"""

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, Final, Protocol, cast

import msgspec
import zstandard

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.names import Digest
from app.engine.workspace import Workspace, remove_tree

FORMAT: Final = 1
MAX_CONTENT_BYTES: Final = 16 * 1024 * 1024 * 1024
"""All files of an archive together, before compression."""
MAX_MEMBERS: Final = 500_000
MAX_MANIFEST_BYTES: Final = 64 * 1024
MAX_LEFT_OUT: Final = 100
"""How many of what is left out are named."""
_MANIFEST: Final = "manifest.json"
_PLAN: Final = "plan.tfplan"
_RESTORING: Final = "restoring"
_KEPT_OF_DATA: Final = ("environment", "modules", "terraform.tfstate")
"""Of the data folder: not the providers, which are links to a mirror and come back with init."""
_BLOCK_BYTES: Final = 1024 * 1024
_TAR_BYTES: Final = 64 * 1024
"""How much tarfile reads at once: it copies what is left of that at each member."""
_WINDOW_BYTES: Final = 8 * 1024 * 1024
"""The most memory that an archive may ask of the decompressor."""


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Take all of the data; how many bytes that were."""
        ...


class Spring(Protocol):
    """Gives bytes, all verified."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer than one only after the last byte was given and everything verified."""
        ...


class StreamCipher(Protocol):
    """Encrypts and decrypts one stream, bound to a key and a context that it knows."""

    def encrypting(self, out: BinaryIO) -> AbstractContextManager[Sink]:
        """What is written is encrypted into `out`; the end is written when the block is left without an error."""
        ...

    def decrypting(self, source: BinaryIO) -> Spring:
        """What `source` holds. Its read raises BrokenError for another key, another context, or any changed byte."""
        ...


@dataclass(frozen=True, slots=True)
class ArchiveInfo:
    """What was packed."""

    sha256: Digest
    """Of the encrypted stream."""
    size_bytes: int
    """Of the encrypted stream."""
    left_out: tuple[str, ...] = ()
    """Paths with their reason that stay behind, at most MAX_LEFT_OUT: links out of the workspace, pipes, devices."""


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The first member: says whose the archive is."""

    format: int
    workspace: str
    run_id: str


def pack(workspace: Workspace, out: BinaryIO, *, cipher: StreamCipher, max_bytes: int) -> ArchiveInfo:
    """Write the workspace (source, modules, backend state, plan file) encrypted to `out`. The same files, the same tar.

    Raises: UserError when there is more than max_bytes of archive, MAX_CONTENT_BYTES of content or MAX_MEMBERS files;
    BrokenError when a file cannot be read or written. What is in `out` then does not restore.
    """
    found = _survey(workspace)
    written = _Hashing(out, max_bytes)
    manifest = _Manifest(format=FORMAT, workspace=workspace.place, run_id=workspace.run_id)
    compressor = zstandard.ZstdCompressor(level=1, threads=2)
    try:
        with (
            cipher.encrypting(cast(BinaryIO, written)) as sealed,
            compressor.stream_writer(cast(IO[bytes], sealed), closefd=False) as packed,
            tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
        ):
            _add_bytes(tar, _MANIFEST, msgspec.json.encode(manifest))
            for name in [*found.folders, *found.files, *found.links]:
                _add(tar, workspace.path / name, name)
                tar.members = []  # type: ignore[attr-defined]  # public, but not in its stubs
    except OSError as error:
        raise BrokenError(f"packing {workspace.path}: {error.strerror or error}") from error
    return ArchiveInfo(Digest(written.digest.hexdigest()), written.size_bytes, tuple(found.left_out[:MAX_LEFT_OUT]))


def restore(into: Workspace, source: BinaryIO, *, cipher: StreamCipher) -> None:
    """Put an archive's content into an open workspace; nothing of it is there before the last byte was verified.

    Raises: RetryableError when it was made at another path: a worker that has that path can apply it; BrokenError when
    it is another run's, damaged, or holds what no archive of ours holds.
    """
    staging = into.path / _RESTORING
    remove_tree(staging)
    staging.mkdir(mode=0o700)
    try:
        _unpack(into, staging, cipher.decrypting(source))
        for name in ("source", "data", _PLAN):
            remove_tree(into.path / name)
            if os.path.lexists(staging / name):
                (staging / name).rename(into.path / name)
        into.source.mkdir(mode=0o700, exist_ok=True)
        into.data_dir.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BrokenError(f"restoring {into.path}: {error.strerror or error}") from error
    finally:
        remove_tree(staging)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a workspace holds, as paths relative to it; links last, so that restoring never writes through one."""

    folders: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def _survey(workspace: Workspace) -> _Found:
    found = _Found()
    size_bytes = 0
    for count, (entry, name) in enumerate(_walk(workspace), start=1):
        facts = entry.lstat()
        size_bytes += facts.st_size if stat.S_ISREG(facts.st_mode) else 0
        if count > MAX_MEMBERS or size_bytes > MAX_CONTENT_BYTES:
            limits = f"{MAX_MEMBERS} files or {MAX_CONTENT_BYTES} bytes"
            raise UserError(f"packing {workspace.path}: the workspace holds more than {limits}")
        if stat.S_ISDIR(facts.st_mode):
            found.folders.append(name)
        elif stat.S_ISREG(facts.st_mode):
            found.files.append(name)
        elif not stat.S_ISLNK(facts.st_mode):
            found.left_out.append(f"{name}: neither a file nor a folder nor a link")
        elif _leads_out(workspace.path, name, str(entry.readlink())):
            found.left_out.append(f"{name}: a link that leads out of the workspace")
        else:
            found.links.append(name)
    return found


def _walk(workspace: Workspace) -> Iterator[tuple[Path, str]]:
    """Every entry that is archived, each folder before what is in it, in the order of names; links are not followed."""
    tops = [workspace.plan_file, workspace.source, workspace.data_dir]
    waiting = [top for top in reversed(tops) if os.path.lexists(top)]
    while waiting:
        entry = waiting.pop()
        yield entry, str(entry.relative_to(workspace.path))
        if stat.S_ISDIR(entry.lstat().st_mode):
            names = _KEPT_OF_DATA if entry == workspace.data_dir else os.listdir(entry)
            waiting.extend(child for name in sorted(names, reverse=True) if os.path.lexists(child := entry / name))


def _leads_out(root: Path, name: str, target: str) -> bool:
    """True for an absolute link, and for one that ends outside of the root: as written, or as the folders stand."""
    written = os.path.normpath(os.path.join(os.path.dirname(name), target))
    if os.path.isabs(target) or written == ".." or written.startswith("../"):
        return True
    return not Path(os.path.realpath(root / name)).is_relative_to(os.path.realpath(root))


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """One member: no owner, no time, of the mode only who may execute."""
    member = tarfile.TarInfo(name)
    facts = path.lstat()
    member.mode = 0o755 if facts.st_mode & 0o100 else 0o644
    if stat.S_ISLNK(facts.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
        tar.addfile(member)
    elif stat.S_ISDIR(facts.st_mode):
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    else:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as content:
            member.size = os.fstat(content.fileno()).st_size
            tar.addfile(member, content)


def _unpack(into: Workspace, staging: Path, verified: Spring) -> None:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(cast(IO[bytes], verified), read_size=_BLOCK_BYTES, closefd=False) as plain:
            with tarfile.open(mode="r|", fileobj=plain, bufsize=_TAR_BYTES) as tar:
                _check_manifest(into, tar)
                _extract(into, tar, staging)
            rest = sum(len(block) for block in iter(lambda: plain.read(_BLOCK_BYTES), b""))
        if rest > _BLOCK_BYTES or verified.read(1):
            raise BrokenError(f"restoring {into.path}: the archive goes on after its end")
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise BrokenError(f"restoring {into.path}: the archive is damaged: {error}") from error


def _check_manifest(into: Workspace, tar: tarfile.TarFile) -> None:
    member = tar.next()
    content = tar.extractfile(member) if member and member.name == _MANIFEST and member.isreg() else None
    if member is None or content is None or member.size > MAX_MANIFEST_BYTES:
        raise BrokenError(f"restoring {into.path}: the archive does not begin with its manifest")
    try:
        manifest = msgspec.json.decode(content.read(), type=_Manifest)
    except msgspec.MsgspecError as error:
        raise BrokenError(f"restoring {into.path}: the archive's manifest cannot be read") from error
    if manifest.format != FORMAT:
        raise BrokenError(f"restoring {into.path}: the archive has format {manifest.format}, not {FORMAT}")
    if manifest.run_id != into.run_id:
        raise BrokenError(f"restoring {into.path}: the archive belongs to run {manifest.run_id}")
    if manifest.workspace != into.place:
        raise RetryableError(
            f"restoring run {into.run_id}: it was planned in {manifest.workspace} "
            f"and would be applied in {into.place}; a plan applies at its own path only: give all workers of a pool "
            "the same ISOLATION, and without isolation the same user id"
        )


def _extract(into: Workspace, tar: tarfile.TarFile, staging: Path) -> None:
    """Every further member, into folders that this made itself; links after everything else."""
    folders, links = {""}, list[tarfile.TarInfo]()
    size_bytes = 0
    for count, member in enumerate(_members(tar), start=1):
        size_bytes += member.size
        parent, _, last = member.name.rpartition("/")
        if count > MAX_MEMBERS or size_bytes > MAX_CONTENT_BYTES:
            raise BrokenError(f"restoring {into.path}: the archive holds more than any of ours")
        if parent not in folders or last in ("", ".", "..") or not _is_expected(member.name):
            raise BrokenError(f"restoring {into.path}: unexpected member {member.name!r}")
        path = staging / member.name
        if member.type == tarfile.DIRTYPE:
            path.mkdir(mode=0o700)
            folders.add(member.name)
        elif member.type == tarfile.REGTYPE:
            _write(path, member, cast(IO[bytes], tar.extractfile(member)))
        elif member.type == tarfile.SYMTYPE:
            links.append(member)
        else:
            raise BrokenError(f"restoring {into.path}: {member.name!r} is neither a file nor a folder nor a link")
    for link in links:
        (staging / link.name).symlink_to(link.linkname)
    for link in links:
        if _leads_out(staging, link.name, link.linkname):
            raise BrokenError(f"restoring {into.path}: link {link.name!r} leads out of the workspace")


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members that are still to come. tarfile remembers each, so it is made to forget: memory stays bounded."""
    while (member := tar.next()) is not None:
        yield member
        tar.members = []  # type: ignore[attr-defined]  # public, but not in its stubs


def _is_expected(name: str) -> bool:
    return name in ("source", "data", _PLAN) or name.startswith(("source/", "data/"))


def _write(path: Path, member: tarfile.TarInfo, content: IO[bytes]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o700 if member.mode & 0o100 else 0o600), "wb") as file:
        while block := content.read(_BLOCK_BYTES):
            file.write(block)


class _Hashing:
    """Passes bytes on, counts and hashes them, and ends at a limit."""

    def __init__(self, out: BinaryIO, max_bytes: int) -> None:
        self._out, self._max_bytes = out, max_bytes
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        """Pass the data on. Raises: UserError beyond the limit."""
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise UserError(f"packing the workspace: its archive is larger than {self._max_bytes} bytes")
        self.digest.update(data)
        self._out.write(data)
        return len(data)
