"""The wire: who is tried again and who never, limits, redirects, endless and unreadable answers; secrets stay in."""

import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
import respx

from app.core.errors import BrokenError, RetryableError, TracksideError, UserError
from app.core.event import Repository
from app.core.names import InstallationId, RepositoryId, Secret
from app.core.stack import Permission
from app.github import transport
from app.github.client import GitHubApp
from app.github.config import AppConfig
from app.github.refusals import Refusal, to_error
from app.sandbox import Repo, SandboxGitHub
from tests.github.made import Seen, check

API = "https://ghes.example/api/v3"
INFRA = Repository(
    id=RepositoryId(1),
    owner="acme",
    name="infra",
    default_branch="main",
    is_private=True,
    installation_id=InstallationId(42),
)


# against the sandbox
def test_a_get_is_tried_again_when_the_server_stumbles(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    sandbox.trouble.fail_next("GET", "permission", 502, times=2)
    assert app.ask_permission(repository, "alice") is Permission.WRITE
    assert sandbox.count_requests("GET", "permission") == 3


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_post_never_is(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub, status: int
) -> None:
    sandbox.trouble.fail_next("POST", "check-runs", status)
    with pytest.raises(RetryableError, match=f"GitHub answered {status}: Server Error"):
        app.create_check(repository, check(repo.sha()))
    assert sandbox.count_requests("POST", "check-runs") == 1


def test_a_secondary_limit_says_how_long_to_wait(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    app.control_token(repository)
    sandbox.trouble.hit_secondary_limit(1, retry_after_s=42)
    with pytest.raises(
        RetryableError, match=r"GitHub's limit is reached \(403\): You have exceeded a secondary"
    ) as caught:
        app.create_check(repository, check(repo.sha()))
    assert caught.value.retry_after_s == 42
    app.create_check(repository, check(repo.sha()))


def test_the_hourly_limit_waits_for_the_window_and_is_not_knocked_at(
    app: GitHubApp, repo: Repo, repository: Repository, sandbox: SandboxGitHub
) -> None:
    app.control_token(repository)
    sandbox.rates.set_remaining(0)
    with pytest.raises(RetryableError, match="API rate limit exceeded") as caught:
        app.ask_permission(repository, "alice")
    assert caught.value.retry_after_s is not None
    assert 3000 < caught.value.retry_after_s <= 3600
    assert sandbox.count_requests("GET", "permission") == 1


def test_nobody_there_is_for_later(config: AppConfig, repository: Repository, seen: Seen) -> None:
    app = GitHubApp(AppConfig(app_id=1, private_key=config.private_key, api_url="http://127.0.0.1:9"), on_request=seen)
    with pytest.raises(RetryableError, match=r"minting a token for installation .*: no answer from GitHub \(Connect"):
        app.control_token(repository)
    assert [status for *_, status in seen.requests] == [0]
    app.close()


# against recorded answers, for what the sandbox does not do
@pytest.fixture
def ghes(private_key: str) -> Iterator[GitHubApp]:
    """An App on an Enterprise Server whose answers each test writes down."""
    app = GitHubApp(
        AppConfig(app_id=1, private_key=Secret(private_key), api_url=API, server_url="https://ghes.example/")
    )
    yield app
    app.close()


@pytest.fixture
def answers() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=True) as router:
        token = {"token": "ghs_made_up", "expires_at": "2999-01-01T00:00:00Z"}
        router.post(f"{API}/app/installations/42/access_tokens").respond(201, json=token)
        yield router


MADE_UP = Secret("ghs_made_up")
PERMISSION = f"{API}/repos/acme/infra/collaborators/alice/permission"
CHECK_RUNS = f"{API}/repos/acme/infra/check-runs"


def test_an_enterprise_server_is_asked_below_its_own_path(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    asked = answers.get(PERMISSION).respond(json={"permission": "read", "role_name": "triage"})
    assert ghes.ask_permission(INFRA, "alice") is Permission.READ
    headers = asked.calls.last.request.headers
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["authorization"] == "Bearer ghs_made_up"
    assert headers["user-agent"] == "trackside"
    assert ghes.clone_url(INFRA) == "https://ghes.example/acme/infra.git"


def test_a_renamed_repository_is_followed_within_the_api(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    moved = f"{API}/repositories/1/collaborators/alice/permission"
    answers.get(PERMISSION).respond(301, headers={"location": moved})
    answers.get(moved).respond(json={"permission": "admin"})
    assert ghes.ask_permission(INFRA, "alice") is Permission.ADMIN


def test_an_order_is_repeated_at_the_new_address_as_it_was(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    answers.post(CHECK_RUNS).respond(307, headers={"location": "/api/v3/repositories/1/check-runs"})
    new = answers.post(f"{API}/repositories/1/check-runs").respond(201, json={"id": 7})
    assert ghes.create_check(INFRA, check("a" * 40)) == 7
    assert b'"name":"deploy/net"' in new.calls.last.request.content.replace(b": ", b":")


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.example/api/v3/x",
        "http://ghes.example/api/v3/x",
        "https://ghes.example:8443/api/v3/x",
        "https://ghes.example/login",
        "//elsewhere.example/api/v3/",
        "https://ghes.example:port/",
        "",
    ],
)
def test_credentials_never_follow_a_redirect_away(ghes: GitHubApp, answers: respx.MockRouter, location: str) -> None:
    answers.post(CHECK_RUNS).respond(302, headers={"location": location})
    with pytest.raises(RetryableError, match=r"redirect|RemoteProtocolError"):
        ghes.create_check(INFRA, check("a" * 40))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"id": null}',
        b'{"id": "7"}',
        b'{"id": -1}',
        b'{"id": 99999999999999999999}',
        b"[" * 9999,
    ],
)
def test_an_unreadable_answer_to_an_order_is_for_later(ghes: GitHubApp, answers: respx.MockRouter, body: bytes) -> None:
    answers.post(CHECK_RUNS).respond(201, content=body)
    with pytest.raises(RetryableError, match=r"creating check run deploy/net on acme/infra: .* cannot be read"):
        ghes.create_check(INFRA, check("a" * 40))


def test_an_endless_answer_is_cut(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    def endless() -> Iterator[bytes]:
        sent = 0
        while sent <= 2 * transport.MAX_ANSWER_BYTES:
            sent += 1 << 20
            yield b" " * (1 << 20)

    answers.post(CHECK_RUNS).mock(side_effect=lambda _: httpx.Response(201, content=endless()))
    with pytest.raises(RetryableError, match=r"no answer from GitHub \(AnswerTooLargeError\)"):
        ghes.create_check(INFRA, check("a" * 40))


def test_a_retry_after_that_is_no_number_is_a_limit_all_the_same(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    answers.post(CHECK_RUNS).respond(429, headers={"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"})
    with pytest.raises(RetryableError) as caught:
        ghes.create_check(INFRA, check("a" * 40))
    assert caught.value.retry_after_s == 60


def test_an_order_is_not_sent_again_after_a_timeout(ghes: GitHubApp, answers: respx.MockRouter) -> None:
    route = answers.post(CHECK_RUNS).mock(side_effect=httpx.ReadTimeout)
    with pytest.raises(RetryableError, match=r"no answer from GitHub \(ReadTimeout\)"):
        ghes.create_check(INFRA, check("a" * 40))
    assert route.call_count == 1


def test_a_name_that_would_leave_its_place_in_the_path_is_never_sent(
    ghes: GitHubApp, answers: respx.MockRouter
) -> None:
    asked = answers.get(f"{API}/repos/acme/..%2Fx/collaborators/alice/permission").respond(404)
    odd = Repository(
        id=INFRA.id,
        owner="acme",
        name="../x",
        default_branch="m",
        is_private=True,
        installation_id=INFRA.installation_id,
    )
    assert ghes.ask_permission(odd, "alice") is Permission.NONE
    assert asked.calls.last.request.url.raw_path == b"/api/v3/repos/acme/..%2Fx/collaborators/alice/permission"
    dots = Repository(
        id=INFRA.id, owner="..", name="x", default_branch="m", is_private=True, installation_id=INFRA.installation_id
    )
    with pytest.raises(BrokenError, match=r"owner is '\.\.'"):
        ghes.ask_permission(dots, "alice")


# what an answer means
NOW = datetime(2026, 5, 15, tzinfo=UTC).timestamp()
REFUSALS: dict[str, tuple[int, dict[str, str], bytes, type[TracksideError], str, float | None]] = {
    "a permission, as GitHub names it": (
        403,
        {"x-accepted-github-permissions": "checks=write; statuses=write"},
        b'{"message": "Resource not accessible by integration"}',
        UserError,
        "lacks the permission checks: write or statuses: write",
        None,
    ),
    "a permission, named by nobody": (
        403,
        {"x-accepted-github-permissions": "<script>"},
        b'{"message": "Resource not accessible by integration"}',
        UserError,
        "lacks the permission pages: write;",
        None,
    ),
    "an archived repository": (
        403,
        {},
        b'{"message": "Repository was archived so is read-only."}',
        UserError,
        r"GitHub refused it \(403\): Repository was archived so is read-only.",
        None,
    ),
    "a limit without words": (429, {}, b"", RetryableError, "limit is reached", 60.0),
    "a limit by words alone": (403, {}, b'{"message": "API rate limit exceeded"}', RetryableError, "limit", 60.0),
    "a window that ended already": (
        403,
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) - 5)},
        b"{}",
        RetryableError,
        "limit is reached",
        1.0,
    ),
    "a window without an end": (403, {"x-ratelimit-remaining": "0"}, b"{}", RetryableError, "limit is reached", 60.0),
    "a wait of a year": (429, {"retry-after": "31536000"}, b"{}", RetryableError, "limit is reached", 3600.0),
    "a server that says when": (503, {"retry-after": "7"}, b"", RetryableError, "answered 503", 7.0),
    "a server that does not": (504, {}, b"<html>", RetryableError, "answered 504: no readable message", None),
    "a conflict": (
        409,
        {},
        b'{"message": "Conflict: Commit status checks failed", "errors": [{"field": "required_contexts"}]}',
        UserError,
        "Conflict: Commit status checks failed; required_contexts",
        None,
    ),
    "errors as texts": (422, {}, b'{"message": "No", "errors": ["a\\nb"]}', UserError, "No; a b", None),
    "no message": (422, {}, b'{"message": null}', UserError, "no message", None),
    "a message of escapes": (422, {}, b'{"message": "\\u001b[31mred"}', UserError, r": \[31mred", None),
    "gone": (410, {}, b'{"message": "Issues are disabled"}', UserError, r"\(410\): Issues are disabled", None),
}


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "words", "wait_s"), REFUSALS.values(), ids=REFUSALS.keys()
)
def test_an_unhappy_answer_means_one_of_three_things(
    status: int, headers: dict[str, str], body: bytes, kind: type[TracksideError], words: str, wait_s: float | None
) -> None:
    refusal = Refusal(doing="doing it", needs="pages: write", status=status, headers=headers, body=body, now_s=NOW)
    error = to_error(refusal)
    with pytest.raises(kind, match=words):
        raise error
    assert str(error).startswith("doing it: ")
    assert len(str(error)) < 700
    assert getattr(error, "retry_after_s", None) == wait_s


# secrets
def test_no_token_and_no_key_in_any_error_traceback_log_or_hook(
    app: GitHubApp,
    config: AppConfig,
    repo: Repo,
    repository: Repository,
    sandbox: SandboxGitHub,
    seen: Seen,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Tracebacks are taken with the variables of every frame, as some log processors do."""
    caplog.set_level(logging.DEBUG)
    said = [repr(config)]
    sha = repo.sha()
    app.mint_clone_token(repository)
    for method, path, status in (
        ("POST", "check-runs", 401),
        ("POST", "check-runs", 422),
        ("POST", "access_tokens", 500),
        ("GET", "permission", 403),
        ("GET", "permission", 500),
    ):
        sandbox.tokens.clear()
        sandbox.trouble.fail_next(method, path, status, times=3)
        said += [everything_of(lambda: app.create_check(repository, check(sha)))]
        said += [everything_of(lambda: app.ask_permission(repository, "alice"))]
        sandbox.trouble.clear()
    unreachable = GitHubApp(AppConfig(app_id=1, private_key=config.private_key, api_url="http://127.0.0.1:9"))
    said += [everything_of(lambda: unreachable.revoke_token(MADE_UP))]
    unreachable.close()
    assert sum(bool(one) for one in said) == 8
    everything = "\n".join([*said, caplog.text, *capsys.readouterr(), repr(seen.requests), repr(sandbox.requests)])
    assert "POST" in caplog.text
    for secret in ("ghs_", "Bearer ey", "BEGIN RSA", "BEGIN PRIVATE"):
        assert [line[:300] for line in everything.splitlines() if secret in line] == []


def everything_of(act: Callable[[], object]) -> str:
    """The traceback of what the act raises, with the variables of every frame; empty when it raises nothing."""
    try:
        act()
    except TracksideError as error:
        trace = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(trace.format())
    return ""
