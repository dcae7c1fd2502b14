"""Messages over HTTP: signed, bounded, never redirected, and whatever goes wrong is an answer without the address."""

import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.core.names import RunId, Secret
from app.core.notice import Answer, Channel, Endpoint, Kind, Message, Outcome, Request
from app.messenger.http import HttpReceivers, read_answer, signature
from tests.receiver import Receiver, open_receiver

SIGNING = "the-secret-that-signs-0123456789"
MESSAGE = Message(
    id="01JMESSAGE",
    run_id=RunId("01JRUN"),
    step_id=1,
    channel=Channel.WEBHOOK,
    policy="tell",
    outcome=Outcome.PENDING,
    to="ci",
    number=7,
    request=Request(body=b'{"a": 1}', method="PUT", headers={"Authorization": "Bearer x", "X-Trackside-Order": "99"}),
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Who is told."""
    with open_receiver() as made:
        yield made


@pytest.fixture
def receivers() -> Iterator[HttpReceivers]:
    """Over HTTP, without Slack."""
    made = HttpReceivers({})
    yield made
    made.close()


def endpoint(url: str) -> Endpoint:
    return Endpoint(name="ci", url=Secret(url), signing=Secret(SIGNING))


def test_a_message_is_signed_numbered_and_cannot_be_dressed_up(receiver: Receiver, receivers: HttpReceivers) -> None:
    assert receivers.post(MESSAGE, endpoint(f"{receiver.url}/hook")) == Answer(Kind.TAKEN)
    (one,) = receiver.received
    assert (one.method, one.path, one.body) == ("PUT", "/hook", b'{"a": 1}')
    assert one.is_signed_with(SIGNING)
    names = ("x-trackside-order", "x-trackside-delivery", "authorization", "content-type")
    assert [one.headers[name] for name in names] == ["7", "01JMESSAGE", "Bearer x", "application/json"]


def test_the_signature_is_githubs() -> None:
    """Source: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries, its test values."""
    known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature(Secret("It's a Secret to Everybody"), b"Hello, World!") == known
    assert hmac.new(b"k", b"", hashlib.sha256).hexdigest() in signature(Secret("k"), b"")


def test_a_redirect_is_not_followed(receiver: Receiver, receivers: HttpReceivers) -> None:
    receiver.status, receiver.headers = 307, {"location": f"{receiver.url}/elsewhere"}
    answer = receivers.post(MESSAGE, endpoint(f"{receiver.url}/hook"))
    assert answer == Answer(Kind.REFUSED, "it answers 307: redirects are not followed")
    assert [one.path for one in receiver.received] == ["/hook"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, "taken"), (299, "taken"), (400, "refused"), (404, "refused"), (429, "refused"), (500, "unanswered")],
)
def test_what_a_status_means(receiver: Receiver, receivers: HttpReceivers, status: int, kind: str) -> None:
    receiver.status = status
    assert receivers.post(MESSAGE, endpoint(receiver.url)).kind.value == kind


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 415, 422, 429])
def test_some_refusals_are_about_the_message_and_from_slack_none_is(status: int) -> None:
    is_about_message = status in (400, 405, 413, 415, 422)
    assert read_answer(status, {}, is_slack=False).is_about_message is is_about_message
    assert not read_answer(status, {}, is_slack=True).is_about_message


def test_slack_is_asked_without_signature_and_may_say_when_to_come_back(receiver: Receiver) -> None:
    receivers = HttpReceivers({"": Secret(f"{receiver.url}/all"), "C1": Secret(f"{receiver.url}/c1")})
    receiver.statuses, receiver.headers = [429], {"retry-after": "30"}
    slack = replace(MESSAGE, channel=Channel.SLACK, request=Request(body=b"{}"))
    assert receivers.post(slack, Endpoint(name="slack")) == Answer(Kind.UNANSWERED, "it answers 429", 30.0)
    assert receivers.post(slack, Endpoint(name="slack:C1")).kind is Kind.TAKEN
    assert [one.path for one in receiver.received] == ["/all", "/c1"]
    assert not [name for name in receiver.received[0].headers if "signature" in name or "trackside-" in name]
    assert receivers.post(slack, Endpoint(name="slack:C2")).words == "it has no address any more"
    assert receivers.channels == {"", "C1"}
    receivers.close()


def test_an_address_that_became_unfit_is_not_asked(receivers: HttpReceivers) -> None:
    answer = receivers.post(MESSAGE, endpoint("http://hooks.example/token"))
    assert answer == Answer(Kind.REFUSED, "its address is neither https nor on this machine")


def test_nobody_there_is_an_answer_without_the_address(receivers: HttpReceivers) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    answer = receivers.post(MESSAGE, endpoint(f"http://127.0.0.1:{port}/token"))
    assert (answer.kind, answer.words) == (Kind.UNANSWERED, "no answer (ConnectError)")


def test_an_answer_without_end_is_read_up_to_a_bound(receivers: HttpReceivers) -> None:
    """The other side sends for as long as it is listened to."""
    sent: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def flood() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                try:
                    while len(sent) < 10_000:
                        connection.sendall(b"x" * 65_536)
                        sent.append(1)
                except OSError:
                    return

        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        answer = receivers.post(MESSAGE, endpoint(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join(10)
    assert answer.kind is Kind.TAKEN
    assert len(sent) < 10_000
