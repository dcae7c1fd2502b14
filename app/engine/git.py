"""Git: one bare, partial mirror per repository (large blobs come on demand), and the questions that the house asks it.

Alone starts git (2.31 or newer). What a repository holds is hostile text: nothing of it is run, no hook, filter or
helper is configured, and the token travels in the environment of the one child that needs it.
"""

import fcntl
import hashlib
import os
import posixpath
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.names import ZERO_SHA, Sha, is_sha
from app.engine.git_kept import KeptCommits
from app.engine.git_lfs import fetch_lfs
from app.engine.git_source import (
    DamagedError,
    NotInRepositoryError,
    Source,
    check,
    configured,
    failure,
    redacted,
    remote_settings,
)
from app.engine.process import Completed, base_env, run
from app.engine.workspace import remove_tree

__all__ = ["EMPTY_TREE", "MAX_COMMIT_BYTES", "Commit", "Mirror", "NotInRepositoryError", "Source"]

EMPTY_TREE: Final = Sha("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
"""The tree without entries: the base of a root commit. Git knows it without having it."""
MAX_COMMIT_BYTES: Final = 1024 * 1024
"""A commit object; its message is most of it."""
MAX_PRINTED_BYTES: Final = 64 * 1024 * 1024
"""What one command of git may print. A commit of a few hundred bytes can name a billion files, each its own path."""
MAX_FILES: Final = 500_000
"""Of a commit that is checked out; an archive takes no more."""
MAX_DEPTH: Final = 100
"""Folders within each other, of a commit that is checked out."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What the house needs to know of a commit. Bytes that are not text become U+FFFD."""

    sha: Sha
    parents: tuple[Sha, ...]
    author_name: str
    author_email: str
    message: str
    """Whole, without trailing newlines."""
    committed_at: datetime
    """The committer's date, UTC; a date beyond the calendar becomes the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One child process."""

    action: str
    arguments: Sequence[str]
    stdin: bytes = b""
    may_exit_1: bool = False
    must_find: bool = False
    """It asks for objects that are known to be here: one that is missing means a damaged mirror."""
    is_online: bool = False
    """It may speak to the server: to fetch, or for blobs that are not here yet."""
    work_tree: Path | None = None
    index: Path | None = None


class Mirror:
    """Bare mirrors under one root, `<repository id>.git` each; many threads and processes may use them at once.

    A method that names a commit fetches it when it is not here. All raise NotInRepositoryError when the repository does
    not have it, UserError when it may not be read, RetryableError when network or server did not do their part, and
    BrokenError when git itself fails, after a damaged mirror was made anew once.
    """

    def __init__(
        self,
        root: Path,
        *,
        timeout_s: float = 120,
        allow_file: bool = False,
        max_printed_bytes: int = MAX_PRINTED_BYTES,
    ) -> None:
        """`timeout_s` and `max_printed_bytes` bound each child; `allow_file` admits file:// sources, for tests."""
        self._root = root.absolute()
        self._timeout_s, self._max_printed_bytes = timeout_s, max_printed_bytes
        self._allow_file = allow_file
        self._kept = KeptCommits()

    def fetch(self, source: Source, *, wants: Sequence[str]) -> None:
        """Have the wanted commits (full SHAs) and refs (full names): all but large blobs, which come when needed.

        Asks nobody when every want is a SHA that is here. What was wanted is kept under refs/trackside/.
        """
        self._ask(source, None, wants=wants)

    def changed_files(self, source: Source, base: str, head: str) -> tuple[str, ...] | None:
        """Paths that differ between two commits, a moved file with both of its; None when the base cannot be had.

        Base may be EMPTY_TREE. Bytes that are not UTF-8 become U+FFFD.
        """
        options = ("-r", "-z", "--no-renames", "--name-only", "--ignore-submodules=none")
        call = _Call(action="comparing commits of", arguments=["diff-tree", *options, base, head])
        if base == ZERO_SHA:
            return None
        try:
            output = self._ask(source, call, wants=[head] if base == EMPTY_TREE else [base, head]).stdout
        except NotInRepositoryError:
            self.fetch(source, wants=[head])
            return None
        return tuple(_text(path) for path in output.split(b"\0") if path)

    def merge_base(self, source: Source, one: str, other: str) -> Sha | None:
        """The best common ancestor of two commits or refs, as the server has them now; None for unrelated histories."""
        names = [_kept(one), _kept(other)]
        call = _Call(action="finding the merge base in", arguments=["merge-base", *names], may_exit_1=True)
        sha = _text(self._ask(source, call, wants=[one, other]).stdout).strip()
        return Sha(sha) if sha else None

    def commit(self, source: Source, sha: str) -> Commit:
        """What the commit says.

        Raises: UserError also for something that is no commit, or is larger than MAX_COMMIT_BYTES.
        """
        command = ["cat-file", "--batch-check"]
        size = _Call(action="reading a commit of", arguments=command, stdin=f"{sha}\n".encode(), must_find=True)
        found = _text(self._ask(source, size, wants=[sha]).stdout).split()
        if found[1:2] != ["commit"] or int(found[2]) > MAX_COMMIT_BYTES:
            raise UserError(f"reading {sha} of {source.url}: not a commit of at most {MAX_COMMIT_BYTES} bytes")
        fields = ["--format=%H%x00%P%x00%an%x00%ae%x00%ct%x00%B", "--no-show-signature", "--encoding=UTF-8"]
        call = _Call(action="reading a commit of", arguments=["log", "-1", "--no-walk", *fields, sha])
        shown = _text(self._ask(source, call, wants=[sha]).stdout).split("\0", 5)
        return Commit(
            sha=Sha(shown[0]),
            parents=tuple(Sha(parent) for parent in shown[1].split()),
            author_name=shown[2],
            author_email=shown[3],
            message=shown[5].rstrip("\n"),
            committed_at=_moment(shown[4]),
        )

    def read_file(self, source: Source, sha: str, path: str, *, max_bytes: int) -> bytes | None:
        """A file's content at a commit; None when there is none: also for a folder, a symlink, a submodule.

        Raises: UserError when it is larger than max_bytes.
        """
        if "\0" in path or path.startswith(("/", "../")) or path in (".", "..") or path != posixpath.normpath(path):
            return None
        listing = ["ls-tree", "-z", "-l", "--full-tree", sha, "--", path]
        listed = self._ask(source, _Call(action="reading", arguments=listing, is_online=True), wants=[sha]).stdout
        entry = next((entry for entry in _tree_entries(listed) if entry.path == path and entry.is_file), None)
        if entry is None:
            return None
        if entry.size_bytes > max_bytes:
            raise UserError(f"reading {path} at {sha}: {entry.size_bytes} bytes, more than the limit of {max_bytes}")
        content = _Call(action="reading", arguments=["cat-file", "blob", entry.object_id], is_online=True)
        return self._ask(source, content, wants=[sha]).stdout

    def find_files(self, source: Source, sha: str, suffixes: Iterable[str]) -> tuple[str, ...]:
        """Paths of the files (no symlinks) at a commit whose names end with one of the suffixes, in git's order."""
        endings = tuple(suffixes)
        call = _Call(action="listing the files of", arguments=["ls-tree", "-r", "-z", "--full-tree", sha])
        entries = _tree_entries(self._ask(source, call, wants=[sha]).stdout)
        return tuple(entry.path for entry in entries if entry.is_file and entry.path.endswith(endings))

    def find_links(self, source: Source, sha: str) -> tuple[tuple[str, str], ...]:
        """Paths of the submodules of a commit, each with the commit that it is at, in git's order."""
        call = _Call(action="listing the submodules of", arguments=["ls-tree", "-r", "-z", "--full-tree", sha])
        entries = _tree_entries(self._ask(source, call, wants=[sha]).stdout)
        return tuple((entry.path, entry.object_id) for entry in entries if entry.mode == "160000")

    def beside(self, name: str) -> "Mirror":
        """Mirrors of the same kind in a folder of their own, for repositories that GitHub's numbers do not name."""
        return Mirror(
            self._root / name,
            timeout_s=self._timeout_s,
            allow_file=self._allow_file,
            max_printed_bytes=self._max_printed_bytes,
        )

    def fetch_lfs(self, source: Source, sha: str, storage: Path) -> None:
        """Have the files that Git LFS keeps for a commit in a folder, as LFS lays them out; needs git-lfs.

        Raises: UserError when git-lfs is not installed, or when its server says no.
        """
        fetch_lfs(source, sha, storage, env=self._environment(), mirror=self._folder(source))

    def ls_remote(self, source: Source) -> dict[str, Sha]:
        """Branches and tags as they are on the server now.

        Shape: full ref to SHA; an annotated tag has the SHA of its own object, as in push events.
        """
        command = ["ls-remote", "--quiet", "--refs", "--heads", "--tags", "origin"]
        output = self._ask(source, _Call(action="listing the refs of", arguments=command, is_online=True)).stdout
        pairs = (line.partition("\t") for line in _text(output).splitlines())
        return {ref: Sha(sha) for sha, _, ref in pairs if is_sha(sha)}

    def resolve_tag(self, source: Source, ref: str) -> Sha:
        """The commit that a tag means now; an annotated tag is peeled. Also takes the SHA of a tag's own object.

        Raises: UserError when the tag means something else than a commit.
        """
        peeling = ["rev-parse", "--verify", "--quiet", f"{_kept(ref)}^{{commit}}"]
        call = _Call(action="resolving a tag of", arguments=peeling, may_exit_1=True)
        sha = _text(self._ask(source, call, wants=[ref]).stdout).strip()
        if not is_sha(sha):
            raise UserError(f"resolving tag {ref} of {source.url}: it does not mean a commit")
        return Sha(sha)

    def checkout(self, source: Source, sha: str, into: Path) -> None:
        """Write the files of a commit into a new or empty folder: no .git, symlinks as they are, no submodules, no LFS.

        Raises: UserError also when the commit holds a path that git refuses to write, such as `.git/config`, or more
        than a workspace takes.
        """
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(into.iterdir()):
            raise BrokenError(f"checking out {sha} into {into}: the folder is not empty")
        self._require_holdable(source, sha)
        with tempfile.TemporaryDirectory(prefix=".index-", dir=self._root) as folder:
            # read-tree asks for all missing blobs at once, checkout-index for each alone. Its own index: no lock.
            call = _Call(
                action=f"checking out {sha} of",
                arguments=["read-tree", "--reset", "-u", sha],
                is_online=True,
                work_tree=into,
                index=Path(folder, "index"),
            )
            self._ask(source, call, wants=[sha])

    def _require_holdable(self, source: Source, sha: str) -> None:
        """Raises: UserError for a commit of more files, or deeper folders, than a workspace takes."""
        listing = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", sha]
        paths = self._ask(source, _Call(action="listing the files of", arguments=listing), wants=[sha]).stdout
        if paths.count(b"\0") > MAX_FILES or any(path.count(b"/") > MAX_DEPTH for path in paths.split(b"\0")):
            limits = f"more than {MAX_FILES} files, or more than {MAX_DEPTH} folders within each other"
            raise UserError(f"checking out {sha} of {source.url}: {limits}")

    def _ask(self, source: Source, call: _Call | None, *, wants: Sequence[str] = ()) -> Completed:
        """Fetch what is wanted, run the call, and do both again in a new mirror if this one turns out to be damaged."""
        check(source, wants, is_file_allowed=self._allow_file)
        made = self._made(source)
        try:
            return self._ask_once(source, call, wants)
        except DamagedError:
            self._discard(source, made)
        try:
            return self._ask_once(source, call, wants)
        except DamagedError as error:
            raise BrokenError(str(error)) from error

    def _ask_once(self, source: Source, call: _Call | None, wants: Sequence[str]) -> Completed:
        refs = [want for want in wants if not is_sha(want)]
        made = self._made(source)
        shas = self._kept.unknown(made, [want for want in wants if is_sha(want)])
        if refs or shas or not self._folder(source).exists():
            self._have(source, refs, shas)
        return self._run(source, call) if call else Completed(0, b"", b"")

    def _have(self, source: Source, refs: Sequence[str], shas: Sequence[str]) -> None:
        """Hold what is wanted. Asks for the lock only when something is missing; looks again only if it had to wait."""
        made = self._made(source)
        found = self._look(source, shas) if self._folder(source).exists() else None
        if found is None or found.is_work or refs:
            with self._locked(source) as has_waited:
                if self._make(source):
                    found = _Found(missing=shas)
                elif found is None or has_waited or made != self._made(source):
                    found = self._look(source, shas)
                self._keep(source, found.unkept)
                self._fetch(source, [*found.missing, *refs])
                made = self._made(source)
        self._kept.remember(made, shas)

    def _fetch(self, source: Source, wants: Sequence[str]) -> None:
        if not wants:
            return
        # Without --filter: the environment names the filter, and git then leaves the mirror's configuration alone.
        options = ("--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--stdin")
        specs = "".join(f"{want}:{_kept(want)}\n" for want in wants).encode()
        command = ["fetch", *options, "origin"]
        self._run(source, _Call(action="fetching", arguments=command, stdin=specs, is_online=True))

    def _look(self, source: Source, shas: Sequence[str]) -> "_Found":
        """Which commits are not here, and which are here without a ref of ours that holds them: in one question."""
        present = self._are_present(source, [*shas, *map(_kept, shas)])
        here, kept = present[: len(shas)], present[len(shas) :]
        return _Found(
            missing=[sha for sha, is_here in zip(shas, here, strict=True) if not is_here],
            unkept=[sha for sha, *is_so in zip(shas, here, kept, strict=True) if is_so == [True, False]],
        )

    def _keep(self, source: Source, shas: Sequence[str]) -> None:
        """Hold commits that came by other ways, as somebody's parents."""
        updates = "".join(f"update {_kept(sha)} {sha}\n" for sha in shas)
        if updates:
            self._run(source, _Call(action="keeping", arguments=["update-ref", "--stdin"], stdin=updates.encode()))

    def _are_present(self, source: Source, names: Sequence[str]) -> list[bool]:
        if not names:
            return []
        stdin = "".join(f"{name}\n" for name in names).encode()
        done = self._run(source, _Call(action="reading", arguments=["cat-file", "--batch-check"], stdin=stdin))
        return [not line.endswith(b" missing") for line in done.stdout.splitlines()]

    def _run(self, source: Source, call: _Call) -> Completed:
        """Run git on the mirror. Offline calls know no server: a missing object is an answer, not a fetch."""
        env = self._environment() | {"GIT_DIR": str(self._folder(source))}
        if call.work_tree and call.index:
            env |= {"GIT_WORK_TREE": str(call.work_tree), "GIT_INDEX_FILE": str(call.index)}
        env |= configured({**_SETTINGS, **(remote_settings(source) if call.is_online else {})})
        env |= {"GIT_ALLOW_PROTOCOL": urlsplit(source.url).scheme if call.is_online else "none"}
        try:
            done = run(
                ["git", *call.arguments],
                env=env,
                cwd=call.work_tree or self._root,
                stdin=call.stdin,
                timeout_s=self._timeout_s,
                max_bytes=self._max_printed_bytes,
            )
        except RetryableError as error:
            raise RetryableError(f"{call.action} {source.url}: no end after {self._timeout_s:g} s") from error
        except UserError as error:
            raise UserError(f"{call.action} {source.url}: {error}") from error
        if call.must_find and done.stdout.endswith(b" missing\n"):
            raise DamagedError(f"{call.action} {source.url}: an object that was here is missing")
        if done.code == 0 or (done.code == 1 and call.may_exit_1):
            return done
        raise failure(source, call.action, redacted(source, done.error_text(4000)))

    def _environment(self) -> dict[str, str]:
        """Of the parent's environment, the search path alone."""
        return base_env(self._root / "home") | {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LITERAL_PATHSPECS": "1",
        }

    def _folder(self, source: Source) -> Path:
        return self._root / f"{source.repository_id}.git"

    def _made(self, source: Source) -> str:
        """Which making of the mirror this is: so that two who found it damaged do not both remove it."""
        try:
            return (self._folder(source) / "description").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def _make(self, source: Source) -> bool:
        """Make the mirror where there is none; True when it did."""
        if self._folder(source).exists():
            return False
        fresh = self._root / f".new-{secrets.token_hex(8)}"
        done = run(["git", "init", "--quiet", "--bare", "--template=", str(fresh)], env=self._environment())
        if done.code != 0:
            raise BrokenError(f"making the mirror of {source.url}: {done.error_text(500)}")
        (fresh / "description").write_text(secrets.token_hex(8), encoding="utf-8")
        fresh.rename(self._folder(source))
        return True

    def _discard(self, source: Source, made: str) -> None:
        with self._locked(source):
            if self._made(source) == made and self._folder(source).exists():
                broken = self._root / f".broken-{secrets.token_hex(8)}"
                self._folder(source).rename(broken)
                remove_tree(broken)

    @contextmanager
    def _locked(self, source: Source) -> Iterator[bool]:
        """The repository's lock, among threads and processes; it ends with its holder, however that ends.

        True when another one had it first: what was seen before may not be so any more.
        """
        try:
            (self._root / "home").mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._root / f"{source.repository_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BrokenError(f"locking the mirror of {source.url}: {error.strerror}: {error.filename}") from error
        try:
            has_waited = not _try_lock(handle)
            if has_waited:
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield has_waited
        finally:
            os.close(handle)


_SETTINGS: Final[Mapping[str, str]] = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.symlinks": "true",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    # Housekeeping would run inside somebody's fetch, against its timeout.
    "gc.auto": "0",
    "maintenance.auto": "false",
    # After a redirect git would send the extra header to the new place.
    "http.followRedirects": "false",
    # Units: bytes a second, seconds.
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
}


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kept(want: str) -> str:
    """Our ref for a want. A ref's name is hashed: `a` may once have been a branch where `a/b` is one now."""
    return f"refs/trackside/{'commits' if is_sha(want) else 'refs'}/" + (
        want if is_sha(want) else hashlib.sha256(want.encode()).hexdigest()
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is left to do for some commits that are wanted."""

    missing: Sequence[str]
    unkept: Sequence[str] = ()

    @property
    def is_work(self) -> bool:
        return bool(self.missing or self.unkept)


@dataclass(frozen=True, slots=True)
class _TreeEntry:
    """One line of ls-tree."""

    mode: str
    object_id: str
    size_bytes: int
    path: str

    @property
    def is_file(self) -> bool:
        return self.mode.startswith("100")


def _tree_entries(listed: bytes) -> Iterator[_TreeEntry]:
    for line in listed.split(b"\0"):
        facts, tab, path = line.partition(b"\t")
        if tab:
            mode, _, object_id, *size = _text(facts).split()
            yield _TreeEntry(mode, object_id, int(size[0]) if size and size[0].isdigit() else 0, _text(path))


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def _moment(seconds: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
