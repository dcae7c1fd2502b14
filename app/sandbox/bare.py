"""Real git repositories on disk, driven by few git processes: one fast-import for a push, one log for its commits.

Knows git alone: no accounts, no events. Commits never change, so what was read of one is kept.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from app.core.names import ZERO_SHA, is_sha
from app.engine import process
from app.sandbox.errors import SandboxError

_FORMAT = "%x01%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B%x02"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
[http]
\treceivepack = true
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
\tallowReachableSHA1InWant = true
\tallowTipSHA1InWant = true
[receive]
\tautogc = false
[gc]
\tauto = 0
"""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made a commit, and when."""

    name: str
    email: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as git has it; the three path lists compare it with its first parent, without renames."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]


class Link(str):
    """The SHA of another repository's commit, as content of a path: a submodule is at it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit to be written: what changes against its first parent, or the whole tree by its SHA."""

    message: str
    author: Signature
    files: Mapping[str, str | bytes | None] = field(default_factory=dict)
    """Path to content, a Link for a submodule; None deletes the path."""
    tree: str = ""
    parents: tuple[str, ...] | None = None
    """None: the commit before it in the same import, else the ref's present commit."""
    executable: frozenset[str] = frozenset()
    committer: Signature | None = None


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One changed file of a comparison, renames found."""

    path: str
    previous: str
    status: str
    sha: str
    additions: int
    deletions: int
    patch: str


@dataclass(frozen=True, slots=True)
class Tag:
    """An annotated tag's object."""

    sha: str
    name: str
    target: str
    kind: str
    """Of the target: commit, mostly."""
    tagger: Signature
    message: str


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a directory."""

    mode: str
    type: str
    sha: str
    size: int
    path: str


class BareRepository:
    """One bare repository. Methods that take a revision accept what git accepts; callers pass SHAs and full refs."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self._env = process.base_env(home) | {
            "GIT_DIR": str(path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        self._commits: dict[str, Commit] = {}

    def create(self, default_branch: str) -> None:
        """Make the empty repository, without starting git."""
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "hooks", "info"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        (self.path / "HEAD").write_text(f"ref: refs/heads/{default_branch}\n")
        (self.path / "config").write_text(_CONFIG)

    def move(self, path: Path) -> None:
        """Put the folder somewhere else: the repository was renamed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.path, path)
        self.path = path
        self._env["GIT_DIR"] = str(path)

    def git(self, *args: str, stdin: bytes = b"", ok: Sequence[int] = (0,)) -> process.Completed:
        """Run one git command in the repository. Raises: SandboxError on an exit code that is not in `ok`."""
        done = process.run(["git", *args], env=self._env, stdin=stdin, cwd=self.path, timeout_s=120)
        if done.code not in ok:
            raise SandboxError(f"running git {args[0]} in {self.path.name}: {done.error_text()}")
        return done

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Full ref name to object SHA, ordered by name; tags that are annotated give the tag object."""
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname)", *prefixes).stdout.decode().splitlines()
        return {name: sha for sha, _, name in (line.partition(" ") for line in lines)}

    def find(self, revision: str) -> str | None:
        """The SHA of the commit that a revision names, or None."""
        if is_sha(revision) and revision in self._commits:
            return revision
        if not revision or revision.startswith("-"):
            return None
        done = self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", ok=(0, 1, 128))
        return done.stdout.decode().strip() if done.code == 0 else None

    def find_ref(self, ref: str) -> str | None:
        """The object that a full ref points to, or None."""
        loose = self.path / ref
        try:
            text = loose.read_text().strip() if ".." not in ref else ""
        except OSError:
            text = ""
        if is_sha(text):
            return text
        done = self.git("rev-parse", "--verify", "--quiet", ref, ok=(0, 1, 128))
        return done.stdout.decode().strip() if done.code == 0 else None

    def commit(self, sha: str) -> Commit:
        """The commit with that SHA. Raises: SandboxError when there is none."""
        if sha not in self._commits:
            self.log(sha, "-1")
        return self._commits[sha]

    def log(self, *args: str) -> list[Commit]:
        """Commits as `git log` orders them for these arguments."""
        done = self.git(
            "log", "-z", f"--format={_FORMAT}", "--name-status", "--no-renames", "--diff-merges=first-parent", *args
        )
        commits = [_read_commit(part) for part in done.stdout.decode("utf-8", "replace").split("\x01")[1:]]
        self._commits.update((commit.sha, commit) for commit in commits)
        return commits

    def write(self, ref: str, commits: Sequence[NewCommit], *, start: str | None) -> list[str]:
        """Write commits in a row on `start` (None: a root commit), and set the ref to the last. Their SHAs."""
        stream = bytearray(b"feature done\n")
        for index, commit in enumerate(commits, start=1):
            previous = (f":{index - 1}",) if index > 1 else ((start,) if start else ())
            stream += _import_commit(ref, index, commit, previous)
        stream += b"".join(f"get-mark :{mark}\n".encode() for mark in range(1, len(commits) + 1))
        done = self.git("fast-import", "--quiet", "--force", stdin=bytes(stream) + b"done\n")
        return done.stdout.decode().split()

    def annotate(self, tag: str, sha: str, message: str, tagger: Signature) -> str:
        """Write an annotated tag object and the ref; its SHA."""
        text = f"object {sha}\ntype commit\ntag {tag}\ntagger {_stamp(tagger)}\n\n{message}\n"
        made = self.git("mktag", stdin=text.encode()).stdout.decode().strip()
        self.set_ref(f"refs/tags/{tag}", made)
        return made

    def tag(self, sha: str) -> Tag | None:
        """The annotated tag with that SHA, or None when it is no tag object."""
        done = self.git("cat-file", "tag", sha, ok=(0, 128))
        if done.code != 0:
            return None
        head, _, message = done.stdout.decode("utf-8", "replace").partition("\n\n")
        fields = dict(line.split(" ", 1) for line in head.split("\n"))
        name, _, rest = fields["tagger"].partition(" <")
        email, _, stamp = rest.partition("> ")
        tagger = Signature(name, email, datetime.fromtimestamp(int(stamp.split()[0]), UTC))
        return Tag(sha, fields["tag"], fields["object"], fields["type"], tagger, message.rstrip("\n"))

    def fetch(self, source: "BareRepository", *refspecs: str) -> None:
        """Copy what refspecs name from another repository on this machine; no ref but theirs changes."""
        args = ("--quiet", "--no-tags", "--no-write-fetch-head")
        self.git("fetch", *args, str(source.path), *(f"+{refspec}" for refspec in refspecs))

    def set_ref(self, ref: str, sha: str) -> None:
        """Point a ref at an object; the all-zero SHA deletes it."""
        args = ("-d", ref) if sha == ZERO_SHA else (ref, sha)
        self.git("update-ref", *args)

    def is_ref_name(self, ref: str) -> bool:
        """True when git would take it as a ref's name."""
        return self.git("check-ref-format", ref, ok=(0, 1)).code == 0

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """True when every commit of the first is in the second."""
        return (
            ancestor == descendant or self.git("merge-base", "--is-ancestor", ancestor, descendant, ok=(0, 1)).code == 0
        )

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor, or None for unrelated histories."""
        done = self.git("merge-base", one, other, ok=(0, 1))
        return done.stdout.decode().strip() or None

    def count(self, *args: str) -> int:
        """How many commits `git rev-list` finds."""
        return int(self.git("rev-list", "--count", *args).stdout)

    def merge_tree(self, ours: str, theirs: str) -> str | None:
        """The tree of a merge of two commits, or None on conflict."""
        done = self.git("merge-tree", "--write-tree", "--allow-unrelated-histories", ours, theirs, ok=(0, 1))
        return done.stdout.decode().partition("\n")[0] if done.code == 0 else None

    def entries(self, sha: str, path: str) -> list[TreeEntry]:
        """What a directory (empty path: the root) holds at a commit, ordered by name; empty when it is not there."""
        done = self.git("ls-tree", "-z", "--long", f"{sha}:{path}", ok=(0, 128))
        found = []
        for line in done.stdout.decode("utf-8", "replace").split("\0"):
            if line:
                meta, _, name = line.partition("\t")
                mode, kind, blob, size = meta.split()
                full = f"{path}/{name}" if path else name
                found.append(TreeEntry(mode, kind, blob, 0 if size == "-" else int(size), full))
        return found

    def paths(self, sha: str) -> list[str]:
        """Every file's path at a commit."""
        done = self.git("ls-tree", "-r", "-z", "--name-only", sha)
        return [path for path in done.stdout.decode("utf-8", "replace").split("\0") if path]

    def blob(self, sha: str) -> bytes:
        """A blob's bytes."""
        return self.git("cat-file", "blob", sha).stdout

    def diff(self, base: str, head: str) -> list[FileDiff]:
        """What changed between two commits or trees, renames found, ordered by path."""
        args = ("diff-tree", "-r", "-M", "--raw", "--numstat", "-p", "-z", "--full-index", "--no-color", base, head)
        return _read_diff(self.git(*args).stdout.decode("utf-8", "replace"))


def _stamp(who: Signature) -> str:
    return f"{who.name} <{who.email}> {int(who.at.timestamp())} +0000"


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _quoted(path: str) -> bytes:
    return '"{}"'.format(path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")).encode()


def _import_commit(ref: str, mark: int, commit: NewCommit, previous: tuple[str, ...]) -> bytes:
    parents = previous if commit.parents is None else commit.parents
    lines = [f"reset {ref}\n\n".encode()] if not parents else []
    lines.append(f"commit {ref}\nmark :{mark}\nauthor {_stamp(commit.author)}\n".encode())
    lines.append(f"committer {_stamp(commit.committer or commit.author)}\n".encode())
    lines.append(_data(commit.message.encode()))
    lines += [f"{'from' if index == 0 else 'merge'} {parent}\n".encode() for index, parent in enumerate(parents)]
    if commit.tree:
        lines.append(f'M 040000 {commit.tree} ""\n'.encode())
    for path, content in sorted(commit.files.items(), key=lambda item: item[1] is not None):
        if content is None:
            lines.append(b"D " + _quoted(path) + b"\n")
        elif isinstance(content, Link):
            lines.append(b"M 160000 " + content.encode() + b" " + _quoted(path) + b"\n")
        else:
            mode = b"100755" if path in commit.executable else b"100644"
            lines.append(b"M " + mode + b" inline " + _quoted(path) + b"\n")
            lines.append(_data(content.encode() if isinstance(content, str) else content))
    return b"".join(lines) + b"\n"


def _read_commit(part: str) -> Commit:
    head, _, rest = part.partition("\x02")
    sha, tree, parents, an, ae, at, cn, ce, ct, message = head.split("\0", 9)
    tokens = [token.lstrip("\n") for token in rest.split("\0")]
    tokens = [token for token in tokens if token]
    paths: dict[str, list[str]] = {"A": [], "D": [], "M": []}
    for status, path in zip(tokens[::2], tokens[1::2], strict=False):
        paths[status if status in "AD" else "M"].append(path)
    return Commit(
        sha,
        tree,
        tuple(parents.split()),
        Signature(an, ae, datetime.fromtimestamp(int(at), UTC)),
        Signature(cn, ce, datetime.fromtimestamp(int(ct), UTC)),
        message.rstrip("\n"),
        tuple(paths["A"]),
        tuple(paths["D"]),
        tuple(paths["M"]),
    )


_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


def _read_diff(text: str) -> list[FileDiff]:
    """Shape: raw entries, then numstat entries, all NUL-terminated; then an empty field and the patch."""
    fields = text.split("\0")
    at = 0
    raw: list[tuple[str, str, str, str]] = []
    while at < len(fields) and fields[at].startswith(":"):
        *_, old, new, status = fields[at].split()
        renamed = status[0] in "RC"
        path = fields[at + 2] if renamed else fields[at + 1]
        raw.append((status[0], new if set(new) != {"0"} else old, path, fields[at + 1] if renamed else ""))
        at += 3 if renamed else 2
    counts: list[tuple[int, int]] = []
    for _ in raw:
        added, deleted, path = fields[at].split("\t")
        counts.append((0 if added == "-" else int(added), 0 if deleted == "-" else int(deleted)))
        at += 1 if path else 3
    rest = "\0".join(fields[at:]).lstrip("\0")
    patches = ("\n" + rest).split("\ndiff --git ")[1:]
    found = []
    for index, ((status, sha, path, previous), (added_n, deleted_n)) in enumerate(zip(raw, counts, strict=True)):
        _, mark, hunk = (patches[index] if index < len(patches) else "").partition("\n@@ ")
        patch = f"@@ {hunk}".rstrip("\n") if mark else ""
        found.append(FileDiff(path, previous, _STATUS.get(status, "changed"), sha, added_n, deleted_n, patch))
    return found
