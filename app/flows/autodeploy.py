"""A stack's `autodeploy`: whether its setting confirms a plan, and the confirmation that it makes then.

Called inside the transaction that moves the run, with the stack locked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from app.core.record import AuditLine
from app.core.ruling import Approval, Verdict
from app.core.run import Plan, Run, RunState, RunType, Step, Transition, Trigger, advance, confirm
from app.core.stack import Stack
from app.flows.ports import Transaction

AUTODEPLOY: Final = "autodeploy"
WAITS_BEHIND: Final = frozenset({RunState.QUEUED, RunState.READY})
ORDERED: Final = frozenset({Trigger.COMMAND, Trigger.POLICY, Trigger.DEPENDENCY})
NOT_BEGUN: Final = WAITS_BEHIND | {RunState.CANCELED, RunState.SKIPPED}


def may_autodeploy(tx: Transaction, run: Run, stack: Stack, plan: Plan) -> bool:
    """True when the setting may confirm that plan."""
    if not asks_nobody(run, stack, plan) or not tx.is_current(stack.id):
        return False
    return run.head_seq == stack.head_seq or is_next(stack.head_seq, tx.list_newer_states(stack.id, run.head_seq))


def is_next(newest: int, newer: Mapping[int, Sequence[RunState]]) -> bool:
    """True for a commit that was passed, when the stack's newest one still waits behind it and none between has begun:
    they are deployed one after the other. An older commit never follows a newer one unasked.

    `newest`: the stack's `head_seq`. `newer`: the states of its state-changing runs of newer commits, by `head_seq`,
    ended ones too.
    """
    has_none_begun = all(state in NOT_BEGUN for states in newer.values() for state in states)
    return has_none_begun and any(state in WAITS_BEHIND for state in newer.get(newest, ()))


def asks_nobody(run: Run, stack: Stack, plan: Plan) -> bool:
    """True when nothing about the run asks for a person, as far as it is known of the stack and the plan."""
    if not stack.settings.autodeploy or run.type is not RunType.TRACKED:
        return False  # what destroys everything is never confirmed by a setting
    is_free = not (stack.is_detached or stack.hold_reason or stack.lock_key or stack.lock_owner)
    is_same = stack.settings.digest() == run.stack_digest  # else they changed while it was planned
    is_whole = run.targeting is None  # a part was asked for by a person, who has not seen it yet
    # Whoever orders a run must not pass over who may confirm it.
    is_ordered = run.trigger in ORDERED and stack.settings.confirm_rules.is_refined
    is_judged = plan.verdict in (Verdict.NONE, Verdict.PASSED) and plan.approval in (Approval.NONE, Approval.APPROVED)
    return is_free and is_same and is_whole and is_judged and not is_ordered


def confirm_by_setting(tx: Transaction, run: Run, stack: Stack, plan: Plan, what: Step) -> None:
    """The stack's setting confirms, by the same proof as a person; `what` the run does then."""
    at = tx.now()
    ready = replace(run, plan=plan)
    proof = confirm(ready, stack_digest=stack.settings.digest(), actor=AUTODEPLOY, at=at, source=AUTODEPLOY)
    tx.add_confirmation(proof)
    tx.add_audit(
        AuditLine(
            at=at,
            actor=AUTODEPLOY,
            source=AUTODEPLOY,
            command=f"confirm {run.id}",
            run_id=run.id,
            repository_id=run.repository_id,
            is_allowed=True,
            reason="the stack has `autodeploy: true`",
        )
    )

    def change(found: Run) -> tuple[Run, Transition]:
        proven = replace(found, plan=plan, confirmed_digest=proof.plan_digest, decided_by=AUTODEPLOY, attempts=0)
        return advance(proven, what, by=AUTODEPLOY, at=at)

    tx.change_run(run.id, change)
