"""Mirrors against real repositories, told as sentences. Over HTTP: test_git_http.py; what is bounded:
test_git_bounds.py."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.names import ZERO_SHA, Secret, Sha
from app.engine.git import EMPTY_TREE, Commit, Mirror, NotInRepositoryError, Source
from tests.engine.upstream import Upstream, names_in

NOBODY_HAS = "ab" * 20


# What changed


def test_a_moved_file_changed_in_both_of_its_places(upstream: Upstream, mirror: Mirror) -> None:
    before = upstream.commit(network__main_tf="a long enough content to count as the same file\n")
    (upstream.path / "däta").mkdir()
    upstream.git("mv", "network/main.tf", "däta/main.tf")
    after = upstream.commit()
    assert mirror.changed_files(upstream.source, before, after) == ("däta/main.tf", "network/main.tf")


def test_compared_with_the_empty_tree_everything_is_new(upstream: Upstream, mirror: Mirror) -> None:
    first = upstream.commit(a_tf="a", b__c_tf="c")
    assert mirror.changed_files(upstream.source, EMPTY_TREE, first) == ("a.tf", "b/c.tf")


@pytest.mark.parametrize("base", [NOBODY_HAS, ZERO_SHA])
def test_a_base_that_nobody_has_is_none(upstream: Upstream, mirror: Mirror, base: str) -> None:
    assert mirror.changed_files(upstream.source, base, upstream.commit()) is None


def test_a_head_that_nobody_has_is_an_error_that_names_it(upstream: Upstream, mirror: Mirror) -> None:
    base = upstream.commit()
    with pytest.raises(NotInRepositoryError, match=f"{NOBODY_HAS} is not in the repository"):
        mirror.changed_files(upstream.source, base, NOBODY_HAS)


def test_a_commit_that_a_forced_push_left_behind_is_still_a_base_here(upstream: Upstream, mirror: Mirror) -> None:
    first = upstream.commit(a_tf="1")
    left_behind = upstream.commit(a_tf="2")
    mirror.fetch(upstream.source, wants=[left_behind])
    upstream.git("reset", "--hard", "--quiet", first)
    forced = upstream.commit(b_tf="3")
    assert mirror.changed_files(upstream.source, left_behind, forced) == ("a.tf", "b.tf")


def test_a_submodule_that_asks_to_be_ignored_still_changed(upstream: Upstream, mirror: Mirror) -> None:
    modules = upstream.blob('[submodule "x"]\n\tpath = x\n\turl = https://example.org/x\n\tignore = all\n')
    listing = "100644 blob {}\t.gitmodules\n160000 commit {}\tx\n"
    before = upstream.commit_tree(listing.format(modules, "12" * 20))
    after = upstream.commit_tree(listing.format(modules, "34" * 20))
    assert mirror.changed_files(upstream.source, before, after) == ("x",)


# Commits and tags


def test_a_commit_is_read_as_it_was_written(upstream: Upstream, mirror: Mirror) -> None:
    parent = upstream.commit()
    sha = upstream.commit("add the network\n\nwith a body\n")
    assert mirror.commit(upstream.source, sha) == Commit(
        sha=Sha(sha),
        parents=(Sha(parent),),
        author_name="Åsa",
        author_email="asa@example.org",
        message="add the network\n\nwith a body",
        committed_at=datetime.fromtimestamp(1700000000, UTC),
    )


def test_a_date_beyond_the_calendar_becomes_the_epoch(upstream: Upstream, mirror: Mirror) -> None:
    tree = upstream.git("write-tree")
    text = f"tree {tree}\nauthor A <a> 9999999999999999 +0000\ncommitter A <a> 9999999999999999 +0000\n\nfuture\n"
    sha = upstream.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=text)
    upstream.git("update-ref", "refs/heads/future", sha)
    commit = mirror.commit(upstream.source, sha)
    assert commit.message == "future"
    assert commit.committed_at.year in (1970, *range(9000, 10000))


def test_a_tree_is_not_a_commit(upstream: Upstream, mirror: Mirror) -> None:
    upstream.commit(a_tf="a")
    with pytest.raises(UserError, match="not a commit"):
        mirror.commit(upstream.source, upstream.git("rev-parse", "HEAD^{tree}"))


def test_the_merge_base_is_where_two_branches_parted(upstream: Upstream, mirror: Mirror) -> None:
    parted = upstream.commit()
    one = upstream.commit()
    upstream.git("checkout", "--quiet", "-b", "other", parted)
    other = upstream.commit("another change")
    assert mirror.merge_base(upstream.source, one, other) == parted


def test_the_merge_base_of_a_branch_is_taken_where_the_server_has_it(upstream: Upstream, mirror: Mirror) -> None:
    parted = upstream.commit()
    upstream.git("branch", "release", parted)
    head = upstream.commit()
    assert mirror.merge_base(upstream.source, "refs/heads/release", head) == parted


def test_unrelated_histories_have_no_merge_base(upstream: Upstream, mirror: Mirror) -> None:
    one = upstream.commit()
    assert mirror.merge_base(upstream.source, one, upstream.commit_tree("")) is None


def test_the_server_lists_branches_and_tags_with_their_own_objects(upstream: Upstream, mirror: Mirror) -> None:
    sha = upstream.commit()
    upstream.git("tag", "-a", "v1", "-m", "first")
    tag = upstream.git("rev-parse", "refs/tags/v1")
    assert mirror.ls_remote(upstream.source) == {"refs/heads/main": sha, "refs/tags/v1": tag}


def test_a_tag_means_its_commit_however_it_is_named(upstream: Upstream, mirror: Mirror) -> None:
    sha = upstream.commit()
    upstream.git("tag", "light")
    upstream.git("tag", "-a", "v1", "-m", "first")
    upstream.git("tag", "-a", "v1-again", "-m", "a tag of a tag", "v1")
    own_object = upstream.git("rev-parse", "refs/tags/v1")
    names = ["refs/tags/light", "refs/tags/v1", "refs/tags/v1-again", own_object]
    assert {mirror.resolve_tag(upstream.source, name) for name in names} == {sha}


def test_a_tag_that_moved_means_its_new_commit(upstream: Upstream, mirror: Mirror) -> None:
    upstream.commit()
    upstream.git("tag", "v1")
    mirror.resolve_tag(upstream.source, "refs/tags/v1")
    moved_to = upstream.commit()
    upstream.git("tag", "--force", "v1")
    assert mirror.resolve_tag(upstream.source, "refs/tags/v1") == moved_to


def test_a_tag_of_a_blob_means_no_commit(upstream: Upstream, mirror: Mirror) -> None:
    upstream.git("tag", "v1", upstream.blob("not a commit"))
    with pytest.raises(UserError, match=r"resolving tag refs/tags/v1 .*does not mean a commit"):
        mirror.resolve_tag(upstream.source, "refs/tags/v1")


# Files


def test_a_file_is_read_and_what_is_no_file_is_not(upstream: Upstream, mirror: Mirror) -> None:
    blob = upstream.blob("version: 1\n")
    folder = upstream.git("mktree", stdin=f"100644 blob {blob}\tstacks.yml\n")
    link = upstream.blob("folder/stacks.yml")
    listing = f"040000 tree {folder}\tfolder\n120000 blob {link}\tlink\n160000 commit {NOBODY_HAS}\tsub\n"
    sha = upstream.commit_tree(listing)

    def read(path: str) -> bytes | None:
        return mirror.read_file(upstream.source, sha, path, max_bytes=11)

    assert read("folder/stacks.yml") == b"version: 1\n"
    for path in ("folder", "link", "sub", "missing", "", "/folder/stacks.yml", "folder/../folder/stacks.yml", "../x"):
        assert read(path) is None, path


def test_a_file_beyond_the_limit_is_refused_by_name_and_size(upstream: Upstream, mirror: Mirror) -> None:
    sha = upstream.commit(a_tf="twelve bytes")
    with pytest.raises(UserError, match=r"reading a\.tf at .*: 12 bytes, more than the limit of 11"):
        mirror.read_file(upstream.source, sha, "a.tf", max_bytes=11)


def test_files_are_found_by_suffix(upstream: Upstream, mirror: Mirror) -> None:
    (upstream.path / "link.tf").symlink_to("a.tf")
    sha = upstream.commit(a_tf="", b__c_tf="", readme="")
    assert mirror.find_files(upstream.source, sha, [".tf", ".tofu"]) == ("a.tf", "b/c.tf")


# Checkout


def test_a_checkout_holds_the_files_and_no_way_back(upstream: Upstream, mirror: Mirror, tmp_path: Path) -> None:
    (upstream.path / "run.sh").write_text("#!/bin/sh\n")
    (upstream.path / "run.sh").chmod(0o755)
    (upstream.path / "passwd").symlink_to("/etc/passwd")
    sha = upstream.commit(a__b_tf="b")
    upstream.commit(later="not yet")
    into = tmp_path / "source"
    mirror.checkout(upstream.source, sha, into)
    assert names_in(into) == {"run.sh", "passwd", "a", "a/b.tf"}
    assert os.access(into / "run.sh", os.X_OK)
    assert not os.access(into / "a/b.tf", os.X_OK)
    assert (into / "passwd").readlink() == Path("/etc/passwd")


def test_a_commit_can_be_checked_out_twice_and_not_into_a_full_folder(
    upstream: Upstream, mirror: Mirror, tmp_path: Path
) -> None:
    sha = upstream.commit(a_tf="a")
    mirror.checkout(upstream.source, sha, tmp_path / "one")
    mirror.checkout(upstream.source, sha, tmp_path / "two")
    assert names_in(tmp_path / "one") == names_in(tmp_path / "two") == {"a.tf"}
    with pytest.raises(BrokenError, match="not empty"):
        mirror.checkout(upstream.source, sha, tmp_path / "one")


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", "..", ".g\u200cit"])
def test_a_tree_that_reaches_for_gits_own_folder_is_not_written(
    upstream: Upstream, mirror: Mirror, tmp_path: Path, name: str
) -> None:
    hook = upstream.git("mktree", stdin=f"100755 blob {upstream.blob('touch /owned')}\tpost-checkout\n")
    sha = upstream.commit_tree(f"040000 tree {hook}\t{name}\n")
    with pytest.raises(UserError, match="invalid path"):
        mirror.checkout(upstream.source, sha, tmp_path / "source")
    assert names_in(tmp_path / "source") == set()


def test_filters_that_a_repository_asks_for_do_not_run(upstream: Upstream, mirror: Mirror, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (upstream.path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n*.sh filter=evil\n")
    (upstream.path / ".gitconfig").write_text('[filter "evil"]\n\tsmudge = touch owned\n')
    (upstream.path / "large.bin").write_text(pointer)
    (upstream.path / "x.sh").write_text("exit\n")
    mirror.checkout(upstream.source, upstream.commit(), tmp_path / "source")
    assert (tmp_path / "source/large.bin").read_text() == pointer
    assert names_in(tmp_path / "source") == {".gitattributes", ".gitconfig", "large.bin", "x.sh"}


def test_submodules_stay_empty(upstream: Upstream, mirror: Mirror, tmp_path: Path) -> None:
    modules = upstream.blob('[submodule "x"]\n\tpath = x\n\turl = ext::touch% owned\n')
    sha = upstream.commit_tree(f"100644 blob {modules}\t.gitmodules\n160000 commit {NOBODY_HAS}\tx\n")
    mirror.checkout(upstream.source, sha, tmp_path / "source")
    assert names_in(tmp_path / "source") == {".gitmodules", "x"}


# The mirror itself


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """How many git processes a deed starts: git's own helpers, which are not looked for on PATH, are not counted."""
    notes, folder = tmp_path / "notes", tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\necho "$1" >> {notes}\nexec {shutil.which("git")} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def count(deed: Callable[[], object]) -> int:
        notes.write_text("")
        deed()
        return len(notes.read_text().splitlines())

    return count


def test_a_question_about_a_commit_that_is_here_starts_git_once_or_twice(
    upstream: Upstream, mirror: Mirror, counted: Callable[[Callable[[], object]], int]
) -> None:
    source, before, after = upstream.source, upstream.commit(a_tf="1"), upstream.commit(a_tf="2")
    mirror.fetch(source, wants=[after])
    assert counted(lambda: mirror.fetch(source, wants=[after])) == 0
    assert counted(lambda: mirror.commit(source, after)) == 2, "its size, then what it says"
    assert counted(lambda: mirror.read_file(source, after, "a.tf", max_bytes=9)) == 2, "its entry, then its content"
    assert counted(lambda: mirror.find_files(source, after, [".tf"])) == 1
    assert counted(lambda: mirror.changed_files(source, before, after)) == 3, "a parent is found, and held"
    assert counted(lambda: mirror.changed_files(source, before, after)) == 1


def test_a_new_commit_costs_one_question_and_the_fetch(
    upstream: Upstream, mirror: Mirror, tmp_path: Path, counted: Callable[[Callable[[], object]], int]
) -> None:
    mirror.fetch(upstream.source, wants=[upstream.commit(a_tf="1")])
    pushed = upstream.commit(a_tf="2")
    assert counted(lambda: mirror.fetch(upstream.source, wants=[pushed])) == 2
    other = Mirror(tmp_path / "mirrors", allow_file=True)
    assert counted(lambda: other.fetch(upstream.source, wants=[pushed])) == 1, "another process has to look once"


def test_a_mirror_that_somebody_removed_is_not_believed_to_be_full(
    upstream: Upstream, mirror: Mirror, tmp_path: Path
) -> None:
    sha = upstream.commit(a_tf="a")
    mirror.fetch(upstream.source, wants=[sha])
    shutil.rmtree(tmp_path / "mirrors/7.git")
    assert mirror.read_file(upstream.source, sha, "a.tf", max_bytes=1) == b"a"
    shutil.rmtree(tmp_path / "mirrors/7.git")
    Mirror(tmp_path / "mirrors", allow_file=True).fetch(upstream.source, wants=[upstream.commit(b_tf="b")])
    assert mirror.commit(upstream.source, sha).sha == sha


def test_small_files_come_with_the_fetch_and_large_ones_when_needed(
    upstream: Upstream, mirror: Mirror, tmp_path: Path
) -> None:
    small = upstream.commit(a_tf="a", b_tf="b" * 60_000)
    large = upstream.commit(c_bin="c" * 70_000)
    mirror.fetch(upstream.source, wants=[small, large])
    gone = upstream.path.with_name("gone")
    upstream.path.rename(gone)
    mirror.checkout(upstream.source, small, tmp_path / "small")
    assert names_in(tmp_path / "small") == {"a.tf", "b.tf"}
    with pytest.raises(UserError, match="no such repository"):
        mirror.checkout(upstream.source, large, tmp_path / "large")
    gone.rename(upstream.path)
    mirror.checkout(upstream.source, large, tmp_path / "large again")
    assert names_in(tmp_path / "large again") == {"a.tf", "b.tf", "c_bin"}


def test_what_is_here_is_not_asked_for_again(upstream: Upstream, mirror: Mirror) -> None:
    parent = upstream.commit()
    sha = upstream.commit()
    mirror.fetch(upstream.source, wants=[sha])
    upstream.path.rename(upstream.path.with_name("gone"))
    mirror.fetch(upstream.source, wants=[sha, parent])
    assert mirror.commit(upstream.source, sha).parents == (parent,)
    with pytest.raises(UserError, match="no such repository"):
        mirror.fetch(upstream.source, wants=["refs/heads/main"])


def test_large_blobs_come_on_demand_and_whole_where_the_server_cannot_leave_them_out(
    upstream: Upstream, mirror: Mirror, tmp_path: Path
) -> None:
    large = "a" * 70_000
    sha = upstream.commit(a_tf=large)
    mirror.fetch(upstream.source, wants=[sha])
    upstream.git("config", "uploadpack.allowFilter", "false")
    mirror.checkout(upstream.source, sha, tmp_path / "one")
    whole = Source(8, upstream.source.url, Secret(""))
    mirror.fetch(whole, wants=[sha])
    upstream.path.rename(upstream.path.with_name("gone"))
    mirror.checkout(whole, sha, tmp_path / "two")
    assert (tmp_path / "one/a.tf").read_text() == (tmp_path / "two/a.tf").read_text() == large


def test_a_branch_may_take_the_place_of_a_folder_of_branches(upstream: Upstream, mirror: Mirror) -> None:
    upstream.commit()
    upstream.git("branch", "release")
    mirror.fetch(upstream.source, wants=["refs/heads/release"])
    upstream.git("branch", "-m", "release", "release/1")
    mirror.fetch(upstream.source, wants=["refs/heads/release/1", "refs/heads/main"])


@pytest.mark.parametrize("damage", ["HEAD", "config", "pack", "objects", "lock"])
def test_a_damaged_mirror_is_made_anew(upstream: Upstream, mirror: Mirror, tmp_path: Path, damage: str) -> None:
    sha = upstream.commit(a_tf="a")
    mirror.fetch(upstream.source, wants=[sha])
    folder = tmp_path / "mirrors/7.git"
    if damage == "pack":
        for path in (folder / "objects/pack").iterdir():
            path.chmod(0o600)
            path.write_bytes(b"garbage")
    elif damage == "objects":
        (folder / "objects").rename(folder / "elsewhere")
    elif damage == "lock":
        (folder / "refs/trackside/commits" / f"{upstream.commit()}.lock").touch()
    else:
        (folder / damage).write_bytes(b"\0garbage")
    newest = upstream.git("rev-parse", "HEAD")
    mirror.checkout(upstream.source, newest, tmp_path / "source")
    assert mirror.read_file(upstream.source, newest, "a.tf", max_bytes=1) == b"a"
    assert names_in(tmp_path / "source") == {"a.tf"}


@pytest.mark.parametrize("damage", ["pack", "objects", "emptied"])
def test_a_commit_that_was_here_is_fetched_again_when_the_mirror_lost_it(
    upstream: Upstream, mirror: Mirror, tmp_path: Path, damage: str
) -> None:
    sha = upstream.commit(a_tf="a")
    mirror.fetch(upstream.source, wants=[sha])
    objects = tmp_path / "mirrors/7.git/objects"
    if damage == "pack":
        for path in (objects / "pack").iterdir():
            path.chmod(0o600)
            path.write_bytes(b"garbage")
    else:
        shutil.rmtree(objects)
        if damage == "emptied":
            objects.mkdir()
    assert mirror.commit(upstream.source, sha).sha == sha
    assert mirror.read_file(upstream.source, sha, "a.tf", max_bytes=1) == b"a"


def test_many_may_use_one_mirror_at_once(upstream: Upstream, tmp_path: Path) -> None:
    shas = [upstream.commit(a_tf=str(number)) for number in range(6)]

    def read(sha: str) -> bytes | None:
        mine = Mirror(tmp_path / "mirrors", allow_file=True)
        return mine.read_file(upstream.source, sha, "a.tf", max_bytes=9)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(read, shas)) == [b"0", b"1", b"2", b"3", b"4", b"5"]


# What is refused


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "https://token@example.org/x",
        "ssh://git@example.org/x",
        "ext::sh -c touch",
        "git@example.org:x",
        "--upload-pack=x",
        "https://example.org/x\n",
        "https:///x",
        "",
    ],
)
def test_only_https_without_credentials_is_a_source(mirror: Mirror, url: str) -> None:
    with pytest.raises(BrokenError, match="repository 7: its URL"):
        mirror.ls_remote(Source(7, url, Secret("")))


def test_files_are_a_source_only_where_they_were_admitted(upstream: Upstream, tmp_path: Path) -> None:
    with pytest.raises(BrokenError, match="its URL"):
        Mirror(tmp_path / "mirrors").fetch(upstream.source, wants=[upstream.commit()])


@pytest.mark.parametrize("want", ["main", "--upload-pack=x", "refs/heads/*", "refs/heads/a:b", "HEAD", "abc", "^a", ""])
def test_a_want_is_a_full_sha_or_a_full_ref(upstream: Upstream, mirror: Mirror, want: str) -> None:
    with pytest.raises(UserError, match="neither a full SHA nor a full ref"):
        mirror.fetch(upstream.source, wants=[want])


def test_a_ref_that_nobody_has_is_named(upstream: Upstream, mirror: Mirror) -> None:
    upstream.commit()
    with pytest.raises(NotInRepositoryError, match="refs/heads/nowhere is not in the repository"):
        mirror.fetch(upstream.source, wants=["refs/heads/nowhere"])


def test_a_server_that_is_not_there_can_be_asked_again(mirror: Mirror) -> None:
    with pytest.raises(RetryableError, match=r"listing the refs of http://127\.0\.0\.1:1/x: "):
        mirror.ls_remote(Source(7, "http://127.0.0.1:1/x", Secret("token")))
