"""What a person says: a button, a comment, the command line. All become an Order, checked by one authoriser and
written to one audit log, in the transaction that changes the run.

Refusals are answers, not errors: each says why, and the way on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from app.core import words, words_choice, words_why
from app.core.command import Command, Unreadable, Verb, help_text, parse_comment, parse_identifier
from app.core.errors import UserError
from app.core.event import Click, Comment, Repository
from app.core.names import DeliveryId, RunId, Sha, StackId
from app.core.permit import Refused, may
from app.core.record import AuditLine, DeliveryOutcome, ReportKind
from app.core.run import Run, RunState, Step, StepRefused, Transition, advance, allowed, confirm
from app.core.stack import Permission, Stack
from app.flows.choose import choose
from app.flows.conclude import archive_key
from app.flows.explain import Explain
from app.flows.ports import Artifacts, GitHub, Store, Transaction
from app.flows.publish import Reply
from app.flows.schedule import retell, schedule

TOO_LATE = timedelta(minutes=10)
"""A comment that reaches us later than this is answered, never obeyed: things may have changed."""
STEPS = {Verb.CONFIRM: Step.CONFIRM, Verb.DISCARD: Step.DISCARD, Verb.REPLAN: Step.REPLAN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who gives a command, by which door, with what GitHub says of them at this moment."""

    actor: str
    source: str
    """`button`, `comment`, `cli`."""
    permission: Permission
    repository: str
    """`owner/name`, for words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command for one run, whatever door it came through."""

    command: Command
    run_id: RunId
    person: Person
    digest_start: str = ""
    """First 16 hex digits of the plan that the button showed; empty: no button."""
    shown_plan: int = 0
    """Number of that plan: two plans of one second can be equal to the byte, and still only one was shown."""
    written_at: datetime | None = None
    """When the comment was written, by GitHub's clock, in whole seconds."""


@dataclass(frozen=True, slots=True)
class Done:
    """Carried out; what to say when words are called for."""

    text: str
    spent: str = ""
    """Key of the archive that nobody needs any more; deleted once the transaction is committed."""
    is_answer: bool = False
    """The words are what was asked for: said on a pull request too, where a reaction would do otherwise."""


@dataclass(frozen=True, slots=True)
class Not:
    """Refused, and why."""

    text: str


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
            result = self._carry_out(tx, order)
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
            result = self._carry_out(tx, Order(command=command, run_id=run_id, person=person))
        self._forget([result])
        return result

    def unlock(self, stack_id: str, actor: str) -> str:
        """Take a stack's hold away, with the state lock that the lost apply left, or its policy's lock; what to say.

        Raises: UserError when there is no such stack.
        """
        with self.store.begin() as tx:
            if tx.find_stack(StackId(stack_id)) is None:
                raise UserError(f"unlocking stack {stack_id[:40]}: there is none; `trackside stacks` lists them")
            stack = tx.lock_stack(StackId(stack_id))
            held = stack.hold_reason or (f"locked by {stack.locked_by} with {stack.lock_key}" if stack.lock_key else "")
            if not held:
                return f"stack {stack.name} is neither on hold nor locked"
            tx.save_stack(replace(stack, hold_reason="", lock_key="", locked_by=""))
            if stack.hold_reason:
                tx.set_state_lock(stack.id, None)
            tx.add_audit(
                AuditLine(
                    at=tx.now(),
                    actor=actor,
                    source="cli",
                    command=f"unlock {stack.name}",
                    run_id=None,
                    repository_id=stack.repository_id,
                    is_allowed=True,
                    reason=held,
                )
            )
            schedule(tx, tx.lock_stack(stack.id))
            retell(tx, stack)
            return f"stack {stack.name} is free again; it was on hold: {held}"

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
        return self._carry_out(tx, order)

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

    def _carry_out(self, tx: Transaction, order: Order) -> Done | Not:
        """Authorise, check what the person saw, change the run, write it down. The one path to power."""
        stack = tx.lock_stack(tx.get_run(order.run_id).stack_id)
        run = tx.get_run(order.run_id)
        result = self._refusal(run, stack, order, tx) or self._change(tx, run, stack, order)
        tx.add_audit(
            AuditLine(
                at=tx.now(),
                actor=order.person.actor,
                source=order.person.source,
                command=f"{order.command.verb.value} {run.id}",
                run_id=run.id,
                repository_id=run.repository_id,
                is_allowed=isinstance(result, Done),
                reason=result.text[:1000],
            )
        )
        return result

    def _refusal(self, run: Run, stack: Stack, order: Order, tx: Transaction) -> Not | None:
        """Why the order must not be carried out, or None."""
        verb, person = order.command.verb, order.person
        permitted = may(
            verb,
            permission=person.permission,
            required=stack.settings.confirm_permission,
            actor=person.actor,
            repository=person.repository,
        )
        if isinstance(permitted, Refused):
            return Not(words.not_permitted(permitted.reason))
        if STEPS[verb] not in allowed(run):
            return Not(words.not_waiting(verb, run, self.prefix))
        if order.digest_start and not _is_shown(run, order):
            return Not(words.plan_changed(verb, run, self.prefix))
        if order.written_at is not None and not _has_seen(run, order.written_at):
            return Not(words.comment_too_old(verb, run, self.prefix))
        if verb is Verb.CONFIRM:
            return self._confirm_refusal(run, stack, order, tx)
        return None

    def _confirm_refusal(self, run: Run, stack: Stack, order: Order, tx: Transaction) -> Not | None:
        """Why this plan must not be confirmed although it waits for it, or None."""
        if stack.is_detached:
            return Not(words.detached(run))
        if not tx.is_current(stack.id):
            return Not(words.settings_on_their_way(run, self.prefix))
        if stack.settings.digest() != run.stack_digest:
            return Not(words.settings_changed(run, self.prefix))
        facts = tx.get_run_facts(run)
        if run.head_seq < facts.stack_head_seq and not order.command.even_if_superseded:
            return Not(words.superseded(run, self.prefix))
        if facts.is_stale:
            return Not(words.stale(run, self.prefix))
        return None

    def _change(self, tx: Transaction, run: Run, stack: Stack, order: Order) -> Done | Not:
        """Do it."""
        at, actor, note = tx.now(), order.person.actor, order.command.note
        try:
            match order.command.verb:
                case Verb.CONFIRM:
                    self._confirm(tx, run, stack, order)
                    return Done(words.confirmed(run))
                case Verb.DISCARD:
                    tx.change_run(
                        run.id, lambda found: advance(_by(found, actor), Step.DISCARD, by=actor, at=at, cause=note)
                    )
                    schedule(tx, tx.lock_stack(stack.id))
                    return Done(words.discarded(run), _archive(run))
                case Verb.REPLAN:
                    return self._replan(tx, run, order)
                case Verb.HELP | Verb.WHY:
                    return Done(help_text(self.prefix))
        except StepRefused:
            return Not(words.not_waiting(order.command.verb, tx.get_run(run.id), self.prefix))

    def _replan(self, tx: Transaction, run: Run, order: Order) -> Done | Not:
        """Ask for the next plan: of the whole commit, or of what was chosen of the plan that is shown."""
        at, actor = tx.now(), order.person.actor
        part = choose(tx, run, order.command.choice, self.prefix)
        if isinstance(part, str):
            return Not(part)

        def again(found: Run) -> tuple[Run, Transition]:
            number = found.plan_number + 1
            fresh = replace(_by(found, actor), plan=None, plan_number=number, attempts=0, targeting=part)
            cause = f"{words_choice.chosen_words(part)} of plan {part.of_plan}" if part else ""
            return advance(fresh, Step.REPLAN, by=actor, at=at, cause=cause)

        tx.change_run(run.id, again)
        said = words_choice.part_requested(run, part) if part else words.replan_requested(run)
        return Done(said, _archive(run))

    def _confirm(self, tx: Transaction, run: Run, stack: Stack, order: Order) -> None:
        at, actor = tx.now(), order.person.actor
        proof = confirm(run, stack_digest=stack.settings.digest(), actor=actor, at=at)
        tx.add_confirmation(proof)
        cause = "even if superseded" if order.command.even_if_superseded else ""

        def accept(found: Run) -> tuple[Run, Transition]:
            if found.plan is None or found.plan.digest != proof.plan_digest:
                raise StepRefused(found, Step.CONFIRM)
            proven = replace(_by(found, actor), confirmed_digest=proof.plan_digest, attempts=0)
            return advance(proven, Step.CONFIRM, by=actor, at=at, cause=cause)

        tx.change_run(run.id, accept)

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


def _is_shown(run: Run, order: Order) -> bool:
    """True when the button stood under the run's newest plan."""
    if run.plan is None or not run.plan.digest.startswith(order.digest_start):
        return False
    return order.shown_plan in (0, run.plan.number)


def _has_seen(run: Run, written_at: datetime) -> bool:
    """True when the plan was published in an earlier second than the comment was written in.

    GitHub gives a comment's time in whole seconds; within the same second nobody can have read the plan.
    """
    if run.plan is None:
        return run.state is RunState.REPLAN_REQUESTED  # nothing to have seen: a discard stops what is about to begin
    return run.plan.published_at is not None and run.plan.published_at.replace(microsecond=0) < written_at


def _archive(run: Run) -> str:
    """Where the plan's workspace was kept; empty when there was none."""
    return archive_key(run.id, run.plan) if run.plan is not None else ""


def _by(run: Run, actor: str) -> Run:
    return replace(run, decided_by=actor)


def _summary(verb: Verb, result: Done | Not) -> str:
    return f"{verb.value}: {_head(result)}"


def _head(result: Done | Not) -> str:
    word = "done" if isinstance(result, Done) else "refused"
    return f"{word}: {result.text.splitlines()[0][:200]}"
