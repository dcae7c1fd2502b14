"""What follows from a decision: the record, the stack's head, runs, locks, and what is said on the commit.

Works inside one transaction, under the repository's lock; each stack that anything happens to is locked in its turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from app.core.contract_push import PushAnswer, turn_lock
from app.core.decision import HELD_BACK, Answer, Decision, EventKind, Verdict
from app.core.event import Repository
from app.core.flags import FlagOwners, turn_flags
from app.core.happening import Happening
from app.core.missed import FOUND_NOTE
from app.core.names import DecisionId, DeliveryId, RunId
from app.core.record import ReportKind
from app.core.reply import CheckReport
from app.core.report import failed_decision_report
from app.core.report_decision import IgnoredView, ignored_report
from app.core.run import ExternalState, Run, RunState, RunType, Step
from app.core.stack import CONFIG_PATH, Stack
from app.flows.cascade import Cascade
from app.flows.enquire import Source
from app.flows.explain import want_summaries
from app.flows.judge import Case, Ruling
from app.flows.ports import Transaction
from app.flows.propose import stop_older
from app.flows.schedule import retell, schedule, step

MAX_EXTERNALS: Final = 50
MAX_NAME: Final = 200
"""Characters of an external dependency's name, of a lock's key."""
UNTRACKED: Final = "nothing of a fork is tracked before it is merged"
PASSED: Final = "the stack is at a newer commit that holds this one: the push arrived late, and takes nothing back"
CLOSED: Final = "the pull request is closed: no run is made of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of an event."""

    text: str
    runs: int = 0
    """How many runs were made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """An event with all that was ruled about it."""

    case: Case
    rulings: Sequence[Ruling]
    source: Source
    """What proposed runs of it check out."""
    shared: Mapping[str, object]
    """The part of the question that all stacks were asked, as the records keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Writes what was decided, and does what follows."""

    web_url: str

    def write(self, tx: Transaction, guid: DeliveryId, ruled: Ruled) -> Told:
        """Every decision with its effects; what became of the event, in words."""
        case = ruled.case
        happening = case.happening
        is_newer = happening.kind is EventKind.PUSH or happening.action == "synchronize"
        if is_newer and not happening.is_passed:
            cause = f"a newer push to {happening.branch}: {case.looked.head[:7]}"
            stop_older(tx, happening.repository.id, happening.ref, head=case.looked.head, cause=cause)
        settled = [self._locked(tx, case, self._restrained(case, ruling)) for ruling in ruled.rulings]
        roots = {one.stack.name: happening.ref for one in settled if _is_tracked_run(one)}
        cascade = Cascade.of(tx, happening.repository.id, roots)
        cascade.lock([one.stack.id for one in settled if one.stack.name in roots])
        notes = cascade.foresee(roots)
        settled = [_noted(one, notes.get(one.stack.name, "")) for one in settled]
        ids = tx.add_decisions(guid, ruled.shared, [_record(case, ruling) for ruling in settled])
        made = 0
        in_order = sorted(zip(settled, ids, strict=True), key=lambda pair: cascade.rank(pair[0].stack.name))
        for ruling, decision_id in in_order:
            made += self._follow(tx, ruled, ruling, decision_id, cascade)
        branches = {ruling.stack.settings.branch for ruling in ruled.rulings}
        want_summaries(tx, happening, case.looked.head, branches)
        counts = dict.fromkeys(Verdict, 0)
        for ruling in settled:
            counts[ruling.answer.verdict] += 1
        said = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
        return Told(text=f"decided for {len(settled)} stacks: {said or 'nothing new'}", runs=made)

    def _restrained(self, case: Case, ruling: Ruling) -> Ruling:
        """The ruling without what no policy can have: a fork's runs that nobody allowed, tracked ones of it at all, and
        previews of what is closed."""
        verdict = ruling.answer.verdict
        if verdict not in (Verdict.TRACK, Verdict.PROPOSE):
            return ruling
        is_fork_allowed = ruling.said is not None and ruling.said.is_fork_allowed
        if case.happening.is_from_fork and (verdict is Verdict.TRACK or not is_fork_allowed):
            why = UNTRACKED if is_fork_allowed else HELD_BACK
            return _turned_down(ruling, f"{ruling.answer.reason}; {why}")
        if verdict is Verdict.TRACK and ruling.stack.head_sha in case.looked.passed_by:
            return _turned_down(ruling, f"{ruling.answer.reason}; {PASSED}")
        pull = case.happening.pull
        if verdict is Verdict.PROPOSE and pull is not None and pull.is_closed:
            return _turned_down(ruling, f"{ruling.answer.reason}; {CLOSED}")
        return ruling

    def _locked(self, tx: Transaction, case: Case, ruling: Ruling) -> Ruling:
        """Lock or unlock the stack by key; one that another key holds turns the event down. A fork locks nothing."""
        said = ruling.said
        if said is None or not (said.lock or said.unlock) or case.happening.is_from_fork:
            return ruling
        stack = tx.lock_stack(ruling.stack.id)
        outcome = turn_lock(stack.lock_key, bounded(said))
        if outcome.is_rejected:
            reason = f"the stack is locked with the key {stack.lock_key} ({stack.locked_by}): no run of this event"
            return replace(_turned_down(ruling, f"{ruling.answer.reason}; {reason}"), is_rejected=True)
        if outcome.key != stack.lock_key:
            by = f"policy {ruling.policy}" if outcome.key else ""
            stack = replace(stack, lock_key=outcome.key, locked_by=by)
            tx.save_stack(stack)
            if not outcome.key:
                schedule(tx, stack)
            retell(tx, stack)
        return ruling

    def _follow(self, tx: Transaction, ruled: Ruled, ruling: Ruling, decision_id: DecisionId, cascade: Cascade) -> int:
        """What follows from one ruling, and from the runs above its stack; how many runs were made."""
        case, made = ruled.case, 0
        match ruling.answer.verdict:
            case Verdict.TRACK:
                made = self._track(tx, case, ruling, decision_id, cascade)
            case Verdict.PROPOSE:
                made = self._propose(tx, case, ruling, decision_id, ruled.source)
            case Verdict.FAIL:
                want_check(tx, case.happening.repository, self._failed(case, ruling))
            case Verdict.IGNORE:
                said = ruling.said
                if ruling.is_rejected or (said is not None and said.is_reported):
                    want_check(tx, case.happening.repository, self._ignored(case, ruling))
        return made + (cascade.make(ruling.stack.name) is not None)

    def _track(self, tx: Transaction, case: Case, ruling: Ruling, decision_id: DecisionId, cascade: Cascade) -> int:
        """Move the stack's head and make the tracked run, unless this event is the second that tells of it."""
        head = case.looked.head
        stack = tx.lock_stack(ruling.stack.id)
        is_moved = stack.head_sha != head
        if is_moved:
            stack = replace(stack, head_sha=head, head_seq=stack.head_seq + 1)
            tx.save_stack(stack)
        made = 0
        if ruling.is_run_wanted:
            run = _new_run(tx, case, ruling, stack, decision_id, Source(sha=head))
            run = replace(run, upstreams=cascade.upstreams(stack.name))
            key = event_key(run)
            if tx.add_run(run, event_key=key):
                made = 1
            elif is_moved:
                # The head came back to an older commit, by a forced push: its run was of another time.
                made = int(tx.add_run(run, event_key=f"{key}/{stack.head_seq}"))
            else:
                _enrich(tx, case, ruling, key)
            if made:
                _cancel(tx, ruling, run)
                cascade.add(run)
        schedule(tx, stack)
        if is_moved or made:
            retell(tx, stack)
        return made

    def _propose(self, tx: Transaction, case: Case, ruling: Ruling, decision_id: DecisionId, source: Source) -> int:
        """Make the proposed run, unless there is one of this head."""
        if not ruling.is_run_wanted:
            return 0
        stack = tx.lock_stack(ruling.stack.id)
        run = _new_run(tx, case, ruling, stack, decision_id, source)
        key = event_key(run)
        if case.happening.kind is EventKind.COMMENT:
            is_made = tx.add_run(run, event_key=None)
        else:
            before = tx.find_event_run(key)
            if before is not None and before.state in (RunState.STOPPED, RunState.CANCELED):
                # The ref came back to a commit whose run was stopped for a newer one.
                key = f"{key}/{decision_id}" if case.happening.is_new_head else key
            is_made = tx.add_run(run, event_key=key)
        if not is_made:
            _enrich(tx, case, ruling, key)
            return 0
        _cancel(tx, ruling, run)
        schedule(tx, stack)
        return 1

    def _failed(self, case: Case, ruling: Ruling) -> CheckReport:
        """On the commit: the question could not be answered."""
        url = self._file_url(case)
        if _is_tracked_event(case.happening, ruling.stack):
            return failed_decision_report(ruling.stack.name, case.looked.head, ruling.answer.reason, details_url=url)
        return replace(
            failed_decision_report(ruling.stack.name, case.looked.head, ruling.answer.reason, details_url=url),
            name=f"plan/{ruling.stack.name}",
        )

    def _ignored(self, case: Case, ruling: Ruling) -> CheckReport:
        said = ruling.said
        return ignored_report(
            IgnoredView(
                stack_name=ruling.stack.name,
                is_proposed=not _is_tracked_event(case.happening, ruling.stack),
                head_sha=case.looked.head,
                reason=ruling.answer.reason,
                messages=said.messages if said is not None else (),
                is_failure=said is not None and said.is_failure_reported,
                details_url=self._file_url(case),
            )
        )

    def _file_url(self, case: Case) -> str:
        return f"{self.web_url}/{case.happening.repository.full_name}/blob/{case.looked.head}/{CONFIG_PATH}"


def event_key(run: Run) -> str:
    """What runs from events are unique by: stack, commit, type, ref."""
    return f"{run.stack_id}/{run.head_sha}/{run.type.value}/{run.ref}"


def want_check(tx: Transaction, repository: Repository, report: CheckReport) -> None:
    """Ask for a check run with a fixed content, once per commit and name."""
    subject = f"{report.head_sha}/{report.name}"
    tx.want_report(ReportKind.CHECK, repository.id, subject, run_id=None, document=msgspec.json.encode(report))


def bounded(said: PushAnswer) -> PushAnswer:
    """The same with keys that fit their columns."""
    return replace(said, lock=said.lock[:MAX_NAME], unlock=said.unlock[:MAX_NAME])


def _turned_down(ruling: Ruling, reason: str) -> Ruling:
    """The ruling as one that starts nothing; its rules stay what they were."""
    answer = Answer(verdict=Verdict.IGNORE, reason=reason[:1000], rules=ruling.answer.rules)
    return replace(ruling, answer=answer)


def _is_tracked_run(ruling: Ruling) -> bool:
    """True when a tracked run is made of it."""
    return ruling.answer.verdict is Verdict.TRACK and ruling.is_run_wanted


def _noted(ruling: Ruling, note: str) -> Ruling:
    """The ruling with one more note for its record."""
    return replace(ruling, note="; ".join(part for part in (ruling.note, note) if part)) if note else ruling


def _is_tracked_event(happening: Happening, stack: Stack) -> bool:
    """True when a run of it would be a tracked one, as far as an event that was turned down can say."""
    return bool(happening.tag) or (happening.pull is None and happening.branch == stack.settings.branch)


def _record(case: Case, ruling: Ruling) -> Decision:
    happening = case.happening
    return Decision(
        stack_id=ruling.stack.id,
        stack_name=ruling.stack.name,
        ref=happening.ref,
        head_sha=case.looked.head,
        before=happening.before,
        config_version_id=ruling.stack.config_version_id,
        policy=ruling.policy,
        input=ruling.own_input,
        answer=ruling.answer,
        event=happening.kind,
        action=happening.action,
        pull_number=happening.pull_number,
        policies=ruling.outcomes,
        elapsed_s=ruling.elapsed_s,
        is_sampled=ruling.said is not None and ruling.said.is_sampled,
        note="; ".join(part for part in (FOUND_NOTE if happening.is_found else "", ruling.note) if part),
        organisation_version_id=ruling.stack.organisation_version_id,
    )


def _new_run(tx: Transaction, case: Case, ruling: Ruling, stack: Stack, decision_id: DecisionId, source: Source) -> Run:
    """A queued run of the event, not saved yet."""
    happening, said, now = case.happening, ruling.said, tx.now()
    is_tracked = ruling.answer.verdict is Verdict.TRACK
    externals = said.external_dependencies[:MAX_EXTERNALS] if said is not None else ()
    message = case.looked.commit.message
    return Run(
        id=RunId(tx.new_id()),
        stack_id=stack.id,
        stack_name=stack.name,
        repository_id=stack.repository_id,
        type=RunType.TRACKED if is_tracked else RunType.PROPOSED,
        state=RunState.QUEUED,
        head_sha=case.looked.head,
        source_sha=source.sha,
        ref=happening.ref,
        head_seq=stack.head_seq,
        stack_digest=stack.settings.digest(),
        config_version_id=stack.config_version_id,
        decision_id=decision_id,
        trigger=happening.trigger,
        triggered_by=happening.sender,
        message=message.splitlines()[0][:200] if message else "",
        created_at=now,
        updated_at=now,
        pull_number=happening.pull_number or source.pull_number,
        is_prioritized=said is not None and said.is_prioritized,
        lock_key=said.lock[:MAX_NAME] if said is not None else "",
        flag_owners=_flags({}, said),
        externals={name[:MAX_NAME]: ExternalState.PENDING for name in externals if name},
        note=source.note,
        is_from_fork=happening.is_from_fork,
    )


def _flags(held: FlagOwners, said: PushAnswer | None) -> FlagOwners:
    """What the policies leave on a run that has flags already, or on a new one."""
    return turn_flags(held, sets=said.flags, resets=said.reset_flags) if said is not None else held


def _enrich(tx: Transaction, case: Case, ruling: Ruling, key: str) -> None:
    """The run that the first event made learns from the second: its pull request, and flags while it is live."""
    run = tx.find_event_run(key)
    if run is None:
        return
    if case.happening.pull_number is not None:
        tx.note_pull(run.id, case.happening.pull_number)
    flags = _flags(run.flag_owners, ruling.said)
    if run.is_live and flags != run.flag_owners:
        tx.save_flags(run.id, flags)


def _cancel(tx: Transaction, ruling: Ruling, made: Run) -> None:
    """Pre-empt the runs that the policies name: of the same stack and type, and only while nobody has them."""
    for run_id in sorted(ruling.said.cancel) if ruling.said is not None else ():
        run = tx.find_run(RunId(run_id[:40]))
        if run is None or run.id == made.id or (run.stack_id, run.type) != (made.stack_id, made.type):
            continue
        cause = f"policy {ruling.policy}: run {made.id} takes its place"
        if run.state in (RunState.QUEUED, RunState.READY):
            step(tx, run, Step.CANCEL, cause=cause)
        elif run.state is RunState.UNCONFIRMED:
            step(tx, run, Step.DISCARD, cause=cause)
