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

    def list_installations(self) -> list[Installation]:
        return []

    def find_webhook(self) -> Webhook:
        return self.hook

    def list_latest_deliveries(self) -> list[DeliveryAttempt]:
        return self.attempts


def looked(hook: Webhook) -> Diagnose:
    return Diagnose(github=App(hook), allowed_accounts=(), webhook_url=URL)


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
