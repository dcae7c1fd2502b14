"""What git says of an event, asked before any transaction: commits, what changed since which base, the stacks file.

Knows the rules on bases; knows nothing of policies but that they see every file when a base cannot be had.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.core.contract import MAX_POLICY_BYTES
from app.core.decision import EventKind
from app.core.errors import UserError
from app.core.event import Repository
from app.core.happening import Happening
from app.core.names import ZERO_SHA, Sha
from app.core.pull import PullFacts
from app.core.pushinput import CommitFacts
from app.core.stack import CONFIG_PATH, MAX_CONFIG_BYTES
from app.flows.configure import Found, read_file, read_policies
from app.flows.ports import Commit, Mirror, Policies

EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""git's empty tree: the base of a root commit."""
MAX_EVERYTHING: Final = 100_000
"""Files of a commit that policies are handed when a base cannot be had."""
MAX_MESSAGE: Final = 10_000
"""Characters of a commit's message that policies see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the head is compared with, and what a reader must know about that."""

    sha: str | None
    """None: cannot be had, so everything counts as changed."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What git said about an event."""

    head: Sha
    commit: CommitFacts
    base: Base | None
    """None for a tag: each stack has its own, its head."""
    changed: Mapping[str, tuple[str, ...] | None]
    """Shape: base SHA to the paths that differ from it; None: the base could not be had."""
    found: Found | None = None
    """The stacks file at the head, for a push to the default branch."""
    terraform_files: tuple[str, ...] = ()
    """Where a repository without a stacks file has Terraform."""
    pull_files: tuple[str, ...] | None = ()
    """What the pull request changes, all in all; None: it has no commit in common with its base."""
    pull_base: CommitFacts | None = None
    """Where the pull request's base branch is."""
    is_undiverged: bool = False
    """The pull request's branch holds everything that its base branch holds."""
    passed_by: frozenset[str] = frozenset()
    """Those of the heads asked about (of stacks; where the stacks file was read last) that hold this push's commit
    already: it arrived after a newer push, and takes nothing back."""

    def since(self, base: Base) -> tuple[str, ...] | None:
        """The paths that changed since a base, or None when everything counts as changed."""
        return None if base.sha is None else self.changed.get(base.sha)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Asks the mirror. `source_of` names the repository's mirror with the token that it needs."""

    mirror: Mirror
    policies: Policies
    source_of: Callable[[Repository], Any]

    def at(self, happening: Happening, *, heads: frozenset[str] = frozenset()) -> Looked:
        """Everything that deciding the event needs of git. `heads`: of stacks; a tag is compared with them."""
        source = self.source_of(happening.repository)
        self.mirror.fetch(source, wants=[happening.after])
        # An annotated tag's push names the tag's own object, not the commit that it stands for.
        is_tag = happening.kind is EventKind.TAG
        commit = self.mirror.commit(
            source, self.mirror.resolve_tag(source, happening.after) if is_tag else happening.after
        )
        if happening.pull is not None:
            return self._pull(happening, source, commit)
        head = Sha(commit.sha)
        base = None if is_tag else self._base(happening, source, commit)
        bases = {base.sha} if base is not None else set(heads)
        found, files = self._configuration(happening, source, head)
        return Looked(
            head=head,
            commit=_facts(commit, happening),
            base=base,
            changed={sha: self.mirror.changed_files(source, sha, head) for sha in bases if sha is not None},
            found=found,
            terraform_files=files,
            passed_by=frozenset() if is_tag else self._passed_by(source, head, heads),
        )

    def _passed_by(self, source: Any, head: Sha, heads: frozenset[str]) -> frozenset[str]:
        """Those of the heads that hold the commit and more."""
        return frozenset(one for one in heads if one != head and self._merge_base(source, head, one) == head)

    def is_on_branch(self, repository: Repository, branch: str, sha: Sha) -> bool:
        """True when the branch, as it is now, holds the commit. False for a branch or a commit that is not there."""
        source = self.source_of(repository)
        return self._merge_base(source, f"refs/heads/{branch}", sha) == sha

    def holds(self, repository: Repository, sha: Sha, other: Sha) -> bool:
        """True when `other` is `sha` itself or in its history."""
        return sha == other or self._merge_base(self.source_of(repository), sha, other) == other

    def find_tip(self, repository: Repository, branch: str) -> Sha | None:
        """Where the branch is now, or None when there is none."""
        try:
            return Sha(self.mirror.resolve_tag(self.source_of(repository), f"refs/heads/{branch}"))
        except UserError:
            return None

    def all_files(self, happening: Happening, head: Sha) -> tuple[str, ...]:
        """Every file of the commit: what policies see as changed when the base could not be had."""
        return self.mirror.find_files(self.source_of(happening.repository), head, ("",))[:MAX_EVERYTHING]

    def commit_facts(self, repository: Repository, sha: Sha) -> CommitFacts:
        """A commit as policies see it; of one that is gone only its SHA."""
        try:
            return _facts(self.mirror.commit(self.source_of(repository), sha), None)
        except UserError:
            return CommitFacts(sha=sha)

    def merge_of(self, repository: Repository, pull: PullFacts) -> tuple[Sha | None, Sha]:
        """The commit that GitHub made to try the pull request's merge, if it is of its head and of where its base
        branch is now; and where that is."""
        source = self.source_of(repository)
        base = Sha(self._tip(source, f"refs/heads/{pull.base_ref}", pull.base_sha))
        try:
            sha = self.mirror.resolve_tag(source, f"refs/pull/{pull.number}/merge")
            parents = self.mirror.commit(source, sha).parents
        except UserError:
            return None, base
        return (Sha(sha) if tuple(parents) == (base, pull.head_sha) else None), base

    def _configuration(self, happening: Happening, source: Any, head: Sha) -> tuple[Found | None, tuple[str, ...]]:
        """The stacks file of a push to the default branch, with its policies; and Terraform where there is no file."""
        default = happening.repository.default_branch
        if happening.kind is not EventKind.PUSH or happening.branch != default:
            return None, ()
        found = self._read(source, head, default)
        if not found.is_missing:
            return found, ()
        return found, tuple(self.mirror.find_files(source, head, (".tf", ".tofu", ".tf.json")))

    def read_again(self, repository: Repository, sha: Sha) -> Found:
        """The stacks file of a commit, with its policies, apart from any event."""
        source = self.source_of(repository)
        self.mirror.fetch(source, wants=[sha])
        return self._read(source, sha, repository.default_branch)

    def _read(self, source: Any, sha: Sha, default_branch: str) -> Found:
        def read(path: str) -> bytes | None:
            return self.mirror.read_file(source, sha, path, max_bytes=MAX_POLICY_BYTES)

        text = self.mirror.read_file(source, sha, CONFIG_PATH, max_bytes=MAX_CONFIG_BYTES)
        return read_policies(read_file(sha, text, default_branch=default_branch), read, self.policies)

    def _base(self, happening: Happening, source: Any, commit: Commit) -> Base:
        """What a branch's head is compared with. Source: the rules on changed files in docs/architecture.md."""
        if happening.before != ZERO_SHA:
            return Base(sha=happening.before, note="forced push" if happening.is_forced else "")
        default = happening.repository.default_branch
        if happening.branch == default:
            return Base(sha=EMPTY_TREE, note="first push of the branch")
        merge_base = self.mirror.merge_base(source, f"refs/heads/{default}", commit.sha)
        if merge_base is None:
            return Base(
                sha=None, note=f"new branch with no commit in common with {default}: everything counts as changed"
            )
        return Base(sha=merge_base, note=f"new branch, compared with where it left {default}")

    def _pull(self, happening: Happening, source: Any, commit: Commit) -> Looked:
        """A pull request: the files of its head or its merge, and all that it changes since it left its base."""
        pull = happening.pull
        if pull is None:
            raise ValueError("the event has no pull request")
        head = Sha(commit.sha)
        tip = pull.base_sha if pull.is_closed else self._tip(source, f"refs/heads/{pull.base_ref}", pull.base_sha)
        left = self._merge_base(source, tip, pull.head_sha)
        parent = commit.parents[0] if commit.parents else EMPTY_TREE
        note = "" if left else f"no commit in common with {pull.base_ref}: everything counts as changed"
        return Looked(
            head=head,
            commit=_facts(commit, happening),
            base=Base(sha=parent, note=note),
            changed={parent: self.mirror.changed_files(source, parent, head)},
            pull_files=self.mirror.changed_files(source, left, pull.head_sha) if left else None,
            pull_base=self.commit_facts(happening.repository, Sha(tip)),
            is_undiverged=left == tip,
        )

    def _merge_base(self, source: Any, one: str, other: str) -> str | None:
        try:
            return self.mirror.merge_base(source, one, other)
        except UserError:
            return None

    def _tip(self, source: Any, ref: str, otherwise: Sha) -> str:
        """Where a branch is now; where the event said that it was, when it is gone."""
        try:
            return self.mirror.resolve_tag(source, ref)
        except UserError:
            return otherwise


def _facts(commit: Commit, happening: Happening | None) -> CommitFacts:
    author = commit.author_name
    if happening is not None:
        author = happening.pull.author if happening.pull is not None else happening.sender
    return CommitFacts(
        sha=commit.sha,
        author=author,
        branch=happening.branch if happening is not None else "",
        tag=happening.tag if happening is not None else "",
        message=commit.message[:MAX_MESSAGE],
        created_at=commit.committed_at,
        pull_number=happening.pull_number if happening is not None else None,
    )
