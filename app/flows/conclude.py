"""What a worker says about its assignment, and what its silence means. Every call is checked against the assignment's
token, its end, its lease and the fencing number before anything is written.

The most important line of the product is in `begin_apply`: `applying` is committed before the worker gets its 200.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import msgspec

from app.core import words_policy
from app.core.attestation import APPLIED, FAILED, UNKNOWN
from app.core.errors import BrokenError, LeaseLost, NotAuthorised, RetryableError, UserError
from app.core.names import AssignmentId, Digest, Secret
from app.core.protocol import (
    MAX_ARCHIVE_BYTES,
    MAX_LOG_BYTES,
    ApplyRequest,
    Heartbeat,
    HeartbeatAnswer,
    Next,
    Outcome,
    Phase,
    PlanAnswer,
    PlanReport,
    ResultReport,
    Stage,
    StageAnswer,
    StageReport,
    StateAccess,
    TransferAnswer,
    TransferRequest,
)
from app.core.record import AssignmentRecord
from app.core.ruling import Approval, Verdict
from app.core.run import (
    GIVEN_BACK_COSTS,
    LOST_COSTS,
    PATIENCE,
    TABLE,
    Plan,
    Run,
    RunState,
    RunType,
    Step,
    Transition,
    advance,
)
from app.core.stack import StateMode
from app.core.variables import SKIP_APPLYING
from app.flows.autodeploy import confirm_by_setting, may_autodeploy
from app.flows.change_phase import ChangePhase
from app.flows.choose import left_undone
from app.flows.drift import reconcile
from app.flows.handover import offer, what_is_missing
from app.flows.held import (
    Guarded,
    archive_key,
    clone_token_context,
    require_applying,
    require_own_plan,
    require_phase,
    state_access,
)
from app.flows.identity import Identity
from app.flows.inputs import keep_outputs
from app.flows.ports import Artifacts, GitHub, Sealer, Store, Transaction
from app.flows.review import keep_flags
from app.flows.schedule import SYSTEM, schedule
from app.flows.weigh import Weigh, Weighed, judging

NOT_TARGETED = (
    "the worker planned the whole commit instead of what was chosen: it is older than the control plane. Nothing was "
    "applied; bring the worker to the same version"
)
UNBOUND = (
    "the stack's settings changed after the confirmation, or the plan's key is gone: nothing was applied. "
    "The next push, or another plan, starts anew"
)
VALIDATED = "validated, and not planned: it is a fork's commit, so it got no secret, no state and no token"
MAX_REMARKS = 50
"""Errors of the engine that are kept of a failed run."""
RENEWED = "the organisation's settings changed a moment ago: taken in first, then held against the confirmation again"
UNKNOWN_OUTCOME = (
    "the worker was lost while it applied: what it did to the infrastructure is not known. "
    "Nothing of this stack runs until a person has looked and taken the hold away"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude:
    """The use cases of the worker's calls after its claim."""

    store: Store
    github: GitHub
    artifacts: Artifacts
    sealer: Sealer
    identity: Identity
    change_phase: ChangePhase
    weigh: Weigh
    lease_s: float

    def authorise(self, assignment_id: AssignmentId, token: str) -> None:
        """Nothing, when that token belongs to that assignment. Raises: NotAuthorised."""
        with self.store.begin() as tx:
            self._authorise(tx, assignment_id, token)

    def heartbeat(self, assignment_id: AssignmentId, token: str, beat: Heartbeat) -> HeartbeatAnswer:
        """Renew the lease. Raises: LeaseLost when the hold is over; NotAuthorised."""
        with self.store.begin() as tx:
            record = self._authorise(tx, assignment_id, token)
            stop = tx.renew_lease(assignment_id, beat.fencing, self.lease_s, done=beat.done)
            token = self.identity.renew(tx, record) if beat.wants_token and stop is not None else ""
        if stop is None:
            raise LeaseLost(f"assignment {assignment_id} is over")
        return HeartbeatAnswer(lease_s=self.lease_s, stop=stop, oidc_token=token)

    def add_log(self, assignment_id: AssignmentId, token: str, fencing: int, offset: int, data: bytes) -> None:
        """Keep a chunk of log. What lies beyond MAX_LOG_BYTES is dropped: the worker counts it too."""
        with self.store.begin() as tx:
            record = self._authorise(tx, assignment_id, token)
            if record.ended_at is not None or record.fencing != fencing:
                raise LeaseLost(f"assignment {assignment_id} is over")
            if offset + len(data) <= MAX_LOG_BYTES:
                tx.add_log(assignment_id, offset, data)

    def stage(self, assignment_id: AssignmentId, token: str, report: StageReport) -> StageAnswer:
        """The worker starts to initialize, or to plan. A first run learns here where its state lives."""
        with self.store.begin() as tx:
            held = self._guard(tx, assignment_id, token, report.fencing)
            refusal, access = "", None
            if report.stage is Stage.INITIALIZING:
                refusal, access = self._resolve_state(tx, held, report.state_mode)
            if refusal:
                self._end(tx, held, Step.FAIL, cause=refusal)
            elif report.stage is Stage.INITIALIZING and held.run.state is RunState.PREPARING:
                self._step(tx, held, Step.INITIALIZE)
            elif report.stage is Stage.PLANNING and held.run.state is not RunState.PLANNING:
                self._step(tx, held, Step.PLAN)
        if refusal:
            raise LeaseLost(f"assignment {assignment_id} is over: {refusal}")
        return StageAnswer(state=access)

    def report_plan(self, assignment_id: AssignmentId, token: str, report: PlanReport) -> PlanAnswer:
        """Take in a plan and say what comes next: archive it, apply it here (autodeploy), or nothing.

        Policies are asked between two transactions. Raises: RetryableError when they changed meanwhile: sent again, the
        plan is judged by the new ones.
        """
        with self.store.begin() as tx:
            held = self._guard(tx, assignment_id, token, report.fencing)
            answer = self._known(tx, held, report)
            if answer is None and not self.weigh.is_needed(held.stack):
                answer = self._take_in(tx, held, report, Weighed())
            ground = self.weigh.ground(tx, held.run, held.stack) if answer is None else None
        if ground is not None:
            weighed = self.weigh.handed_in(ground, report)
            with self.store.begin() as tx:
                held = self._guard(tx, assignment_id, token, report.fencing)
                answer = self._known(tx, held, report) or self._take_in(tx, held, report, weighed)
        if answer is None:
            raise BrokenError(f"taking in plan {held.run.plan_number} of run {held.run.id}: nothing was said of it")
        if answer.next is Next.DONE:
            self._revoke(held)
        return answer

    def _known(self, tx: Transaction, held: Guarded, report: PlanReport) -> PlanAnswer | None:
        """The answer that needs no look at the plan: the one before was lost on its way, or it is another's plan."""
        require_phase(held, Phase.PLAN)
        if held.run.state is RunState.APPLYING and held.run.confirmed_digest == report.digest:
            return self.change_phase.answer(tx, held.run, held.stack, held.record)
        if held.run.targeting is not None and not report.is_targeted:
            self._end(tx, held, Step.FAIL, cause=NOT_TARGETED)
            return PlanAnswer(next=Next.DONE)
        return None

    def _take_in(self, tx: Transaction, held: Guarded, report: PlanReport, weighed: Weighed) -> PlanAnswer:
        """Keep the plan with what policies said of it, and say what comes next."""
        if weighed.policies != judging(held.stack):
            raise RetryableError(
                f"taking in the plan of run {held.run.id}: the policies of its stack changed meanwhile"
            )
        plan = Plan(
            number=held.run.plan_number,
            digest=Digest(report.digest),
            delta=report.summary.delta,
            has_changes=report.has_changes,
            engine=report.engine[:100],
            created_at=tx.now(),
            state=report.state,
            rulings=weighed.plan.rulings,
            approvals=weighed.reviewed.rulings,
            rest=left_undone(tx, held.run, report.summary, has_changes=report.has_changes),
        )
        tx.save_plan(held.run.id, plan, report.summary)
        keep_flags(tx, held.run, weighed.turned(held.run.flag_owners))
        return self._after_plan(tx, held, plan, environment_asks=weighed.environment_asks)

    def begin_apply(self, assignment_id: AssignmentId, token: str, request: ApplyRequest) -> None:
        """Commit `applying` for this fencing number: the engine may start. Raises: LeaseLost when it may not."""
        with self.store.begin() as tx:
            held = self._guard(tx, assignment_id, token, request.fencing)
            require_phase(held, Phase.APPLY)
            if held.run.state is RunState.APPLYING and held.run.confirmed_digest == request.digest:
                return  # the answer before was lost on its way; the engine starts after an answer only
            proof = tx.get_confirmation(held.run.id)
            asked = (request.digest, request.engine, held.stack.settings.digest())
            plan = held.run.plan
            if not tx.is_current(held.stack.id):
                refusal = RENEWED
                self._lose(tx, held, refusal, costs=0)
            elif plan is None or asked != (proof.plan_digest, plan.engine, proof.stack_digest):
                refusal = f"the worker restored another plan, engine or configuration than {proof.actor} confirmed"
                self._end(tx, held, Step.FAIL, cause=refusal)
            else:
                refusal = ""
                self._step(tx, held, Step.APPLY)
        if refusal:
            raise LeaseLost(refusal)

    def report_result(self, assignment_id: AssignmentId, token: str, result: ResultReport) -> None:
        """The assignment is over. Safe to send twice: the second finds it ended and is told so by LeaseLost."""
        missing = self._missing(assignment_id, token, result) if result.outcome is Outcome.PLANNED else ""
        with self.store.begin() as tx:
            held = self._guard(tx, assignment_id, token, result.fencing)
            reason = result.reason[:4000]
            match result.outcome:
                case Outcome.PLANNED if missing:
                    self._lose(tx, held, missing)
                case Outcome.PLANNED:
                    self._planned(tx, held)
                case Outcome.APPLIED:
                    require_applying(held)
                    tx.save_outputs(held.run.id, msgspec.json.encode(result.outputs))
                    self._end(tx, held, Step.FINISH, changed_outputs=keep_outputs(tx, held.run, result))
                case Outcome.VALIDATED:
                    require_phase(held, Phase.VALIDATE)
                    self._end(tx, held, Step.FINISH, cause=VALIDATED)
                case Outcome.FAILED:
                    met = result.obstacle
                    if result.remarks:
                        tx.save_remarks(held.run.id, msgspec.json.encode(result.remarks[:MAX_REMARKS]))
                    self._end(tx, held, Step.FAIL, cause=reason or "the worker gave no reason", obstacle=met)
                case Outcome.STOPPED:
                    self._stopped(tx, held, reason)
                case Outcome.RETURNED:
                    costs = 0 if result.is_shutdown else GIVEN_BACK_COSTS
                    self._lose(tx, held, reason or "the worker gave it back", costs=costs)
        self._revoke(held)
        self._forget_archive(held)

    def _forget_archive(self, held: Guarded) -> None:
        """Delete the workspace of a run that has ended; its key is gone already. Kept when the outcome is unknown."""
        with self.store.begin() as tx:
            run = tx.get_run(held.run.id)
            plan = run.plan or tx.find_plan(run.id, run.plan_number)  # one that was handed in, and never waited
        if plan is not None and run.state.is_terminal and not run.is_outcome_unknown:
            self.artifacts.delete(archive_key(run.id, plan))

    def put_archive(self, assignment_id: AssignmentId, token: str, fencing: int, chunks: Iterator[bytes]) -> None:
        """Store the workspace of the plan that was reported. Sent again, it replaces what came before."""
        key = self._archive_key(assignment_id, token, fencing, is_confirmed=False)
        self.artifacts.delete(key)
        self.artifacts.put(key, chunks, max_bytes=MAX_ARCHIVE_BYTES)

    def open_archive(self, assignment_id: AssignmentId, token: str, fencing: int) -> AbstractContextManager[BinaryIO]:
        """The stored workspace of the confirmed plan. Raises: LeaseLost, NotAuthorised; UserError when it is gone."""
        return self.artifacts.open(self._archive_key(assignment_id, token, fencing, is_confirmed=True))

    def offer_archive(self, assignment_id: AssignmentId, token: str, asked: TransferRequest) -> TransferAnswer:
        """Where the worker may bring or fetch the workspace without the control plane between; LeaseLost as below."""
        key = self._archive_key(assignment_id, token, asked.fencing, is_confirmed=not asked.is_upload)
        return offer(self.artifacts, key, asked, lease_s=self.lease_s)

    def _missing(self, assignment_id: AssignmentId, token: str, result: ResultReport) -> str:
        """Why the workspace that a worker says it stored does not count; asked outside of any transaction."""
        key = self._archive_key(assignment_id, token, result.fencing, is_confirmed=False)
        return what_is_missing(self.artifacts, key, result)

    def _archive_key(self, assignment_id: AssignmentId, token: str, fencing: int, *, is_confirmed: bool) -> str:
        with self.store.begin() as tx:
            held = self._guard(tx, assignment_id, token, fencing)
            if not is_confirmed:
                require_phase(held, Phase.PLAN)
                plan = tx.get_plan(held.run.id, held.run.plan_number)
                require_own_plan(held, plan)
                return archive_key(held.run.id, plan)
        if held.run.plan is None or held.run.confirmed_digest != held.run.plan.digest:
            raise LeaseLost(f"run {held.run.id} has no confirmed plan")
        return archive_key(held.run.id, held.run.plan)

    def give_back(self, assignment_id: AssignmentId, cause: str, *, costs: int = LOST_COSTS) -> None:
        """End an assignment that its worker never got or no longer holds; the run goes back, or fails, by the table."""
        with self.store.begin() as tx:
            found = tx.find_assignment(assignment_id)
            if found is None or found.ended_at is not None:
                return
            stack = tx.lock_stack(found.stack_id)
            record = tx.lock_assignment(assignment_id)
            if record is None or record.ended_at is not None:
                return
            held = Guarded(stack=stack, run=tx.get_run(found.run_id), record=record)
            self._lose(tx, held, cause, costs=costs)
        self._revoke(held)

    def refuse(self, tx: Transaction, record: AssignmentRecord, cause: str = UNBOUND) -> None:
        """Fail a claimed run that must not be carried out: by default a confirmed one whose confirmation does not bind
        what would be applied now."""
        stack = tx.lock_stack(record.stack_id)
        held = Guarded(stack=stack, run=tx.get_run(record.run_id), record=record)
        self._end(tx, held, Step.FAIL, cause=cause)

    def _authorise(self, tx: Transaction, assignment_id: AssignmentId, token: str) -> AssignmentRecord:
        record = tx.find_assignment(assignment_id)
        if record is None or not self.sealer.is_token(token, record.token_hash):
            raise NotAuthorised("no such assignment, or not its token")
        return record

    def _guard(self, tx: Transaction, assignment_id: AssignmentId, token: str, fencing: int) -> Guarded:
        """Lock stack and assignment, and check that the hold is live. Raises: LeaseLost, NotAuthorised."""
        found = self._authorise(tx, assignment_id, token)
        stack = tx.lock_stack(found.stack_id)
        record = tx.lock_assignment(assignment_id)
        if record is None or record.ended_at is not None or record.fencing != fencing or record.lease_until < tx.now():
            raise LeaseLost(f"assignment {assignment_id} is over")
        run = tx.get_run(record.run_id)
        if run.fencing != fencing:
            raise LeaseLost(f"run {run.id} is with a newer assignment")
        return Guarded(stack=stack, run=run, record=record)

    def _resolve_state(self, tx: Transaction, held: Guarded, implied: str) -> tuple[str, StateAccess | None]:
        """Where the stack's state lives from now on: a refusal in words, or credentials when it is managed. A fork's
        commit says nothing about it, and gets none."""
        if held.record.phase is Phase.VALIDATE:
            return "", None
        stored, wanted = held.stack.state_mode, held.stack.settings.state
        mode = wanted or (StateMode(implied) if implied in list(StateMode) else stored)
        if mode is None:
            return "the worker did not say whether the configuration has a backend", None
        if wanted is None and stored is not None and stored is not mode:
            return (
                f"state mode changed: the stack's state is {stored.value}, and this commit asks for {mode.value}; "
                f"set `state:` of stack {held.stack.name} in .trackside/stacks.yml to say which is meant"
            ), None
        if stored is not mode and held.run.type.is_state_changing:  # a preview of a branch says nothing for good
            tx.save_stack(replace(held.stack, state_mode=mode))
        if mode is not StateMode.MANAGED or wanted is StateMode.MANAGED:
            return "", None  # with `state: managed` in the settings the assignment brought the credentials
        password = self.sealer.new_token()
        record = replace(held.record, state_token_hash=self.sealer.hash_token(password.reveal()))
        tx.save_assignment(record)
        return "", state_access(held.stack, record, password)

    def _after_plan(self, tx: Transaction, held: Guarded, plan: Plan, *, environment_asks: bool) -> PlanAnswer:
        if held.record.stop_requested:  # the plan and the wish crossed on their way
            self._stopped(tx, held, "")
            return PlanAnswer(next=Next.DONE)
        if plan.verdict is Verdict.DENIED or plan.approval is Approval.REJECTED:
            cause = words_policy.denied(plan) or words_policy.rejected(plan)
            self._end(tx, held, Step.FAIL, plan=plan, cause=cause)
            return PlanAnswer(next=Next.DONE)
        if not plan.has_changes or not held.run.type.is_state_changing:
            is_open = plan.verdict is Verdict.WARNED and plan.approval is Approval.UNDECIDED
            is_review = is_open and held.run.type is RunType.PROPOSED
            self._end(tx, held, Step.REVIEW if is_review else Step.FINISH, plan=plan)
            if plan.has_changes and held.run.type is RunType.DRIFT:
                reconcile(tx, tx.lock_stack(held.stack.id), held.run)
            return PlanAnswer(next=Next.DONE)
        if any(held.stack.settings.environment.get(name) == "true" for name in SKIP_APPLYING):
            self._end(tx, held, Step.FINISH, plan=plan, cause="planned only: SKIP_APPLYING is set for the stack")
            return PlanAnswer(next=Next.DONE)
        if not environment_asks and may_autodeploy(tx, held.run, held.stack, plan):
            missing = self.change_phase.missing(tx, held.run, held.stack)
            if missing:
                self._end(tx, held, Step.FAIL, plan=plan, cause=missing)
                return PlanAnswer(next=Next.DONE)
            confirm_by_setting(tx, held.run, held.stack, plan, Step.APPLY)
            return self.change_phase.answer(tx, held.run, held.stack, held.record)
        return PlanAnswer(next=Next.ARCHIVE)

    def _planned(self, tx: Transaction, held: Guarded) -> None:
        """The archive is stored: the run waits for a person, unless its stack went away meanwhile."""
        plan = tx.get_plan(held.run.id, held.run.plan_number)
        if held.record.stop_requested:
            self._stopped(tx, held, "", plan=plan)
            return
        self._end(tx, held, Step.AWAIT, plan=plan)
        if held.stack.is_detached:
            cause = "the stack is no longer in .trackside/stacks.yml"
            self._step(tx, held, Step.DISCARD, by=SYSTEM, cause=cause)

    def _stopped(self, tx: Transaction, held: Guarded, reason: str, *, plan: Plan | None = None) -> None:
        """The run ends because somebody asked: by whom and why is what they said, not what the worker says."""
        record = held.record
        by = record.stop_by or held.by
        person = record.stop_by if record.stop_by not in ("", SYSTEM) else ""
        at, cause = tx.now(), record.stop_cause or reason

        def change(run: Run) -> tuple[Run, Transition]:
            stopped = replace(run, plan=plan or run.plan, decided_by=person)
            return advance(stopped, Step.STOP, by=by, at=at, cause=cause)

        tx.change_run(held.run.id, change)
        self._let_go(tx, held)

    def _step(self, tx: Transaction, held: Guarded, what: Step, *, by: str = "", cause: str = "") -> None:
        at = tx.now()
        tx.change_run(held.run.id, lambda run: advance(run, what, by=by or held.by, at=at, cause=cause))

    def _end(self, tx: Transaction, held: Guarded, what: Step, *, cause: str = "", **noted: Any) -> None:
        """The run's step, with what else is `noted` on it; the assignment's end, its state lock's end, and the stack's
        next run: in one transaction."""
        at = tx.now()

        def change(run: Run) -> tuple[Run, Transition]:
            return advance(replace(run, **noted), what, by=held.by, at=at, cause=cause)

        tx.change_run(held.run.id, change)
        self.identity.attest(tx, held.run, held.record, APPLIED if what is Step.FINISH else FAILED)
        self._let_go(tx, held)

    def _let_go(self, tx: Transaction, held: Guarded) -> None:
        """The assignment's end, its state lock's end, and the stack's next run."""
        tx.end_assignment(held.record.id)
        self._release_state(tx, held)
        schedule(tx, tx.lock_stack(held.stack.id))

    def _release_state(self, tx: Transaction, held: Guarded) -> None:
        """A state lock ends with the assignment that took it."""
        lock = tx.find_state_lock(held.stack.id)
        if lock is not None and lock.assignment_id == held.record.id:
            tx.set_state_lock(held.stack.id, None)

    def _lose(self, tx: Transaction, held: Guarded, cause: str, *, costs: int = LOST_COSTS) -> None:
        """The hold is over without a result: planned again, back to confirmed, or outcome unknown."""
        at = tx.now()
        run = held.run
        spent = run.attempts + costs
        if run.state is RunState.APPLYING:
            self._lose_apply(tx, held)
            return
        if held.record.stop_requested and (run.state, Step.STOP) in TABLE:
            self._stopped(tx, held, cause)  # who asked must not see it planned again
            return
        is_over = spent >= PATIENCE
        what = Step.FAIL if is_over else Step.LOSE
        said = f"tried again and again before it got anywhere, the last time: {cause}" if is_over else cause

        def change(found: Run) -> tuple[Run, Transition]:
            return advance(replace(found, attempts=spent), what, by=SYSTEM, at=at, cause=said)

        tx.change_run(run.id, change)
        self._let_go(tx, held)

    def _lose_apply(self, tx: Transaction, held: Guarded) -> None:
        """An apply is never started twice: failed, outcome unknown, the state lock kept, the stack on hold."""
        at = tx.now()

        def change(run: Run) -> tuple[Run, Transition]:
            unknown = replace(run, is_outcome_unknown=True)
            return advance(unknown, Step.LOSE, by=SYSTEM, at=at, cause=UNKNOWN_OUTCOME)

        stack = tx.lock_stack(held.stack.id)
        tx.save_stack(replace(stack, hold_reason=f"the outcome of run {held.run.id} is unknown"))
        tx.change_run(held.run.id, change)
        self.identity.attest(tx, held.run, held.record, UNKNOWN)
        tx.end_assignment(held.record.id)

    def _revoke(self, held: Guarded) -> None:
        """Revoke the clone token; GitHub ends it within the hour when that does not work."""
        with self.store.begin() as tx:
            record = tx.find_assignment(held.record.id)
            repository = tx.find_repository(held.run.repository_id)
        if record is None or not record.sealed_clone_token or repository is None:
            return
        token = self.sealer.open(record.sealed_clone_token, clone_token_context(record.id)).decode()
        try:
            self.github.revoke_token(Secret(token))
        except (RetryableError, UserError):
            return
        self._forget_token(record)

    def _forget_token(self, record: AssignmentRecord) -> None:
        with self.store.begin() as tx:
            locked = tx.lock_assignment(record.id)
            if locked is not None:
                tx.save_assignment(replace(locked, sealed_clone_token=b""))
