"""What keeps a stack from running until somebody takes it away: a person's lock, a policy's lock, its hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core import words, words_start
from app.core.command import Command, Verb
from app.core.permit import Refused, may, may_unlock
from app.core.record import AuditLine
from app.core.stack import Permission, Stack
from app.flows.answer import Done, Not, Person
from app.flows.ports import Transaction
from app.flows.schedule import retell, schedule, tell

MAX_HELD = 50
"""Newest runs of a stack among which those are looked for that a hold was about."""


@dataclass(frozen=True, slots=True)
class _Keep:
    """One thing that keeps the stack."""

    words: str
    """Plain text; hostile."""
    owner: str | None
    """Whose it is; empty: a policy's; None: a hold, which everybody may resolve who may write."""


def keep_stack(tx: Transaction, found: Stack, command: Command, person: Person, prefix: str) -> Done | Not:
    """Carry out a lock or an unlock: authorise, do it, write it down, and let the stack's runs go on."""
    stack = tx.lock_stack(found.id)
    permitted = may(
        command.verb,
        permission=person.permission,
        required=stack.settings.confirm_permission,
        actor=person.actor,
        repository=person.repository,
    )
    result: Done | Not
    if isinstance(permitted, Refused):
        result = Not(words.not_permitted(permitted.reason))
    elif command.verb is Verb.LOCK:
        result = _lock(tx, stack, command.note, person, prefix)
    else:
        result = _unlock(tx, stack, person)
    tx.add_audit(
        AuditLine(
            at=tx.now(),
            actor=person.actor,
            source=person.source,
            command=f"{command.verb.value} {stack.name}",
            run_id=None,
            repository_id=stack.repository_id,
            is_allowed=isinstance(result, Done),
            reason=f"{command.note}: {result.text}"[:1000] if command.note else result.text[:1000],
        )
    )
    return result


def _lock(tx: Transaction, stack: Stack, note: str, person: Person, prefix: str) -> Done | Not:
    if stack.is_kept_from(person.actor):
        return Not(words_start.locked_by_other(stack, prefix))
    taken = replace(stack, lock_owner=person.actor, lock_note=note)
    tx.save_stack(taken)
    retell(tx, taken)
    return Done(words_start.locked(taken))


def _unlock(tx: Transaction, stack: Stack, person: Person) -> Done | Not:
    """Take away what this person may: one's own lock and a hold, as an admin everything."""
    keeps = _keeps(stack)
    if not keeps:
        return Done(words_start.not_locked(stack), is_answer=True)
    taken = [keep for keep in keeps if _is_free_to(person, keep)]
    left = [keep.words for keep in keeps if keep not in taken]
    if not taken:
        return Not(words_start.needs_admin(stack, left))
    free = _without(stack, taken)
    tx.save_stack(free)
    if not free.hold_reason and stack.hold_reason:
        tx.set_state_lock(stack.id, None)
    schedule(tx, free)
    retell(tx, free)
    if stack.hold_reason and not free.hold_reason:
        _tell_held(tx, free)
    forced = [_forced(keep, person) for keep in taken]
    return Done(words_start.unlocked(stack, forced, left), is_answer=bool(left))


def _tell_held(tx: Transaction, stack: Stack) -> None:
    """Want the reports of the runs that the hold was about: they have ended, and still say that it is there."""
    for run in tx.list_stack_runs(stack.id, limit=MAX_HELD):
        if run.is_outcome_unknown:
            tell(tx, run)


def _keeps(stack: Stack) -> list[_Keep]:
    """Everything that keeps the stack."""
    keeps = [_Keep(f"the hold ({stack.hold_reason})", None)] if stack.hold_reason else []
    if stack.lock_owner:
        note = f": {stack.lock_note}" if stack.lock_note else ""
        keeps.append(_Keep(f"the lock of {stack.lock_owner}{note}", stack.lock_owner))
    if stack.lock_key:
        keeps.append(_Keep(f"the lock {stack.lock_key} of {stack.locked_by}", ""))
    return keeps


def _is_free_to(person: Person, keep: _Keep) -> bool:
    return keep.owner is None or may_unlock(keep.owner, permission=person.permission, actor=person.actor)


def _forced(keep: _Keep, person: Person) -> str:
    """The words of what was taken away; that it was not one's own is said, and so written down."""
    is_own = keep.owner is None or keep.owner.lower() == person.actor.lower()
    return keep.words if is_own or person.permission is not Permission.ADMIN else f"{keep.words} (by force)"


def _without(stack: Stack, taken: Sequence[_Keep]) -> Stack:
    for keep in taken:
        if keep.owner is None:
            stack = replace(stack, hold_reason="")
        elif keep.owner:
            stack = replace(stack, lock_owner="", lock_note="")
        else:
            stack = replace(stack, lock_key="", locked_by="")
    return stack
