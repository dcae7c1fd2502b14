"""The room fits the ports of the flows, and each question costs what the budget says: one request."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from app.core.event import Repository
from app.core.names import Sha
from app.core.reply import Conclusion, DeploymentState
from app.flows.ports import GitHub, PayloadReader
from app.github.client import GitHubApp
from app.github.payloads import make_reader
from app.sandbox import Repo, SandboxGitHub
from tests.github.made import Seen, check, deployment


def test_the_app_and_the_reader_fit_their_ports(app: GitHubApp) -> None:
    """The type checker proves it on these lines."""
    port: GitHub = app
    reader: PayloadReader = make_reader(1)
    assert callable(port.clone_url)
    assert callable(reader)


def test_the_clone_url_holds_no_credentials(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    assert app.clone_url(repository) == repo.clone_url
    assert "@" not in app.clone_url(repository)


@dataclass
class Story:
    """What a call may need: the App, the repository as it knows it, a commit, a check run that was made before."""

    app: GitHubApp
    at: Repository
    sha: Sha
    made: int


CALLS: dict[str, Callable[[Story], object]] = {
    "create_check": lambda on: on.app.create_check(on.at, check(on.sha)),
    "update_check": lambda on: on.app.update_check(on.at, on.made, check(on.sha, conclusion=Conclusion.SUCCESS)),
    "has_annotations": lambda on: on.app.has_annotations(on.at, on.made),
    "retire_check": lambda on: on.app.retire_check(on.at, on.made, "Replaced"),
    "find_check": lambda on: on.app.find_check(on.at, on.sha, "deploy/net", "RUN/1"),
    "ask_permission": lambda on: on.app.ask_permission(on.at, "alice"),
    "find_pull": lambda on: on.app.find_pull(on.at, 1),
    "read_pull": lambda on: on.app.read_pull(on.at, 1),
    "read_reviews": lambda on: on.app.read_reviews(on.at, 1),
    "list_changed_pulls": lambda on: on.app.list_changed_pulls(on.at, on.sha),
    "list_open_pulls": lambda on: on.app.list_open_pulls(on.at, "topic"),
    "find_signature": lambda on: on.app.find_signature(on.at, on.sha),
    "find_tag_signature": lambda on: on.app.find_tag_signature(on.at, on.sha),
    "create_deployment": lambda on: on.app.create_deployment(on.at, deployment(on.sha)),
    "find_deployment": lambda on: on.app.find_deployment(on.at, deployment(on.sha)),
    "comment_on_commit": lambda on: on.app.comment_on_commit(on.at, on.sha, "Hello."),
    "mint_clone_token": lambda on: on.app.mint_clone_token(on.at),
    "find_app_owner": lambda on: on.app.find_app_owner(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_each_call_is_one_request(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub, call: Callable[[Story], object]
) -> None:
    sha = Sha(repo.sha())
    story = Story(app, repository, sha, app.create_check(repository, check(sha)))
    before = len(sandbox.requests)
    call(story)
    assert len(sandbox.requests) - before == 1


def test_the_first_call_is_two_requests_and_the_hook_hears_of_both_by_route(
    app: GitHubApp, repo: Repo, repository: Repository, seen: Seen
) -> None:
    number = app.create_deployment(repository, deployment(repo.sha()))
    app.add_deployment_status(repository, number, DeploymentState.QUEUED, report=deployment(repo.sha()))
    assert seen.requests == [
        ("POST", "/app/installations/{installation}/access_tokens", 201),
        ("POST", "/repos/{owner}/{repo}/deployments", 201),
        ("POST", "/repos/{owner}/{repo}/deployments/{deployment}/statuses", 201),
    ]


def test_the_room_is_there_before_githubkit_is() -> None:
    """Its import costs a fifth of a second, so it waits for the first call."""
    code = "import sys, app.github.client, app.github.payloads; sys.exit('githubkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
