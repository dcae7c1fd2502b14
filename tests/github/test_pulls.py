"""Pull requests, their reviews and signatures as the App asks for them, from the sandbox and from odd answers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import respx

from app.core.errors import RetryableError, UserError
from app.core.event import Repository
from app.core.names import InstallationId, RepositoryId, Secret, Sha
from app.core.pull import PullDetail, Review, ReviewDecision, Reviews, ReviewState, Signature
from app.github.client import GitHubApp
from app.github.config import AppConfig
from app.sandbox import Repo, SandboxGitHub


@pytest.fixture
def number(repo: Repo) -> int:
    """Alice's open pull request."""
    repo.push("topic", {"net/main.tf": "two\n"}, "Two", author="alice", base="main")
    return repo.open_pull("topic", "main", "Two", author="alice")


@pytest.fixture
def fork(sandbox: SandboxGitHub, repo: Repo) -> Repo:
    repo.set_permission("mallory", "read")
    fork = sandbox.fork_repository("acme/infra", "mallory")
    fork.push("topic", {"net/main.tf": "theirs\n"}, "Theirs", author="mallory", base="main", force=True)
    return fork


def detail(app: GitHubApp, repository: Repository, number: int) -> PullDetail:
    found = app.read_pull(repository, number)
    assert found is not None
    return found


# one pull request
def test_a_pull_request_is_read_as_it_is_now(app: GitHubApp, repo: Repo, repository: Repository, number: int) -> None:
    repo.add_labels(number, "prod", by="alice")
    found = detail(app, repository, number)
    facts = found.facts
    assert (facts.number, facts.title, facts.author, facts.labels) == (number, "Two", "alice", ("prod",))
    assert (facts.head_sha, facts.head_ref, facts.head_owner) == (repo.sha("topic"), "topic", "acme")
    assert (facts.base_sha, facts.base_ref) == (repo.sha("main"), "main")
    assert (facts.merge_commit_sha, facts.potential_merge_sha) == (None, repo.pull(number).merge_commit_sha)
    assert not facts.is_from_fork(repository.id)
    assert (found.is_mergeable, found.mergeable_state, found.may_be_merged) == (True, "clean", True)


def test_whether_it_can_be_merged_is_not_known_while_github_computes(
    app: GitHubApp, repo: Repo, repository: Repository, number: int
) -> None:
    repo.mergeable_is_pending = True
    found = detail(app, repository, number)
    assert (found.is_mergeable, found.may_be_merged, found.facts.potential_merge_sha) == (None, None, None)


def test_a_conflict_a_draft_and_a_missing_approval_cannot_be_merged(
    app: GitHubApp, repo: Repo, repository: Repository, number: int
) -> None:
    repo.convert_to_draft(number, by="alice")
    assert detail(app, repository, number).facts.is_draft
    assert detail(app, repository, number).may_be_merged is False
    repo.mark_ready(number, by="alice")
    repo.required_approvals = 1
    blocked = detail(app, repository, number)
    assert (blocked.is_mergeable, blocked.mergeable_state, blocked.may_be_merged) == (True, "blocked", False)
    repo.push(files={"net/main.tf": "mine\n"})
    dirty = detail(app, repository, number)
    assert (dirty.is_mergeable, dirty.may_be_merged, dirty.facts.potential_merge_sha) == (False, False, None)


def test_a_merged_one_is_closed_and_names_what_merged_it(
    app: GitHubApp, repo: Repo, repository: Repository, number: int
) -> None:
    sha = repo.merge_pull(number, by="alice", method="squash")
    found = detail(app, repository, number)
    assert (found.facts.is_closed, found.facts.is_merged, found.facts.merge_commit_sha) == (True, True, sha)
    assert (found.facts.potential_merge_sha, found.may_be_merged) == (None, None)


def test_a_fork_is_known_also_when_it_is_gone(
    app: GitHubApp, sandbox: SandboxGitHub, repo: Repo, repository: Repository, fork: Repo
) -> None:
    number = repo.open_pull("mallory:topic", author="mallory")
    facts = detail(app, repository, number).facts
    assert (facts.head_owner, facts.head_repository_id) == ("mallory", fork.id)
    assert facts.is_from_fork(repository.id)
    sandbox.delete_repository("mallory/infra")
    facts = detail(app, repository, number).facts
    assert (facts.head_owner, facts.head_repository_id, facts.is_from_fork(repository.id)) == ("", None, True)


def test_what_is_not_there_is_none(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    assert app.read_pull(repository, 99) is None
    assert app.read_reviews(repository, 99) is None
    assert app.find_signature(repository, Sha("0" * 40)) is None
    assert app.find_tag_signature(repository, Sha(repo.sha())) is None
    with pytest.raises(UserError, match="No commit found"):
        app.list_changed_pulls(repository, Sha("0" * 40))


# lists
def test_the_open_pull_requests_of_a_commit_are_those_that_it_is_the_head_of(
    app: GitHubApp, repo: Repo, repository: Repository, number: int, fork: Repo
) -> None:
    older = Sha(repo.sha("topic"))
    repo.set_branch("stable", repo.sha("main"))
    other = repo.open_pull("topic", "stable", author="alice")
    theirs = repo.open_pull("mallory:topic", author="mallory")
    assert [one.number for one in app.list_changed_pulls(repository, older)] == [number, other]
    assert [one.number for one in app.list_changed_pulls(repository, Sha(fork.sha("topic")))] == [theirs]
    repo.push("topic", {"more": "1"}, author="alice")
    repo.close_pull(other)
    assert app.list_changed_pulls(repository, older) == ()
    assert [one.number for one in app.list_changed_pulls(repository, Sha(repo.sha("topic")))] == [number]


def test_the_open_pull_requests_of_a_branch_are_those_of_the_repository_itself(
    app: GitHubApp, repo: Repo, repository: Repository, number: int, fork: Repo
) -> None:
    repo.open_pull("mallory:topic", author="mallory")
    assert [one.number for one in app.list_open_pulls(repository, "topic")] == [number]
    assert app.list_open_pulls(repository, "main") == ()
    repo.close_pull(number)
    assert app.list_open_pulls(repository, "topic") == ()


# reviews
def test_only_opinions_of_people_who_may_write_count(
    app: GitHubApp, repo: Repo, repository: Repository, number: int
) -> None:
    repo.approve(number, by="rita")
    assert app.read_reviews(repository, number) == Reviews(decision=ReviewDecision.NOT_REQUIRED)
    repo.set_permission("walter", "write")
    repo.approve(number, by="walter")
    repo.review(number, "Nice.", by="walter")
    approval = Review(reviewer="walter", state=ReviewState.APPROVED, sha=Sha(repo.sha("topic")))
    found = app.read_reviews(repository, number)
    assert found == Reviews(decision=ReviewDecision.NOT_REQUIRED, newest=(approval,))
    assert found.is_approved


def test_approved_means_no_change_request_and_enough_approvals(
    app: GitHubApp, repo: Repo, repository: Repository, number: int
) -> None:
    def is_approved() -> bool:
        found = app.read_reviews(repository, number)
        return found is not None and found.is_approved

    for login in ("walter", "wilma"):
        repo.set_permission(login, "write")
    repo.required_approvals = 2
    repo.approve(number, by="walter")
    assert not is_approved()
    change_request = repo.request_changes(number, "No.", by="wilma")
    repo.required_approvals = 0
    assert not is_approved()
    repo.dismiss_review(number, change_request, by="alice")
    assert is_approved()
    repo.required_approvals = 2
    assert not is_approved()
    repo.approve(number, by="wilma")
    assert is_approved()


# signatures
def test_signatures_name_people_and_github(app: GitHubApp, repo: Repo, repository: Repository, number: int) -> None:
    plain = Sha(repo.push("a", {"a": "1"}, author="alice"))
    signed = Sha(repo.push("a", {"a": "2"}, author="alice", sign=True))
    merged = Sha(repo.merge_pull(number, by="alice"))
    assert app.find_signature(repository, plain) == Signature(is_verified=False)
    assert app.find_signature(repository, signed) == Signature(is_verified=True, signer="alice")
    web = Signature(is_verified=True, signer="web-flow", is_by_github=True)
    assert app.find_signature(repository, merged) == web


def test_a_tag_s_signature_has_no_signer(app: GitHubApp, repo: Repo, repository: Repository) -> None:
    for name, is_signed in (("v1", True), ("v2", False)):
        repo.tag(name, by="alice", message="one", sign=is_signed)
        sha = repo.record.git.find_ref(f"refs/tags/{name}")
        assert sha is not None
        assert app.find_tag_signature(repository, Sha(sha)) == Signature(is_verified=is_signed)
        assert app.find_signature(repository, Sha(sha)) is None


def test_where_graphql_is_refused_rest_says_whether_but_not_who(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sha = Sha(repo.push("a", {"a": "2"}, author="alice", sign=True))
    sandbox.trouble.fail_next("POST", "^/graphql$", 403)
    assert app.find_signature(repository, sha) == Signature(is_verified=True)


def test_a_query_is_a_question_and_asked_again(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub, number: int
) -> None:
    sandbox.trouble.fail_next("POST", "^/graphql$", 502, times=2)
    assert app.read_reviews(repository, number) is not None
    assert sandbox.count_requests("POST", "/graphql") == 3
    sandbox.trouble.fail_next("POST", "^/graphql$", 502, times=3)
    with pytest.raises(RetryableError, match=r"reading the reviews of acme/infra#1: GitHub answered 502"):
        app.read_reviews(repository, number)


# odd answers
API = "https://ghes.example/api/v3"
INFRA = Repository(
    id=RepositoryId(1),
    owner="acme",
    name="infra",
    default_branch="main",
    is_private=True,
    installation_id=InstallationId(42),
)


@pytest.fixture
def ghes(private_key: str) -> Iterator[GitHubApp]:
    app = GitHubApp(AppConfig(app_id=1, private_key=Secret(private_key), api_url=API))
    yield app
    app.close()


@pytest.fixture
def answers() -> Iterator[respx.MockRouter]:
    """Answers that a test writes down, on an Enterprise Server, whose GraphQL stands beside /api/v3."""
    with respx.mock(assert_all_called=True) as router:
        token = {"token": "ghs_made_up", "expires_at": "2999-01-01T00:00:00Z"}
        router.post(f"{API}/app/installations/42/access_tokens").respond(201, json=token)
        yield router


def says(answers: respx.MockRouter, body: Any) -> respx.Route:
    return answers.post("https://ghes.example/api/graphql").respond(200, json=body)


def test_an_enterprise_server_is_queried_beside_its_rest_api(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    asked = says(answers, {"data": {"repository": {"pullRequest": None}}})
    assert ghes.read_reviews(INFRA, 7) is None
    sent = asked.calls.last.request
    assert re.search(rb'"variables": ?\{"owner": ?"acme", ?"name": ?"infra", ?"number": ?7\}', sent.content)
    assert sent.headers["authorization"] == "Bearer ghs_made_up"


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "a limit": ({"errors": [{"type": "RATE_LIMITED", "message": "slow"}]}, RetryableError, "limit is reached: slow"),
    "trouble without a name": ({"errors": [{"message": "Something went wrong"}]}, RetryableError, "Something went"),
    "a permission": (
        {"data": None, "errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]},
        UserError,
        "refused it: Resource not accessible",
    ),
    "a query that this server does not know": (
        {"errors": [{"type": "undefinedField", "message": "Field 'x'\ndoes"}]},
        UserError,
        "refused it: Field 'x'$",
    ),
    "no object": ({"data": []}, RetryableError, "cannot be read"),
    "half an answer": ({"data": {"repository": {}}}, RetryableError, "cannot be read"),
    "a hostile login": (
        {
            "data": {
                "repository": {
                    "pullRequest": {
                        "reviewDecision": None,
                        "latestOpinionatedReviews": {"nodes": [{"state": "APPROVED", "author": {"login": "../x"}}]},
                    }
                }
            }
        },
        RetryableError,
        "cannot be read",
    ),
}


@pytest.mark.parametrize(("body", "kind", "words"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_of_a_query_are_told_apart(
    ghes: GitHubApp, answers: respx.MockRouter, body: Any, kind: type[Exception], words: str
) -> None:
    says(answers, body)
    with pytest.raises(kind, match=words):
        ghes.read_reviews(INFRA, 7)


def test_words_that_are_not_known_approve_nothing(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    nodes: list[Any] = [None, {"state": "ADMIRED", "author": None}, {"state": "APPROVED", "author": None}]
    pull = {"reviewDecision": "PONDERING", "latestOpinionatedReviews": {"nodes": nodes}}
    says(answers, {"data": {"repository": {"pullRequest": pull}}})
    found = ghes.read_reviews(INFRA, 7)
    approval = Review(reviewer="", state=ReviewState.APPROVED, sha=None)
    assert found == Reviews(decision=ReviewDecision.REVIEW_REQUIRED, newest=(approval,))
    assert not found.is_approved


def test_a_signature_that_is_not_valid_has_no_signer(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    signature = {"isValid": False, "wasSignedByGitHub": True, "signer": {"login": "mallory"}}
    says(answers, {"data": {"repository": {"object": {"__typename": "Commit", "signature": signature}}}})
    assert ghes.find_signature(INFRA, Sha("a" * 40)) == Signature(is_verified=False)


@pytest.mark.parametrize(
    ("mergeable", "state", "expected"),
    [
        (True, "has_hooks", True),
        (True, "unstable", True),
        (True, "behind", False),
        (True, "brand_new", False),
        (True, "unknown", None),
        (False, "dirty", False),
        (None, "unknown", None),
    ],
)
def test_githubs_words_say_whether_it_may_be_merged(
    ghes: GitHubApp, answers: respx.MockRouter, mergeable: bool | None, state: str, expected: bool | None
) -> None:
    side = {"sha": "a" * 40, "ref": "x"}
    body = {"number": 7, "state": "open", "head": side, "base": side, "mergeable": mergeable}
    answers.get(f"{API}/repos/acme/infra/pulls/7").respond(json=body | {"mergeable_state": state})
    assert detail(ghes, INFRA, 7).may_be_merged is expected
