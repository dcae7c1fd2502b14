"""More than anybody reads: what git prints, and what a commit holds, is bounded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import UserError
from app.engine.git import EMPTY_TREE, Mirror
from tests.engine.upstream import Upstream, names_in


def bomb(upstream: Upstream, *, depth: int) -> str:
    """A commit of a few hundred bytes with ten files for each power of ten."""
    kind, entry = "100644 blob", upstream.blob("one")
    for _ in range(depth):
        entry = upstream.git("mktree", stdin="".join(f"{kind} {entry}\t{name}\n" for name in "0123456789"))
        kind = "040000 tree"
    sha = upstream.git("commit-tree", "-m", "bomb", entry)
    upstream.git("update-ref", f"refs/heads/{sha}", sha)
    return sha


def test_what_git_prints_without_end_is_not_held(upstream: Upstream, tmp_path: Path) -> None:
    mirror, sha = Mirror(tmp_path / "mirrors", allow_file=True, max_printed_bytes=1024 * 1024), bomb(upstream, depth=6)
    asked: list[Callable[[], object]] = [
        lambda: mirror.changed_files(upstream.source, EMPTY_TREE, sha),
        lambda: mirror.find_files(upstream.source, sha, (".tf",)),
        lambda: mirror.find_links(upstream.source, sha),
        lambda: mirror.checkout(upstream.source, sha, tmp_path / "out"),
    ]
    for ask in asked:
        with pytest.raises(UserError, match=r"of file://.*: running git: it printed more than 1 MiB"):
            ask()
    assert not names_in(tmp_path / "out")


@pytest.mark.parametrize(("depth", "name"), [(6, "a"), (1, "d/" * 200 + "a")])
def test_a_commit_that_no_workspace_can_hold_is_not_written(
    upstream: Upstream, mirror: Mirror, tmp_path: Path, depth: int, name: str
) -> None:
    sha = bomb(upstream, depth=depth) if depth > 1 else upstream.commit(**{name.replace("/", "__"): "one"})
    with pytest.raises(UserError, match=r"more than 500000 files, or more than 100 folders within each other"):
        mirror.checkout(upstream.source, sha, tmp_path / "out")
    assert not names_in(tmp_path / "out")
