"""What keeps a stack, in words: a hold, a person's lock, a policy's lock, its absence from the configuration.

Markdown, foreign words in code; a run's check and the stack's page say it the same way.
"""

from app.core.command import Verb
from app.core.markdown import code, sentence
from app.core.stack import CONFIG_PATH, ConfirmRules, Permission, Stack


def on_hold(name: str, reason: str, prefix: str) -> str:
    """That the stack is on hold, why, and what ends it."""
    free = code(f"{prefix} {Verb.UNLOCK.value} {name}")
    return (
        f"**The stack is on hold**: {code(reason)}. Nothing of it starts until a person has resolved that: "
        f"{free} takes the hold away."
    )


def who_confirms(rules: ConfirmRules, owner: str) -> str:
    """Who may confirm, where more than write permission is asked for; empty elsewhere. Markdown."""
    if not rules.is_refined and rules.permission is Permission.WRITE:
        return ""
    needs = [f"has {rules.permission.value} permission"]
    if rules.roles:
        needs.append(f"has the role {' or '.join(code(role, limit=100) for role in rules.roles)}")
    if rules.teams:
        needs.append(f"is a member of {' or '.join(code(f'{owner}/{team}') for team in rules.teams)}")
    if rules.not_author:
        needs.append("neither made the change nor asked for the run")
    *others, last = needs
    return f"Whoever confirms it {', '.join(others)}{' and ' if others else ''}{last}."


def locked(owner: str, note: str) -> str:
    """Who has the stack for themselves."""
    said = f" ({code(note, limit=200)})" if note else ""
    return f"{code(owner, limit=60)} has locked the stack{said}: only their runs go ahead."


def stack_prose(stack: Stack, prefix: str) -> str:
    """All that keeps a stack, as Markdown; empty when nothing does."""
    parts = []
    if stack.hold_reason:
        parts.append(on_hold(stack.name, stack.hold_reason, prefix))
    free = code(f"{prefix} {Verb.UNLOCK.value} {stack.name}")
    if stack.lock_owner:
        parts.append(f"{locked(stack.lock_owner, stack.lock_note)} {free} gives it back: they can say it, or an admin.")
    if stack.lock_key:
        who = sentence(stack.locked_by)
        parts.append(
            f"Locked with the key {code(stack.lock_key)} by {who}: only runs with that key go ahead. "
            f"{free} takes the lock away."
        )
    if stack.is_detached:
        parts.append(
            f"The stack is no longer in {code(CONFIG_PATH)}. Its state is kept; it comes back under its name, or by "
            f"{code('renamed_from')}."
        )
    return "\n\n".join(parts)
