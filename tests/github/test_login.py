"""Logging people in, against the sandbox: who they are, once, with a proof key; their token ends with the answer."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from app.core.errors import RetryableError
from app.core.names import Secret
from app.core.visitor import Account, LoginProblem, LoginRefused
from app.github.client import GitHubApp
from app.github.config import AppConfig
from app.sandbox import Repo, SandboxGitHub
from app.sandbox.routes_login import challenge_of
from tests.browser import Browser

BACK = "https://trackside.example.org/login/callback"
VERIFIER = Secret("v" * 43)


@pytest.fixture
def login_app(config: AppConfig, sandbox: SandboxGitHub, repo: Repo) -> Iterator[GitHubApp]:
    """The App with its secret, in a world with alice."""
    sandbox.app.callback_urls = [BACK]
    app = GitHubApp(replace(config, client_secret=Secret(sandbox.app.client_secret)), now=sandbox.clock.now)
    yield app
    app.close()


def brought(app: GitHubApp, login: str = "alice", *, verifier: Secret = VERIFIER, back: str = BACK) -> dict[str, str]:
    """What somebody brings back from GitHub's page."""
    url = app.login_url(state="the-state", challenge=challenge_of(verifier.reveal()), redirect_uri=back)
    browser = Browser("")
    page = browser.get(url)
    form = {"client_id": "", "login": login} | {
        name: values[0] for name, values in parse_qs(urlsplit(url).query).items()
    }
    origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
    answer = browser.send("POST", f"{origin}/login/oauth/authorize", data=form, headers={"origin": origin})
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


def test_who_comes_back_is_told_by_number_and_login_and_their_token_is_gone(
    login_app: GitHubApp, sandbox: SandboxGitHub
) -> None:
    told = brought(login_app)
    assert told["state"] == "the-state"
    found = login_app.identify(code=told["code"], verifier=VERIFIER, redirect_uri=BACK)
    assert found == Account(id=sandbox.user("alice").id, login="alice")
    assert sandbox.user_tokens == {}
    assert [(one.method, one.path) for one in sandbox.requests] == [
        ("POST", "/login/oauth/access_token"),
        ("GET", "/user"),
        ("DELETE", f"/applications/{sandbox.app.client_id}/token"),
    ]
    again = login_app.identify(code=told["code"], verifier=VERIFIER, redirect_uri=BACK)
    assert again == LoginRefused(problem=LoginProblem.CODE, said="bad_verification_code"), "a code is good once"


def test_a_code_is_nothing_without_its_proof_key_its_address_and_its_time(
    login_app: GitHubApp, sandbox: SandboxGitHub
) -> None:
    def problem(**how: object) -> LoginProblem:
        given = {"code": brought(login_app)["code"], "verifier": VERIFIER, "redirect_uri": BACK, **how}
        found = login_app.identify(**given)  # type: ignore[arg-type]  # the right ones, one after the other
        assert isinstance(found, LoginRefused)
        return found.problem

    assert problem(verifier=Secret("another")) is LoginProblem.CODE
    assert problem(redirect_uri=f"{BACK}/else") is LoginProblem.CALLBACK
    assert problem(code="made-up") is LoginProblem.CODE
    assert problem(code="") is LoginProblem.CODE
    assert problem(code="x" * 1_000) is LoginProblem.CODE
    old = brought(login_app)["code"]
    sandbox.clock.advance(601)
    assert problem(code=old) is LoginProblem.CODE


def test_a_wrong_secret_and_an_unknown_app_are_the_operators_to_put_right(
    config: AppConfig, login_app: GitHubApp, sandbox: SandboxGitHub
) -> None:
    code = brought(login_app)["code"]
    for wrong in ({"client_secret": Secret("not the secret!!")}, {"client_id": "Iv1.unknown"}):
        app = GitHubApp(replace(config, **wrong), now=sandbox.clock.now)
        found = app.identify(code=code, verifier=VERIFIER, redirect_uri=BACK)
        assert isinstance(found, LoginRefused)
        assert found.problem is LoginProblem.SECRET
        assert not app.takes_client_secret()
        app.close()
    assert login_app.takes_client_secret()


def test_a_github_that_breaks_half_way_leaves_no_token_behind(login_app: GitHubApp, sandbox: SandboxGitHub) -> None:
    code = brought(login_app)["code"]
    sandbox.trouble.fail_next("GET", r"^/user$", status=502, times=3)
    with pytest.raises(RetryableError):
        login_app.identify(code=code, verifier=VERIFIER, redirect_uri=BACK)
    assert sandbox.user_tokens == {}


def test_a_token_that_cannot_be_revoked_keeps_nobody_out(login_app: GitHubApp, sandbox: SandboxGitHub) -> None:
    code = brought(login_app)["code"]
    sandbox.trouble.fail_next("DELETE", r"^/applications/", status=502)
    assert isinstance(login_app.identify(code=code, verifier=VERIFIER, redirect_uri=BACK), Account)


def test_no_secret_is_in_the_address_or_in_what_is_printed(login_app: GitHubApp, config: AppConfig) -> None:
    url = login_app.login_url(state="s", challenge=challenge_of(VERIFIER.reveal()), redirect_uri=BACK)
    query = parse_qs(urlsplit(url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert VERIFIER.reveal() not in url
    assert "sandbox-client-secret" not in url + repr(replace(config, client_secret=Secret("sandbox-client-secret")))
