"""A check that a person wants again ("Re-run" on GitHub): another plan of the same commit, and never an apply.

Authorised as a command is: it becomes an order, or the start of a preview. What it cannot mean is answered in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from app.core import words_again
from app.core.command import Command, Verb
from app.core.event import Rerequest
from app.core.names import DeliveryId, RunId, StackId
from app.core.record import DeliveryOutcome, ReportKind
from app.core.report_check import shown_plan
from app.core.report_summary import SummaryName
from app.core.retry import can_retry
from app.core.run import Run, RunState, RunType
from app.flows.answer import Done, Not, Person
from app.flows.order import Order, carry_out
from app.flows.ports import Artifacts, GitHub, Store, Transaction
from app.flows.publish_replies import Reply
from app.flows.start import Prospect, Start, Wish

MAX_AGAIN: Final = 50
"""Runs that one "Re-run all" means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAgain:
    """The use case."""

    store: Store
    github: GitHub
    artifacts: Artifacts
    start: Start
    prefix: str

    def rerequest(self, event: Rerequest, guid: DeliveryId, *, is_late: bool) -> None:
        """Plan again what the check is about, and close the delivery. One that was asked for long ago (`is_late`) is
        answered, never obeyed."""
        if event.is_bot:
            self._close(guid, "asked for by a bot or an App")
            return
        with self.store.begin() as tx:
            tx.save_repository(event.repository)
            runs = _meant(tx, event)
        person = self._person(event)
        apart = [run for run in runs if (_is_preview(run) or _is_old(event, run)) and not is_late]
        prospects = {run.id: self._prospect(event, run, person) for run in apart}
        with self.store.begin() as tx:
            results = [Not(words_again.too_late())] if is_late else self._carry_out(tx, runs, prospects, person)
            reasons = [result.text for result in results if isinstance(result, Not)]
            if not results:
                reasons = [words_again.nothing_meant()]
            if reasons:
                body = words_again.refused(event.sender, words_again.named(event.check_name), reasons)
                reply = Reply(body=body, sha=event.head_sha, is_courtesy=not person.may_write)
                subject, document = f"again/{guid}", msgspec.json.encode(reply)
                tx.want_report(ReportKind.REPLY, event.repository.id, subject, run_id=None, document=document)
            done = sum(isinstance(result, Done) for result in results)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, f"asked for again: {done} planned, {len(reasons)} refused")
        for result in results:
            if isinstance(result, Done) and result.spent:
                self.artifacts.delete(result.spent)

    def _person(self, event: Rerequest) -> Person:
        permission = self.github.ask_permission(event.repository, event.sender)
        name = event.repository.full_name
        return Person(actor=event.sender, source="button", permission=permission, repository=name)

    def _prospect(self, event: Rerequest, run: Run, person: Person) -> Prospect | Not:
        """What another preview of the run's stack comes to; git and GitHub are asked only for who may start one. The
        check of an older plan comes to nothing: nobody turns down by it the plan that waits."""
        wish = Wish(
            verb=Verb.PLAN,
            repository=event.repository,
            names=(run.stack_name,),
            sha=run.head_sha,
            pull_number=run.pull_number,
            looked_at=run.head_sha,
        )
        refusal = self.start.permitted(Verb.PLAN, person)
        if refusal is None and _is_old(event, run):
            refusal = Not(words_again.older_plan(run))
        return refusal or self.start.prospect(wish)

    def _carry_out(
        self, tx: Transaction, runs: Sequence[Run], prospects: dict[RunId, Prospect | Not], person: Person
    ) -> list[Done | Not]:
        return [self._again(tx, run, prospects.get(run.id), person) for run in runs]

    def _again(self, tx: Transaction, run: Run, prospect: Prospect | Not | None, person: Person) -> Done | Not:
        """Another plan of one run, by its owner's rules."""
        if isinstance(prospect, Not):
            return self.start.refuse(tx, Verb.PLAN, run.repository_id, prospect, person)
        if prospect is not None:
            return self.start.make(tx, prospect, person)
        verb = Verb.REPLAN if run.state is RunState.UNCONFIRMED else Verb.RETRY
        if run.state is not RunState.UNCONFIRMED and not can_retry(run):
            return Not(words_again.not_again(run))
        if tx.get_stack(run.stack_id).settings.autodeploy:
            return Not(words_again.would_apply(run, self.prefix))
        return carry_out(tx, Order(command=Command(verb=verb), run_id=run.id, person=person), self.prefix)

    def _close(self, guid: DeliveryId, reason: str) -> None:
        with self.store.begin() as tx:
            tx.close_delivery(guid, DeliveryOutcome.IGNORED, reason)


def _is_preview(run: Run) -> bool:
    """True for a proposed run that has ended: it is made anew, as its button does."""
    return run.type is RunType.PROPOSED and run.state.is_terminal


def _is_old(event: Rerequest, run: Run) -> bool:
    """True for a run that waits with another plan than that of the check, where the check is of one run."""
    return _is_of_run(event) and run.state is RunState.UNCONFIRMED and shown_plan(event.external_id) != run.plan_number


def _is_of_run(event: Rerequest) -> bool:
    return bool(event.external_id) and "/" in event.check_name and event.check_name != SummaryName.DEPLOY


def _meant(tx: Transaction, event: Rerequest) -> list[Run]:
    """The runs behind the check: the one that it names, or the newest of each stack that a summary tells of. Of all
    checks of a commit those are left out that are under way, or done: nobody means them."""
    if _is_of_run(event):
        run = tx.find_run(RunId(event.external_id.split("/")[0]))
        is_here = run is not None and (run.repository_id, run.head_sha) == (event.repository.id, event.head_sha)
        return [run] if run is not None and is_here else []
    newest: dict[tuple[StackId, RunType], Run] = {}
    for each in tx.list_runs_at(event.repository.id, event.head_sha):
        newest.setdefault((each.stack_id, each.type), each)
    kinds = {
        "": (RunType.PROPOSED, RunType.TRACKED),
        SummaryName.PROPOSED.value: (RunType.PROPOSED,),
        SummaryName.DEPLOY.value: (RunType.TRACKED,),
    }.get(event.check_name, ())
    found = [run for run in newest.values() if run.type in kinds]
    return [run for run in found if run.state is RunState.UNCONFIRMED or _is_preview(run) or can_retry(run)][:MAX_AGAIN]
