"""Permissions folded as promised and closed by default; pull requests, whose merge commit counts once merged."""

import pytest

from app.core.errors import RetryableError
from app.core.event import Repository
from app.core.stack import Permission
from app.github.client import GitHubApp
from app.github.people import fold
from app.sandbox import Repo, SandboxGitHub


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("none", Permission.NONE),
        ("read", Permission.READ),
        ("triage", Permission.READ),
        ("write", Permission.WRITE),
        ("maintain", Permission.WRITE),
        ("admin", Permission.ADMIN),
    ],
)
def test_roles_fold_into_permissions(
    app: GitHubApp, repo: Repo, repository: Repository, role: str, expected: Permission
) -> None:
    repo.set_permission("alice", role)
    assert app.ask_permission(repository, "alice") is expected


def test_the_permission_is_that_of_this_moment(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    assert app.ask_permission(repository, "alice") is Permission.WRITE
    repo.set_permission("alice", "none")
    assert app.ask_permission(repository, "alice") is Permission.NONE


def test_who_github_does_not_know_may_nothing(app: GitHubApp, repository: Repository) -> None:
    assert app.ask_permission(repository, "nobody-at-all") is Permission.NONE


@pytest.mark.parametrize("login", ["", ".", "..", "a/b", "../../../app", "alice?x=1", "a b", "é", "x" * 200, "a\n"])
def test_what_cannot_be_a_login_may_nothing_and_is_not_asked_for(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub, login: str
) -> None:
    assert app.ask_permission(repository, login) is Permission.NONE
    assert sandbox.requests == []


def test_an_apps_account_is_asked_for_by_its_whole_name(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    assert app.ask_permission(repository, "trackside[bot]") is Permission.NONE
    assert sandbox.count_requests("GET", "collaborators/trackside[bot]/permission") == 1


def test_no_answer_is_no_permission_but_an_error(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sandbox.trouble.fail_next("GET", "permission", 500, times=3)
    with pytest.raises(RetryableError, match="asking for the permission of alice on acme/infra: GitHub answered 500"):
        app.ask_permission(repository, "alice")


@pytest.mark.parametrize(
    ("permission", "role", "expected"),
    [
        ("write", "release-manager", Permission.WRITE),
        ("read", "release-manager", Permission.READ),
        ("write", None, Permission.WRITE),
        ("write", "maintain", Permission.WRITE),
        ("read", "triage", Permission.READ),
        ("write", "triage", Permission.READ),
        ("read", "admin", Permission.READ),
        ("owner", "admin", Permission.NONE),
        ("", None, Permission.NONE),
    ],
)
def test_two_words_fold_to_the_lower_one(permission: str, role: str | None, expected: Permission) -> None:
    assert fold(permission, role) is expected


def test_an_open_pull_request_has_no_merge_commit(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    head = repo.push("topic", {"net/main.tf": "two\n"}, "Two", author="alice", base="main")
    number = repo.open_pull("topic", "main", "Two", author="alice")
    pull = app.find_pull(repository, number)
    assert pull is not None
    assert (pull.number, pull.head_sha, pull.merge_commit_sha) == (number, head, None)


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_a_merged_one_names_the_commit_that_merged_it(
    app: GitHubApp, repo: Repo, repository: Repository, method: str
) -> None:
    repo.push("topic", {"net/main.tf": "two\n"}, "Two", author="alice", base="main")
    number = repo.open_pull("topic", "main", "Two", author="alice")
    merged = repo.merge_pull(number, by="alice", method=method)
    pull = app.find_pull(repository, number)
    assert pull is not None
    assert pull.merge_commit_sha == merged


def test_a_closed_one_was_not_merged(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    repo.push("topic", {"net/main.tf": "two\n"}, "Two", author="alice", base="main")
    number = repo.open_pull("topic", "main", "Two", author="alice")
    repo.close_pull(number)
    pull = app.find_pull(repository, number)
    assert pull is not None
    assert pull.merge_commit_sha is None


def test_a_number_without_pull_request_is_none(app: GitHubApp, repository: Repository) -> None:
    assert app.find_pull(repository, 99) is None
