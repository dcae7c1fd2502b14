"""What a person says: a button, a comment, the command line. These are the doors; all become an Order (`order`),
checked by one authoriser and written to one audit log, in the transaction that changes the run.

Refusals are answers, not errors: each says why, and the way on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from app.core import words, words_why
from app.core.command import Command, Unreadable, Verb, help_text, parse_comment, parse_identifier
from app.core.event import Click, Comment, Repository
from app.core.names import DeliveryId, RunId, Sha
from app.core.permit import Refused, may
from app.core.record import DeliveryOutcome, ReportKind
from app.core.run import Run, allowed
from app.core.stack import Permission
from app.flows.explain import Explain
from app.flows.lock import unlock
from app.flows.order import STEPS, Done, Not, Order, Person, carry_out
from app.flows.ports import Artifacts, GitHub, Store, Transaction
from app.flows.publish import Reply

TOO_LATE = timedelta(minutes=10)
"""A comment that reaches us later than this is answered, never obeyed: things may have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The use cases of a person's commands."""

    store: Store
    github: GitHub
    artifacts: Artifacts
    prefix: str
    explain: Explain

    def click(self, click: Click, guid: DeliveryId) -> None:
        """Carry out a button. A refusal is said in a comment on the commit: a check run has no place for it."""
        meant = parse_identifier(click.identifier)
        if meant is None:
            self._close(guid, DeliveryOutcome.IGNORED, f"button {click.identifier[:20]!r} is not one of ours")
            return
        verb, digest_start = meant
        person = self._person(click.repository, click.sender, "button")
        with self.store.begin() as tx:
            tx.save_repository(click.repository)
            run = _clicked(tx, click, digest_start)
            if run is None:
                tx.close_delivery(guid, DeliveryOutcome.EVENT, "the click names no run of this repository")
                return
            order = Order(
                command=Command(verb=verb),
                run_id=run.id,
                person=person,
                digest_start=digest_start,
                shown_plan=_shown_plan(click),
            )
            result = carry_out(tx, order, self.prefix)
            if isinstance(result, Not):
                subject = f"click/{run.id}/{run.plan_number}/{run.state.value}/{verb.value}/{click.sender}"
                reply = Reply(body=f"`{click.sender}` pressed {verb.value}. {result.text}", sha=click.head_sha)
                self._say(tx, click.repository, subject, reply)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, _summary(verb, result))
        self._forget([result])

    def comment(self, comment: Comment, guid: DeliveryId) -> None:
        """Carry out the commands of a comment, in their order, all in one transaction; answer once."""
        if comment.is_bot:
            self._close(guid, DeliveryOutcome.IGNORED, "written by a bot or an App")
            return
        lines = parse_comment(comment.body, self.prefix)
        if not lines:
            self._close(guid, DeliveryOutcome.IGNORED, "no command in it")
            return
        person = self._person(comment.repository, comment.sender, "comment")
        sha = comment.sha or self._pull_sha(comment)
        told = [self._tell(comment.repository, line, sha, person) for line in lines]
        with self.store.begin() as tx:
            tx.save_repository(comment.repository)
            results = [
                answer or self._line(tx, comment, line, sha, person) for line, answer in zip(lines, told, strict=True)
            ]
            self._answer(tx, comment, guid, results)
            said = "; ".join(_head(result) for result in results)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, said[:1000])
        self._forget(results)

    def run(self, run_id: RunId, command: Command, actor: str) -> Done | Not:
        """Carry out a command that was given on the server: whoever can start it there has the keys already."""
        with self.store.begin() as tx:
            run = tx.get_run(run_id)
            repository = tx.find_repository(run.repository_id)
            name = repository.full_name if repository else str(run.repository_id)
            person = Person(actor=actor, source="cli", permission=Permission.ADMIN, repository=name)
            result = carry_out(tx, Order(command=command, run_id=run_id, person=person), self.prefix)
        self._forget([result])
        return result

    def unlock(self, stack_id: str, actor: str) -> str:
        """Take a stack's hold away, with the state lock that the lost apply left, or its policy's lock; what to say.

        Raises: UserError when there is no such stack.
        """
        with self.store.begin() as tx:
            return unlock(tx, stack_id, actor)

    def _person(self, repository: Repository, login: str, source: str) -> Person:
        """Ask GitHub for the permission now: a click or a comment is no proof of any."""
        permission = self.github.ask_permission(repository, login)
        return Person(actor=login, source=source, permission=permission, repository=repository.full_name)

    def _pull_sha(self, comment: Comment) -> Sha | None:
        if comment.pull_number is None:
            return None
        pull = self.github.find_pull(comment.repository, comment.pull_number)
        return (pull.merge_commit_sha or pull.head_sha) if pull else None

    def _line(
        self, tx: Transaction, comment: Comment, line: Command | Unreadable, sha: Sha | None, person: Person
    ) -> Done | Not:
        """One line of a comment."""
        if isinstance(line, Unreadable):
            return Not(words.unreadable(line, self.prefix))
        if tx.now() - comment.created_at > TOO_LATE:
            return Not(words.too_late(line.verb, self.prefix))
        runs = tx.list_runs_at(comment.repository.id, sha) if sha else []
        meant = self._meant(tx, comment.repository, line, runs)
        if isinstance(meant, Not):
            return meant
        order = Order(command=line, run_id=meant.id, person=person, written_at=comment.created_at)
        return carry_out(tx, order, self.prefix)

    def _tell(
        self, repository: Repository, line: Command | Unreadable, sha: Sha | None, person: Person
    ) -> Done | Not | None:
        """The answer to a question, which changes nothing; None for a line that is none."""
        if isinstance(line, Unreadable) or not line.verb.is_question:
            return None
        if line.verb is Verb.HELP or sha is None:
            return Done(help_text(self.prefix), is_answer=True)
        permitted = may(
            line.verb,
            permission=person.permission,
            required=Permission.READ,
            actor=person.actor,
            repository=person.repository,
        )
        if isinstance(permitted, Refused):
            return Not(words.not_permitted(permitted.reason))
        told = self.explain.why(repository.id, sha, line.target)
        return Done(words_why.why(told, sha, stack=line.target, prefix=self.prefix), is_answer=True)

    def _meant(self, tx: Transaction, repository: Repository, command: Command, runs: list[Run]) -> Run | Not:
        """The one run that a command of a comment can mean, else the reason why there is none."""
        takes = [run for run in runs if STEPS[command.verb] in allowed(run)]
        if command.target:
            named = [run for run in runs if command.target in (run.stack_name, run.id)]
            by_id = tx.find_run(RunId(command.target)) if not named else None
            if by_id is not None and by_id.repository_id == repository.id:
                named = [by_id]
            return named[0] if named else Not(words.no_run(command.verb, command.target))
        if len(takes) == 1:
            return takes[0]
        if takes:
            return Not(words.ambiguous(command.verb, takes, self.prefix))
        live = [run for run in runs if run.is_live] or runs
        if len(live) == 1:
            return live[0]
        return Not(words.no_run(command.verb, ""))

    def _answer(self, tx: Transaction, comment: Comment, guid: DeliveryId, results: list[Done | Not]) -> None:
        """A reaction where GitHub has one for us, words only when there is something to say."""
        is_fine = all(isinstance(result, Done) for result in results)
        on_pull = comment.pull_number is not None
        spoken = [result.text for result in results if not on_pull or isinstance(result, Not) or result.is_answer]
        reply = Reply(
            body="\n\n".join(spoken),
            pull_number=comment.pull_number,
            sha=comment.sha,
            reaction=("+1" if is_fine else "-1") if on_pull else "",
            comment_id=comment.comment_id,
        )
        self._say(tx, comment.repository, f"comment/{guid}", reply)

    def _say(self, tx: Transaction, repository: Repository, subject: str, reply: Reply) -> None:
        tx.want_report(ReportKind.REPLY, repository.id, subject, run_id=None, document=msgspec.json.encode(reply))

    def _forget(self, results: Sequence[Done | Not]) -> None:
        """Delete the archives of plans that were turned down or replaced; without their key they open no more."""
        for result in results:
            if isinstance(result, Done) and result.spent:
                self.artifacts.delete(result.spent)

    def _close(self, guid: DeliveryId, outcome: DeliveryOutcome, reason: str) -> None:
        with self.store.begin() as tx:
            tx.close_delivery(guid, outcome, reason)


def _clicked(tx: Transaction, click: Click, digest_start: str) -> Run | None:
    """The run whose report was clicked: named by its external id, else by the digest among the commit's runs."""
    run = tx.find_run(RunId(click.external_id.split("/")[0])) if click.external_id else None
    if run is not None and run.repository_id == click.repository.id and run.head_sha == click.head_sha:
        return run
    runs = tx.list_runs_at(click.repository.id, click.head_sha)
    return next((run for run in runs if run.plan and run.plan.digest.startswith(digest_start)), None)


def _shown_plan(click: Click) -> int:
    """The plan's number in the clicked check run's external id, `RUN/PLAN`; 0 when it has none."""
    parts = click.external_id.split("/")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() and len(parts[1]) < 10 else 0


def _summary(verb: Verb, result: Done | Not) -> str:
    return f"{verb.value}: {_head(result)}"


def _head(result: Done | Not) -> str:
    word = "done" if isinstance(result, Done) else "refused"
    return f"{word}: {result.text.splitlines()[0][:200]}"
