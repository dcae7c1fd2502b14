"""The manifest is app.yml with PUBLIC_URL put in; addresses that can make no App are refused in words beforehand."""

from pathlib import Path

import pytest
import yaml

from app.core.appmanifest import (
    Addresses,
    address_problem,
    is_organisation,
    left_out,
    manifest,
    origin,
    registration_url,
    server_version,
)

FORM = Path(__file__).parents[2] / "app.yml"
GITHUB, API = "https://github.com", "https://api.github.com"
SERVER, SERVER_API = "https://github.example.org", "https://github.example.org/api/v3"


def test_the_manifest_is_app_yml() -> None:
    assert manifest("https://trackside.example.org") == yaml.safe_load(FORM.read_text())


def test_an_old_server_is_not_asked_for_its_merge_queue() -> None:
    lacking = left_out((3, 11))
    assert [need.name for need in lacking] == ["merge_queues", "merge_group"]
    made = manifest("https://t.example.org", lacking)
    assert "merge_queues" not in made["default_permissions"]
    assert "merge_group" not in made["default_events"]
    assert len(made["default_permissions"]) + len(made["default_events"]) == 16
    assert left_out((3, 12)) == left_out((3, 20)) == left_out(None) == ()
    assert left_out((0, 0)) == lacking


@pytest.mark.parametrize(
    ("text", "version"),
    [("3.11.4", (3, 11)), ("3.9", (3, 9)), ("3.12.0.rc1", (3, 12)), ("", None), ("main", None), ("3", None)],
)
def test_the_version_of_a_server_is_its_first_two_numbers(text: str, version: tuple[int, int] | None) -> None:
    assert server_version(text) == version


@pytest.mark.parametrize(
    ("public_url", "server_url", "api_url", "words"),
    [
        ("https://trackside.example.org", GITHUB, API, ""),
        ("https://trackside.example.org", SERVER, SERVER_API, ""),
        ("http://localhost:8000", "http://127.0.0.1:8480", "http://127.0.0.1:8480/api", ""),
        ("https://127.0.0.1", SERVER, SERVER_API, ""),
        ("http://localhost:8000", GITHUB, API, "this machine alone"),
        ("https://[::1]:8000", GITHUB, API, "this machine alone"),
        ("http://trackside.example.org", GITHUB, API, "without https"),
        ("http://10.0.0.5:8000", SERVER, SERVER_API, "without https"),
        ("https://trackside.example.org", SERVER, API, "is not one GitHub"),
        ("https://trackside.example.org", GITHUB, SERVER_API, "is not one GitHub"),
    ],
)
def test_addresses_that_make_no_app_are_told_before_github_is_asked(
    public_url: str, server_url: str, api_url: str, words: str
) -> None:
    problem = address_problem(Addresses(public_url=public_url, server_url=server_url, api_url=api_url))
    assert (words in problem) if words else problem == ""
    assert not words or "start again" in problem


def test_the_manifest_goes_to_the_account_that_was_named() -> None:
    assert registration_url(GITHUB, "", "s&t") == "https://github.com/settings/apps/new?state=s%26t"
    assert registration_url(GITHUB, "acme", "st").startswith("https://github.com/organizations/acme/settings/apps/new?")
    assert [is_organisation(name) for name in ("acme", "a-b_c", "../x", "a/b", "", "a b", "é", "a" * 101)] == [
        *[True] * 2,
        *[False] * 6,
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/settings/apps/new?state=x", "https://github.com"),
        ("https://trackside.example.org:443", "https://trackside.example.org"),
        ("http://LOCALHOST:8000/x", "http://localhost:8000"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
    ],
)
def test_the_origin_of_an_address_is_as_a_browser_has_it(url: str, expected: str) -> None:
    assert origin(url) == expected
