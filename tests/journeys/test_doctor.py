"""`trackside doctor` on a control plane: everything that is not as it should be is named, with the way out."""

import copy
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.appform import EVENTS, PERMISSIONS
from app.core.finding import Finding, fine
from app.core.names import Secret
from app.core.notice import Endpoint
from app.core.setup import AppCredentials
from app.doctor import Check, examine, run_checks
from app.sandbox.keys import make_private_key
from app.settings import load_settings
from tests.database import made_database
from tests.driver import OWNER, World, open_world

Told = list[tuple[str, str, str]]


def ask(world: World, **variables: str) -> Told:
    """What is found (level, subject, text), with variables set otherwise."""
    found = examine({"PATH": os.environ["PATH"], **world.environ, **variables})
    return [(one.level.value, one.subject, one.text) for one in found]


def bad(found: Told) -> Told:
    """What is not ok."""
    return [one for one in found if one[0] != "ok"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[World]:
    """A world with a repository, whose installation event has arrived, and with its key file."""
    with made_database(server_url, template=database_template) as url:
        root: Path = tmp_path_factory.mktemp("world")
        with open_world(root, url) as world:
            world.repository()
            world.settle()
            yield world


@pytest.fixture
def kept(running: World) -> Iterator[World]:
    """The same world for every test: what one changes at GitHub is put back."""
    github = running.github
    installation = github.installation(OWNER)
    before = copy.deepcopy((github.app.permissions, github.app.events, installation.permissions, installation.events))
    url, secret = github.webhook_url, github.webhook_secret
    yield running
    github.app.permissions, github.app.events, installation.permissions, installation.events = before
    github.webhook_url, github.webhook_secret, installation.suspended_at = url, secret, None
    github.server_version = None
    github.trouble.clear()
    if "stranger" in github.users and len(github.installations) > 1:
        github.uninstall("stranger")


def test_nothing_is_wrong_with_what_works(kept: World) -> None:
    """Everything is looked at, one line each, and the exit code is 0."""
    found = ask(kept)
    assert bad(found) == []
    assert [subject for _, subject, _ in found] == [
        "settings",
        "database",
        "artifacts",
        "keys",
        "policies",
        "pages",
        "github",
        "clock",
        "permissions",
        "installations",
        "webhook",
        "deliveries",
    ]


def test_a_permission_that_the_app_lacks_is_named_with_what_it_is_for(kept: World) -> None:
    """Every permission in turn."""
    for need in PERMISSIONS:
        held = kept.github.app.permissions.pop(need.name)
        found = ask(kept)
        kept.github.app.permissions[need.name] = held
        ((level, subject, text),) = bad(found)
        assert (level, subject) == ("problem", "permissions")
        assert f"{need.name}: {need.level} is missing" in text
        assert need.reason in text


def test_a_permission_that_is_too_weak_or_too_strong_is_named(kept: World) -> None:
    """Read where write is needed is a problem; write where read is enough, a warning."""
    kept.github.app.permissions.update(deployments="read", contents="write")
    found = ask(kept)
    assert [(level, text.split(",")[0]) for level, _, text in bad(found)] == [
        ("warning", "contents: the App has write"),
        ("problem", "deployments: write is missing (has read)"),
    ]


def test_an_old_enterprise_server_is_excused_from_its_merge_queue(kept: World) -> None:
    """What it lacks, the set-up left out; a newer one is told."""
    del kept.github.app.permissions["merge_queues"], kept.github.installation(OWNER).permissions["merge_queues"]
    kept.github.server_version = "3.11.4"
    assert bad(ask(kept)) == []
    kept.github.server_version = "3.12.0"
    assert [text.split(":")[0] for _, _, text in bad(ask(kept))] == ["merge_queues", OWNER]


def test_without_an_app_the_set_up_is_named_and_what_needs_none_is_looked_at(kept: World) -> None:
    """And an App of the environment comes before one that set-up stored, which is told."""
    none = dict.fromkeys(("GITHUB_APP_ID", "GITHUB_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET"), "")
    found = ask(kept, **none)
    ((level, subject, text),) = bad(found)
    assert (level, subject) == ("problem", "app")
    assert "open PUBLIC_URL/setup in a browser with the code" in text
    assert [one[1] for one in found] == ["app", "database", "artifacts", "keys", "policies", "pages"]
    with kept.plane.store.begin() as tx:
        tx.add_app(
            AppCredentials(
                app_id=kept.github.app.id,
                slug="stored",
                owner=OWNER,
                client_id=kept.github.app.client_id,
                client_secret=Secret(kept.github.app.client_secret),
                webhook_secret=Secret(kept.github.webhook_secret),
                private_key=Secret(kept.github.private_key_pem),
                html_url="",
                server_url=kept.served.url,
            )
        )
    ((level, subject, text),) = bad(ask(kept))
    assert (level, subject, "(stored, of acme) does not count" in text) == ("warning", "app", True)
    assert bad(ask(kept, **none)) == []
    with kept.plane.store.begin() as tx:
        tx.forget_app()


def test_an_event_that_the_app_does_not_hear_is_named_with_what_it_is_for(kept: World) -> None:
    """Here the App's own list lacks it."""
    kept.github.app.events.remove("merge_group")
    ((level, subject, text),) = bad(ask(kept))
    assert (level, subject) == ("problem", "events")
    assert "event merge_group is missing, needed for: the merge queue asks for a check" in text


def test_what_an_account_has_not_accepted_is_named(kept: World) -> None:
    """The App asks for it, and the installation has not granted it."""
    installation = kept.github.installation(OWNER)
    del installation.permissions["deployments"]
    installation.events.remove("commit_comment")
    found = ask(kept)
    (_, _, first), (_, _, second) = bad(found)
    assert first.startswith("acme: deployments: write is not granted, needed for: deployments and their statuses")
    assert second.startswith("acme: event commit_comment is not sent, needed for: commands in comments on commits")


def test_a_suspended_installation_is_a_problem_and_one_that_is_not_served_is_none(kept: World) -> None:
    """Only accounts that are served count."""
    kept.github.create_user("stranger")
    kept.github.install("stranger", permissions={"metadata": "read"})
    kept.github.suspend("stranger")
    kept.github.suspend(OWNER)
    found = ask(kept)
    assert [(level, text.split(",")[0].split(": ")[:2]) for level, _, text in bad(found) if level == "problem"] == [
        ("problem", ["acme", "suspended"])
    ]
    assert any(level == "warning" and "installed on stranger, and not served" in text for level, _, text in found)


def test_an_account_without_the_app_is_a_problem(kept: World) -> None:
    """ALLOWED_ACCOUNTS names it."""
    ((level, subject, text),) = bad(ask(kept, ALLOWED_ACCOUNTS=f"{OWNER},elsewhere"))
    assert (level, subject) == ("problem", "installations")
    assert "elsewhere: the App is not installed there" in text


def test_an_endpoint_that_was_switched_off_is_named_with_why(kept: World) -> None:
    endpoint = Endpoint(name="ci", url=Secret("https://hooks.example/canary"), signing=Secret("canary-canary-canary"))
    kept.plane.endpoints.add(endpoint, "root (on the server)")
    with kept.plane.store.begin() as tx:
        tx.note_failure("ci", "it answers 404")
        tx.turn_endpoint("ci", is_on=False)
    found = bad(ask(kept))
    kept.plane.endpoints.remove("ci", "root (on the server)")
    ((level, subject, text),) = found
    assert (level, subject) == ("warning", "notifications")
    assert text.startswith("ci is switched off after 1 failed messages in a row (it answers 404): mend it")
    assert "canary" not in text


def test_another_apps_key_is_named_and_the_rest_is_still_looked_at(kept: World) -> None:
    """GitHub's words, and where to look; of the App nothing else can be asked."""
    found = ask(kept, GITHUB_PRIVATE_KEY=make_private_key())
    ((level, subject, text),) = bad(found)
    assert (level, subject) == ("problem", "github")
    assert "A JSON web token could not be decoded" in text
    assert "GITHUB_APP_ID" in text
    before = ["settings", "database", "artifacts", "keys", "policies", "pages"]
    assert [one[1] for one in found] == [*before, "github", "clock"]


def test_every_setting_that_is_wrong_is_told_at_once(kept: World) -> None:
    """And nothing is looked at with half of the settings."""
    found = ask(kept, GITHUB_APP_ID="none", PORT="0", GITHUB_WEBHOOK_SECRET="short")
    assert {text.split(":")[0] for level, subject, text in found if subject == "settings" and level == "problem"} == {
        "GITHUB_APP_ID",
        "PORT",
        "GITHUB_WEBHOOK_SECRET",
    }


def test_a_database_that_is_away_does_not_keep_the_rest_from_being_looked_at(kept: World) -> None:
    """Nor does the password leave."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"postgresql://trackside:canary-password@127.0.0.1:{sock.getsockname()[1]}/trackside"
        found = ask(kept, DATABASE_URL=url)
    assert [(level, subject) for level, subject, _ in bad(found)] == [("problem", "database")]
    assert "canary" not in str(found)


def test_a_database_of_an_older_version_lacks_migrations(kept: World, empty_database_url: str) -> None:
    """Named, with the command."""
    ((level, subject, text),) = bad(ask(kept, DATABASE_URL=empty_database_url))
    assert (level, subject) == ("problem", "database")
    assert text.endswith("are missing: trackside migrate")


def test_deliveries_that_fail_are_counted(kept: World) -> None:
    """Some are a warning with the answer that was usual, most are a problem; those that arrived later are neither."""
    right = kept.github.webhook_secret
    (_, _, before) = next(one for one in ask(kept) if one[1] == "deliveries")
    total = int(before.split()[2])
    kept.github.webhook_secret = "another-secret-of-another-time"
    kept.github.ping()
    kept.github.wait_deliveries()
    lost = kept.github.deliveries[-1]
    level, _, text = next(one for one in ask(kept) if one[1] == "deliveries")
    assert (level, f"1 of the last {total + 1} failed" in text) == ("warning" if total > 1 else "problem", True)
    assert "it was answered 401; 1 event never arrived. Look at the webhook secret" in text
    for _ in range(total + 2):
        kept.github.ping()
    kept.github.wait_deliveries()
    assert next(one[0] for one in ask(kept) if one[1] == "deliveries") == "problem"
    kept.github.webhook_secret = right
    for one in list(kept.github.deliveries):
        if not one.ok:
            kept.github.redeliver(one)
    kept.github.wait_deliveries()
    level, _, text = next(one for one in ask(kept) if one[1] == "deliveries")
    assert (level, text.endswith("each was taken in the end")) == ("ok", True)
    assert lost.status_code == 401


def test_deliveries_that_go_elsewhere_are_a_problem(kept: World) -> None:
    """Both addresses are named; without any webhook, too."""
    kept.github.webhook_url = "http://127.0.0.1:9/old/webhooks/github"
    ((level, subject, text),) = bad(ask(kept))
    assert (level, subject) == ("problem", "webhook")
    assert f"deliveries go to http://127.0.0.1:9/old/webhooks/github, and not to {kept.url}/webhooks/github" in text
    kept.github.webhook_url = None
    ((_, _, text),) = bad(ask(kept))
    assert text.startswith("the App has no webhook")


@pytest.mark.parametrize(("ahead_s", "level"), [(25, "warning"), (300, "problem")])
def test_a_clock_that_is_off_is_told_by_githubs_own(kept: World, ahead_s: int, level: str) -> None:
    """By how much, and which way."""
    kept.github.clock.advance(ahead_s)
    told = bad(ask(kept))
    kept.github.clock.advance(-ahead_s)
    ((found, subject, text),) = told
    assert (found, subject) == (level, "clock")
    assert abs(int(text.split()[0]) - ahead_s) <= 2
    assert "behind GitHub's" in text


def test_a_clock_that_github_refuses_is_named_too(kept: World) -> None:
    """The refusal carries GitHub's time."""
    kept.github.clock.advance(3600)
    told = bad(ask(kept))
    kept.github.clock.advance(-3600)
    assert [subject for _, subject, _ in told] == ["github", "clock"]


def test_github_that_is_away_is_one_finding(kept: World) -> None:
    """And the rest is said."""
    kept.github.trouble.fail_next("GET", r"^/app$", status=502, times=3)
    found = ask(kept)
    assert [(level, subject) for level, subject, _ in bad(found)] == [("problem", "github")]


def test_no_secret_is_printed_and_nothing_is_changed(kept: World) -> None:
    """A key file is not made by looking for it."""
    empty = kept.root / "nowhere"
    found = ask(kept, DATA_DIR=str(empty))
    settings = load_settings(kept.environ)
    for secret in (settings.github_webhook_secret, settings.github_private_key, settings.database_url):
        assert secret.reveal() not in str(found)
    assert [(level, subject) for level, subject, _ in bad(found)] == [("warning", "keys")]
    assert not (empty / "key").exists()


def test_an_artifact_folder_that_cannot_be_written_is_a_problem(kept: World, tmp_path: Path) -> None:
    """Here a file is in its place."""
    (tmp_path / "taken").touch()
    ((level, subject, text),) = bad(ask(kept, ARTIFACT_URL=f"file://{tmp_path}/taken"))
    assert (level, subject) == ("problem", "artifacts")
    assert "Not a directory" in text or "exists" in text


def test_without_workers_elsewhere_this_machine_is_looked_at_too(kept: World) -> None:
    """`serve` starts a worker then: its engines and its isolation count."""
    found = ask(kept, WORKER_TOKENS="", ISOLATION="none")
    said = {subject: (level, text) for level, subject, text in found}
    assert {"engines", "git", "isolation", "free space"} <= set(said)
    assert said["isolation"][0] == "warning"
    assert "runs are NOT isolated (ISOLATION=none)" in said["isolation"][1]


def test_a_login_is_tried_with_github_and_its_callback_url_is_named(kept: World) -> None:
    """GitHub is asked whether it takes client id and secret; which callback URLs it has, it tells nobody."""
    app = kept.github.app
    client = {"GITHUB_CLIENT_ID": app.client_id, "GITHUB_CLIENT_SECRET": app.client_secret}
    found = ask(kept, **client)
    assert bad(found) == []
    (told,) = [text for _, subject, text in found if subject == "login"]
    assert f"{kept.url}/login/callback has to be a callback URL on the App's settings page" in told
    for wrong, said in (
        ({"GITHUB_CLIENT_SECRET": "not-the-secret-of-it"}, "GitHub does not take GITHUB_CLIENT_SECRET"),
        ({"GITHUB_CLIENT_ID": "Iv1.another"}, "GITHUB_CLIENT_ID is not the client id of trackside"),
    ):
        ((level, subject, text),) = bad(ask(kept, **{**client, **wrong}))
        assert (level, subject) == ("problem", "login")
        assert said in text
        assert "not-the-secret" not in text


def test_pages_that_nobody_or_everybody_reads_are_named(kept: World) -> None:
    """As PAGES_ACCESS and PUBLIC_URL have it together."""
    public, app = {"PUBLIC_URL": "https://trackside.example.org"}, kept.github.app
    client = {"GITHUB_CLIENT_ID": app.client_id, "GITHUB_CLIENT_SECRET": app.client_secret}

    def pages(**variables: str) -> tuple[str, str]:
        ((level, text),) = [(one[0], one[2]) for one in ask(kept, **variables) if one[1] == "pages"]
        return level, text.partition(":")[0]

    assert pages(**public) == ("warning", "nobody reads them")
    assert pages(**public, PAGES_ACCESS="open")[0] == "warning"
    assert pages(**public, **client) == ("ok", "people who log in with GitHub read them, each what they may read there")
    assert pages(PAGES_ACCESS="open") == ("ok", "everyone on this machine reads them")


def test_the_table_of_needs_is_what_the_sandbox_grants(kept: World) -> None:
    """Else "everything is fine" would not be true of an App that was made from app.yml."""
    assert kept.github.app.permissions == {need.name: need.level for need in PERMISSIONS}
    assert kept.github.app.events == [need.name for need in EVENTS]


def test_the_command_prints_a_line_each_or_a_document_and_ends_with_1_on_a_problem(kept: World) -> None:
    """As somebody on the server types it."""
    told = kept.operate("doctor")
    assert (told.returncode, told.stderr) == (0, "")
    assert "ok       github: accepts the App's key: trackside, of trackside-labs\n" in told.stdout
    kept.github.trouble.fail_next("GET", r"^/app$", status=502, times=3)
    told = kept.operate("doctor", "--json")
    document = json.loads(told.stdout)
    assert (told.returncode, told.stderr, document["is_fine"]) == (1, "", False)
    assert [one["subject"] for one in document["findings"] if one["level"] == "problem"] == ["github"]


def test_a_check_that_breaks_or_never_ends_is_a_finding_like_any_other() -> None:
    """The others are told all the same, in their order."""
    for_ever = threading.Event()

    def broken() -> list[Finding]:
        raise ZeroDivisionError

    def endless() -> list[Finding]:
        for_ever.wait(60)
        return []

    checks = [Check("one", broken), Check("two", endless), Check("three", lambda: [fine("three", "well")])]
    found = run_checks(checks, within_s=0.3)
    for_ever.set()
    assert [(one.subject, one.level.value) for one in found] == [
        ("one", "problem"),
        ("two", "problem"),
        ("three", "ok"),
    ]
    assert "ZeroDivisionError" in found[0].text
    assert "no answer within 0.3 s" in found[1].text
