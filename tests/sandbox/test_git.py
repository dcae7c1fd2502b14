"""Real git against the sandbox: clone, fetch by SHA, push, and who may."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

from app.sandbox import Repo, SandboxGitHub
from tests.sandbox.conftest import Inbox


def git(folder: Path, token: str, *args: str) -> subprocess.CompletedProcess[str]:
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "3" if token else "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Alice",
        "GIT_CONFIG_KEY_1": "user.email",
        "GIT_CONFIG_VALUE_1": "alice@example.com",
        "GIT_CONFIG_KEY_2": "http.extraHeader",
        "GIT_CONFIG_VALUE_2": f"Authorization: Basic {basic}",
    }
    return subprocess.run(["git", *args], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_an_installation_token_clones_and_fetches_by_sha(github: SandboxGitHub, repo: Repo, tmp_path: Path) -> None:
    hidden = repo.push("gone", {"a": "1"})
    repo.delete_branch("gone")
    token = github.installation_token("acme", permissions={"contents": "read"}, repositories=["infra"])
    mirror = tmp_path / "mirror.git"
    assert git(tmp_path, token, "clone", "--bare", "--filter=blob:none", repo.clone_url, str(mirror)).returncode == 0
    assert git(mirror, token, "fetch", "origin", hidden).returncode == 0
    assert git(mirror, token, "show", f"{hidden}:a").stdout == "1"


@pytest.mark.parametrize(
    ("narrowed", "why"),
    [({"permissions": {"checks": "write"}}, "403"), ({"repositories": ["other"]}, "not found")],
)
def test_a_token_without_the_right_reads_nothing(
    github: SandboxGitHub, repo: Repo, tmp_path: Path, narrowed: dict[str, object], why: str
) -> None:
    github.create_repository("acme", "other")
    token = github.installation_token("acme", **narrowed)
    done = git(tmp_path, token, "ls-remote", repo.clone_url)
    assert done.returncode == 128
    assert why in done.stderr


def test_no_token_a_wrong_one_and_an_old_one(github: SandboxGitHub, repo: Repo, tmp_path: Path) -> None:
    token = github.installation_token("acme")
    github.clock.advance(3601)
    for value in ("", "ghs_wrong", token):
        assert git(tmp_path, value, "ls-remote", repo.clone_url).returncode == 128


def test_everybody_reads_a_public_repository(github: SandboxGitHub, served: object, tmp_path: Path) -> None:
    public = github.create_repository("acme", "open", private=False, files={"a": "1"})
    assert public.sha() in git(tmp_path, "", "ls-remote", public.clone_url).stdout


def test_a_push_over_http_is_told_like_any_other(
    github: SandboxGitHub, repo: Repo, inbox: Inbox, tmp_path: Path
) -> None:
    alice = github.user("alice").token
    clone = tmp_path / "clone"
    assert git(tmp_path, alice, "clone", "-q", repo.clone_url, str(clone)).returncode == 0
    (clone / "new.tf").write_text("new\n" * 200_000)
    git(clone, alice, "add", ".")
    git(clone, alice, "commit", "-qm", "New")
    done = git(clone, alice, "push", "-q", "origin", "HEAD:main", "HEAD:refs/heads/other")
    assert done.returncode == 0, done.stderr
    github.wait_deliveries()
    pushes = [one.payload for one in github.deliveries if one.event == "push"]
    assert [(one["ref"], one["pusher"]["name"]) for one in pushes] == [
        ("refs/heads/main", "alice"),
        ("refs/heads/other", "alice"),
    ]
    assert pushes[0]["commits"][0]["added"] == ["new.tf"]
    rita = github.user("rita").token
    assert "403" in git(clone, rita, "push", "origin", "HEAD:refs/heads/mine").stderr
    app = github.installation_token("acme")
    assert "403" in git(clone, app, "push", "origin", "HEAD:refs/heads/mine").stderr


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_three_ways_to_merge(repo: Repo, inbox: Inbox, github: SandboxGitHub, method: str) -> None:
    repo.push("topic", {"net/main.tf": "two\n"}, "Two", author="alice")
    repo.push("topic", {"net/more.tf": "three\n"}, "Three", author="alice")
    base = repo.push(files={"README.md": "other\n"}, message="Meanwhile")
    number = repo.open_pull("topic", title="Topic", author="alice")
    pull = repo.pull(number)
    assert pull.merge_commit_sha is not None
    assert repo.record.git.commit(pull.merge_commit_sha).parents == (base, pull.head_sha)
    sha = repo.merge_pull(number, by="alice", method=method)
    assert repo.sha() == sha
    assert [repo.read_file(path) for path in ("net/main.tf", "net/more.tf", "README.md")] == [
        "two\n",
        "three\n",
        "other\n",
    ]
    titles = [one.title for one in repo.record.git.log(f"{base}..main")]
    expected = {
        "merge": ["Merge pull request #1 from acme/topic", "Three", "Two"],
        "squash": ["Topic (#1)"],
        "rebase": ["Three", "Two"],
    }
    assert titles == expected[method]


def test_a_conflict_is_not_mergeable(repo: Repo) -> None:
    repo.push("topic", {"net/main.tf": "mine\n"})
    number = repo.open_pull("topic")
    assert repo.pull(number).mergeable is True
    repo.push(files={"net/main.tf": "yours\n"})
    assert repo.pull(number).mergeable is False
    assert repo.record.git.find_ref(f"refs/pull/{number}/merge") is None
    repo.push("topic", {"net/main.tf": "yours\n", "more": "1"})
    assert repo.pull(number).mergeable is False or repo.pull(number).mergeable is True
    repo.close_pull(number)
    repo.reopen_pull(number)
    assert repo.pull(number).state == "open"


def test_commits_that_reach_the_base_by_push_count_as_merged(repo: Repo) -> None:
    sha = repo.push("topic", {"a": "1"})
    number = repo.open_pull("topic")
    repo.set_branch("main", sha)
    assert repo.pull(number).merged_at is not None
