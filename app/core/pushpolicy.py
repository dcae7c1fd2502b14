"""The default push policy: what a push means for a stack when no policy of its own is attached.

The same rules as the Rego text that ships with the product, in Python for speed. Paths are compared by segment:
the root `infra/net` is not touched by `infra/network2/main.tf`.
"""

from collections.abc import Sequence
from functools import lru_cache

from app.core.decision import Answer, PushInput, Verdict
from app.core.globs import compile_glob, literal_prefix

_EVERYTHING = "what changed is not known: everything counts as changed"


class AffectedIndex:
    """The changed files of one push, ready to be asked by many stacks: a root costs one look-up."""

    __slots__ = ("_answers", "_by_folder", "_files")

    def __init__(self, files: Sequence[str]) -> None:
        self._files = tuple(files)
        self._by_folder: dict[str, list[str]] = {}
        self._answers: dict[str, str | None] = {}
        for path in self._files:
            for folder in _prefixes(path):
                self._by_folder.setdefault(folder, []).append(path)

    def find_under(self, root: str) -> str | None:
        """The first changed file in a folder (or the folder itself: a submodule, a link); None when none is."""
        found = self._files if not root else self._by_folder.get(root, ())
        return found[0] if found else None

    def find_matching(self, glob: str) -> str | None:
        """The first changed file that a glob matches; None when none does. A glob that is none matches everything."""
        if glob not in self._answers:
            self._answers[glob] = self._search(glob)
        return self._answers[glob]

    def _search(self, glob: str) -> str | None:
        prefix = literal_prefix(glob)
        files = self._files if not prefix else self._by_folder.get(prefix, ())
        if not files:
            return None
        try:
            globs = compile_glob(glob)
        except ValueError:
            return files[0]
        return next((path for path in files if any(each.matches(path) for each in globs)), None)


@lru_cache(maxsize=8)
def index_of(files: tuple[str, ...]) -> AffectedIndex:
    """The index of a push's files; the same for every stack that is asked about that push."""
    return AffectedIndex(files)


def default_policy(
    question: PushInput, index: AffectedIndex | None = None, pull_index: AffectedIndex | None = None
) -> Answer:
    """What the event means for the stack, and why. The indexes, when given, are those of `question.affected_files` and
    `question.pull_files`."""
    pushed = _cause(question, question.affected_files, index)
    cause = pushed or _cause(question, question.pull_files, pull_index)
    is_tracked_branch = bool(question.branch) and question.branch == question.stack_branch
    rules = {
        "track": bool(pushed) and is_tracked_branch,
        "propose": bool(cause),
        "ignore": not cause or bool(question.tag),
    }
    if question.tag:
        reason = f"tag {question.tag} ignored: no policy tracks tags"
        return Answer(verdict=Verdict.IGNORE, reason=reason, rules=rules)
    if not cause:
        return Answer(verdict=Verdict.IGNORE, reason=_outside(question), rules=rules)
    if rules["track"]:
        return Answer(verdict=Verdict.TRACK, reason=pushed, rules=rules)
    reason = f"{cause}; branch {question.branch} is not the tracked branch {question.stack_branch}"
    if is_tracked_branch:
        reason = f"{cause} in the pull request, but not in its last commit"
    return Answer(verdict=Verdict.PROPOSE, reason=reason, rules=rules)


def _cause(question: PushInput, paths: tuple[str, ...] | None, index: AffectedIndex | None) -> str:
    """Why the stack counts as changed, in words; empty when it does not."""
    if paths is None:
        return _EVERYTHING
    if not paths:
        return ""
    files = index or index_of(paths)
    found = files.find_under(question.project_root.strip("/"))
    if found is not None:
        return f"{found} changed"
    for glob in question.additional_project_globs:
        found = files.find_matching(glob.strip("/"))
        if found is not None:
            return f"{found} changed, which {glob} matches"
    return ""


def _outside(question: PushInput) -> str:
    """Why the stack does not count as changed."""
    root = question.project_root.strip("/")
    if not root:
        return "no file changed"
    return f"outside {root}" + (" and its additional globs" if question.additional_project_globs else "")


def _prefixes(path: str) -> list[str]:
    """A path and every folder above it, but the root: `a/b/c`, `a/b`, `a`."""
    found = [path]
    while "/" in path:
        path = path.rpartition("/")[0]
        found.append(path)
    return found
