"""Who sees what on the pages, in each of their three modes; which forms are taken; what the browser keeps."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from app.core.names import RepositoryId
from app.core.run import Run
from app.core.stack import StackSettings, StackSpec
from app.web.app import make_app
from tests.browser import form_of
from tests.database import made_database
from tests.flows.outbox import CONFIG
from tests.flows.visitors import URL, Visitors, open_visitors
from tests.web.memory import Client

PUBLIC = "https://trackside.example.org"
NOBODYS = "01JD0000000000000000000000"
OWN = {"origin": URL, "sec-fetch-site": "same-origin"}


@dataclass
class House:
    """The pages over real sessions and a real GitHub, without a network between; one stack in each repository."""

    visitors: Visitors
    runner: asyncio.Runner
    runs: dict[str, Run] = field(default_factory=dict)
    """By what is special about the repository: private, public, shown."""
    apps: dict[tuple[str, str, bool], Starlette] = field(default_factory=dict)
    """Those that were made: templates are compiled once for each."""

    def client(self, login: str = "", *, peer: str = "127.0.0.1", host: str = "127.0.0.1:9", **doors: Any) -> Client:
        """A browser, with the session of that person; the doors as they are in this test."""
        made = replace(self.visitors.outbox.world.plane.doors, **{"pages_access": "login", **doors})
        key = (made.pages_access, made.public_url, made.people is None)
        if key not in self.apps:
            self.apps[key] = make_app(made)
        client = Client(self.apps[key], self.runner, peer, host)
        if login:
            name = "__Host-trackside" if made.public_url.startswith("https") else "trackside"
            client.keep(name, self.visitors.session(login).reveal())
        return client

    def page(self, kind: str) -> str:
        """Where a run's page is."""
        return f"/runs/{self.runs[kind].id}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[House]:
    """Three repositories: a private one, a public one, and a public one whose stack shows its plans."""
    with (
        made_database(server_url, template=database_template) as url,
        open_visitors(tmp_path_factory.mktemp("house"), url) as visitors,
        asyncio.Runner() as runner,
    ):
        made = House(visitors, runner)
        outbox = visitors.outbox
        private = outbox.repository
        for kind in ("private", "public", "shown"):
            repository = private
            if kind != "private":
                repo = outbox.world.github.create_repository("acme", kind, private=False, files={"a": "b"})
                repo.set_permission("alice", "write")
                repository = replace(private, id=RepositoryId(repo.id), name=kind, is_private=False)
                with outbox.world.plane.store.begin() as tx:
                    tx.save_repository(repository)
            settings = StackSettings(name=f"stack-{kind}", branch="main", public_plans=kind == "shown")
            with outbox.world.plane.store.begin() as tx:
                stack = tx.add_stack(repository.id, StackSpec(settings=settings), CONFIG)
            made.runs[kind] = outbox.plan(outbox.run(stack))
        yield made


SEES = {
    "": (),
    "mallory": ("shown",),
    "bob": ("private", "shown"),
    "alice": ("private", "public", "shown"),
    "root": ("private", "shown"),
}
"""Who sees which, once logged in: bob reads the private one, root administers it, alice writes to all."""


@pytest.mark.parametrize("login", [one for one in SEES if one])
def test_a_person_sees_what_they_may_read_and_everything_else_is_not_there(house: House, login: str) -> None:
    client = house.client(login)
    nothing = client.get(f"/runs/{NOBODYS}")
    assert nothing.status_code == 404
    overview = client.get("/").text
    for kind, run in house.runs.items():
        page, sees = house.page(kind), kind in SEES[login]
        for path in (page, f"{page}/log", f"{page}/strip.svg", f"/stacks/{run.stack_id}"):
            answer = client.get(path)
            assert answer.status_code == (200 if sees else 404), (login, path)
            if not sees:
                assert answer.text == nothing.text
                assert dict(answer.headers) == dict(nothing.headers)
        assert (f"stack-{kind}" in overview) is sees
        assert (run.id in overview) is sees


@pytest.mark.parametrize(
    "path", ["/", "RUN", f"/runs/{NOBODYS}", "/stacks/x", "/nothing/at/all", "RUN/log", "RUN/strip.svg"]
)
def test_whoever_has_not_logged_in_is_sent_there_whether_the_page_exists_or_not(house: House, path: str) -> None:
    path = path.replace("RUN", house.page("shown"))
    answer = house.client(peer="203.0.113.9").get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].partition("?")[0] == "/login"
    assert not answer.text
    back = answer.headers["location"].partition("back=")[2]
    assert back in ("", path), "back to the very page, or to the first one"


def test_after_the_installation_each_sees_the_repositories_that_they_may_read(house: House) -> None:
    """Whoever sees none of them, or has not logged in, is thanked, whether there is such an installation or not."""
    at = f"/setup?installation_id={house.visitors.outbox.repository.installation_id}"
    private, public = house.visitors.outbox.repository.full_name, "acme/public"
    thanked = house.client(peer="203.0.113.9").get(at)
    assert (thanked.status_code, "Thank you" in thanked.text, "acme" in thanked.text) == (200, True, False)
    seen = {login: house.client(login).get(at).text for login in ("bob", "mallory")}
    assert {login: (private in text, public in text) for login, text in seen.items()} == {
        "bob": (True, True),
        "mallory": (False, True),
    }
    nobodys = house.client("bob").get("/setup?installation_id=999999")
    assert (nobodys.status_code, "Thank you" in nobodys.text) == (200, True)


@pytest.mark.parametrize(
    ("access", "peer", "host", "status"),
    [
        ("open", "203.0.113.9", "trackside.example.org", 200),
        ("loopback", "127.0.0.1", "127.0.0.1:9", 200),
        ("loopback", "203.0.113.9", "127.0.0.1:9", 404),
        ("loopback", "127.0.0.1", "trackside.example.org", 404),
    ],
)
def test_without_a_login_pages_are_as_open_as_they_are_set(
    house: House, access: str, peer: str, host: str, status: int
) -> None:
    client = house.client(peer=peer, host=host, pages_access=access)
    for kind in house.runs:
        assert client.get(house.page(kind)).status_code == status
    assert client.get("/login").status_code == status
    assert client.post(f"{house.page('private')}/confirm").status_code == (303 if status == 200 else 404)


def test_where_nobody_can_log_in_nothing_is_offered_and_nothing_is_taken(house: House) -> None:
    client = house.client(pages_access="loopback", people=None)
    text = client.get(house.page("private")).text
    assert "<form" not in text
    assert "Log in" not in text
    assert "/trackside confirm" in text
    assert client.post(f"{house.page('private')}/confirm").status_code == 405
    assert client.get("/login").status_code == 404


def test_on_this_machine_everything_is_read_and_whoever_acts_logs_in(house: House) -> None:
    client = house.client(pages_access="loopback")
    text = client.get(house.page("private")).text
    assert "<form" not in text
    assert f'<a href="/login?back={house.page("private")}">Log in</a> to decide here' in text
    told = house.client("mallory", pages_access="loopback")
    page = told.get(house.page("private")).text
    action, fields = form_of(page, "confirm")
    assert told.post(action, data=fields, headers=OWN).headers["location"] == house.page("private")
    assert "mallory has no permission on acme/infra" in told.get(house.page("private")).text


@pytest.mark.parametrize(
    ("headers", "change"),
    [
        ({}, {}),
        ({"origin": "https://evil.example.org"}, {}),
        ({"origin": "null"}, {}),
        ({"origin": "http://127.0.0.1:10"}, {}),
        ({"origin": "https://127.0.0.1:9"}, {}),
        ({"origin": URL, "sec-fetch-site": "cross-site"}, {}),
        ({"origin": URL, "sec-fetch-site": "same-site"}, {}),
        ({"sec-fetch-site": "none"}, {}),
        (OWN, {"csrf": ""}),
        (OWN, {"csrf": "x" * 43}),
        (OWN, {"csrf": "\u00e9"}),
    ],
)
def test_a_form_that_is_not_ours_does_nothing(house: House, headers: dict[str, str], change: dict[str, str]) -> None:
    client, before = house.client("alice"), house.visitors.audit()
    action, fields = form_of(client.get(house.page("private")).text, "confirm")
    answer = client.post(action, data={**fields, **change}, headers=headers)
    assert answer.status_code == 403
    assert "Nothing was done" in answer.text
    assert house.visitors.audit() == before


def test_the_token_of_another_session_opens_nothing(house: House) -> None:
    alice, again = house.client("alice"), house.client("alice")
    _, fields = form_of(again.get(house.page("private")).text, "confirm")
    answer = alice.post(f"{house.page('private')}/confirm", data=fields, headers=OWN)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"digest": "xyz"}, 400),
        ({"plan": "-1"}, 400),
        ({"plan": "9" * 30}, 400),
        ({"change": "../../etc"}, 400),
        ({"note": "x" * 100_000}, 413),
        ({f"f{number}": "x" for number in range(2_000)}, 400),
    ],
)
def test_a_form_that_no_page_of_ours_sends_is_refused(house: House, body: dict[str, str], status: int) -> None:
    client = house.client("alice")
    action, fields = form_of(client.get(house.page("private")).text, "discard")
    assert client.post(action, data={**fields, **body}, headers=OWN).status_code == status
    as_json = client.post(action, json=fields, headers=OWN)
    assert as_json.status_code == 415


@pytest.mark.parametrize(
    "path", ["RUN/explode", "RUN/help", "RUN/lock", f"/runs/{NOBODYS}/confirm", "/runs/x/confirm", "STACK/confirm"]
)
def test_what_is_no_command_there_is_not_there(house: House, path: str) -> None:
    client = house.client("alice")
    run = house.runs["private"]
    _, fields = form_of(client.get(house.page("private")).text, "confirm")
    path = path.replace("RUN", house.page("private")).replace("STACK", f"/stacks/{run.stack_id}")
    assert client.post(path, data=fields, headers=OWN).status_code == 404
    assert client.get(path).status_code == 404


def test_a_refusal_is_shown_once_on_the_page_and_stands_in_no_address(house: House) -> None:
    client, page = house.client("bob"), house.page("private")
    action, fields = form_of(client.get(page).text, "confirm")
    answer = client.post(action, data=fields, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    first, second = client.get(page).text, client.get(page).text
    assert 'role="alert"' in first
    assert "bob has read permission on acme/infra" in first
    assert "bob has read permission" not in second


def test_ticks_are_sent_as_numbers_and_no_tick_plans_nothing(house: House) -> None:
    client, page = house.client("alice"), house.page("private")
    action, fields = form_of(client.get(page).text, "replan")
    before = house.visitors.audit()
    client.post(action, data={**fields, "part": "ticked"}, headers=OWN)
    assert "No change is ticked" in client.get(page).text
    assert house.visitors.audit() == before
    client.post(action, data={**fields, "part": "ticked", "change": ["2", "7", "2"]}, headers=OWN)
    assert house.visitors.audit()[-1] == ("alice", "page", f"replan {house.runs['private'].id} only 2 7", False)


def test_only_pages_with_forms_let_forms_through_and_say_where_they_come_from(house: House) -> None:
    alice, nobody = house.client("alice"), house.client(pages_access="loopback")
    with_forms, without = alice.get(house.page("private")).headers, nobody.get(house.page("private")).headers
    assert "form-action 'self'" in with_forms["content-security-policy"]
    assert with_forms["referrer-policy"] == "same-origin"
    assert "form-action 'none'" in without["content-security-policy"]
    for headers in (with_forms, without):
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
    assert "<script" not in alice.get(house.page("private")).text


def logged_in(house: House, client: Client, base: str, back: str = "/") -> httpx.Response:
    """Alice goes to GitHub and comes back."""
    start = client.get(f"/login/start?back={back}")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(start.headers["location"]).query).items()}
    assert asked["redirect_uri"] == f"{URL}/login/callback"
    server = house.visitors.outbox.world.served.url
    form = {**asked, "login": "alice"}
    answer = httpx.post(f"{server}/login/oauth/authorize", data=form, headers={"origin": server}, trust_env=False)
    return client.get(f"{base}/login/callback?{urlsplit(answer.headers['location']).query}")


@pytest.mark.parametrize(("public_url", "prefix", "is_secure"), [(URL, "", False), (PUBLIC, "__Host-", True)])
def test_the_browser_keeps_a_cookie_that_no_script_and_no_other_page_reads(
    house: House, public_url: str, prefix: str, is_secure: bool
) -> None:
    client = house.client(public_url=public_url, host="trackside.example.org" if is_secure else "127.0.0.1:9")
    base = "https://trackside.example.org" if is_secure else URL
    back = house.page("private")
    client.base(base)
    answer = logged_in(house, client, base, back)
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    session, forgotten = answer.headers.get_list("set-cookie")
    name, *flags = session.split("; ")
    assert name.startswith(f"{prefix}trackside=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=604800"} <= set(flags)
    assert ("Secure" in flags) is is_secure
    assert not any(flag.startswith("Domain") for flag in flags)
    assert forgotten.startswith(f'{prefix}trackside-login=""; ')
    assert client.get(back).status_code == 200
    page = client.get(back)
    action, fields = form_of(page.text, "logout")
    out = client.post(action, data=fields, headers={"origin": base})
    assert out.headers["location"] == "/login"
    assert client.get(back).headers["location"] == f"/login?back={back}"


def test_a_login_that_fails_says_why_and_offers_another_try(house: House) -> None:
    client = house.client()
    answer = client.get("/login/callback?state=made-up&code=x")
    assert answer.status_code == 403
    assert "This login is not under way" in answer.text
    assert 'href="/login/start"' in answer.text
    assert "set-cookie" not in answer.headers
    for query in ("", "state=" + "x" * 2_000, "error=access_denied", "state=%00&code=%ff&error=<script>"):
        answer = client.get(f"/login/callback?{query}")
        assert answer.status_code == 403
        assert "<script>" not in answer.text
    start = client.get(f"/login/start?back={house.page('private')}")
    state = parse_qs(urlsplit(start.headers["location"]).query)["state"][0]
    denied = client.get(f"/login/callback?error=access_denied&state={state}")
    assert "You told GitHub not to say who you are" in denied.text
    assert f'href="/login/start?back={house.page("private")}"' in denied.text


def test_whoever_has_logged_in_is_led_on_and_nowhere_else(house: House) -> None:
    client = house.client("alice")
    assert client.get(f"/login?back={house.page('private')}").headers["location"] == house.page("private")
    assert client.get("/login?back=//evil.example.org").headers["location"] == "/"
    nobody = house.client()
    assert 'href="/login/start"' in nobody.get("/login?back=https://evil.example.org").text
    other = house.client(host="localhost:9")
    assert other.get("/login").headers["location"] == f"{URL}/login", "GitHub leads back to the other name"


def test_machines_need_no_login(house: House) -> None:
    client = house.client(peer="203.0.113.9")
    assert client.get("/healthz").status_code == 200
    assert client.get("/schema/stacks.json").status_code == 200
    assert client.get("/.well-known/jwks.json").status_code == 200
    assert client.get("/static/trackside.css").status_code == 200
    assert client.post("/worker/v1/claim").status_code == 401
    assert client.post("/webhooks/github", content=b"{}").status_code in (400, 401)
    assert client.get("/metrics").status_code == 404


def test_a_session_that_is_over_or_made_up_is_none(house: House) -> None:
    for odd in ("", "made-up", "x" * 5_000):
        client = house.client()
        client.keep("trackside", odd)
        assert client.get("/").status_code == 303


def test_a_page_that_github_says_nothing_about_is_shown_later(house: House) -> None:
    client, trouble = house.client("alice"), house.visitors.outbox.world.github.trouble
    trouble.fail_next("GET", r"/permission$", status=502, times=3)
    answer = client.get(house.page("private"))
    assert answer.status_code == 503
    assert "stack-private" not in answer.text
    trouble.fail_next("GET", r"/permission$", status=502, times=9)
    text = client.get("/").text
    trouble.clear()
    assert "GitHub has not said yet whether you may read them" in text
    assert "stack-private" not in text
