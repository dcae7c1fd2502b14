"""Comments and reactions through the port, and finding what was said when the answer was lost."""

from datetime import timedelta

import pytest

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.event import Repository
from app.core.names import Sha
from app.github.client import GitHubApp
from app.sandbox import Repo, SandboxGitHub


@pytest.fixture
def pull(repo: Repo) -> int:
    repo.push("topic", {"net/main.tf": "two\n"}, "Two", author="alice", base="main")
    return repo.open_pull("topic", "main", "Two", author="alice")


def test_a_comment_stands_on_the_pull_request(app: GitHubApp, repo: Repo, repository: Repository, pull: int) -> None:
    number = app.comment_on_pull(repository, pull, "Confirmed by `alice`.")
    (comment,) = repo.comments(pull)
    assert (comment.id, comment.body, comment.user.login) == (number, "Confirmed by `alice`.", "trackside[bot]")


def test_a_comment_stands_on_the_commit(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    number = app.comment_on_commit(repository, Sha(repo.sha()), "Why: no stack changed.")
    (comment,) = repo.commit_comments("main")
    assert (comment.id, comment.body) == (number, "Why: no stack changed.")


def test_a_reaction_given_twice_is_there_once(app: GitHubApp, repo: Repo, repository: Repository, pull: int) -> None:
    comment = repo.comment_on_pull(pull, "/trackside confirm", by="alice")
    for content in ("eyes", "eyes", "+1"):
        app.react(repository, comment.id, content)
    assert [one.content for one in repo.reactions(comment)] == ["eyes", "+1"]


def test_to_a_comment_that_is_gone_there_is_no_reaction(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    app.react(repository, 1, "eyes")
    assert sandbox.count_requests("POST", "reactions") == 1


def test_a_reaction_that_github_does_not_have_is_never_sent(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub
) -> None:
    with pytest.raises(BrokenError, match="GitHub has no reaction 'ok'"):
        app.react(repository, 1, "ok")
    assert sandbox.requests == []


def test_a_lost_comment_on_a_pull_request_is_found(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub, pull: int
) -> None:
    repo.comment_on_pull(pull, "Done.\n\nReally.", by="alice")
    assert app.find_comment(repository, number=pull, sha=None, body="Done.\n\nReally.") is None
    sandbox.trouble.fail_next("POST", "comments", 502, after_work=True)
    with pytest.raises(RetryableError):
        app.comment_on_pull(repository, pull, "Done.\n\nReally.")
    found = app.find_comment(repository, number=pull, sha=None, body="Done.\r\n\r\nReally.\n")
    assert found == repo.comments(pull)[-1].id
    assert app.find_comment(repository, number=pull, sha=None, body="Done.") is None


def test_a_lost_comment_on_a_commit_is_found(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sha = Sha(repo.sha())
    repo.comment_on_commit(sha, "Done.", by="alice")
    assert app.find_comment(repository, number=None, sha=sha, body="Done.") is None
    sandbox.trouble.fail_next("POST", "comments", 502, after_work=True)
    with pytest.raises(RetryableError):
        app.comment_on_commit(repository, sha, "Done.")
    assert app.find_comment(repository, number=None, sha=sha, body="Done.") == repo.commit_comments("main")[-1].id


def test_a_long_conversation_is_read_to_its_end(app: GitHubApp, repo: Repo, repository: Repository, pull: int) -> None:
    for number in range(101):
        repo.comment_on_pull(pull, f"talk {number}", by="alice")
    mine = app.comment_on_pull(repository, pull, "Done.")
    assert app.find_comment(repository, number=pull, sha=None, body="Done.") == mine


def test_looked_for_nowhere_means_not_found(app: GitHubApp, repository: Repository, sandbox: SandboxGitHub) -> None:
    assert app.find_comment(repository, number=None, sha=None, body="Done.") is None
    assert sandbox.requests == []


def test_comments_are_asked_for_since_three_days_ago(
    app: GitHubApp, repository: Repository, sandbox: SandboxGitHub, pull: int
) -> None:
    """A POST that was lost is at most as old as a delivery that is still given again."""
    mine = app.comment_on_pull(repository, pull, "Done.")
    sandbox.clock.advance(timedelta(days=2).total_seconds())
    assert app.find_comment(repository, number=pull, sha=None, body="Done.") == mine


def test_an_empty_comment_is_refused_with_githubs_words(app: GitHubApp, repository: Repository, pull: int) -> None:
    with pytest.raises(UserError, match=r"commenting on acme/infra#1: GitHub refused it \(422\): .*can't be blank"):
        app.comment_on_pull(repository, pull, " ")


def test_what_people_wrote_since_then_is_listed_oldest_first(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository, pull: int
) -> None:
    """Neither what is older, nor what the App said itself, though GitHub names both."""
    repo.comment_on_pull(pull, "before", by="alice")
    sandbox.clock.advance(60)
    since = sandbox.clock.now()
    sandbox.clock.advance(60)
    first = repo.comment_on_pull(pull, "/trackside confirm", by="alice")
    app.comment_on_pull(repository, pull, "Confirmed.")
    second = repo.comment_on_pull(pull, "/trackside discard", by="alice")
    found = app.list_comments(repository, since)
    assert [(one.comment_id, one.pull_number, one.sender, one.body) for one in found] == [
        (first.id, pull, "alice", "/trackside confirm"),
        (second.id, pull, "alice", "/trackside discard"),
    ]
