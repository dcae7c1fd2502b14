"""The set-up on a real database and against the stand-in GitHub: what a code opens, what a state is good for, and what
is kept of the App."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core import words_setup as words
from app.core.appmanifest import Addresses
from app.core.errors import RetryableError, UserError
from app.core.setup import AppCredentials
from app.flows.setup import Denied, Sending, SetUp, Stage, forget
from app.github.setup import GitHubSetup
from app.sandbox import SandboxGitHub, registration, serve_in_thread
from app.settings import load_ground
from app.store.postgres import PostgresStore
from app.vault.keys import Keyring
from app.vault.vault import Vault
from app.wiring_app import find_app, find_settings, get_settings

PUBLIC = "https://trackside.example.org"


@dataclass
class Office:
    """GitHub, a set-up, and what it has announced."""

    github: SandboxGitHub
    store: PostgresStore
    set_up: SetUp
    environ: dict[str, str]
    said: list[str] = field(default_factory=list)

    @property
    def code(self) -> str:
        """The newest code that was announced."""
        (code,) = re.findall(r"give the code ([0-9a-f]{32}) ", self.said[-1])
        return str(code)

    def send(self, code: str = "", *, session: str = "", organisation: str | None = "acme") -> Sending | Denied:
        """Somebody sends the form."""
        return self.set_up.send(code=code, session=session, organisation=organisation)

    def begin(self) -> tuple[str, str]:
        """Somebody gives the right code: their session, and the state that goes to GitHub."""
        self.set_up.begin()
        sending = self.send(self.code)
        assert isinstance(sending, Sending), sending
        assert sending.session is not None
        return sending.session.reveal(), self.state_of(sending)

    @staticmethod
    def state_of(sending: Sending) -> str:
        """The state in the address that the manifest goes to."""
        return sending.url.partition("?state=")[2]

    def register(self, sending: Sending) -> str:
        """Somebody lets GitHub make the App; GitHub's code."""
        word = registration.draft(self.github, json.dumps(sending.manifest), self.github.user("acme"), "")
        return registration.make(self.github, word, "Trackside")[1]

    def finish(self, session: str, code: str, state: str) -> AppCredentials | Denied:
        """Somebody comes back from GitHub."""
        return self.set_up.finish(session=session, code=code, state=state)

    def sql(self, statement: str) -> None:
        """Time passes, or something else that only the database knows."""
        with self.store.begin() as tx:
            tx._connection.execute(text(statement))


@pytest.fixture
def office(tmp_path: Path, database_url: str) -> Iterator[Office]:
    github, said = SandboxGitHub(tmp_path / "github"), list[str]()
    github.create_organization("acme")
    vault = Vault(Keyring.from_file(tmp_path / "data" / "key"))
    store = PostgresStore(database_url, sealer=vault, pool_size=2)
    with serve_in_thread(github) as served:
        environ = {
            "GITHUB_API_URL": served.api_url,
            "GITHUB_SERVER_URL": served.url,
            "PUBLIC_URL": PUBLIC,
            "DATA_DIR": str(tmp_path / "data"),
        }
        asked = GitHubSetup(
            api_url=served.api_url, server_url=served.url, api_version="2022-11-28", now=github.clock.now
        )
        addresses = Addresses(public_url=PUBLIC, server_url=served.url, api_url=served.api_url)
        made = SetUp(store=store, tokens=vault, github=asked, addresses=addresses, announce=said.append)
        try:
            yield Office(github, store, made, environ, said)
        finally:
            asked.close()
            store.close()
    assert not github.unknown_requests


def text_of(result: object) -> str:
    """Why it does not go on."""
    assert isinstance(result, Denied), result
    return result.text


def test_a_code_opens_the_set_up_for_one_browser(office: Office) -> None:
    """Any case and blanks around it do; a second browser is told that it was used, and the first goes on without it."""
    office.set_up.begin()
    assert text_of(office.send("")) == words.NO_CODE
    assert text_of(office.send("0" * 32)).startswith("That is not the code")
    assert text_of(office.send(office.code, organisation=None)) == words.NO_ACCOUNT
    assert text_of(office.send(office.code, organisation="../x")) == words.NO_ACCOUNT
    sending = office.send(f" {office.code.upper()} ")
    assert isinstance(sending, Sending)
    assert sending.session is not None
    assert "The code was used already" in text_of(office.send(office.code))
    session = sending.session.reveal()
    assert office.set_up.stage(session) is Stage.BEGUN
    assert office.set_up.stage("another") is Stage.CLOSED
    again = office.send("", session=session, organisation="")
    assert isinstance(again, Sending)
    assert "/settings/apps/new?" in again.url
    assert "/organizations/" not in again.url
    assert again.session is None


def test_a_code_and_a_session_are_good_for_an_hour_and_until_the_next_start(office: Office) -> None:
    office.set_up.begin()
    before = office.code
    office.sql("UPDATE app_setups SET code_expires_at = now()")
    assert "good for an hour" in text_of(office.send(before))
    session, _ = office.begin()
    assert "The code was used already" in text_of(office.send(before))
    office.sql("UPDATE app_setups SET session_expires_at = now()")
    assert office.set_up.stage(session) is Stage.CLOSED
    session, _ = office.begin()
    office.set_up.begin()
    assert office.set_up.stage(session) is Stage.CLOSED


def test_five_wrong_codes_make_it_void_and_the_next_has_to_wait(office: Office) -> None:
    """So that nobody tries them all; the new code is announced, and good after a pause."""
    office.set_up.begin()
    before = office.code
    said = [text_of(office.send(f"{number:032x}")) for number in range(5)]
    assert [text.startswith("5 wrong codes") for text in said] == [False] * 4 + [True]
    assert office.code != before
    waiting = office.send(office.code)
    assert isinstance(waiting, Denied)
    assert (waiting.status, "wait 30 s" in waiting.text) == (429, True)
    office.sql("UPDATE app_setups SET paused_until = now()")
    assert text_of(office.send(before)).startswith("That is not the code")
    assert isinstance(office.send(office.code), Sending)


def test_the_way_back_takes_the_browser_that_began_and_its_newest_state(office: Office) -> None:
    """A state of before, another browser, no code of GitHub's: nothing is asked of GitHub, and nothing changes."""
    session, old = office.begin()
    sending = office.send("", session=session)
    assert isinstance(sending, Sending)
    state, code = office.state_of(sending), office.register(sending)
    assert text_of(office.finish("another", code, state)) == words.NO_SESSION
    assert text_of(office.finish("", code, state)) == words.NO_SESSION
    assert text_of(office.finish(session, code, old)) == words.WRONG_STATE
    assert text_of(office.finish(session, code, "")) == words.WRONG_STATE
    assert text_of(office.finish(session, "", state)) == words.NO_GITHUB_CODE
    assert text_of(office.finish(session, "../x", state)) == words.NO_GITHUB_CODE
    assert office.github.count_requests("POST", "/conversions") == 0
    assert isinstance(office.finish(session, code, state), AppCredentials)
    assert text_of(office.finish(session, code, state)) == words.NO_SESSION
    assert office.set_up.stage(session) is Stage.DONE


def test_a_code_that_github_does_not_know_ends_the_attempt_and_not_the_session(office: Office) -> None:
    """Used, an hour old, or invented; the state is spent with it."""
    session, state = office.begin()
    refused = office.finish(session, "invented", state)
    assert isinstance(refused, Denied)
    assert (refused.status, "not found on GitHub" in refused.text) == (422, True)
    assert text_of(office.finish(session, "invented", state)) == words.WRONG_STATE
    sending = office.send("", session=session)
    assert isinstance(sending, Sending)
    code = office.register(sending)
    office.github.clock.advance(3601)
    assert "not found on GitHub" in text_of(office.finish(session, code, office.state_of(sending)))


def test_a_github_that_refuses_the_code_is_quoted_and_one_that_is_away_is_asked_again(office: Office) -> None:
    """A 422 ends the attempt; after a 502 the same page goes on, since GitHub's code may still be good."""
    session, state = office.begin()
    office.github.trouble.fail_next("POST", "/app-manifests/", status=422)
    assert "(422)" in text_of(office.finish(session, "code", state))
    sending = office.send("", session=session)
    assert isinstance(sending, Sending)
    state, code = office.state_of(sending), office.register(sending)
    office.github.trouble.fail_next("POST", "/app-manifests/", status=502)
    postponed = office.finish(session, code, state)
    assert isinstance(postponed, Denied)
    assert (postponed.status, "Load this page again" in postponed.text) == (503, True)
    assert isinstance(office.finish(session, code, state), AppCredentials)


@pytest.mark.parametrize(("part", "value"), [("client_secret", "short"), ("client_id", "with blanks")])
def test_credentials_that_no_process_could_start_with_are_not_kept(office: Office, part: str, value: str) -> None:
    """Every process reads them as settings at its start: what those refuse would keep the installation down."""
    session, _ = office.begin()
    sending = office.send("", session=session)
    assert isinstance(sending, Sending)
    code = office.register(sending)
    setattr(office.github.app, part, value)
    assert "not that of an App" in text_of(office.finish(session, code, office.state_of(sending)))
    assert office.set_up.stage(session) is Stage.BEGUN


class Slow:
    """A GitHub that does not answer; something else happens while it is waited for."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    def ask_version(self) -> tuple[int, int] | None:
        """As the newest."""
        return None

    def convert(self, code: str) -> AppCredentials:
        """No answer to any code."""
        self._meanwhile()
        raise RetryableError(f"asking about {code}: no answer")


def test_a_code_that_was_printed_while_github_was_waited_for_is_the_one_that_counts(office: Office) -> None:
    session, state = office.begin()
    waiting = replace(office.set_up, github=Slow(office.set_up.begin))
    assert isinstance(waiting.finish(session=session, code="code", state=state), Denied)
    assert office.set_up.stage(session) is Stage.CLOSED
    assert isinstance(office.send(office.code), Sending)


def test_an_enterprise_server_is_not_asked_for_what_it_lacks(office: Office) -> None:
    """Nor one that does not tell its version without a login, which is said; GitHub's rules are the stand-in's."""
    session, _ = office.begin()
    everything = office.send("", session=session)
    office.github.server_version = "3.11.4"
    old = office.send("", session=session)
    office.github.trouble.fail_next("GET", "/meta", status=401)
    silent = office.send("", session=session)
    office.github.server_version = "3.12.0"
    new = office.send("", session=session)
    sent = [everything, old, silent, new]
    assert [[need.name for need in one.without] for one in sent if isinstance(one, Sending)] == [
        [],
        ["merge_queues", "merge_group"],
        ["merge_queues", "merge_group"],
        [],
    ]
    assert isinstance(silent, Sending)
    assert silent.remark == words.VERSION_UNKNOWN
    assert isinstance(old, Sending)
    office.github.server_version = "3.11.4"
    assert office.register(old)
    assert isinstance(everything, Sending)
    with pytest.raises(UserError, match="not included in the list: merge_queues; Default events unsupported: merge_gr"):
        office.register(everything)


def made_app(office: Office) -> AppCredentials:
    """The App, set up."""
    session, _ = office.begin()
    sending = office.send("", session=session)
    assert isinstance(sending, Sending)
    app = office.finish(session, office.register(sending), office.state_of(sending))
    assert isinstance(app, AppCredentials)
    return app


def test_the_secrets_are_sealed_at_rest_and_open_under_their_key_alone(office: Office, database_url: str) -> None:
    """The database alone is worth nothing; another key says so, with the ways out."""
    app = made_app(office)
    assert (app.owner, app.app_id) == ("acme", office.github.app.id)
    assert "PRIVATE KEY" not in str(app)
    with office.store.begin() as tx:
        (row,) = tx._connection.execute(text("SELECT app_credentials::text, sealed_secrets FROM app_credentials")).all()
    for canary in (office.github.webhook_secret, office.github.app.client_secret, "PRIVATE KEY"):
        assert canary not in row[0]
        assert canary.encode() not in bytes(row[1])
    assert find_app(load_ground(office.environ), database_url) == app
    with pytest.raises(UserError, match=r"sealed with key [0-9a-f]+, which is not in the keyring. Give the keys of"):
        find_app(load_ground({**office.environ, "ENCRYPTION_KEY": "A" * 43 + "="}), database_url)


def test_a_process_takes_the_stored_app_unless_the_environment_names_one(office: Office, database_url: str) -> None:
    """The environment wins as a whole; a part of an App beside the stored one is refused, and so is another GitHub."""
    assert find_settings(office.environ, database_url) is None
    with pytest.raises(UserError, match="the GitHub App is not configured: open PUBLIC_URL/setup"):
        get_settings(office.environ, database_url)
    app = made_app(office)
    stored = get_settings(office.environ, database_url)
    assert stored.github_app_id == app.app_id
    assert stored.github_private_key.reveal().strip() == office.github.private_key_pem.strip()
    assert [one.reveal() for one in stored.webhook_secrets] == [office.github.webhook_secret]
    own = {"GITHUB_APP_ID": "7", "GITHUB_PRIVATE_KEY": office.github.private_key_pem, "GITHUB_WEBHOOK_SECRET": "s" * 20}
    named = get_settings({**office.environ, **own}, "postgresql://nobody@127.0.0.1:1/none")
    assert (named.github_app_id, named.github_webhook_secret.reveal()) == (7, "s" * 20)
    for part in ("GITHUB_APP_ID", "GITHUB_WEBHOOK_SECRET", "GITHUB_CLIENT_ID"):
        with pytest.raises(UserError, match=re.escape(words.ALL_OR_NONE)):
            get_settings({**office.environ, part: own.get(part, "Iv23li")}, database_url)
    elsewhere = {**office.environ, "GITHUB_SERVER_URL": "https://github.example.org"}
    with pytest.raises(UserError, match=r"trackside is on http://.* and GITHUB_SERVER_URL is https://github.example"):
        get_settings(elsewhere, database_url)


def test_a_second_app_does_not_replace_the_first_until_that_is_forgotten(office: Office, database_url: str) -> None:
    """Whoever was quicker, or came with an old page; forgetting needs no key, and is written down."""
    first = made_app(office)
    session, _ = office.begin()
    sending = office.send("", session=session)
    assert isinstance(sending, Sending)
    late = office.finish(session, office.register(sending), office.state_of(sending))
    assert isinstance(late, Denied)
    assert find_app(load_ground(office.environ), database_url) == first
    assert forget(office.store, "root (on the server)") == "trackside"
    assert forget(office.store, "root (on the server)") is None
    assert find_app(load_ground(office.environ), database_url) is None
    with office.store.begin() as tx:
        rows = tx._connection.execute(text("SELECT actor, command FROM audit ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("set-up", "setup trackside of acme"),
        ("root (on the server)", "setup --reset trackside"),
    ]


def test_an_address_that_github_cannot_reach_is_refused_before_anything_is_asked(office: Office) -> None:
    there = Addresses(
        public_url="http://localhost:8000", server_url="https://github.com", api_url="https://api.github.com"
    )
    closed = replace(office.set_up, addresses=there)
    closed.begin()
    assert office.said[-1].startswith(
        "trackside: no GitHub App yet, and none can be set up: PUBLIC_URL is http://local"
    )
    assert "this machine alone" in text_of(closed.send(code="x", session="", organisation="acme"))
    assert not office.github.requests
