"""Messages of one endpoint go in order, are tried a few times, and stop after ten failures until a person acts."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import psycopg
import pytest

from app.core.errors import RetryableError, UserError
from app.core.names import Secret
from app.core.notice import Channel, Endpoint, Message, Outcome, Request
from app.core.run import Run
from app.flows.endpoints import Endpoints
from app.flows.send import Send
from app.messenger.http import HttpReceivers
from app.store.postgres import PostgresStore
from tests.receiver import Receiver, open_receiver
from tests.store.world import make_run, make_stack

SIGNING = "the-secret-that-signs-0123456789"
ACTOR = "root (on the server)"


@dataclass
class Post:
    """An endpoint, its receiver, and what a person and the `send` job do with them."""

    store: PostgresStore
    receiver: Receiver
    run: Run
    send: Send
    endpoints: Endpoints

    def add(self, count: int = 1) -> None:
        """Messages, numbered on."""
        for _ in range(count):
            with self.store.begin() as tx:
                number = tx.lock_endpoints(["ci"], [])["ci"].number + 1
                tx.add_message(
                    Message(
                        id=tx.new_id(),
                        run_id=self.run.id,
                        step_id=1,
                        channel=Channel.WEBHOOK,
                        policy="tell",
                        outcome=Outcome.PENDING,
                        to="ci",
                        number=number,
                        request=Request(body=b"%d" % number),
                    )
                )

    def outcomes(self) -> list[tuple[int, str, str]]:
        """Number, outcome and reason of each message."""
        with self.store.begin() as tx:
            return [(one.number, one.outcome.value, one.reason) for one in tx.list_messages(self.run.id)]

    def endpoint(self) -> Endpoint:
        """As it is now."""
        (found,) = self.endpoints.listed()
        return found


@pytest.fixture
def post(store: PostgresStore) -> Iterator[Post]:
    """An endpoint that was set up, and a run to tell of."""
    receivers = HttpReceivers({})
    with open_receiver() as receiver:
        endpoints = Endpoints(store=store, allowed=("acme",))
        endpoint = Endpoint(name="ci", url=Secret(f"{receiver.url}/hook"), signing=Secret(SIGNING))
        endpoints.add(endpoint, ACTOR)
        run = make_run(store, make_stack(store))
        yield Post(store, receiver, run, Send(store=store, receivers=receivers), endpoints)
    receivers.close()


def test_messages_go_in_their_order(post: Post) -> None:
    post.add(3)
    assert post.send.send("ci") == ()
    assert [one.body for one in post.receiver.received] == [b"1", b"2", b"3"]
    assert [outcome for _, outcome, _ in post.outcomes()] == ["sent"] * 3


def test_a_broken_server_is_tried_again_with_the_same_message_before_any_other(post: Post) -> None:
    post.receiver.statuses = [503]
    post.add(2)
    with pytest.raises(RetryableError, match="sending message 1 to ci: it answers 503") as caught:
        post.send.send("ci")
    assert caught.value.retry_after_s == 2.0
    assert post.send.send("ci") == ()
    sent = [(one.body, one.headers["x-trackside-delivery"]) for one in post.receiver.received]
    assert sent[0] == sent[1]
    assert [body for body, _ in sent] == [b"1", b"1", b"2"]


def test_a_message_is_given_up_after_three_more_tries_and_the_next_one_has_its_turn(post: Post) -> None:
    post.receiver.statuses = [500] * 4
    post.add(2)
    for _ in range(3):
        with pytest.raises(RetryableError):
            post.send.send("ci")
    assert post.send.send("ci") == ("message 1 to ci is not sent: it answers 500",)
    assert post.outcomes() == [(1, "failed", "it answers 500"), (2, "sent", "")]
    assert post.endpoint().failures == 0, "the second one was taken"


def test_a_refusal_is_not_tried_again(post: Post) -> None:
    post.receiver.status = 404
    post.add()
    assert post.send.send("ci") == ("message 1 to ci is not sent: it answers 404",)
    assert len(post.receiver.received) == 1
    assert (post.endpoint().failures, post.endpoint().problem) == (1, "it answers 404")


def test_ten_failures_in_a_row_switch_an_endpoint_off_until_a_person_switches_it_on(
    post: Post, database_url: str
) -> None:
    post.receiver.status = 410
    post.add(12)
    assert len(post.send.send("ci")) == 10
    assert len(post.receiver.received) == 10
    assert [outcome for _, outcome, _ in post.outcomes()] == ["failed"] * 10 + ["dropped"] * 2
    assert (post.endpoint().is_on, post.store.list_endpoint_states()) == (False, {"ci": False})
    with psycopg.connect(database_url) as connection:
        audited = connection.execute("SELECT actor, command, reason FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert audited == (
        "trackside",
        "webhook off ci",
        "10 messages in a row failed, the last one so: it answers 410",
    )

    post.receiver.status = 200
    assert post.endpoints.enable("ci", ACTOR) == "endpoint ci is on again: the next message is sent"
    assert post.endpoints.enable("ci", ACTOR) == "endpoint ci was on already"
    post.add()
    assert post.send.send("ci") == ()
    assert post.receiver.received[-1].headers["x-trackside-order"] == "13"
    assert (post.endpoint().is_on, post.endpoint().failures) == (True, 0)


def test_messages_that_are_at_fault_themselves_switch_no_endpoint_off(post: Post) -> None:
    post.receiver.statuses = [404] * 9 + [400, 405, 413, 415, 422]
    post.add(15)
    assert len(post.send.send("ci")) == 14
    reasons = [(outcome, reason) for _, outcome, reason in post.outcomes()]
    assert reasons[9:] == [("failed", f"it answers {status}") for status in (400, 405, 413, 415, 422)] + [("sent", "")]
    assert (post.endpoint().is_on, post.endpoint().failures) == (True, 0)


def test_what_waits_for_a_removed_endpoint_is_dropped_and_numbers_never_go_back(post: Post) -> None:
    post.add(2)
    assert post.endpoints.remove("ci", ACTOR) == "endpoint ci is removed; what waited for it is dropped"
    assert post.send.send("ci") == ()
    assert post.receiver.received == []
    assert post.outcomes() == [(1, "dropped", "its endpoint was removed"), (2, "dropped", "its endpoint was removed")]
    said = post.endpoints.add(
        Endpoint(name="ci", url=Secret(f"{post.receiver.url}/new"), signing=Secret(SIGNING)), ACTOR
    )
    assert said.startswith("endpoint ci is set up")
    post.add()
    post.send.send("ci")
    (one,) = post.receiver.received
    assert (one.path, one.headers["x-trackside-order"]) == ("/new", "3")
    with pytest.raises(UserError, match="removing endpoint 'no': there is none"):
        post.endpoints.remove("no", ACTOR)
    with pytest.raises(UserError, match="switching on endpoint 'no': there is none"):
        post.endpoints.enable("no", ACTOR)


@pytest.mark.parametrize(
    ("name", "url", "signing", "labels", "why"),
    [
        ("slack", "https://x.example", SIGNING, (), "the name is Slack's own"),
        ("Not this", "https://x.example", SIGNING, (), "a name is 1 to 63 lower-case letters"),
        ("ci", "http://x.example", SIGNING, (), "its address must be https"),
        ("ci", "https://x.example", "0123456789abcde", (), "its secret is shorter than 16 characters"),
        ("ci", "https://x.example", SIGNING, ("a,b",), "at most 20 labels"),
    ],
)
def test_what_can_be_no_endpoint_is_refused_without_its_secrets(
    store: PostgresStore, name: str, url: str, signing: str, labels: tuple[str, ...], why: str
) -> None:
    endpoint = Endpoint(name=name, url=Secret(url), signing=Secret(signing), labels=labels)
    with pytest.raises(UserError, match=why) as caught:
        Endpoints(store=store, allowed=("acme",)).add(endpoint, ACTOR)
    assert signing not in str(caught.value)
    assert url not in str(caught.value)
    assert Endpoints(store=store, allowed=("acme",)).listed() == []


def test_an_endpoint_is_of_the_accounts_that_were_named_else_of_the_only_one(store: PostgresStore) -> None:
    plain = Endpoint(name="ci", url=Secret("https://x.example"), signing=Secret(SIGNING))

    def added(*accounts: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        Endpoints(store=store, allowed=allowed).add(replace(plain, accounts=accounts), ACTOR)
        with store.begin() as tx:
            (found,) = tx.list_endpoints()
        return found.accounts

    assert added(allowed=()) == ()
    assert added(allowed=("acme",)) == ("acme",)
    assert added("Globex", "acme", "globex", allowed=("acme", "globex")) == ("acme", "globex")
    with pytest.raises(
        UserError, match="say whose messages it takes by --account, once for each: ALLOWED_ACCOUNTS has"
    ):
        added(allowed=("acme", "globex"))
    for stranger, allowed in (("initech", ("acme",)), ("a b", ())):
        with pytest.raises(UserError, match=f"account '{stranger}' is not among ALLOWED_ACCOUNTS"):
            added(stranger, allowed=allowed)


def test_what_waits_for_an_endpoint_never_goes_to_the_account_that_it_is_given_to(post: Post) -> None:
    post.add(2)
    theirs = Endpoints(store=post.store, allowed=("acme", "globex"))
    theirs.add(replace(post.endpoint(), url=Secret(f"{post.receiver.url}/theirs"), accounts=("globex",)), ACTOR)
    assert post.send.send("ci") == ()
    assert post.receiver.received == []
    assert [said[1:] for said in post.outcomes()] == [("dropped", "its endpoint was given to other accounts")] * 2
