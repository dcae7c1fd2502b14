"""Settings: read from a mapping alone, every problem at once, each with its way out, and no secret in any of them."""

from pathlib import Path

import pytest

from app.core.errors import UserError
from app.core.words_setup import ALL_OR_NONE
from app.settings import Settings, describe, is_loopback, load_settings, load_worker_settings, settings_page

PEM = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"
LEAST = {
    "GITHUB_APP_ID": "123456",
    "GITHUB_PRIVATE_KEY": PEM,
    "GITHUB_WEBHOOK_SECRET": "canary-webhook-secret",
}
WORKER = {"CONTROL_URL": "https://trackside.example.org", "WORKER_TOKEN": "canary-worker-token"}


def refused(**changes: str) -> str:
    """What load_settings says about the least settings with these changes."""
    with pytest.raises(UserError) as caught:
        load_settings(LEAST | changes)
    return str(caught.value)


def test_the_least_that_is_needed_is_enough() -> None:
    settings = load_settings(LEAST)
    assert settings.github_app_id == 123456
    assert settings.github_private_key.reveal() == PEM + "\n"
    assert [secret.reveal() for secret in settings.webhook_secrets] == ["canary-webhook-secret"]
    assert settings.public_url == "http://localhost:8000"
    assert (settings.port, settings.lease_s, settings.heartbeat_s, settings.sweep_every_s) == (8000, 20, 0, 5)
    assert settings.artifact_dir == Path("data/artifacts")
    assert (settings.pages_access, settings.command_prefix, settings.log_level) == ("loopback", "/trackside", "info")


def test_nothing_but_the_mapping_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=81\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "80")
    assert load_settings(LEAST).port == 8000


def test_slack_has_one_address_for_all_or_one_for_each_channel() -> None:
    one = "https://hooks.slack.com/services/T0/B0/canary"
    assert load_settings(LEAST).slack_webhook_url == {}
    assert load_settings(LEAST | {"SLACK_WEBHOOK_URL": one}).slack_webhook_url[""].reveal() == one
    some = load_settings(LEAST | {"SLACK_WEBHOOK_URL": f"C0AB={one}?a=b, {one}"}).slack_webhook_url
    assert {channel: url.reveal() for channel, url in some.items()} == {"C0AB": f"{one}?a=b", "": one}


def test_slack_has_addresses_of_one_account_alone_which_each_is_where_several_are_served() -> None:
    one = "https://hooks.slack.com/services/T0/B0/canary"
    several = LEAST | {"ALLOWED_ACCOUNTS": "acme, globex", "SLACK_WEBHOOK_URL": f"Acme/C0AB={one}, acme/={one}?a=b"}
    assert list(load_settings(several).slack_webhook_url) == ["acme/C0AB", "acme/"]
    said = refused(ALLOWED_ACCOUNTS="acme,globex", SLACK_WEBHOOK_URL=f"acme/={one},{one}")
    assert said.startswith("reading settings: SLACK_WEBHOOK_URL: has an entry for every account, and ALLOWED_ACCOUNTS")
    assert "canary" not in said


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("http://hooks.example/canary", "entry 1 is no https:// address"),
        ("general=https://hooks.example/canary", "entry 1 names no channel by its id"),
        ("-/C0AB=https://hooks.example/canary", "entry 1 names no account"),
        ("https://a.example/canary,https://b.example", "has two addresses for channels without their own"),
    ],
)
def test_an_address_of_slack_that_cannot_be_used_is_named_by_its_place(value: str, why: str) -> None:
    said = refused(SLACK_WEBHOOK_URL=value)
    assert said.startswith(f"reading settings: SLACK_WEBHOOK_URL: {why}")
    assert "canary" not in said


def test_all_values_are_read() -> None:
    settings = load_settings(
        LEAST
        | {
            "GITHUB_WEBHOOK_SECRET_PREVIOUS": "canary-webhook-secret-before",
            "ALLOWED_ACCOUNTS": "Acme, acme-labs,",
            "PUBLIC_URL": "https://trackside.example.org/",
            "PORT": "8080",
            "ARTIFACT_URL": "file:///var/lib/trackside/with%20blank",
            "DATABASE_URL": "postgresql://u:p@db/t",
            "WORKER_TOKENS": "default=canary-token-one-1, default=canary-token-two-2,prod=canary-token-three",
            "LOG_LEVEL": "DEBUG",
            "LEASE_S": "12.5",
            "PAGES_ACCESS": "open",
            "COMMAND_PREFIX": "/infra",
            "ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        }
    )
    assert settings.allowed_accounts == ("acme", "acme-labs")
    assert settings.public_url == "https://trackside.example.org"
    assert settings.artifact_dir == Path("/var/lib/trackside/with blank")
    assert {pool: len(tokens) for pool, tokens in settings.worker_tokens.items()} == {"default": 2, "prod": 1}
    assert (settings.log_level, settings.lease_s, len(settings.webhook_secrets)) == ("debug", 12.5, 2)
    assert "canary" not in repr(settings)
    assert "postgresql" not in repr(settings)


def test_the_port_is_part_of_the_default_address() -> None:
    assert load_settings(LEAST | {"PORT": "9000"}).public_url == "http://localhost:9000"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings(LEAST | {"PORT": "", "DATABASE_URL": " ", "WORKER_TOKENS": ""}).port == 8000


def test_the_key_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    file.write_text(PEM)
    environ = {**LEAST, "GITHUB_PRIVATE_KEY": "", "GITHUB_PRIVATE_KEY_FILE": str(file)}
    assert load_settings(environ).github_private_key.reveal() == PEM + "\n"


def test_the_key_may_have_its_line_breaks_written_out() -> None:
    assert (
        load_settings(LEAST | {"GITHUB_PRIVATE_KEY": PEM.replace("\n", "\\n")}).github_private_key.reveal()
        == PEM + "\n"
    )


def test_every_problem_is_named_at_once_with_its_way_out() -> None:
    with pytest.raises(UserError) as caught:
        load_settings({"PORT": "eighty", "GITHUB_APP_ID": "0", "PAGES_ACCESS": "all", "KMS_KEY_ID": "canary key"})
    lines = [line.strip() for line in str(caught.value).removeprefix("reading settings:").strip().splitlines()]
    assert lines == [
        "GITHUB_PRIVATE_KEY: is not set; give the key, or its file as GITHUB_PRIVATE_KEY_FILE",
        ALL_OR_NONE,
        "GITHUB_APP_ID: is out of bounds; give more than 0 and at most 9007199254740992, like 123456",
        "GITHUB_WEBHOOK_SECRET: is not set; give one like (openssl rand -hex 32)",
        "KMS_KEY_ID: is not 1 to 16 KMS keys with commas between; give ARNs, ids or alias/names",
        "PORT: is not a whole number; give one like 8080",
        "PAGES_ACCESS: is none of its words; give 'login', 'loopback' or 'open'",
    ]


LOGIN = {"GITHUB_CLIENT_ID": "Iv1.abc", "GITHUB_CLIENT_SECRET": "a-client-secret-of-the-app"}
ELSEWHERE = "https://trackside.example.org"


@pytest.mark.parametrize(
    ("given", "access"),
    [
        ({}, "loopback"),
        ({"PUBLIC_URL": ELSEWHERE}, "loopback"),
        (LOGIN, "loopback"),
        ({**LOGIN, "PUBLIC_URL": "http://127.0.0.1:8000"}, "loopback"),
        ({**LOGIN, "PUBLIC_URL": ELSEWHERE}, "login"),
        ({**LOGIN, "PUBLIC_URL": ELSEWHERE, "PAGES_ACCESS": ""}, "login"),
        ({**LOGIN, "PUBLIC_URL": ELSEWHERE, "PAGES_ACCESS": "open"}, "open"),
        ({**LOGIN, "PUBLIC_URL": ELSEWHERE, "PAGES_ACCESS": "loopback"}, "loopback"),
        ({**LOGIN, "PAGES_ACCESS": "login"}, "login"),
    ],
)
def test_pages_are_for_people_who_log_in_once_they_can_and_the_address_is_not_this_machine(
    given: dict[str, str], access: str
) -> None:
    settings = load_settings(LEAST | given)
    assert settings.pages_access == access
    assert settings.may_log_in is ("GITHUB_CLIENT_ID" in given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"GITHUB_CLIENT_ID": "Iv1.abc"}, "GITHUB_CLIENT_SECRET: is not set, and GITHUB_CLIENT_ID is"),
        ({"GITHUB_CLIENT_SECRET": "x" * 40}, "GITHUB_CLIENT_ID: is not set, and GITHUB_CLIENT_SECRET is"),
        ({"PAGES_ACCESS": "login"}, "PAGES_ACCESS: is login, and nobody can log in"),
        ({**LOGIN, "PUBLIC_URL": "http://trackside.example.org"}, "PUBLIC_URL: is http, so that sessions would"),
        ({**LOGIN, "GITHUB_CLIENT_ID": "a b"}, "GITHUB_CLIENT_ID: does not have the right form"),
        ({**LOGIN, "GITHUB_CLIENT_SECRET": "short"}, "GITHUB_CLIENT_SECRET: is shorter than 16 characters"),
    ],
)
def test_a_login_that_cannot_work_is_refused_at_the_start(given: dict[str, str], said: str) -> None:
    text = refused(**given)
    assert said in text
    assert "a-client-secret" not in text
    assert "xxxx" not in text


def test_one_problem_is_one_line() -> None:
    assert refused(PORT="0") == "reading settings: PORT: is out of bounds; give at least 1 and at most 65535, like 8080"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ARTIFACT_URL", "s3://Bucket/prefix", "names no S3 bucket"),
        ("ARTIFACT_URL", "s3://bucket/a b", "has a prefix that"),
        ("ARTIFACT_URL", "/var/lib", "no folder and no bucket"),
        ("ARTIFACT_URL", "file://host/var", "no folder and no bucket"),
        ("DATABASE_URL", "mysql://canary:canary@db/t", "not a PostgreSQL address"),
        ("PUBLIC_URL", "trackside.example.org", "not an http(s) URL"),
        ("PUBLIC_URL", "https://canary:canary@host", "no user name"),
        ("PUBLIC_URL", "https://host/path", "no path"),
        ("PUBLIC_URL", "https://[::1", "not a URL"),
        ("GITHUB_API_URL", "ftp://host", "not an http(s) URL"),
        ("GITHUB_API_URL", "http://github.example.org/api/v3", "in clear on another machine"),
        ("GITHUB_SERVER_URL", "http://github.example.org", "in clear on another machine"),
        ("GITHUB_API_VERSION", "latest", "right form"),
        ("GITHUB_PRIVATE_KEY", "canary", "not a PEM private key"),
        ("GITHUB_PRIVATE_KEY_FILE", "/nowhere/app.pem", "keep one of them"),
        ("GITHUB_WEBHOOK_SECRET", "canary", "shorter than 16 characters"),
        ("METRICS_TOKEN", "canary", "shorter than 16 characters"),
        ("ENCRYPTION_KEY", "canary", "not base64 of 32 bytes"),
        ("ENCRYPTION_KEY", "Y2FuYXJ5", "not base64 of 32 bytes"),
        ("ALLOWED_ACCOUNTS", "acme;labs", "no account name"),
        ("WORKER_TOKENS", "canary-token-without-a-pool", "entry 1 is not pool=token"),
        ("WORKER_TOKENS", "default=canary", "entry 1 has a token under 16"),
        ("WORKER_TOKENS", "a=canary-token-number-1,b=canary-token-number-1", "one token twice"),
        (
            "WORKER_TOKENS",
            "a=canary-token-number-1,a=canary-token-number-2,a=canary-token-number-3",
            "more than two tokens for pool a",
        ),
        ("COMMAND_PREFIX", "trackside", "right form"),
        ("COMMAND_PREFIX", "/a b", "right form"),
        ("LEASE_S", "4", "at least 5 and at most 600"),
        ("LEASE_S", "nan", "LEASE_S"),
        ("DATABASE_POOL_SIZE", "1.5", "whole number"),
        ("SWEEP_EVERY_S", "1e99", "at most 300"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("S3_ENDPOINT_URL", "http://s3.example.org", "in clear on another machine"),
        ("S3_SSE", "rot13", "none of its words"),
        ("KMS_KEY_ID", "canary key", "is not 1 to 16 KMS keys"),
        ("STATE_VERSIONS_KEPT", "-1", "at least 0"),
    ],
)
def test_what_is_wrong_is_said_without_the_value(name: str, value: str, words: str) -> None:
    text = refused(**{name: value})
    assert f"{name.removesuffix('_FILE')}: " in text
    assert words in text
    assert "canary" not in text


def test_a_key_file_that_cannot_be_read_is_named() -> None:
    text = refused(GITHUB_PRIVATE_KEY="", GITHUB_PRIVATE_KEY_FILE="/nowhere/app.pem")
    assert text.startswith("reading settings: GITHUB_PRIVATE_KEY_FILE: cannot be read (No such file or directory)")


def test_a_worker_needs_its_own_variables_and_no_others() -> None:
    settings = load_worker_settings(WORKER)
    assert (settings.control_url, settings.worker_pool) == ("https://trackside.example.org", "default")
    assert not set(type(settings).model_fields) & {"database_url", "github_private_key", "encryption_key"}
    assert "canary" not in repr(settings)


@pytest.mark.parametrize("url", ["http://trackside.example.org", "http://10.0.0.7:8000"])
def test_a_worker_sends_its_token_in_clear_to_this_machine_alone(url: str) -> None:
    with pytest.raises(UserError, match="sends tokens in clear"):
        load_worker_settings(WORKER | {"CONTROL_URL": url})
    assert (
        load_worker_settings(WORKER | {"CONTROL_URL": "http://127.0.0.1:8000"}).control_url == "http://127.0.0.1:8000"
    )


def test_releases_are_fetched_signed_or_on_the_operators_word_alone() -> None:
    signed = WORKER | {"TOOLS_MIRROR": "http://m.example.org/", "TOOLS_KEYRING": "/etc/vendors.asc"}
    assert load_worker_settings(signed).tools_mirror == "http://m.example.org"
    for name in ("TOOLS_MIRROR", "TOFU_MIRROR"):
        with pytest.raises(UserError, match=r"reading settings: TOOLS_KEYRING: is not set, and releases would be"):
            load_worker_settings(WORKER | {name: "https://m.example.org"})
    unsigned = WORKER | {"TOOLS_UNSIGNED": "true"}
    assert load_worker_settings(unsigned | {"TOOLS_MIRROR": "https://m.example.org"}).tools_unsigned
    assert load_worker_settings(unsigned | {"TOOLS_MIRROR": "http://127.0.0.1:8080"}).tools_unsigned
    with pytest.raises(UserError, match=r"TOOLS_UNSIGNED: needs an https:// mirror"):
        load_worker_settings(unsigned | {"TOOLS_MIRROR": "http://m.example.org"})


def test_a_mirror_of_providers_is_reached_by_https() -> None:
    assert load_worker_settings(WORKER | {"PROVIDERS_MIRROR": "https://m.example.org/p/"}).providers_mirror
    with pytest.raises(UserError, match=r"PROVIDERS_MIRROR: is not an https:// address"):
        load_worker_settings(WORKER | {"PROVIDERS_MIRROR": "http://m.example.org/p/"})


def test_loopback_is_what_the_machine_calls_itself() -> None:
    assert [
        host
        for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "LOCALHOST")
        if not is_loopback(host)
    ] == []
    assert [host for host in ("", "0.0.0.0", "10.0.0.1", "localhost.example.org", "::") if is_loopback(host)] == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WORKER_CONCURRENCY", "0", "is out of bounds; give at least 1 and at most 64, like 2"),
        ("WORKER_CONCURRENCY", "65", "is out of bounds; give at least 1 and at most 64, like 2"),
        ("WORKER_CONCURRENCY", "two", "is not a whole number; give one like 2"),
        ("WORKER_POOL", "Prod", "does not have the right form; give one like production"),
        ("WORKER_NAME", "runner/1", "does not have the right form; give one like runner-1"),
        ("WORKER_GRACE_S", "-1", "is out of bounds; give at least 0 and at most 86400, like 1800"),
    ],
)
def test_what_a_worker_is_told_is_bounded(name: str, value: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_worker_settings(WORKER | {name: value})
    assert str(caught.value) == f"reading settings: {name}: {words}"


def test_a_heartbeat_comes_at_least_twice_in_a_lease() -> None:
    assert load_settings(LEAST | {"LEASE_S": "12", "HEARTBEAT_S": "6"}).heartbeat_s == 6
    assert refused(LEASE_S="12", HEARTBEAT_S="6.5") == (
        "reading settings: HEARTBEAT_S: is more than half of LEASE_S; one lost heartbeat would lose the run"
    )
    assert "HEARTBEAT_S: is more than half" in refused(HEARTBEAT_S="11"), "also of the default"


def test_every_variable_is_described_and_the_page_is_up_to_date() -> None:
    rows = {row.name: row for row in describe()}
    assert {name.upper() for name in Settings.model_fields} <= set(rows)
    assert all(row.meaning and row.example and row.default for row in rows.values())
    assert {row.unit for row in rows.values() if row.name.endswith("_S")} == {"seconds"}
    page = Path(__file__).parent.parent / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == settings_page(), "write app.settings.settings_page() to docs/settings.md"


def test_a_worker_is_isolated_where_that_works_and_bound_by_default() -> None:
    settings = load_worker_settings({"CONTROL_URL": "http://127.0.0.1:1", "WORKER_TOKEN": "x" * 32})
    assert (settings.isolation, settings.isolation_readable) == ("auto", ())
    assert settings.run_timeout_s == 70 * 60
    assert settings.max_workspace_mb < 2048
    given = {"ISOLATION": "Bubblewrap", "ISOLATION_READABLE": "/opt/a: /opt/b", "MAX_MEMORY_MB": "0"}
    settings = load_worker_settings({"CONTROL_URL": "http://127.0.0.1:1", "WORKER_TOKEN": "x" * 32} | given)
    assert settings.isolation == "bubblewrap"
    assert [str(path) for path in settings.isolation_readable] == ["/opt/a", "/opt/b"]
    assert settings.max_memory_mb == 0
