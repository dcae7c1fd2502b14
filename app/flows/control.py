"""What a person says: a button, a comment, the command line. These are the doors; all become an Order (`order`),
checked by one authoriser and written to one audit log, in the transaction that changes the run.

Refusals are answers, not errors: each says why, and the way on.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from app.core import words, words_start, words_why
from app.core.command import Command, Unreadable, Verb, help_text, nearest_name, parse_comment, parse_identifier
from app.core.event import Click, Comment, Repository
from app.core.missed import TOO_LATE
from app.core.names import DeliveryId, RunId, Sha, StackId
from app.core.permit import BOTS_NEVER, Access, Refused, may
from app.core.record import DeliveryOutcome, ReportKind
from app.core.report_check import shown_plan
from app.core.run import Run, RunType
from app.core.stack import Permission
from app.flows.answer import Done, Not, Person
from app.flows.explain import Explain
from app.flows.inquire import Inquire, Stand
from app.flows.lock import keep_stack
from app.flows.order import ABOUT_PLAN, Order, carry_out, takes
from app.flows.ports import Artifacts, GitHub, Store, Transaction
from app.flows.publish_comment import is_behind
from app.flows.publish_replies import Reply
from app.flows.retry import Standing, is_promotion
from app.flows.start import Prospect, Start, Wish


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for a line of a comment before its transaction."""

    sha: Sha | None
    """The commit that the comment is about."""
    prospect: Prospect | Not | None
    """Of a line that starts runs."""
    standing: Standing | None = None
    """Of a line that makes a run once more."""
    stand: Stand | None = None
    """Of a line that decides about a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A button under a run's report: on its check, or on its page. Both become the same command."""

    repository: Repository
    run: Run
    command: Command
    digest_start: str
    """Of the plan that was shown, or (for a retry) of the run's mark."""
    shown_plan: int
    is_on_page: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found for a button before its transaction."""

    prospect: Prospect | Not | None = None
    """Of one that starts runs."""
    standing: Standing | None = None
    """Of one that makes a run once more."""
    stand: Stand | None = None
    """Of one that decides about a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The use cases of a person's commands."""

    store: Store
    github: GitHub
    artifacts: Artifacts
    prefix: str
    explain: Explain
    start: Start
    inquire: Inquire

    def click(self, click: Click, guid: DeliveryId, *, is_late: bool = False) -> None:
        """Carry out a button. A refusal is said in a comment on the commit: a check run has no place for it. A click
        that was made long ago (`is_late`) is answered, never obeyed."""
        meant = parse_identifier(click.identifier)
        if meant is None:
            self._close(guid, DeliveryOutcome.IGNORED, f"button {click.identifier[:20]!r} is not one of ours")
            return
        verb, digest_start = meant
        with self.store.begin() as tx:
            tx.save_repository(click.repository)
            run = _clicked(tx, click, digest_start)
            if run is None:
                tx.close_delivery(guid, DeliveryOutcome.EVENT, "the click names no run of this repository")
                return
        person = self.person(click.repository, click.sender, "button")
        press = Press(
            repository=click.repository,
            run=run,
            command=Command(verb=verb),
            digest_start=digest_start,
            shown_plan=shown_plan(click.external_id),
        )
        found = Looked() if is_late else self.look_at(press, person)
        with self.store.begin() as tx:
            result = Not(words.click_too_late(verb)) if is_late else self.obey(tx, press, found, person)
            if isinstance(result, Not):
                mark = hashlib.sha256(result.text.encode()).hexdigest()[:12]  # another reason is another answer
                subject = f"click/{run.id}/{run.plan_number}/{run.state.value}/{verb.value}/{click.sender}/{mark}"
                said = f"`{click.sender}` pressed {verb.value}. {result.text}"
                reply = Reply(body=said, sha=click.head_sha, is_courtesy=not person.may_write)
                self._say(tx, click.repository, subject, reply)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, f"{verb.value}: {_head(result)}")
        self.forget([result])

    def look_at(self, press: Press, person: Person) -> Looked:
        """All that has to be asked before a button is obeyed, outside of a transaction."""
        verb, run = press.command.verb, press.run
        if verb.is_start:
            return Looked(prospect=self.prospect(_wish_of(press), person))
        standing = self.standing(press.repository, run, person) if verb is Verb.RETRY else None
        return Looked(standing=standing, stand=self.inquire.look(run.id, press.command, person))

    def obey(self, tx: Transaction, press: Press, found: Looked, person: Person) -> Done | Not:
        """Carry out a button: it is an order for its run, or begins runs of the run's commit."""
        if found.prospect is not None:
            return self.begin(tx, press.command.verb, press.repository, found.prospect, person)
        order = Order(
            command=press.command,
            run_id=press.run.id,
            person=person,
            stand=found.stand,
            digest_start=press.digest_start,
            shown_plan=press.shown_plan,
            is_on_page=press.is_on_page,
            standing=found.standing,
        )
        return carry_out(tx, order, self.prefix)

    def comment(self, comment: Comment, guid: DeliveryId, *, is_decided: bool = False) -> None:
        """Carry out the commands of a comment, in their order, all in one transaction; answer once. `is_decided`: a
        policy made runs of it, so that none of its commands starts another."""
        if comment.is_bot:
            self._turn_away(comment, guid)
            return
        lines = [line for line in parse_comment(comment.body, self.prefix) if not (is_decided and _is_start(line))]
        if not lines:
            self._close(guid, DeliveryOutcome.IGNORED, "no command in it")
            return
        person = self.person(comment.repository, comment.sender, "comment")
        if person.may_write:
            self._hear(comment, guid, lines)
        sha = comment.sha or self._pull_sha(comment)
        told = [self._tell(comment.repository, line, sha, person) for line in lines]
        found = [
            Found(
                sha,
                self._look(comment, line, person),
                self._look_back(comment, line, sha, person),
                self._stand(comment, line, sha, person),
            )
            for line in lines
        ]
        with self.store.begin() as tx:
            tx.save_repository(comment.repository)
            for line, answer in zip(lines, told, strict=True):
                if answer is not None and isinstance(line, Command):
                    self.start.note(tx, line.verb, comment.repository.id, answer, person)
            results = [
                answer or self._line(tx, comment, line, one, person)
                for line, answer, one in zip(lines, told, found, strict=True)
            ]
            self._say(tx, comment.repository, f"comment/{guid}", self._answer_to(comment, person, results))
            said = "; ".join(_head(result) for result in results)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, said[:1000])
        self.forget(results)

    def _turn_away(self, comment: Comment, guid: DeliveryId) -> None:
        """A bot, or an App, wrote it: what it asks for is written down, and not done. Nobody is answered: two bots
        that answer each other never end."""
        commands = [line for line in parse_comment(comment.body, self.prefix) if isinstance(line, Command)]
        with self.store.begin() as tx:
            if commands:
                tx.save_repository(comment.repository)
            for line in commands:
                person = Person(
                    actor=comment.sender,
                    source="comment",
                    permission=Permission.NONE,
                    repository=comment.repository.full_name,
                    is_bot=True,
                )
                self.start.refuse(tx, line.verb, comment.repository.id, Not(BOTS_NEVER), person)
            tx.close_delivery(guid, DeliveryOutcome.IGNORED, "written by a bot or an App")

    def _hear(self, comment: Comment, guid: DeliveryId, lines: Sequence[Command | Unreadable]) -> None:
        """Say at once that a command was heard that git is asked for; the answer takes this one's place, also where it
        comes first."""
        if any(_is_start(line) for line in lines) and comment.pull_number is not None:
            eyes = Reply(reaction="eyes", pull_number=comment.pull_number, comment_id=comment.comment_id)
            with self.store.begin() as tx:
                tx.save_repository(comment.repository)
                self._say(tx, comment.repository, f"comment/{guid}", eyes)

    def prospect(self, wish: Wish | Not, person: Person) -> Prospect | Not:
        """What a wish comes to; git and GitHub are asked only for somebody who can see the repository."""
        return wish if isinstance(wish, Not) else self.start.permitted(wish.verb, person) or self.start.prospect(wish)

    def begin(
        self, tx: Transaction, verb: Verb, repository: Repository, prospect: Prospect | Not, person: Person
    ) -> Done | Not:
        if isinstance(prospect, Not):
            return self.start.refuse(tx, verb, repository.id, prospect, person)
        return self.start.make(tx, prospect, person)

    def _look(self, comment: Comment, line: Command | Unreadable, person: Person) -> Prospect | Not | None:
        """What a line that starts runs comes to; None for every other line."""
        if isinstance(line, Unreadable) or not _is_start(line):
            return None
        wish = Wish(
            verb=line.verb,
            repository=comment.repository,
            names=line.targets,
            sha=comment.sha,
            pull_number=comment.pull_number,
            looked_at=line.sha,
        )
        return self.prospect(wish, person)

    def _look_back(
        self, comment: Comment, line: Command | Unreadable, sha: Sha | None, person: Person
    ) -> Standing | None:
        """What GitHub says of the run that a retry means; None for every other line."""
        if isinstance(line, Unreadable) or line.verb is not Verb.RETRY:
            return None
        with self.store.begin() as tx:
            runs = tx.list_runs_at(comment.repository.id, sha) if sha else []
            run = self._meant(tx, comment.repository, line, runs)
        return self.standing(comment.repository, run, person) if isinstance(run, Run) else None

    def standing(self, repository: Repository, run: Run, person: Person) -> Standing | None:
        """Whether the pull request of a commit that was not merged still stands for it; None: the run has none, or
        nobody is asked for this person."""
        with self.store.begin() as tx:
            stack = tx.get_stack(run.stack_id)
        is_asked = is_promotion(run, stack) and run.pull_number is not None
        if not is_asked or self.start.permitted(Verb.RETRY, person) is not None:
            return None
        wish = Wish(
            verb=Verb.RETRY,
            repository=repository,
            names=(stack.name,),
            pull_number=run.pull_number,
            looked_at=run.head_sha,
        )
        return Standing(run.id, self.start.standing(wish))

    def _stand(self, comment: Comment, line: Command | Unreadable, sha: Sha | None, person: Person) -> Stand | None:
        """What has to be known for a line that decides about a plan; None for every other line."""
        if isinstance(line, Unreadable) or sha is None or not (line.verb is Verb.CONFIRM or line.verb.is_review):
            return None
        with self.store.begin() as tx:
            runs = tx.list_runs_at(comment.repository.id, sha)
            meant = self._meant(tx, comment.repository, line, runs)
        return self.inquire.look(meant.id, line, person) if isinstance(meant, Run) else None

    def person(self, repository: Repository, login: str, source: str) -> Person:
        """Ask GitHub for the permission now: a click or a comment is no proof of any."""
        return person_of(self.github.ask_access(repository, login), repository, login, source)

    def _pull_sha(self, comment: Comment) -> Sha | None:
        if comment.pull_number is None:
            return None
        with self.store.begin() as tx:
            landed = tx.find_landed(comment.repository.id, comment.pull_number)
        if landed is not None:  # what is merged stays merged: GitHub need not be asked
            return landed
        pull = self.github.find_pull(comment.repository, comment.pull_number)
        return (pull.merge_commit_sha or pull.head_sha) if pull else None

    def _line(
        self,
        tx: Transaction,
        comment: Comment,
        line: Command | Unreadable,
        found: Found,
        person: Person,
    ) -> Done | Not:
        """One line of a comment."""
        if isinstance(line, Unreadable):
            return Not(words.unreadable(line, self.prefix))
        if tx.now() - comment.created_at > TOO_LATE:
            late = Not(words.too_late(line.verb, self.prefix))
            return self.start.refuse(tx, line.verb, comment.repository.id, late, person)
        if found.prospect is not None:
            return self.begin(tx, line.verb, comment.repository, found.prospect, person)
        if line.verb.is_about_stack:
            return self._keep(tx, comment.repository, line, person)
        runs = tx.list_runs_at(comment.repository.id, found.sha) if found.sha else []
        meant = self._meant(tx, comment.repository, line, runs)
        if isinstance(meant, Not):
            return self.start.refuse(tx, line.verb, comment.repository.id, meant, person)
        if line.verb in ABOUT_PLAN and comment.pull_number is not None:
            told = tx.find_comment(comment.repository.id, comment.pull_number)
            if told is not None and is_behind(meant, next(iter(told.remotes), None)):
                behind = Not(words.comment_behind(line.verb, meant, self.prefix))
                return self.start.refuse(tx, line.verb, comment.repository.id, behind, person)
        order = Order(
            command=line,
            run_id=meant.id,
            person=person,
            written_at=comment.created_at,
            standing=found.standing,
            stand=found.stand,
        )
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
        if command.verb is Verb.RETRY:
            runs = only_newest(runs)
        if command.verb is Verb.CONFIRM:
            if waiting := _by_id_alone(command, runs):
                return Not(words.by_id_alone(waiting, self.prefix))
            runs = [run for run in runs if run.type is not RunType.DESTROY or run.id == command.target]
        if command.target:
            named = [run for run in runs if command.target in (run.stack_name, run.id)]
            by_id = tx.find_run(RunId(command.target.upper())) if not named else None
            if by_id is not None and by_id.repository_id == repository.id:
                named = [by_id]
            fitting = [run for run in named if takes(command.verb, run)]
            tracked = [run for run in named if run.type is not RunType.PROPOSED]  # more is to be said of it
            return (fitting or tracked or named)[0] if named else self._no_run(command, runs)
        meant = [run for run in runs if takes(command.verb, run)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            return Not(words.ambiguous(command.verb, meant, self.prefix))
        live = [run for run in runs if run.is_live] or runs
        if len(live) == 1:
            return live[0]
        return Not(words.no_run(command.verb, ""))

    def _no_run(self, command: Command, runs: list[Run]) -> Not:
        """No run of that name is here; perhaps one of nearly that name."""
        names = [run.stack_name for run in runs if takes(command.verb, run)] or [run.stack_name for run in runs]
        near = nearest_name(command.target, names)
        nearest = f"{self.prefix} {command.verb.value} {near}" if near else ""
        return Not(words.no_run(command.verb, command.target, nearest=nearest))

    def _keep(self, tx: Transaction, repository: Repository, line: Command, person: Person) -> Done | Not:
        """Lock or unlock a stack of the repository, by its name."""
        there = {one.name: one for one in tx.list_stacks(repository.id) if not one.is_detached}
        stack = there.get(line.target)
        if stack is None:
            unknown = Not(words_start.no_stack(line.verb, line.target, tuple(there), self.prefix))
            return self.start.refuse(tx, line.verb, repository.id, unknown, person)
        return keep_stack(tx, stack, line, person, self.prefix)

    def _answer_to(self, comment: Comment, person: Person, results: list[Done | Not]) -> Reply:
        """A reaction where GitHub has one for us, words only when there is something to say."""
        is_fine = all(isinstance(result, Done) for result in results)
        on_pull = comment.pull_number is not None
        spoken = [result.text for result in results if not on_pull or isinstance(result, Not) or result.is_answer]
        return Reply(
            body=words.joined(spoken, self.prefix),
            pull_number=comment.pull_number,
            sha=comment.sha,
            reaction=("+1" if is_fine else "-1") if on_pull else "",
            comment_id=comment.comment_id,
            is_courtesy=not person.may_write,
        )

    def _say(self, tx: Transaction, repository: Repository, subject: str, reply: Reply) -> None:
        tx.want_report(ReportKind.REPLY, repository.id, subject, run_id=None, document=msgspec.json.encode(reply))

    def forget(self, results: Sequence[Done | Not]) -> None:
        """Delete the archives of plans that were turned down or replaced; without their key they open no more."""
        for result in results:
            if isinstance(result, Done) and result.spent:
                self.artifacts.delete(result.spent)

    def _close(self, guid: DeliveryId, outcome: DeliveryOutcome, reason: str) -> None:
        with self.store.begin() as tx:
            tx.close_delivery(guid, outcome, reason)


def person_of(access: Access, repository: Repository, login: str, source: str) -> Person:
    """Whoever gives a command there, by what GitHub says of them at this moment."""
    return Person(
        actor=login,
        source=source,
        permission=Permission.NONE if access.is_bot else access.permission,
        repository=repository.full_name,
        role=access.role,
        is_bot=access.is_bot,
    )


def _is_start(line: Command | Unreadable) -> bool:
    return isinstance(line, Command) and line.verb.is_start


def _clicked(tx: Transaction, click: Click, digest_start: str) -> Run | None:
    """The run whose report was clicked: named by its external id, else by the digest among the commit's runs."""
    run = tx.find_run(RunId(click.external_id.split("/")[0])) if click.external_id else None
    if run is not None and run.repository_id == click.repository.id and run.head_sha == click.head_sha:
        return run
    runs = tx.list_runs_at(click.repository.id, click.head_sha)
    return next((run for run in runs if run.plan and run.plan.digest.startswith(digest_start)), None)


def _wish_of(press: Press) -> Wish | Not:
    """What the button of a proposed run means: its stack, its commit, as long as that is still the head."""
    run, digest = press.run, press.digest_start
    if run.plan is None or not digest or not run.plan.digest.startswith(digest):
        return Not(words_start.button_is_old(press.command.verb, run))
    return Wish(
        verb=press.command.verb,
        repository=press.repository,
        names=(run.stack_name,),
        sha=run.head_sha,
        pull_number=run.pull_number,
        looked_at=run.head_sha,
    )


def only_newest(runs: Sequence[Run]) -> list[Run]:
    """The newest run of each stack and type, of runs that come newest first: what was retried is not retried again."""
    newest: dict[tuple[StackId, RunType], Run] = {}
    for run in runs:
        newest.setdefault((run.stack_id, run.type), run)
    return list(newest.values())


def _by_id_alone(command: Command, runs: Sequence[Run]) -> list[Run]:
    """What destroys everything is confirmed by its own id alone: the runs that wait for it, where nothing else does."""
    fitting = [run for run in runs if takes(command.verb, run) and command.target in ("", run.stack_name, run.id)]
    is_other = any(run.type is not RunType.DESTROY or run.id == command.target for run in fitting)
    return [] if is_other else fitting


def _head(result: Done | Not) -> str:
    word = "done" if isinstance(result, Done) else "refused"
    return f"{word}: {result.text.splitlines()[0][:200]}"
