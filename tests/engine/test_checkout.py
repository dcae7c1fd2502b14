"""A checkout with submodules and large files, over GitHub's own protocols: what comes, from where, with which token."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import UserError
from app.core.names import Secret
from app.engine.checkout import Checkout, Extras, read_gitmodules, submodule_url
from app.engine.git import Mirror, Source
from app.sandbox import Repo, SandboxGitHub, serve_in_thread
from app.sandbox.bare import Link

BOTH = Extras(submodules=True, lfs=True)
SUBMODULES = Extras(submodules=True)
needs_lfs = pytest.mark.skipif(
    shutil.which("git-lfs") is None, reason="git-lfs is not installed: what Git LFS keeps is not tried"
)


@pytest.fixture
def github(tmp_path: Path) -> Iterator[SandboxGitHub]:
    """A GitHub with the App on acme."""
    github = SandboxGitHub(tmp_path / "github")
    with serve_in_thread(github):
        yield github


@pytest.fixture
def repo(github: SandboxGitHub) -> Repo:
    """The run's repository."""
    return github.create_repository("acme", "infra", files={"main.tf": "# root\n"})


def checkout(github: SandboxGitHub, repo: Repo, sha: str, folder: Path, extras: Extras, **only: object) -> Checkout:
    """Check a commit out with a token of the App (for all of acme, unless narrowed); what happened."""
    token = Secret(github.installation_token("acme", **only))
    source = Source(repo.id, repo.clone_url, token)
    (folder / "scratch").mkdir(parents=True)
    made = Checkout(Mirror(folder / "mirrors"), source, extras=extras, scratch=folder / "scratch")
    made.write(sha, folder / "into")
    return made


def gitmodules(**urls: str) -> str:
    """A .gitmodules file: path to address."""
    return "".join(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n' for path, url in urls.items())


def test_submodules_come_with_theirs_by_relative_ssh_and_whole_addresses(
    github: SandboxGitHub, repo: Repo, tmp_path: Path
) -> None:
    deep = github.create_repository("acme", "deep", files={"deep.tf": "# deep\n"})
    net = github.create_repository("acme", "net", files={"net.tf": "# net\n"})
    net_sha = net.push(files={".gitmodules": gitmodules(deep="../deep.git"), "deep": Link(deep.sha())}, message="Deep")
    modules = gitmodules(net="git@127.0.0.1:acme/net.git", again=net.clone_url)
    first = Link(net.sha("main~1"))
    sha = repo.push(files={".gitmodules": modules, "net": Link(net_sha), "again": first}, message="Net")
    made = checkout(github, repo, sha, tmp_path / "one", SUBMODULES)
    into = tmp_path / "one" / "into"
    assert (into / "net" / "deep" / "deep.tf").read_text() == "# deep\n"
    assert (into / "again" / "net.tf").read_text() == "# net\n"
    assert not (into / "again" / "deep").exists(), "the commit before had none"
    assert not list(into.rglob(".git"))
    assert f"submodule net: {net_sha} of {net.clone_url}" in made.told

    plain = checkout(github, repo, sha, tmp_path / "two", Extras())
    assert (list((tmp_path / "two" / "into" / "net").iterdir()), plain.told) == ([], [])


def test_a_submodule_that_the_token_does_not_cover_is_refused_also_when_another_run_has_fetched_it(
    github: SandboxGitHub, repo: Repo, tmp_path: Path
) -> None:
    hidden = github.create_repository("acme", "hidden", files={"secret.tf": "# secret\n"})
    link = {".gitmodules": gitmodules(hidden="../hidden.git"), "hidden": Link(hidden.sha())}
    sha = repo.push(files=link, message="Hidden")
    checkout(github, repo, sha, tmp_path / "worker", SUBMODULES)
    other = github.create_repository("acme", "other", files={"main.tf": "# other\n"})
    sha = other.push(files=link, message="Hidden")
    shutil.rmtree(tmp_path / "worker" / "into")
    shutil.rmtree(tmp_path / "worker" / "scratch")
    with pytest.raises(UserError, match=r"fetching submodule hidden: .* the App may not read it"):
        checkout(github, other, sha, tmp_path / "worker", SUBMODULES, repositories=["other"])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "ext::sh -c touch% /tmp/x",
        "/etc/passwd",
        "git://example.org/a/b",
        "ssh://git@elsewhere.example.org/a/b",
        "git@elsewhere.example.org:a/b",
        "https://user:word@example.org/a/b",
        "http://example.org/a/b",
        "../../../../etc",
        "../x/../../y",
        "--upload-pack=touch",
        "https://example.org/a\x1b[2J",
        "fd::17",
    ],
)
def test_an_address_that_is_no_server_of_repositories_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="fetching submodule net: its address"):
        submodule_url("https://github.com/acme/infra.git", url, path="net")


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("../net.git", "https://github.com/acme/net.git"),
        ("./sub", "https://github.com/acme/infra.git/sub"),
        ("../../other/net", "https://github.com/other/net"),
        ("git@github.com:acme/net.git", "https://github.com/acme/net.git"),
        ("ssh://git@github.com/acme/net", "https://github.com/acme/net"),
        ("https://gitlab.example.org/a/b.git", "https://gitlab.example.org/a/b.git"),
    ],
)
def test_addresses_mean_what_git_means_by_them(url: str, means: str) -> None:
    assert submodule_url("https://github.com/acme/infra.git", url, path="net") == means


def test_submodules_without_an_address_without_an_end_and_behind_links_are_refused(
    github: SandboxGitHub, repo: Repo, tmp_path: Path
) -> None:
    lost = repo.push(files={"lost": Link("1" * 40)}, message="Lost")
    with pytest.raises(UserError, match=r"fetching submodule lost: \.gitmodules does not say where it is"):
        checkout(github, repo, lost, tmp_path / "lost", SUBMODULES)
    ring = repo.push(files={"lost": None, ".gitmodules": gitmodules(a="../infra.git"), "a": Link(lost)}, message="Ring")
    for _ in range(9):
        ring = repo.push(files={"a": Link(ring)}, message="Deeper")
    with pytest.raises(UserError, match="more than 8 within each other"):
        checkout(github, repo, ring, tmp_path / "ring", SUBMODULES)


def test_gitmodules_is_read_by_git_and_includes_nothing(tmp_path: Path) -> None:
    (tmp_path / "more").write_text(gitmodules(evil="https://example.org/evil"))
    half = '[submodule "a.b"]\n\tpath = a/b/\n\turl = ../x\n[submodule "half"]\n\tpath = h\n'
    text = f"[include]\n\tpath = {tmp_path}/more\n{half}"
    assert read_gitmodules(text.encode(), home=tmp_path) == {"a/b": "../x"}
    with pytest.raises(UserError, match=r"reading \.gitmodules"):
        read_gitmodules(b"[submodule", home=tmp_path)


@needs_lfs
def test_large_files_take_the_place_of_their_pointers(github: SandboxGitHub, repo: Repo, tmp_path: Path) -> None:
    large = os.urandom(300_000)
    sub = github.create_repository("acme", "net", files={"a": "a"})
    inner = sub.push(files={"b.bin": sub.keep_large(b"inner")}, message="Large")
    files = {
        "a.bin": repo.keep_large(large),
        "copy/a.bin": repo.keep_large(large),
        ".lfsconfig": "[lfs]\n\turl = https://elsewhere.example.org/lfs\n\tfetchexclude = *\n",
        ".gitmodules": gitmodules(net="../net.git"),
        "net": Link(inner),
    }
    sha = repo.push(files=files, message="Large", executable={"copy/a.bin"})
    made = checkout(github, repo, sha, tmp_path / "one", BOTH)
    into = tmp_path / "one" / "into"
    assert (into / "a.bin").read_bytes() == (into / "copy" / "a.bin").read_bytes() == large
    assert os.access(into / "copy" / "a.bin", os.X_OK)
    assert (into / "net" / "b.bin").read_bytes() == b"inner"
    assert "LFS: 2 files" in made.told
    assert list((tmp_path / "one" / "scratch").iterdir()) == []


@needs_lfs
def test_a_large_file_that_is_not_there_is_named(github: SandboxGitHub, repo: Repo, tmp_path: Path) -> None:
    pointer = repo.keep_large(b"going away")
    repo.record.lfs.clear()
    sha = repo.push(files={"gone.bin": pointer}, message="Gone")
    with pytest.raises(UserError, match="fetching LFS file"):
        checkout(github, repo, sha, tmp_path / "one", BOTH)


def test_a_worker_without_git_lfs_says_what_to_install(
    github: SandboxGitHub, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = repo.push(files={"a.bin": repo.keep_large(b"large")}, message="Large")
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "git").symlink_to(shutil.which("git") or "git")
    monkeypatch.setenv("PATH", str(bare))
    with pytest.raises(UserError, match="this worker has no git-lfs; install the package git-lfs"):
        checkout(github, repo, sha, tmp_path / "one", BOTH)
