"""What others do to the App's comment on a pull request: ticks are read, a ticked plan is asked for, and everything
else is put back.

An edit is the difference of two bodies (`app.core.ticks`). What it asks for becomes an Order, as every command. The
comment itself is written by `publish_comment`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from app.core import words_tick
from app.core.choice import Choice
from app.core.command import Command, Verb
from app.core.event import CommentDeleted, CommentEdited
from app.core.missed import TOO_LATE
from app.core.names import DeliveryId
from app.core.record import AuditLine, DeliveryOutcome, Remote, ReportKind, ReportRecord
from app.core.report_comment import boxed
from app.core.run import Run
from app.core.ticks import BoxEdit, applied, compare, digits_of
from app.flows.answer import Done, Not, Person
from app.flows.order import Order, carry_out
from app.flows.ports import Artifacts, GitHub, Store, Transaction
from app.flows.publish_comment import COMMENT, digest_of
from app.flows.publish_replies import Reply

UNKNOWN: Final = "it is not the App's comment on the pull request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The use cases."""

    store: Store
    github: GitHub
    artifacts: Artifacts
    prefix: str

    def hear(self, event: CommentEdited | CommentDeleted, guid: DeliveryId) -> None:
        """Carry out what somebody did to a comment of the App's."""
        if isinstance(event, CommentEdited):
            self.edited(event, guid)
        else:
            self.deleted(event, guid)

    def edited(self, event: CommentEdited, guid: DeliveryId) -> None:
        """Take in what was ticked, carry out what was asked for, and have everything else put back."""
        with self.store.begin() as tx:
            is_known = _find(tx, event) is not None
        if not is_known:
            self._close(guid, DeliveryOutcome.IGNORED, f"comment edited: {UNKNOWN}")
            return
        permission = self.github.ask_permission(event.repository, event.sender)
        person = Person(actor=event.sender, source="tick", permission=permission, repository=event.repository.full_name)
        edit = compare(event.old_body, event.new_body)
        with self.store.begin() as tx:
            tx.save_repository(event.repository)
            found = _find(tx, event)
            if found is None:  # deleted meanwhile
                tx.close_delivery(guid, DeliveryOutcome.IGNORED, f"comment edited: {UNKNOWN}")
                return
            is_allowed = not event.is_bot and person.may_write
            take = self._take_in if is_allowed else self._refuse
            results = take(tx, event, _Edited(*found, edit), person)
            refusals = [result.text for result in results if isinstance(result, Not)]
            if refusals and not event.is_bot:
                said = "\n\n".join(refusals)
                reply = Reply(body=said, pull_number=event.pull_number, is_courtesy=not person.may_write)
                document = msgspec.json.encode(reply)
                tx.want_report(ReportKind.REPLY, event.repository.id, f"edit/{guid}", run_id=None, document=document)
            tx.close_delivery(guid, DeliveryOutcome.EVENT, _summary(edit, results))
        for result in results:
            if isinstance(result, Done) and result.spent:
                self.artifacts.delete(result.spent)

    def deleted(self, event: CommentDeleted, guid: DeliveryId) -> None:
        """Forget the comment: the next news makes another one."""
        with self.store.begin() as tx:
            record, remote = tx.find_comment(event.repository.id, event.pull_number), None
            if record is not None:
                remote = _comment_of(record, event.comment_id)
            if record is None or remote is None:
                tx.close_delivery(guid, DeliveryOutcome.IGNORED, f"comment deleted: {UNKNOWN}")
                return
            tx.forget_remote(record.id, COMMENT)
            said = f"the App's comment was deleted by {event.sender}: the next news makes another one"
            tx.close_delivery(guid, DeliveryOutcome.EVENT, said)

    def _take_in(self, tx: Transaction, event: CommentEdited, edited: "_Edited", person: Person) -> list[Done | Not]:
        """Keep the ticks, then make the plans that were asked for."""
        repository_id, number, edit = event.repository.id, event.pull_number, edited.edit
        pull = tx.lock_pull(repository_id, number)
        waiting = {boxed(run): run for run in tx.list_pull_runs(repository_id, number) if boxed(run)}
        ticks = applied(pull.ticks, edit, frozenset(waiting))
        tx.save_ticks(repository_id, number, ticks, edits=pull.edits + 1)
        is_plain = not (edit.is_other or edit.replans)
        _note(tx, event, edited, edits=pull.edits, is_kept=is_plain)
        tx.want_comment(repository_id, number)
        # What the person saw counts with what was ticked: a click may have been lost between two bodies.
        seen = {key: sorted({*ticks.get(key, ()), *edit.standing.get(key, ())}) for key in edit.replans}
        return [self._replan(tx, event, key, _Selection(waiting, seen), person) for key in edit.replans]

    def _replan(
        self, tx: Transaction, event: CommentEdited, key: str, selection: "_Selection", person: Person
    ) -> Done | Not:
        """Ask for the plan of what is ticked."""
        run, digest = selection.waiting.get(key), digits_of(key)
        if run is None:
            return _written_down(tx, event, person, f"replan {digest}", Not(words_tick.tick_too_old(digest)))
        if tx.now() - event.edited_at > TOO_LATE:
            return _written_down(tx, event, person, f"replan {run.id}", Not(words_tick.tick_too_late()))
        numbers = tuple(str(number) for number in selection.ticks.get(key, ()))
        command = Command(verb=Verb.REPLAN, target=run.id, choice=Choice(is_only=True, only=numbers))
        return carry_out(tx, Order(command=command, run_id=run.id, person=person, digest_start=digest), self.prefix)

    def _refuse(self, tx: Transaction, event: CommentEdited, edited: "_Edited", person: Person) -> list[Done | Not]:
        """Have it put back; a bot's at the next news alone, so that two machines never write against each other."""
        pull = tx.lock_pull(event.repository.id, event.pull_number)
        tx.save_ticks(event.repository.id, event.pull_number, pull.ticks, edits=pull.edits + 1)
        _note(tx, event, edited, edits=pull.edits, is_kept=False)
        if not event.is_bot:
            tx.want_comment(event.repository.id, event.pull_number)
        refusal = Not(words_tick.edit_refused(person.actor, person.permission.value))
        return [_written_down(tx, event, person, f"edit the comment on #{event.pull_number}", refusal)]

    def _close(self, guid: DeliveryId, outcome: DeliveryOutcome, reason: str) -> None:
        with self.store.begin() as tx:
            tx.close_delivery(guid, outcome, reason)


@dataclass(frozen=True, slots=True)
class _Edited:
    """The comment that was edited, as it is known here, and what the edit did."""

    record: ReportRecord
    remote: Remote
    edit: BoxEdit


@dataclass(frozen=True, slots=True)
class _Selection:
    """What is ticked, and of which runs."""

    waiting: Mapping[str, Run]
    ticks: Mapping[str, Sequence[int]]


def _find(tx: Transaction, event: CommentEdited) -> tuple[ReportRecord, Remote] | None:
    """The report of the pull request's comment, if that is what was edited; also one whose POST was never answered."""
    record = tx.find_comment(event.repository.id, event.pull_number)
    if record is None:
        return None
    remote = _comment_of(record, event.comment_id)
    if remote is None:
        edits = tx.find_pull(event.repository.id, event.pull_number).edits
        lost = (one for one in record.remotes if one.external_id == COMMENT and one.remote_id is None)
        remote = next((one for one in lost if one.published == digest_of(event.old_body, edits)), None)
    return (record, remote) if remote is not None else None


def _comment_of(record: ReportRecord, comment_id: int) -> Remote | None:
    known = (one for one in record.remotes if one.external_id == COMMENT)
    return next((one for one in known if one.remote_id == comment_id), None)


def _note(tx: Transaction, event: CommentEdited, edited: _Edited, *, edits: int, is_kept: bool) -> None:
    """Note what stands on GitHub now, if it may stay and is certain: the edit began from what was published last. Else
    what was published counts as of before the edit, and is written again."""
    published = edited.remote.published
    if is_kept and published == digest_of(event.old_body, edits):
        published = digest_of(event.new_body, edits + 1)
    tx.save_remote(
        edited.record.id, COMMENT, remote_id=event.comment_id, published=published or "edited", is_completed=True
    )


def _written_down(tx: Transaction, event: CommentEdited, person: Person, command: str, refusal: Not) -> Not:
    """A refusal that no run was asked about, in the audit log."""
    tx.add_audit(
        AuditLine(
            at=tx.now(),
            actor=person.actor,
            source=person.source,
            command=command,
            run_id=None,
            repository_id=event.repository.id,
            is_allowed=False,
            reason=refusal.text[:1000],
        )
    )
    return refusal


def _summary(edit: BoxEdit, results: Sequence[Done | Not]) -> str:
    """What became of it, for the delivery's row."""
    counts = [
        f"{sum(map(len, edit.ticked.values()))} ticked",
        f"{sum(map(len, edit.cleared.values()))} cleared",
        *(("other changes are put back",) if edit.is_other else ()),
    ]
    said = [f"{'done' if isinstance(result, Done) else 'refused'}: {result.text[:200]}" for result in results]
    return "; ".join((", ".join(counts), *said))[:1000]
