"""Who sees the pages, and what goes with every answer."""

import pytest

from tests.web.made import (
    RUN,
    put,
)
from tests.web.memory import STACK, World

PAGES = ("/", f"/stacks/{STACK}", f"/runs/{RUN}", f"/runs/{RUN}/changes", f"/runs/{RUN}/strip.svg", f"/runs/{RUN}/log")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/runs/",
        f"/runs/{RUN[:-1]}9",
        f"/runs/{RUN.lower()}",
        "/runs/..%2f..%2fetc%2fpasswd",
        "/runs/%00",
        f"/stacks/{RUN}",
        f"/runs/{RUN}/nothing",
        "/static/../pages.py",
        "/static/%2e%2e%2fpages.py",
        "/favicon.ico",
    ],
)
def test_what_is_not_there_is_one_and_the_same_page(world: World, path: str) -> None:
    put(world)
    client, away = world.client(), world.client(peer="203.0.113.9")
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.text == away.get(f"/runs/{RUN}").text


@pytest.mark.parametrize(
    ("peer", "host", "headers"),
    [
        ("203.0.113.9", "localhost:8000", {}),
        ("127.0.0.1", "trackside.example.org", {}),
        ("127.0.0.1", "localhost.example.org", {}),
        ("127.0.0.1", "localhost:8000", {"x-forwarded-for": "127.0.0.1"}),
        ("127.0.0.1", "localhost:8000", {"forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", "localhost:8000", {"via": "1.1 proxy"}),
    ],
)
def test_pages_are_for_this_machine_alone(world: World, peer: str, host: str, headers: dict[str, str]) -> None:
    put(world)
    client = world.client(peer=peer, host=host)
    for path in PAGES:
        answer = client.get(path, headers=headers)
        assert answer.status_code == 404
        assert "network" not in answer.text


def test_pages_stay_closed_behind_a_public_name_whatever_the_peer(world: World) -> None:
    put(world)
    world.settings["public_url"] = "https://trackside.example.org"
    client = world.client()
    assert {client.get(path).status_code for path in PAGES} == {404}


def test_open_pages_are_for_everyone(world: World) -> None:
    put(world)
    world.settings |= {"pages_access": "open", "public_url": "https://trackside.example.org"}
    client = world.client(peer="203.0.113.9", host="trackside.example.org")
    assert {client.get(path).status_code for path in PAGES} == {200}


def test_every_answer_carries_the_security_headers(world: World) -> None:
    put(world)
    client = world.client()
    for path in (*PAGES, "/nothing", "/healthz", "/static/trackside.css", "/state/x", "/worker/v1/claim"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert client.get("/").headers["cache-control"] == "no-store"


def test_pages_need_neither_script_nor_inline_style(world: World) -> None:
    put(world)
    client = world.client()
    for path in PAGES[:4]:
        text = client.get(path).text
        for bad in ("<script", "style=", "onclick", "http://", "<style"):
            assert bad not in text, (path, bad)


def test_what_breaks_shows_no_detail(world: World) -> None:
    world.shelf.trouble = ZeroDivisionError("a detail of the inside")
    answer = world.client().get("/")
    assert answer.status_code == 500
    assert "something broke here" in answer.text
    assert "detail" not in answer.text
    assert "Traceback" not in answer.text


def test_an_empty_installation_says_what_to_do(world: World) -> None:
    text = world.client().get("/").text
    assert ".trackside/stacks.yml" in text
    assert "No run yet" in text


def test_pages_are_read_and_not_written(world: World) -> None:
    put(world)
    answer = world.client().post(f"/runs/{RUN}", content=b"x=1")
    assert answer.status_code == 405


def test_an_endless_address_is_refused(world: World) -> None:
    assert world.client().get("/runs/" + "x" * 5000).status_code == 414
