"""The door of a person's command on a page: the same command as by a button or a comment, authorised at that moment.

Whoever may not read the stack gets the answer of one that is not there.
"""

from dataclasses import dataclass
from typing import Final

from app.core.command import Command, Verb
from app.core.event import Repository
from app.core.names import RunId, Sha, StackId
from app.core.permit import Access
from app.core.visitor import Visitor, may_see
from app.flows.answer import Done, Not
from app.flows.control import Control, Press, person_of
from app.flows.lock import keep_stack
from app.flows.start import Wish
from app.flows.visit import Visits

SOURCE: Final = "page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """What a form on a run's page says."""

    command: Command
    digest_start: str = ""
    """16 hex digits of the plan that the page showed, or (for a retry) of the run's mark; empty: it showed none."""
    shown_plan: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """The use cases."""

    control: Control
    visits: Visits

    def on_run(self, visitor: Visitor, run_id: RunId, pressed: Pressed, *, reads_all: bool) -> Done | Not | None:
        """Carry out a command for a run; None when there is no such run for this person. `reads_all`: they may read
        every page, whatever GitHub says of them."""
        with self.control.store.begin() as tx:
            run = tx.find_run(run_id)
            repository = tx.find_repository(run.repository_id) if run is not None else None
            is_veiled = run is not None and tx.get_run_facts(run).is_veiled
        if run is None or repository is None:
            return None
        access = self._access(visitor, repository, is_veiled=is_veiled, reads_all=reads_all)
        if access is None:
            return None
        person = person_of(access, repository, visitor.login, SOURCE)
        press = Press(
            repository=repository,
            run=run,
            command=pressed.command,
            digest_start=pressed.digest_start,
            shown_plan=pressed.shown_plan,
            is_on_page=True,
        )
        found = self.control.look_at(press, person)
        with self.control.store.begin() as tx:
            result = self.control.obey(tx, press, found, person)
        self.control.forget([result])
        return result

    def on_stack(self, visitor: Visitor, stack_id: StackId, command: Command, *, reads_all: bool) -> Done | Not | None:
        """Lock, unlock or deploy a stack; None when there is no such stack for this person."""
        with self.control.store.begin() as tx:
            stack = tx.find_stack(stack_id)
            repository = tx.find_repository(stack.repository_id) if stack is not None else None
        if stack is None or repository is None:
            return None
        is_veiled = stack.settings.veils(is_private=repository.is_private)
        access = self._access(visitor, repository, is_veiled=is_veiled, reads_all=reads_all)
        if access is None:
            return None
        person = person_of(access, repository, visitor.login, SOURCE)
        if command.verb is not Verb.DEPLOY:
            with self.control.store.begin() as tx:
                return keep_stack(tx, stack, command, person, self.control.prefix)
        refusal = self.control.start.permitted(Verb.DEPLOY, person)
        shown = Sha(command.sha) if command.sha else None
        head = shown or (None if refusal is not None else self.control.start.newest(repository, stack))
        wish = Wish(verb=Verb.DEPLOY, repository=repository, names=(stack.name,), sha=head)
        prospect = self.control.prospect(wish, person)
        with self.control.store.begin() as tx:
            return self.control.begin(tx, Verb.DEPLOY, repository, prospect, person)

    def _access(self, visitor: Visitor, repository: Repository, *, is_veiled: bool, reads_all: bool) -> Access | None:
        """What GitHub says of the person now; None for somebody who may not even read there."""
        access = self.visits.ask(visitor, repository)
        return access if reads_all or may_see(access.permission, is_veiled=is_veiled) else None
