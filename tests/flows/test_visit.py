"""Logging in and being logged in: once and in one browser, a new session each time, GitHub's word for five minutes."""

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from app.core.names import InstallationId, RepositoryId
from app.core.stack import Permission
from app.core.visitor import LoginProblem, LoginRefused, Message
from app.flows.login import CameBack, LoggedIn
from tests.browser import Browser
from tests.database import made_database
from tests.flows.visitors import URL, Visitors, open_visitors

PAGE = "/runs/01JD00000000000000000000R1"


@pytest.fixture(scope="module")
def visitors(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[Visitors]:
    """One world for all."""
    with (
        made_database(server_url, template=database_template) as url,
        open_visitors(tmp_path_factory.mktemp("visitors"), url) as made,
    ):
        yield made


def there_and_back(visitors: Visitors, login: str = "alice", back: str = "/") -> CameBack:
    """What a browser brings that went to GitHub."""
    begun = visitors.login.begin(back)
    browser = Browser("")
    page = browser.get(begun.url)
    form = {"login": login} | {name: values[0] for name, values in parse_qs(urlsplit(begun.url).query).items()}
    origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
    answer = browser.send("POST", f"{origin}/login/oauth/authorize", data=form, headers={"origin": origin})
    where = answer.headers["location"]
    assert where.startswith(f"{URL}/login/callback?")
    told = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
    return CameBack(
        state=told["state"],
        code=told.get("code", ""),
        error=told.get("error", ""),
        browser=begun.browser.reveal(),
        session="",
    )


def problem(visitors: Visitors, came: CameBack) -> LoginProblem:
    """Why nobody was logged in."""
    done = visitors.login.complete(came)
    assert isinstance(done, LoginRefused)
    return done.problem


def test_whoever_comes_back_is_logged_in_and_led_to_where_they_wanted(visitors: Visitors) -> None:
    done = visitors.login.complete(there_and_back(visitors, back=PAGE))
    assert isinstance(done, LoggedIn)
    assert done.back == PAGE
    assert visitors.again(done.token).login == "alice"
    rows = str(visitors.outbox.world.sql("SELECT key, sealed FROM sessions"))
    assert done.token.reveal() not in rows
    assert "alice" not in rows
    assert re.search(r"[0-9a-f]{64}", rows)


def test_a_way_back_that_is_none_of_ours_leads_to_the_first_page(visitors: Visitors) -> None:
    done = visitors.login.complete(there_and_back(visitors, back="//evil.example.org"))
    assert isinstance(done, LoggedIn)
    assert done.back == "/"


def test_what_is_brought_is_good_once_and_from_the_browser_that_went(visitors: Visitors) -> None:
    came = there_and_back(visitors)
    assert isinstance(visitors.login.complete(came), LoggedIn)
    assert problem(visitors, came) is LoginProblem.OVER
    other = there_and_back(visitors)
    stolen = replace(came, state=other.state, code=other.code)
    assert problem(visitors, stolen) is LoginProblem.OVER, "another browser began it"
    assert problem(visitors, other) is LoginProblem.OVER, "and whoever tried ended it"
    fresh = there_and_back(visitors)
    for changed in ({"state": ""}, {"state": "x" * 10_000}, {"browser": ""}, {"state": "made-up"}):
        assert problem(visitors, replace(fresh, **changed)) is LoginProblem.OVER


def test_a_login_that_took_too_long_is_over(visitors: Visitors) -> None:
    came = there_and_back(visitors)
    with visitors.outbox.world.plane.store.begin() as tx:
        tx._connection.execute(text("UPDATE logins SET created_at = created_at - interval '10 minutes'"))
    assert problem(visitors, came) is LoginProblem.OVER


def test_whoever_says_no_or_brings_a_wrong_code_is_told_why_and_comes_back_to_the_page(visitors: Visitors) -> None:
    came = there_and_back(visitors, login="", back=PAGE)
    done = visitors.login.complete(came)
    assert done == LoginRefused(problem=LoginProblem.DENIED, said="access_denied", back=PAGE)
    wrong = replace(there_and_back(visitors), code="0" * 20)
    assert problem(visitors, wrong) is LoginProblem.CODE
    odd = replace(there_and_back(visitors), error="<b>" * 1_000)
    assert problem(visitors, odd) is LoginProblem.OTHER


def test_a_login_makes_a_new_session_and_ends_the_one_before(visitors: Visitors) -> None:
    before = visitors.session("bob")
    done = visitors.login.complete(replace(there_and_back(visitors), session=before.reveal()))
    assert isinstance(done, LoggedIn)
    assert done.token != before
    assert visitors.visits.find(before.reveal()) is None
    planted = "a-session-that-an-attacker-chose"
    done = visitors.login.complete(replace(there_and_back(visitors), session=planted))
    assert isinstance(done, LoggedIn)
    assert visitors.visits.find(planted) is None


def test_a_session_that_was_ended_is_nobodys(visitors: Visitors) -> None:
    token = visitors.session("alice")
    visitors.visits.end(token.reveal())
    assert visitors.visits.find(token.reveal()) is None
    for odd in ("", "x", "x" * 10_000, "\x00", "\ud800"):
        assert visitors.visits.find(odd) is None
        visitors.visits.end(odd)


def test_what_is_over_is_let_go_of_once_an_hour(visitors: Visitors) -> None:
    kept = visitors.session("alice")
    there_and_back(visitors)
    with visitors.outbox.world.plane.store.begin() as tx:
        tx._connection.execute(text("UPDATE logins SET created_at = created_at - interval '11 minutes'"))
        tx._connection.execute(text("INSERT INTO sessions VALUES (repeat('0', 64), '', now() - interval '8 days')"))
    visitors.outbox.world.plane.tasks.tidy()
    assert visitors.outbox.world.sql("SELECT count(*) FROM logins") == [(0,)]
    assert visitors.outbox.world.sql("SELECT key FROM sessions WHERE key LIKE '0000%'") == []
    assert visitors.again(kept).login == "alice"


def test_github_is_asked_once_in_five_minutes_what_somebody_may_read(visitors: Visitors) -> None:
    github, repository, token = visitors.outbox.world.github, visitors.outbox.repository, visitors.session("bob")

    def asked() -> int:
        before = github.count_requests("GET", "/permission")
        assert visitors.visits.permission(visitors.again(token), repository) is Permission.READ
        return github.count_requests("GET", "/permission") - before

    assert [asked(), asked()] == [1, 0]
    assert visitors.visits.permission(visitors.visitor("mallory"), repository) is Permission.NONE


def test_one_account_that_github_does_not_answer_for_leaves_the_rest_of_the_page(visitors: Visitors) -> None:
    here = visitors.outbox.repository
    gone = replace(here, id=RepositoryId(1), name="gone", installation_id=InstallationId(404))
    alice = visitors.visitor("alice")
    known = visitors.visits.permissions(alice, [here, gone, here])
    assert (known.permissions[here.id], known.permissions[gone.id]) == (Permission.WRITE, Permission.NONE)
    assert known.not_asked == 0
    visitors.outbox.world.github.trouble.fail_next("GET", r"/permission$", status=502, times=3)
    known = visitors.visits.permissions(visitors.visitor("alice"), [here])
    assert (dict(known.permissions), known.not_asked) == ({}, 1)


def test_a_page_asks_about_a_few_repositories_and_the_next_about_more(visitors: Visitors) -> None:
    here, token = visitors.outbox.repository, visitors.session("alice")
    many = [replace(here, id=RepositoryId(number)) for number in range(5_000, 5_040)]
    assert visitors.visits.permissions(visitors.again(token), many).not_asked == 10
    assert visitors.visits.permissions(visitors.again(token), many).not_asked == 0


def test_a_github_that_answers_for_nobody_is_asked_for_two_accounts_and_no_more(visitors: Visitors) -> None:
    """Thirty questions of three attempts each would keep a page, and its thread, for minutes."""
    here, github = visitors.outbox.repository, visitors.outbox.world.github
    many = [replace(here, id=RepositoryId(number)) for number in range(6_000, 6_010)]
    before = github.count_requests("GET", "/permission")
    github.trouble.fail_next("GET", r"/permission$", status=502, times=3)
    assert visitors.visits.permissions(visitors.visitor("alice"), many).not_asked == 10
    assert github.count_requests("GET", "/permission") - before == 3


def test_a_session_or_login_that_cannot_be_opened_is_over(visitors: Visitors) -> None:
    """Keys were taken away, or another release wrote it: else no page answers that browser, nor lets it log out."""
    token, came = visitors.session("alice"), there_and_back(visitors)
    with visitors.outbox.world.plane.store.begin() as tx:
        tx._connection.execute(text("UPDATE sessions SET sealed = overlay(sealed PLACING 'x' FROM length(sealed))"))
        tx._connection.execute(text("UPDATE logins SET sealed = overlay(sealed PLACING 'x' FROM length(sealed))"))
    assert visitors.visits.find(token.reveal()) is None
    assert problem(visitors, came) is LoginProblem.OVER


def test_a_message_is_shown_once_on_its_page_alone(visitors: Visitors) -> None:
    token, message = visitors.session("alice"), Message(path=PAGE, text="Not done.", is_refusal=True)
    visitors.visits.leave(visitors.again(token), message)
    assert visitors.visits.take(visitors.again(token), "/") is None
    assert visitors.visits.take(visitors.again(token), PAGE) == message
    assert visitors.visits.take(visitors.again(token), PAGE) is None
    gone = visitors.again(token)
    visitors.visits.end(token.reveal())
    visitors.visits.leave(gone, message)
    assert visitors.visits.find(token.reveal()) is None
