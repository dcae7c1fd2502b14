"""Apps of manifests: what GitHub refuses, and that what it made is told once, within an hour."""

import json
from typing import Any

import httpx
import pytest

from app.core.appmanifest import manifest
from app.sandbox import SandboxError, SandboxGitHub, Served, registration
from tests.newcomer import Browser
from tests.sandbox.conftest import CLIENT

GOOD = manifest("http://localhost:8000")


def made(github: SandboxGitHub, **changes: Any) -> str:
    """GitHub's code for an App of the manifest with these changes."""
    owner = github.find_or_add_user("acme", "Organization")
    word = registration.draft(github, json.dumps({**GOOD, **changes}), owner, "")
    return registration.make(github, word, "Trackside")[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"default_events": ["push", "installation"]}, "Default events unsupported: installation"),
        ({"default_events": ["installation_repositories"]}, "Default events unsupported"),
        ({"default_events": ["pushed"]}, "Default events unsupported: pushed"),
        ({"default_permissions": {"checks": "write"}}, "not supported by permissions: push"),
        ({"default_permissions": {"check": "write"}}, "not included in the list: check"),
        ({"default_permissions": {"metadata": "write"}}, "action is not included in the list: metadata: write"),
        ({"default_permissions": {"checks": "admin"}}, "action is not included in the list: checks: admin"),
        ({"public": "no"}, "public has the wrong type"),
        ({"webhook": "x"}, "webhook is not a parameter"),
        ({"redirect_url": "trackside.example.org"}, "redirect_url must be a valid URL"),
        ({"callback_urls": ["javascript:x"]}, r"callback_urls\[0\] must be a valid URL"),
        ({"hook_attributes": {"active": True}}, "hook_attributes.url must be a valid URL"),
        ({"name": "T" * 35}, "longer than 34"),
    ],
)
def test_a_manifest_that_github_would_refuse_is_refused(
    github: SandboxGitHub, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SandboxError, match=words):
        made(github, **changes)


def convert(served: Served, code: str) -> httpx.Response:
    """The App asks what it is."""
    return CLIENT.post(f"{served.api_url}/app-manifests/{code}/conversions", headers={"User-Agent": "test"})


def test_what_was_made_is_told_once_within_an_hour_and_is_then_the_app(github: SandboxGitHub, served: Served) -> None:
    before = github.app
    told = convert(served, made(github)).json()
    assert set(told) >= {"id", "slug", "client_id", "client_secret", "webhook_secret", "pem", "owner", "html_url"}
    assert github.app is not before
    assert (told["id"], told["pem"], told["webhook_secret"]) == (
        github.app.id,
        github.private_key_pem,
        github.webhook_secret,
    )
    assert github.webhook_url == "http://localhost:8000/webhooks/github"
    code = made(github)
    assert convert(served, code).status_code == 201
    assert convert(served, code).status_code == 404
    late = made(github)
    github.clock.advance(3601)
    assert convert(served, late).status_code == 404


def test_its_page_takes_a_form_of_another_site_and_its_button_does_not(github: SandboxGitHub, served: Served) -> None:
    """The form shows the manifest and makes nothing; whoever presses the button is on GitHub."""
    github.create_user("alice")
    github.create_organization("acme")
    form = {"manifest": json.dumps(GOOD)}
    away = {"origin": "https://trackside.example.org"}
    path = f"{served.url}/organizations/acme/settings/apps/new?state=s"
    shown = CLIENT.post(path, data=form, headers=away)
    assert (shown.status_code, "Create GitHub App for acme" in shown.text) == (200, True)
    assert CLIENT.post(f"{served.url}/-/apps", data={"word": "x", "name": "T"}, headers=away).status_code == 403
    assert CLIENT.post(path, data={"manifest": "{"}, headers=away).status_code == 422
    nobody = f"{served.url}/organizations/alice/settings/apps/new"
    assert "there is no organization" in CLIENT.post(nobody, data=form, headers=away).text


def test_it_is_installed_on_the_account_that_owns_it(github: SandboxGitHub, served: Served) -> None:
    """On one repository or on all; not twice."""
    github.create_user("alice")
    made(github, setup_url="")
    repo = github.create_repository("acme", "infra", installed=False)
    github.create_repository("acme", "other", installed=False)
    with Browser() as browser:
        browser.open(f"{served.url}/apps/trackside")
        browser.click("Install")
        browser.send(1, which="one", repository=str(repo.id))
        assert "Installed on acme." in browser.words
        assert github.installation("acme").repository_ids == {repo.id}
        browser.click("Install")
        assert "is installed on acme already" in browser.send(1, which="all").text
