"""Looks the GitHub App over: its key, permissions, events, installations, webhook and deliveries, and the clock.

Asks GitHub and changes nothing. `doctor` runs each method by itself, under its own time; what each finds is held
against app.core.appform and the settings.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from app.core import words_doctor as words
from app.core.appform import EVENTS, PERMISSIONS, Need
from app.core.errors import TracksideError
from app.core.finding import Finding, Level, fine, problem, warning
from app.core.host import is_loopback
from app.flows.ports_doctor import AppQuestions, KnownApp, KnownInstallation

SKEW_NOTED_S: Final = 10.0
SKEW_BROKEN_S: Final = 55.0
"""The App's JWT is dated back by 60 s: a clock that is further ahead is refused."""
FAILING: Final = 0.5
"""The share of failed deliveries from which on it is no accident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnose:
    """The questions, each with what it finds."""

    github: AppQuestions
    allowed_accounts: tuple[str, ...]
    """Empty: the App's owner."""
    webhook_url: str
    """Where deliveries should go."""
    is_github_here: bool = False
    """GitHub's API is on this machine, as the sandbox's is: so may be where it delivers to."""
    client_id: str = ""
    """By which people log in; empty: nobody does."""
    callback_url: str = ""
    """Where GitHub leads them back to."""
    lacking: Callable[[], Collection[Need]] = tuple
    """What this GitHub, an old Enterprise Server, does not have."""

    def identify(self) -> Iterator[Finding]:
        """Whether GitHub takes the App's key; and the clock, which every answer of GitHub's tells, a refusal too."""
        try:
            app = self.github.find_app_owner()
        except TracksideError as error:
            yield problem("github", words.app_refused(str(error)))
        else:
            yield fine("github", words.answers_as(app.slug, app.owner))
        skew_s = self.github.clock_skew_s
        if skew_s is not None:
            yield clock(skew_s)

    def permissions(self) -> Iterator[Finding]:
        """What the App itself asks for."""
        app, found = self.github.find_app_owner(), False
        for finding in _of_app(app, self.lacking()):
            found = True
            yield finding
        if not found:
            yield fine("permissions", words.app_complete(len(PERMISSIONS), len(EVENTS)))

    def installations(self) -> Iterator[Finding]:
        """What each account that is served has granted."""
        wanted = {account.lower() for account in self.allowed_accounts}
        wanted = wanted or {self.github.find_app_owner().owner.lower()}
        there, lacking = self.github.list_installations(), self.lacking()
        for installation in there:
            if installation.account.lower() in wanted:
                yield from _of_installation(installation, lacking)
        known = {one.account.lower() for one in there}
        for account in sorted(wanted - known):
            yield problem("installations", words.not_installed(account))
        others = sorted(one.account for one in there if one.account.lower() not in wanted)
        if others:
            yield warning("installations", words.not_served(others))

    def webhook(self) -> Iterator[Finding]:
        """Where deliveries go, and in which form."""
        hook = self.github.find_webhook()
        is_exact, is_here = hook.url.rstrip("/") == self.webhook_url, _is_here(hook.url)
        if self.is_github_here and is_here and (is_exact or _is_same_door(hook.url, self.webhook_url)):
            yield fine("webhook", words.webhook_here(hook.url))
        elif not is_exact:
            yield problem("webhook", words.webhook_elsewhere(hook.url, self.webhook_url))
        elif is_here and not self.is_github_here:
            yield problem("webhook", words.webhook_out_of_reach(hook.url))
        else:
            yield fine("webhook", words.webhook_fine(hook.url))
        if hook.url and hook.content_type != "json":
            yield problem("webhook", words.webhook_form(hook.content_type))
        if hook.url.startswith("https:") and not hook.is_verified:
            yield warning("webhook", words.webhook_unverified())

    def deliveries(self) -> Iterator[Finding]:
        """How the newest deliveries went."""
        attempts = self.github.list_latest_deliveries()
        if not attempts:
            yield warning("deliveries", words.no_deliveries())
            return
        failed = [one for one in attempts if not one.is_ok]
        taken = {one.guid for one in attempts if one.is_ok}
        lost = {one.guid for one in failed} - taken
        usual = Counter(one.status_code for one in failed).most_common(1)
        level = Level.OK
        if lost:
            level = Level.PROBLEM if len(failed) >= FAILING * len(attempts) else Level.WARNING
        text = words.deliveries(len(failed), len(attempts), len(lost), usual[0][0] if usual else 0)
        yield Finding(level=level, subject="deliveries", text=text)

    def login(self) -> Iterator[Finding]:
        """Whether people can log in."""
        app = self.github.find_app_owner()
        if app.client_id and app.client_id != self.client_id:
            yield problem("login", words.client_of_another(app.slug))
        elif not self.github.takes_client_secret():
            yield problem("login", words.CLIENT_SECRET_REFUSED)
        else:
            yield fine("login", words.login_fine(self.callback_url))

    def further(self) -> Sequence[tuple[str, Callable[[], Iterator[Finding]]]]:
        """What can be asked once GitHub takes the App's key, by subject."""
        return (
            ("permissions", self.permissions),
            ("installations", self.installations),
            ("webhook", self.webhook),
            ("deliveries", self.deliveries),
            *((("login", self.login),) if self.client_id else ()),
        )


def clock(skew_s: float) -> Finding:
    """What is to be said of a clock that GitHub's is so much ahead of."""
    if abs(skew_s) >= SKEW_BROKEN_S:
        return problem("clock", words.clock_off(skew_s))
    if abs(skew_s) >= SKEW_NOTED_S:
        return warning("clock", words.clock_off(skew_s))
    return fine("clock", words.clock(skew_s))


def _is_here(url: str) -> bool:
    """True for an address that means this machine alone."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _is_same_door(one: str, other: str) -> bool:
    """True when two addresses of this machine mean the same: `localhost` and 127.0.0.1 are two names of it."""
    if not (_is_here(one) and _is_here(other)):
        return False
    doors = [(parts.scheme, parts.netloc.rpartition(":")[2], parts.path) for parts in (urlsplit(one), urlsplit(other))]
    return doors[0] == doors[1]


def _of_app(app: KnownApp, lacking: Collection[Need]) -> Iterator[Finding]:
    for need in _without(PERMISSIONS, lacking):
        held = app.permissions.get(need.name, "")
        if not need.is_met_by(held):
            yield problem("permissions", words.missing_permission(need, held))
        elif need.is_exceeded_by(held):
            yield warning("permissions", words.more_than_needed(need, held))
    for need in _without(EVENTS, lacking):
        if need.name not in app.events:
            yield problem("events", words.missing_event(need))


def _of_installation(one: KnownInstallation, lacking: Collection[Need]) -> Iterator[Finding]:
    if one.is_suspended:
        yield problem("installations", words.suspended(one.account))
        return
    is_complete = True
    for need in _without(PERMISSIONS, lacking):
        held = one.permissions.get(need.name, "")
        if not need.is_met_by(held):
            is_complete = False
            yield problem("installations", words.not_granted(one.account, need, held))
    for need in _without(EVENTS, lacking):
        if need.name not in one.events:
            is_complete = False
            yield problem("installations", words.not_told(one.account, need))
    if is_complete:
        yield fine("installations", words.granted(one.account))


def _without(needs: Sequence[Need], lacking: Collection[Need]) -> Iterator[Need]:
    return (need for need in needs if need not in lacking)
