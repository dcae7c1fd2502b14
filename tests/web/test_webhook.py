"""The webhook's door: what it stores, what it answers, and what it never does."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from app.core.event import MAX_DELIVERY_BYTES
from app.core.record import DeliveryOutcome
from tests.web.memory import BROKEN, PREVIOUS, World, delivery, served, signed

BODY = b'{"ref": "refs/heads/main"}'
PATH = "/webhooks/github"


def test_a_signed_delivery_is_stored_and_then_accepted(world: World) -> None:
    answer = world.client().post(PATH, content=BODY, headers=delivery(BODY, guid="abc-1"))
    assert (answer.status_code, answer.json()) == (202, {"outcome": "stored"})
    assert world.deliveries.rows == {"abc-1": ("push", BODY, DeliveryOutcome.PENDING, "")}


def test_the_same_delivery_again_is_seen_before(world: World) -> None:
    client = world.client()
    client.post(PATH, content=BODY, headers=delivery(BODY))
    answer = client.post(PATH, content=BODY, headers=delivery(BODY))
    assert (answer.status_code, answer.json()) == (200, {"outcome": "seen before"})
    assert len(world.deliveries.rows) == 1


def test_the_secret_before_is_still_good(world: World) -> None:
    headers = delivery(BODY, x_hub_signature_256=signed(BODY, PREVIOUS))
    assert world.client().post(PATH, content=BODY, headers=headers).status_code == 202


@pytest.mark.parametrize(
    "signature",
    [
        "",
        signed(BODY, "somebody else's secret"),
        signed(BODY + b" "),
        signed(BODY).upper(),
        signed(BODY)[:-1],
        signed(BODY).removeprefix("sha256="),
        "sha1=0123456789012345678901234567890123456789",
        "sha256=",
    ],
)
def test_a_wrong_signature_is_refused_and_nothing_is_stored(world: World, signature: str) -> None:
    answer = world.client().post(PATH, content=BODY, headers=delivery(BODY, x_hub_signature_256=signature))
    assert answer.status_code == 401
    assert world.deliveries.rows == {}


def test_headers_that_are_not_ascii_harm_nobody(world: World) -> None:
    client = world.client()
    for name in ("x-hub-signature-256", "x-github-delivery", "x-github-event"):
        raw = [(key.encode(), value.encode()) for key, value in delivery(BODY).items() if key != name]
        answer = client.post(PATH, content=BODY, headers=[*raw, (name.encode(), "sha256=ü😀".encode())])
        assert answer.status_code in (400, 401)
    assert world.deliveries.rows == {}


@pytest.mark.parametrize("guid", ["", "a b", "../../etc", "x" * 65, "guid;drop", "guid\tx"])
def test_a_guid_that_is_none_is_refused(world: World, guid: str) -> None:
    answer = world.client().post(PATH, content=BODY, headers=delivery(BODY, guid=guid))
    assert (answer.status_code, answer.json()["error"].split(":")[0]) == (400, "reading X-GitHub-Delivery")
    assert world.deliveries.rows == {}


@pytest.mark.parametrize("event", ["", "Push", "push\x7f", "e" * 65, "push,push"])
def test_an_event_that_is_no_name_is_refused(world: World, event: str) -> None:
    answer = world.client().post(PATH, content=BODY, headers=delivery(BODY, event=event))
    assert (answer.status_code, answer.json()["error"].split(":")[0]) == (400, "reading X-GitHub-Event")
    assert world.deliveries.rows == {}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"a": 1} x', b"payload=%7B%7D", b"[" * 200_000, b"\xff\xfe{}"]
)
def test_a_genuine_body_that_is_no_object_is_kept_as_malformed(world: World, body: bytes) -> None:
    answer = world.client().post(PATH, content=body, headers=delivery(body))
    assert answer.status_code == 400
    [(_, kept, outcome, reason)] = world.deliveries.rows.values()
    assert (kept, outcome, reason.startswith("body is not a JSON object")) == (body, DeliveryOutcome.MALFORMED, True)


def test_an_event_that_is_not_handled_is_kept_as_ignored(world: World) -> None:
    answer = world.client().post(PATH, content=BODY, headers=delivery(BODY, event="star"))
    assert answer.status_code == 200
    [(_, _, outcome, reason)] = world.deliveries.rows.values()
    assert (outcome, reason) == (DeliveryOutcome.IGNORED, "event star is not handled")


def test_what_cannot_be_stored_is_not_accepted(world: World) -> None:
    world.deliveries.trouble = BROKEN
    answer = world.client().post(PATH, content=BODY, headers=delivery(BODY))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "database" not in answer.text


def test_an_error_that_nobody_foresaw_is_503_too(world: World) -> None:
    world.deliveries.trouble = ZeroDivisionError("secret detail")
    answer = world.client().post(PATH, content=BODY, headers=delivery(BODY))
    assert answer.status_code == 503
    assert "detail" not in answer.text


def test_another_method_is_refused(world: World) -> None:
    answer = world.client().get(PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_body_of_26_megabytes_is_refused_before_it_is_read(world: World) -> None:
    with served(world.app()) as url, socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 10) as peer:
        head = "".join(f"{name}: {value}\r\n" for name, value in delivery(BODY).items())
        peer.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {26 * 1024 * 1024}\r\n{head}\r\n".encode())
        assert peer.recv(4096).startswith(b"HTTP/1.1 413")
    assert world.deliveries.rows == {}


def test_a_chunked_body_is_cut_at_the_limit(world: World) -> None:
    sent = 0

    def endless() -> object:
        nonlocal sent
        for _ in range(40):
            sent += 1
            yield b" " * (1024 * 1024)

    with served(world.app()) as url:
        try:
            status = httpx.post(url + PATH, content=endless(), headers=delivery(BODY), timeout=30).status_code  # type: ignore[arg-type]
        except httpx.WriteError:
            status = 413  # the answer came, and the connection was closed, while the rest was being sent
    assert (status, world.deliveries.rows) == (413, {})


def test_the_largest_body_that_github_sends_is_taken(world: World) -> None:
    body = b'{"a": "' + b"x" * (MAX_DELIVERY_BYTES - 9) + b'"}'
    assert len(body) == MAX_DELIVERY_BYTES
    assert world.client().post(PATH, content=body, headers=delivery(body)).status_code == 202


def test_what_became_of_deliveries_is_counted(world: World) -> None:
    client = world.client()
    client.post(PATH, content=BODY, headers=delivery(BODY))
    client.post(PATH, content=BODY, headers=delivery(BODY))
    client.post(PATH, content=BODY, headers=delivery(BODY, x_hub_signature_256=""))
    text = client.get("/metrics").text
    for outcome in ("stored", "seen", "bad_signature"):
        assert f'trackside_deliveries_total{{outcome="{outcome}"}} 1.0' in text
