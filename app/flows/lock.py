"""What keeps a stack from running until somebody takes it away: its hold, and its locks."""

from dataclasses import replace

from app.core.errors import UserError
from app.core.names import StackId
from app.core.record import AuditLine
from app.flows.ports import Transaction
from app.flows.schedule import retell, schedule


def unlock(tx: Transaction, stack_id: str, actor: str) -> str:
    """Take a stack's hold away, with the state lock that the lost apply left, or its policy's lock; what to say.

    Raises: UserError when there is no such stack.
    """
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
