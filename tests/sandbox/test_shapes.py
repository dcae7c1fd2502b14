"""Every answer satisfies GitHub's OpenAPI description, as githubkit checks it when `parsed_data` is read."""

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from githubkit import AppAuthStrategy, GitHub, TokenAuthStrategy

from app.sandbox import Repo, SandboxGitHub, Served

VERSIONS = [
    version
    for version in ("2022-11-28", "2026-03-10")
    if importlib.util.find_spec("githubkit_schemas.v" + version.replace("-", "_"))
]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rest(repo: Repo, github: SandboxGitHub, served: Served, version: str) -> Iterator[Any]:
    token = TokenAuthStrategy(github.installation_token("acme"))
    with GitHub(token, base_url=served.api_url, auto_retry=False, http_cache=False) as client:
        yield client.rest(version)
    assert github.unknown_requests == []


@pytest.fixture
def app_rest(repo: Repo, github: SandboxGitHub, served: Served, version: str) -> Iterator[Any]:
    now = int(time.time())
    token = jwt.encode({"iss": str(github.app.id), "iat": now - 60, "exp": now + 540}, github.private_key_pem, "RS256")
    with GitHub(TokenAuthStrategy(token), base_url=served.api_url, auto_retry=False, http_cache=False) as client:
        yield client.rest(version)
    assert github.unknown_requests == []


def test_the_app_and_its_installations(app_rest: Any, github: SandboxGitHub, repo: Repo) -> None:
    number = github.installation("acme").id
    assert app_rest.apps.get_authenticated().parsed_data.slug == "trackside"
    assert [one.id for one in app_rest.apps.list_installations().parsed_data] == [number]
    assert app_rest.apps.get_installation(number).parsed_data.repository_selection == "all"
    assert app_rest.apps.get_repo_installation("acme", "infra").parsed_data.id == number
    token = app_rest.apps.create_installation_access_token(
        number, repository_ids=[repo.id], permissions={"contents": "read"}
    ).parsed_data
    assert [one.name for one in token.repositories] == ["infra"]


def test_githubkit_signs_in_as_an_app(github: SandboxGitHub, served: Served, repo: Repo) -> None:
    strategy = AppAuthStrategy(github.app.id, github.private_key_pem)
    with GitHub(strategy, base_url=served.api_url, auto_retry=False, http_cache=False) as client:
        assert client.rest.apps.get_authenticated().parsed_data.id == github.app.id


def test_deliveries(app_rest: Any, github: SandboxGitHub, repo: Repo, inbox: Any) -> None:
    for number in range(3):
        repo.push(files={"a": str(number)})
    github.wait_deliveries()
    first = app_rest.apps.list_webhook_deliveries(per_page=2)
    assert len(first.parsed_data) == 2
    link = first.headers["link"]
    cursor = link.partition("cursor=")[2].partition(">")[0]
    more = app_rest.apps.list_webhook_deliveries(per_page=100, cursor=cursor).parsed_data
    assert len(more) + 2 == len(github.deliveries)
    assert {one.id for one in more}.isdisjoint(one.id for one in first.parsed_data)
    whole = app_rest.apps.get_webhook_delivery(more[-1].id).parsed_data
    assert whole.request.headers is not None
    assert app_rest.apps.redeliver_webhook_delivery(more[-1].id).status_code == 202


def test_the_repository_and_its_git(rest: Any, repo: Repo) -> None:
    old = repo.sha()
    sha = repo.push("feature/x", {"net/main.tf": "two\n", "net/ö.tf": "new\n", "README.md": None}, author="alice")
    repo.tag("v1", sha, message="one")
    reads: list[Callable[[], Any]] = [
        lambda: rest.repos.get("acme", "infra"),
        lambda: rest.repos.list_branches("acme", "infra"),
        lambda: rest.repos.get_branch("acme", "infra", "feature/x"),
        lambda: rest.git.get_ref("acme", "infra", "heads/feature/x"),
        lambda: rest.git.get_ref("acme", "infra", "tags/v1"),
        lambda: rest.git.list_matching_refs("acme", "infra", "heads/feat"),
        lambda: rest.repos.list_commits("acme", "infra", sha="feature/x"),
        lambda: rest.repos.get_commit("acme", "infra", "v1"),
        lambda: rest.repos.compare_commits("acme", "infra", f"{old}...{sha}"),
        lambda: rest.repos.get_content("acme", "infra", "net/main.tf", ref=sha),
        lambda: rest.repos.get_content("acme", "infra", "net", ref=sha),
        lambda: rest.repos.get_collaborator_permission_level("acme", "infra", "alice"),
        rest.rate_limit.get,
        rest.apps.list_repos_accessible_to_installation,
    ]
    answers = [read().parsed_data for read in reads]
    compared = answers[8]
    assert {one.filename: one.status for one in compared.files} == {
        "README.md": "removed",
        "net/main.tf": "modified",
        "net/ö.tf": "added",
    }
    assert answers[4].object_.type == "tag"
    assert answers[11].role_name == "write"


def test_a_pull_request_with_its_talk(rest: Any, repo: Repo, version: str) -> None:
    sha = repo.push("topic", {"net/main.tf": "two\n"}, author="alice")
    number = repo.open_pull("topic", title="Two", author="alice")
    one = rest.pulls.get("acme", "infra", number).parsed_data
    assert one.mergeable is True
    assert hasattr(one, "merge_commit_sha") == (version == "2022-11-28")
    assert len(rest.pulls.list("acme", "infra").parsed_data) == 1
    assert [file.filename for file in rest.pulls.list_files("acme", "infra", number).parsed_data] == ["net/main.tf"]
    assert len(rest.pulls.list_commits("acme", "infra", number).parsed_data) == 1
    assert [
        pull.number for pull in rest.repos.list_pull_requests_associated_with_commit("acme", "infra", sha).parsed_data
    ] == [number]
    comment = rest.issues.create_comment("acme", "infra", number, body="Hello").parsed_data
    assert comment.performed_via_github_app.id == 4711
    assert rest.issues.update_comment("acme", "infra", comment.id, body="Bye").parsed_data.body == "Bye"
    assert rest.issues.get_comment("acme", "infra", comment.id).parsed_data.body == "Bye"
    reaction = rest.reactions.create_for_issue_comment("acme", "infra", comment.id, content="eyes").parsed_data
    assert len(rest.reactions.list_for_issue_comment("acme", "infra", comment.id).parsed_data) == 1
    assert rest.reactions.delete_for_issue_comment("acme", "infra", comment.id, reaction.id).status_code == 204
    assert rest.issues.delete_comment("acme", "infra", comment.id).status_code == 204
    assert rest.issues.list_comments("acme", "infra", number).parsed_data == []
    merged = repo.merge_pull(number, by="alice", method="squash")
    found = rest.repos.list_pull_requests_associated_with_commit("acme", "infra", merged).parsed_data
    assert [(pull.number, pull.merged_at is not None) for pull in found] == [(number, True)]


def test_a_pull_request_of_a_fork_with_labels_and_reviews(rest: Any, github: SandboxGitHub, repo: Repo) -> None:
    repo.set_permission("mallory", "read")
    github.fork_repository("acme/infra", "mallory").push("topic", {"a": "1"}, author="mallory", sign=True)
    number = repo.open_pull("mallory:topic", author="mallory", draft=True)
    repo.add_labels(number, "prod")
    repo.approve(number, by="rita")
    pull = rest.pulls.get("acme", "infra", number).parsed_data
    assert (pull.head.repo.full_name, pull.draft, pull.mergeable_state) == ("mallory/infra", True, "draft")
    assert [one.name for one in pull.labels] == ["prod"]
    assert [one.state for one in rest.pulls.list_reviews("acme", "infra", number).parsed_data] == ["APPROVED"]
    assert len(rest.pulls.list("acme", "infra", head="mallory:topic").parsed_data) == 1
    assert rest.git.get_commit("acme", "infra", pull.head.sha).parsed_data.verification.verified
    repo.tag("v1", message="one", sign=True)
    tag = rest.git.get_ref("acme", "infra", "tags/v1").parsed_data.object_.sha
    assert rest.git.get_tag("acme", "infra", tag).parsed_data.verification.reason == "valid"
    github.delete_repository("mallory/infra")
    assert rest.pulls.get("acme", "infra", number).parsed_data.head.repo is None


def test_comments_on_commits(rest: Any, repo: Repo) -> None:
    sha = repo.sha()
    made = rest.repos.create_commit_comment("acme", "infra", sha, body="Planned").parsed_data
    assert rest.repos.get_commit_comment("acme", "infra", made.id).parsed_data.commit_id == sha
    assert len(rest.repos.list_comments_for_commit("acme", "infra", sha).parsed_data) == 1
    assert len(rest.repos.list_commit_comments_for_repo("acme", "infra").parsed_data) == 1


def test_checks(rest: Any, repo: Repo) -> None:
    sha = repo.push(files={"net/main.tf": "two\n"})
    made = rest.checks.create("acme", "infra", name="deploy/net", head_sha=sha, status="in_progress").parsed_data
    done = rest.checks.update(
        "acme",
        "infra",
        made.id,
        conclusion="action_required",
        output={"title": "+1", "summary": "One to add"},
        actions=[{"label": "Confirm", "description": "Apply the plan", "identifier": "c0123"}],
    ).parsed_data
    assert (done.status, done.conclusion) == ("completed", "action_required")
    assert rest.checks.get("acme", "infra", made.id).parsed_data.output.title == "+1"
    assert rest.checks.list_for_ref("acme", "infra", sha).parsed_data.total_count == 1
    suites = rest.checks.list_suites_for_ref("acme", "infra", sha).parsed_data
    assert suites.check_suites[0].conclusion == "action_required"
    assert rest.checks.list_for_suite("acme", "infra", suites.check_suites[0].id).parsed_data.total_count == 1
    assert rest.checks.get_suite("acme", "infra", suites.check_suites[0].id).parsed_data.head_sha == sha
    assert rest.checks.rerequest_run("acme", "infra", made.id).status_code == 201


def test_deployments(rest: Any, repo: Repo) -> None:
    sha = repo.sha()
    made = rest.repos.create_deployment(
        "acme", "infra", ref=sha, auto_merge=False, required_contexts=[], environment="net", payload={"run": "1"}
    ).parsed_data
    status = rest.repos.create_deployment_status(
        "acme", "infra", made.id, state="success", log_url="https://trackside.test/runs/1", description="done"
    ).parsed_data
    assert status.state == "success"
    assert rest.repos.get_deployment("acme", "infra", made.id).parsed_data.payload
    assert len(rest.repos.list_deployments("acme", "infra", sha=sha).parsed_data) == 1
    assert len(rest.repos.list_deployment_statuses("acme", "infra", made.id).parsed_data) == 1
