"""The door of a person's command on the server: the same commands, by the same rules, without GitHub in between.

Whoever can start it there has the keys and the database already: they act as admins, and are written to the audit log.
"""

from dataclasses import dataclass

from app.core import words_start
from app.core.command import Command, Verb
from app.core.errors import UserError
from app.core.event import Repository
from app.core.names import RunId, Sha, StackId
from app.core.run import Run, RunType
from app.core.stack import Permission, Stack
from app.flows.answer import Done, Not, Person
from app.flows.control import Control, only_newest
from app.flows.lock import keep_stack
from app.flows.order import Order, carry_out, takes
from app.flows.ports import Transaction
from app.flows.start import Wish, start_here

MAX_RUNS_OF_STACK = 200
"""Newest runs of a stack among which a command on the server looks for the one that takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operate:
    """The use cases."""

    control: Control

    def run(self, run_id: RunId, command: Command, actor: str) -> Done | Not:
        """Carry out a command that was given on the server: whoever can start it there has the keys already.

        A stack's id stands for its one run that takes the command. Raises: UserError when there is neither.
        """
        with self.control.store.begin() as tx:
            stack = tx.find_stack(StackId(run_id))
            run = self._run_of(tx, stack, command.verb) if stack is not None else tx.get_run(run_id)
            if isinstance(run, Not):
                return self._turned_down(tx, stack, command.verb, run, actor)
            repository = tx.find_repository(run.repository_id)
        person = _operator(repository, actor)
        standing = None
        if repository is not None and command.verb is Verb.RETRY:
            standing = self.control.standing(repository, run, person)
        stand = self.control.inquire.look(run.id, command, person)
        with self.control.store.begin() as tx:
            order = Order(command=command, run_id=run.id, person=person, standing=standing, stand=stand)
            result = carry_out(tx, order, self.control.prefix)
        self.control.forget([result])
        return result

    def keep(self, stack_id: str, command: Command, actor: str) -> Done | Not:
        """Lock or unlock a stack on the server. Raises: UserError when there is no such stack."""
        with self.control.store.begin() as tx:
            stack = _stack_here(tx, stack_id)
            person = _operator(tx.find_repository(stack.repository_id), actor)
            return keep_stack(tx, stack, command, person, self.control.prefix)

    def begin(self, stack_id: str, command: Command, actor: str) -> Done | Not:
        """Plan or deploy a commit of a stack on the server: the one named, else the stack's head, else where its branch
        is. Raises: UserError when there is no such stack."""
        with self.control.store.begin() as tx:
            stack = _stack_here(tx, stack_id)
            repository = tx.find_repository(stack.repository_id)
        if repository is None:
            raise UserError(f"starting a run of stack {stack.name}: its repository is not known any more")
        named = Sha(command.sha) if command.sha else None
        head = named or self.control.start.newest(repository, stack)
        wish = Wish(verb=command.verb, repository=repository, names=(stack.name,), sha=head)
        person = _operator(repository, actor)
        prospect = self.control.prospect(wish, person)
        with self.control.store.begin() as tx:
            return self.control.begin(tx, command.verb, repository, prospect, person)

    def begin_here(self, stack_id: str, kind: RunType, actor: str) -> Done | Not:
        """Start a destroy or a drift run on the server. Raises: UserError when there is no such stack."""
        with self.control.store.begin() as tx:
            stack = _stack_here(tx, stack_id)
            person = _operator(tx.find_repository(stack.repository_id), actor)
            return start_here(tx, stack.id, kind, person)

    def _turned_down(self, tx: Transaction, stack: Stack | None, verb: Verb, refusal: Not, actor: str) -> Not:
        """A command on the server that no run of the stack takes."""
        if stack is None:
            return refusal
        person = _operator(tx.find_repository(stack.repository_id), actor)
        return self.control.start.refuse(tx, verb, stack.repository_id, refusal, person)

    def _run_of(self, tx: Transaction, stack: Stack, verb: Verb) -> Run | Not:
        """The one run of a stack that takes a command."""
        newest = tx.list_stack_runs(stack.id, limit=MAX_RUNS_OF_STACK)
        found = only_newest(newest) if verb is Verb.RETRY else newest
        fitting = [run for run in found if takes(verb, run)]
        # As in a comment: what destroys everything is confirmed by its own id alone.
        is_meant = len(fitting) == 1 and (verb is not Verb.CONFIRM or fitting[0].type is not RunType.DESTROY)
        return fitting[0] if is_meant else Not(words_start.which_run(verb, fitting))


def _operator(repository: Repository | None, actor: str) -> Person:
    """Whoever is on the server has the keys already."""
    name = repository.full_name if repository is not None else "a repository that is gone"
    return Person(actor=actor, source="cli", permission=Permission.ADMIN, repository=name)


def _stack_here(tx: Transaction, stack_id: str) -> Stack:
    """Raises: UserError that says where stacks are listed."""
    stack = tx.find_stack(StackId(stack_id))
    if stack is None:
        raise UserError(f"looking up stack {stack_id[:40]}: there is none; `trackside stacks` lists them")
    return stack
