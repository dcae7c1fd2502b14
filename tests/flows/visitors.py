"""People who look at the pages of a world whose runs are moved by hand: their sessions, and what they press."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.command import Command, Verb
from app.core.names import RunId, Secret
from app.core.run import Run
from app.core.visitor import Account, Visitor
from app.flows.act import Act, Pressed
from app.flows.answer import Done, Not
from app.flows.login import Login
from app.flows.visit import Visits
from app.sandbox import AppSettings
from app.web.doors_people import People
from tests.flows.outbox import Outbox, open_outbox

APP = AppSettings()
CLIENT = {"GITHUB_CLIENT_ID": APP.client_id, "GITHUB_CLIENT_SECRET": APP.client_secret}
URL = "http://127.0.0.1:9"
"""PUBLIC_URL of that world."""


@dataclass
class Visitors:
    """A world with people: alice writes, bob reads, root administers, mallory may nothing."""

    outbox: Outbox

    @property
    def people(self) -> People:
        """What the pages have for people."""
        found = self.outbox.world.plane.doors.people
        assert found is not None
        return found

    @property
    def visits(self) -> Visits:
        """Sessions."""
        assert isinstance(self.people.visits, Visits)
        return self.people.visits

    @property
    def login(self) -> Login:
        """The way to GitHub and back."""
        assert isinstance(self.people.login, Login)
        return self.people.login

    @property
    def act(self) -> Act:
        """The door of commands."""
        assert isinstance(self.people.act, Act)
        return self.people.act

    def session(self, login: str) -> Secret:
        """What that person's browser shows, once logged in."""
        return self.visits.begin(Account(id=self.outbox.world.github.user(login).id, login=login))

    def visitor(self, login: str) -> Visitor:
        """That person, logged in."""
        return self.again(self.session(login))

    def again(self, token: Secret) -> Visitor:
        """Whose session that is now."""
        found = self.visits.find(token.reveal())
        assert found is not None
        return found

    def press(self, login: str, run: Run, command: Command, *, digest: str | None = None) -> Done | Not | None:
        """Somebody presses a button of the run's page as it was when `run` was read."""
        shown = run.plan.digest[:16] if run.plan is not None and digest is None else digest or ""
        number = run.plan.number if run.plan is not None else 0
        pressed = Pressed(command=command, digest_start=shown, shown_plan=number)
        return self.act.on_run(self.visitor(login), RunId(run.id), pressed, reads_all=False)

    def audit(self) -> list[tuple[object, ...]]:
        """The audit log's last lines: who, by which door, what, whether it was done; oldest first."""
        return self.outbox.world.sql("SELECT actor, source, command, is_allowed FROM audit ORDER BY at, id")


@contextmanager
def open_visitors(root: Path, database_url: str, **variables: str) -> Iterator[Visitors]:
    """That world; ends with the block."""
    with open_outbox(root, database_url, **CLIENT, **variables) as outbox:
        github = outbox.world.github
        outbox.repo.set_permission("root", "admin")
        github.create_user("mallory")
        yield Visitors(outbox)


CONFIRM = Command(verb=Verb.CONFIRM)
