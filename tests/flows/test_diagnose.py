"""What only an odd GitHub shows of a webhook, and clocks at their bounds."""

from dataclasses import dataclass, field

import pytest

from app.core.finding import Level
from app.flows.diagnose import Diagnose, clock
from app.github.registration import AppIdentity, DeliveryAttempt, Installation, Webhook

URL = "https://trackside.example.org/webhooks/github"


@dataclass
class App:
    """A GitHub that says what it is told to."""

    hook: Webhook
    clock_skew_s: float | None = None
    attempts: list[DeliveryAttempt] = field(default_factory=list)

    def find_app_owner(self) -> AppIdentity:
        return AppIdentity(owner="acme", slug="trackside", permissions={}, events=())

    def takes_client_secret(self) -> bool:
        return True

    def list_installations(self) -> list[Installation]:
        return []

    def find_webhook(self) -> Webhook:
        return self.hook

    def list_latest_deliveries(self) -> list[DeliveryAttempt]:
        return self.attempts


def looked(hook: Webhook, wanted: str = URL, *, is_github_here: bool = False) -> Diagnose:
    return Diagnose(github=App(hook), allowed_accounts=(), webhook_url=wanted, is_github_here=is_github_here)


HERE = "http://localhost:8000/webhooks/github"


@pytest.mark.parametrize(
    ("url", "wanted", "is_github_here", "level", "said"),
    [
        ("http://127.0.0.1:8000/webhooks/github", HERE, True, Level.OK, "on this machine: right for a GitHub that"),
        (HERE, HERE, True, Level.OK, "on this machine: right for a GitHub that runs here too, as the sandbox does"),
        ("http://127.0.0.1:8001/webhooks/github", HERE, True, Level.PROBLEM, "and not to http://localhost:8000/"),
        ("http://127.0.0.1:8000/old", HERE, True, Level.PROBLEM, "or correct PUBLIC_URL"),
        ("http://127.0.0.1:8000/webhooks/github", URL, True, Level.PROBLEM, "and not to https://trackside.example.org"),
        (URL, URL, True, Level.OK, "deliveries go to https://trackside.example.org/webhooks/github"),
        (HERE, HERE, False, Level.PROBLEM, "GitHub is elsewhere: give PUBLIC_URL an address that GitHub reaches"),
        ("http://127.0.0.1:8000/webhooks/github", HERE, False, Level.PROBLEM, "set the webhook's URL on"),
        ("", HERE, True, Level.PROBLEM, "the App has no webhook"),
    ],
)
def test_a_webhook_on_this_machine_is_right_for_a_github_on_this_machine_alone(
    url: str, wanted: str, is_github_here: bool, level: Level, said: str
) -> None:
    hook = Webhook(url=url, content_type="json", is_verified=True)
    (found,) = looked(hook, wanted, is_github_here=is_github_here).webhook()
    assert found.level is level
    assert said in found.text


def test_a_webhook_that_sends_forms_or_trusts_anybody_is_told() -> None:
    found = list(looked(Webhook(url=f"{URL}/", content_type="form", is_verified=False)).webhook())
    assert [one.level for one in found] == [Level.OK, Level.PROBLEM, Level.WARNING]
    assert "application/json" in found[1].text
    assert "SSL verification" in found[2].text


def test_no_delivery_at_all_is_worth_a_look() -> None:
    (found,) = looked(Webhook(url=URL, content_type="json", is_verified=True)).deliveries()
    assert found.level is Level.WARNING


def test_without_allowed_accounts_the_owner_is_the_one_that_counts() -> None:
    (found,) = looked(Webhook(url=URL, content_type="json", is_verified=True)).installations()
    assert (found.level, found.text.partition(":")[0]) == (Level.PROBLEM, "acme")


@pytest.mark.parametrize(
    ("skew_s", "level"),
    [(0, Level.OK), (9.9, Level.OK), (-10, Level.WARNING), (54, Level.WARNING), (-55, Level.PROBLEM)],
)
def test_a_clock_may_be_a_little_off(skew_s: float, level: Level) -> None:
    assert clock(skew_s).level is level
