"""The set-up's pages: from which forms they take, where their own may go, and what is closed until there is an App."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from app.core.appmanifest import Addresses
from app.core.event import Repository
from app.core.names import InstallationId, RepositoryId, Secret
from app.core.record import AuditLine
from app.core.setup import AppCredentials, SettingUp
from app.flows.installed import Installed, Served
from app.flows.setup import SetUp
from app.vault.keys import Keyring
from app.vault.vault import Vault
from app.web.setup import COOKIE
from app.web.setup_app import make_setup_app
from tests.web.memory import Client, World

PUBLIC = "https://trackside.example.org"
OURS = {"origin": PUBLIC}
FORM = {"account": "organisation", "organisation": "acme"}
APP = AppCredentials(
    app_id=7,
    slug="trackside-acme",
    owner="acme",
    client_id="Iv23li",
    client_secret=Secret("c" * 20),
    webhook_secret=Secret("w" * 20),
    private_key=Secret("pem"),
    html_url="https://github.com/apps/trackside-acme",
    server_url="https://github.com",
)


class Rows:
    """What the database keeps of a set-up, in memory."""

    def __init__(self) -> None:
        self.setting_up: SettingUp | None = None
        self.app: AppCredentials | None = None

    @contextmanager
    def begin(self) -> Iterator["Rows"]:
        yield self

    def now(self) -> datetime:
        return datetime.now(UTC)

    def lock_setup(self) -> SettingUp | None:
        return self.setting_up

    def save_setup(self, setting_up: SettingUp) -> None:
        self.setting_up = setting_up

    def end_setup(self) -> None:
        self.setting_up = None

    def add_app(self, app: AppCredentials) -> bool:
        self.app, had = self.app or app, self.app is not None
        return not had

    def find_app_slug(self) -> str | None:
        return self.app.slug if self.app else None

    def forget_app(self) -> str | None:
        slug, self.app = self.find_app_slug(), None
        return slug

    def add_audit(self, line: AuditLine) -> None:
        assert line.is_allowed


class GitHub:
    """A github.com that knows one code."""

    def ask_version(self) -> tuple[int, int] | None:
        raise AssertionError("github.com has no version")

    def convert(self, code: str) -> AppCredentials:
        assert code == "good"
        return APP


class Installing:
    """A process without an App, and its newest code."""

    def __init__(self, world: World, public_url: str = PUBLIC) -> None:
        self.said: list[str] = []
        addresses = Addresses(public_url=public_url, server_url="https://github.com", api_url="https://api.github.com")
        self.set_up = SetUp(
            store=Rows(),
            tokens=Vault(Keyring([bytes(32)])),
            github=GitHub(),
            addresses=addresses,
            announce=self.said.append,
        )
        self.client = Client(make_setup_app(self.set_up), world.runner, "203.0.113.9", "trackside.example.org")
        self.set_up.begin()

    @property
    def code(self) -> str:
        """As it was printed."""
        return self.said[-1].partition("the code ")[2].split()[0]


@pytest.fixture
def installing(world: World) -> Installing:
    return Installing(world)


@pytest.mark.parametrize("origin", [{}, {"origin": "null"}, {"origin": "https://evil.example.org"}])
def test_a_form_of_another_site_is_refused_whatever_it_brings(installing: Installing, origin: dict[str, str]) -> None:
    """Nothing is tried: the code is as good as before."""
    answer = installing.client.post("/setup", data={**FORM, "code": installing.code}, headers=origin)
    assert answer.status_code == 403
    assert "did not come from Trackside" in answer.text
    assert installing.client.post("/setup", data={**FORM, "code": installing.code}, headers=OURS).status_code == 200


def test_each_page_lets_its_form_go_to_one_place(installing: Installing) -> None:
    """The first to ourselves, the second to that GitHub, all others nowhere; and the browser may say where it was."""
    first = installing.client.get("/setup")
    second = installing.client.post("/setup", data={**FORM, "code": installing.code}, headers=OURS)
    other = installing.client.get("/")
    policies = [page.headers["content-security-policy"] for page in (first, second, other)]
    assert [policy.partition("form-action ")[2].partition(";")[0] for policy in policies] == [
        "'self'",
        "https://github.com",
        "'none'",
    ]
    assert all("default-src 'none'" in policy and "frame-ancestors 'none'" in policy for policy in policies)
    assert [page.headers["referrer-policy"] for page in (first, second)] == ["strict-origin"] * 2
    assert 'action="https://github.com/organizations/acme/settings/apps/new?state=' in second.text


def test_the_cookie_is_for_the_set_up_alone(installing: Installing) -> None:
    """Not for scripts, not in clear, not for forms of other sites, not for longer; it ends with the set-up."""
    sent = installing.client.post("/setup", data={**FORM, "code": installing.code}, headers=OURS)
    cookie = sent.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for flag in ("HttpOnly", "Secure", "SameSite=lax", "Path=/setup", "Max-Age=3600"):
        assert flag in cookie
    assert installing.code not in sent.text
    state = sent.text.partition("?state=")[2].partition('"')[0]
    way_back = f"/setup/callback?code=good&state={state}"
    assert installing.client.get(way_back).status_code == 403
    made = installing.client.get(way_back, headers={"cookie": cookie.partition(";")[0]})
    assert made.status_code == 200
    assert 'href="https://github.com/apps/trackside-acme/installations/new"' in made.text
    assert "Max-Age=0" in made.headers["set-cookie"]
    assert "Starting" in installing.client.get("/setup?installation_id=1").text


def test_what_somebody_typed_is_shown_back_harmlessly_and_a_huge_form_is_not_read(installing: Installing) -> None:
    evil = '"><script>alert(1)</script>'
    answer = installing.client.post("/setup", data={**FORM, "organisation": evil}, headers=OURS)
    assert answer.status_code == 422
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert installing.client.post("/setup", content=b"a" * 20_000, headers=OURS).status_code == 413
    many = "&".join(f"a{number}=1" for number in range(1000))
    assert installing.client.post("/setup", content=many, headers=OURS).status_code == 422
    assert installing.client.get("/setup/callback?code=%ff%00&state=%00").status_code == 403


def test_an_address_that_cannot_work_is_told_instead_of_a_form(world: World) -> None:
    page = Installing(world, "http://localhost:8000").client.get("/setup")
    assert "github.com could not deliver a webhook there" in page.text
    assert "<form" not in page.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/webhooks/github"),
        ("POST", "/worker/v1/claim"),
        ("LOCK", "/state/01JD0000000000000000000001"),
        ("POST", "/external/x"),
        ("GET", "/metrics"),
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/schema/stacks.json"),
        ("GET", "/readyz"),
        ("GET", "/"),
        ("GET", "/runs/01JD0000000000000000000001"),
    ],
)
def test_every_other_door_says_that_it_is_not_configured(installing: Installing, method: str, path: str) -> None:
    answer = installing.client.send(method, path)
    assert answer.status_code == 503
    assert "not configured" in answer.text
    assert installing.code not in answer.text


def test_without_a_database_the_set_up_waits_in_words(installing: Installing, world: World) -> None:
    app = make_setup_app(installing.set_up, lambda: False)
    client = Client(app, world.runner, "203.0.113.9", "trackside.example.org")
    for answer in (client.get("/setup"), client.post("/setup", headers=OURS), client.get("/setup/callback")):
        assert (answer.status_code, "trackside migrate" in answer.text) == (503, True)


def test_the_process_itself_is_well(installing: Installing) -> None:
    assert installing.client.get("/healthz").json() == {"status": "ok"}
    assert installing.client.get("/static/trackside.css").headers["content-type"].startswith("text/css")
    assert installing.client.get("/static/setup.py").status_code == 404


def installed(is_served: bool = True) -> Installed:
    """One repository that has no stacks yet."""
    repository = Repository(
        id=RepositoryId(1),
        owner="acme",
        name="infrastructure",
        default_branch="main",
        is_private=True,
        installation_id=InstallationId(7),
    )
    served = Served(repository=repository, stacks=0, new_file_url="https://github.com/acme/infrastructure/new/main")
    return Installed(accounts=("acme",), is_served=is_served, served=(served,) if is_served else (), more=3)


def test_who_may_read_pages_sees_what_is_served_and_everybody_else_a_thank_you(world: World) -> None:
    """Nothing is asked for a stranger: the number in the address is anybody's to guess."""
    asked: list[int] = []

    def find(installation_id: InstallationId) -> Installed | None:
        asked.append(installation_id)
        return installed() if installation_id == 7 else None

    world.settings["find_installed"] = find
    here, away = world.client(), world.client(peer="203.0.113.9")
    seen = here.get("/setup?installation_id=7&setup_action=install")
    assert "acme/infrastructure" in seen.text
    assert 'href="https://github.com/acme/infrastructure/new/main"' in seen.text
    assert "and 3 more" in seen.text
    assert here.get("/setup?installation_id=8").status_code == 404
    assert asked == [7, 8]
    thanked = away.get("/setup?installation_id=7")
    assert (thanked.status_code, "Thank you" in thanked.text, "acme" in thanked.text) == (200, True, False)
    assert away.get("/setup?installation_id=8").text == thanked.text
    assert asked == [7, 8]


@pytest.mark.parametrize("query", ["", "?installation_id=", "?installation_id=0", "?installation_id=7x", "?code=1"])
def test_once_there_is_an_app_the_set_up_is_not_there(world: World, query: str) -> None:
    assert world.client().get(f"/setup{query}").status_code == 404
    assert world.client().post(f"/setup{query}").status_code in (404, 405)
    assert world.client().get(f"/setup/callback{query}").status_code == 404


def test_an_account_that_is_not_served_is_told_so(world: World) -> None:
    world.settings["find_installed"] = lambda _id: installed(is_served=False)
    page = world.client().get("/setup?installation_id=7").text
    assert "not among the accounts" in page
    assert "infrastructure" not in page
