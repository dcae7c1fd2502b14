"""The stand-in's login is as strict as GitHub's, and stricter: state and proof key are not left out."""

from urllib.parse import urlencode

import pytest

from app.sandbox import Repo, SandboxGitHub, Served
from tests.browser import Browser
from tests.sandbox.conftest import CLIENT

BACK = "https://trackside.example.org/login/callback"
ASKED = {
    "client_id": "Iv23liSandbox0000001",
    "redirect_uri": BACK,
    "state": "s",
    "code_challenge": "c",
    "code_challenge_method": "S256",
}


@pytest.fixture
def browser(github: SandboxGitHub, served: Served, repo: Repo) -> Browser:
    """Somebody's browser, in a world with people."""
    github.app.callback_urls = [BACK]
    return Browser(served.url)


@pytest.mark.parametrize("name", ASKED)
def test_whoever_leaves_something_out_is_told_and_led_nowhere(browser: Browser, name: str) -> None:
    asked = {key: value for key, value in ASKED.items() if key != name}
    answer = browser.look(f"/login/oauth/authorize?{urlencode(asked)}")
    assert answer.status_code == 404
    assert f"a login without {name}" in answer.text


@pytest.mark.parametrize(("name", "value"), [("client_id", "Iv1.other"), ("code_challenge_method", "plain")])
def test_an_unknown_app_and_a_plain_proof_key_are_refused(browser: Browser, name: str, value: str) -> None:
    answer = browser.look(f"/login/oauth/authorize?{urlencode({**ASKED, name: value})}")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "uri", ["https://evil.example.org/login/callback", f"{BACK}.evil", "http://trackside.example.org/login/callback"]
)
def test_another_address_leads_back_to_the_apps_own_with_an_error(browser: Browser, uri: str) -> None:
    answer = browser.look(f"/login/oauth/authorize?{urlencode({**ASKED, 'redirect_uri': uri})}")
    assert answer.headers["location"] == f"{BACK}?error=redirect_uri_mismatch&state=s"


def test_nobody_is_asked_by_a_form_of_another_page(browser: Browser) -> None:
    form = {**ASKED, "login": "alice"}
    answer = browser.send("POST", "/login/oauth/authorize", data=form, headers={"origin": "https://evil.example.org"})
    assert answer.status_code == 403


def test_the_code_is_exchanged_beside_the_pages_and_not_below_the_api(served: Served, github: SandboxGitHub) -> None:
    github.app.callback_urls = [BACK]
    headers = {"user-agent": "t", "accept": "application/json"}
    body = {"client_id": github.app.client_id, "client_secret": github.app.client_secret, "code": "x"}
    found = CLIENT.post(f"{served.url}/login/oauth/access_token", json=body, headers=headers)
    assert (found.status_code, found.json()["error"]) == (200, "bad_verification_code")
    assert CLIENT.post(f"{served.api_url}/login/oauth/access_token", json=body, headers=headers).status_code == 501
    github.unknown_requests.clear()
