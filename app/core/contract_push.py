"""What several push policies of one stack say together: the verdict, its reason in words, and what goes with it.

Pure. Each policy was evaluated apart; a policy that gave no answer closes the door for all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.core.contract import CONTRACTS, Evaluated, PolicyFailed, PolicyType, RuleKind, RuleValue, broken_restraint
from app.core.decision import Verdict

_RULES: Final = CONTRACTS[PolicyType.PUSH].rules
_MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class PolicyReceipt:
    """What one policy said."""

    name: str
    said: Evaluated | PolicyFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAnswer:
    """What an event means for one stack, by its push policies."""

    verdict: Verdict
    reason: str
    """For people: `policy only-tags said ignore (line 12)`."""
    rules: Mapping[str, RuleValue]
    """Every rule, combined: true if one policy says so, sets put together, the first text that is one."""
    is_run_wanted: bool = False
    """False for `notrigger`: the head moves, and no run is made."""
    is_reported: bool = False
    """An ignored event is reported all the same: `notify`, `fail`, a message, or a policy that failed."""
    is_failure_reported: bool = False
    """An ignored event is reported as a failed check: `fail`, or a policy that failed."""
    messages: tuple[str, ...] = ()
    cancel: frozenset[str] = frozenset()
    """Runs to pre-empt; only when a run is made, and only of its type."""
    is_prioritized: bool = False
    lock: str = ""
    unlock: str = ""
    is_fork_allowed: bool = False
    external_dependencies: tuple[str, ...] = ()
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Shape: policy name to the flags that it sets."""
    reset_flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Shape: policy name to the flags that it takes back; resets come before sets, each policy's own."""
    is_sampled: bool = False
    receipts: tuple[PolicyReceipt, ...] = ()


def combine(receipts: Sequence[PolicyReceipt], *, tag: str = "") -> PushAnswer:
    """What policies that were evaluated apart say together. `tag`: of the event, for the words alone.

    Any ignore beats all; ignore_track beats track; track beats propose; nothing said means ignored; a failed policy, or
    two policies that ask for different locks, start nothing. Source: docs of push policies, "How rules are evaluated".
    """
    told = [(each.name, each.said) for each in receipts if isinstance(each.said, Evaluated)]
    rules = _combined([said for _, said in told])
    verdict, reason = _failure(receipts) or _verdict(told, rules, tag)
    is_started = verdict in (Verdict.TRACK, Verdict.PROPOSE)
    is_run_wanted = is_started and not (verdict is Verdict.TRACK and bool(rules["notrigger"]))
    has_failed = verdict is Verdict.FAIL
    messages = _texts(rules["message"])
    return PushAnswer(
        verdict=verdict,
        reason=reason[:_MAX_REASON],
        rules=rules,
        is_run_wanted=is_run_wanted,
        is_reported=not is_started and (has_failed or bool(rules["notify"] or rules["fail"] or messages)),
        is_failure_reported=not is_started and (has_failed or bool(rules["fail"])),
        messages=messages,
        cancel=frozenset(_texts(rules["cancel"])) if is_run_wanted else frozenset(),
        is_prioritized=bool(rules["prioritize"]),
        lock="" if has_failed else _text(rules["lock"]),
        unlock="" if has_failed else _text(rules["unlock"]),
        is_fork_allowed=bool(rules["allow_fork"]) and not has_failed,
        external_dependencies=_texts(rules["external_dependency"]),
        flags={name: _texts(said.rules["flag"]) for name, said in told if said.rules["flag"]},
        reset_flags={name: _texts(said.rules["reset_flag"]) for name, said in told if said.rules["reset_flag"]},
        is_sampled=bool(rules["sample"]),
        receipts=tuple(receipts),
    )


@dataclass(frozen=True, slots=True)
class LockOutcome:
    """What `lock` and `unlock` do to a stack."""

    key: str
    """The key that holds the stack afterwards; empty: none."""
    is_rejected: bool = False
    """The stack is held by another key: the event starts nothing."""


def turn_lock(held: str, answer: PushAnswer) -> LockOutcome:
    """The stack's lock after an answer. `held`: the key that holds it now, or empty.

    Source: docs of push policies, "Stack locking": another key rejects; only the same key unlocks.
    """
    if answer.lock and held and held != answer.lock:
        return LockOutcome(held, is_rejected=True)
    key = answer.lock or held
    if answer.unlock and key == answer.unlock:
        return LockOutcome("")
    return LockOutcome(key)


def _failure(receipts: Iterable[PolicyReceipt]) -> tuple[Verdict, str] | None:
    """The first thing that lets nothing start."""
    locks: dict[str, str] = {}
    for each in receipts:
        if isinstance(each.said, PolicyFailed):
            return Verdict.FAIL, f"policy {each.name} gave no answer: {_why(each.said)}"
        broken = broken_restraint(PolicyType.PUSH, each.said)
        if broken:
            return Verdict.FAIL, f"policy {each.name} gave no answer: rule {broken}, {each.said.errors_by_rule[broken]}"
        key = _text(each.said.rules["lock"])
        if key:
            locks.setdefault(key, each.name)
    if len(locks) > 1:
        asked = " and ".join(f"{name} asks for {key!r}" for key, name in list(locks.items())[:2])
        return Verdict.FAIL, f"two policies ask for different locks: {asked}"
    return None


def _verdict(told: Sequence[tuple[str, Evaluated]], rules: Mapping[str, RuleValue], tag: str) -> tuple[Verdict, str]:
    if rules["ignore"]:
        return Verdict.IGNORE, _said(told, "ignore")
    if rules["track"] and not rules["ignore_track"]:
        also = f"; {_said(told, 'notrigger')}: no run" if rules["notrigger"] else ""
        return Verdict.TRACK, _said(told, "track") + also
    if rules["propose"]:
        also = f"; {_said(told, 'ignore_track')}" if rules["track"] else ""
        return Verdict.PROPOSE, _said(told, "propose") + also
    if rules["track"]:
        return Verdict.IGNORE, _said(told, "ignore_track")
    if tag:
        return Verdict.IGNORE, f"tag {tag} ignored: no policy tracks it"
    names = ", ".join(name for name, _ in told)
    return Verdict.IGNORE, f"no policy said track or propose ({names})" if names else "no policy was asked"


def _said(told: Sequence[tuple[str, Evaluated]], rule: str) -> str:
    """`policy NAME said RULE (line N)`, for the first policy that did."""
    for name, said in told:
        if said.rules[rule]:
            lines = sorted({fired.line for fired in said.fired if fired.rule == rule and fired.line})
            where = f" (line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:5]))})" if lines else ""
            return f"policy {name} said {rule}{where}"
    return rule


def _why(failed: PolicyFailed) -> str:
    return f"{failed.kind}: {failed.message}"


def _combined(said: Sequence[Evaluated]) -> dict[str, RuleValue]:
    combined: dict[str, RuleValue] = {}
    for rule, kind in _RULES.items():
        values = [each.rules[rule] for each in said]
        match kind:
            case RuleKind.BOOL:
                combined[rule] = any(values)
            case RuleKind.TEXT:
                combined[rule] = next((value for value in values if value), None)
            case RuleKind.TEXTS | RuleKind.OBJECTS:
                members = dict.fromkeys(member for value in values for member in _texts(value))
                combined[rule] = sorted(members)
    return combined


def _texts(value: RuleValue) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _text(value: RuleValue) -> str:
    return value if isinstance(value, str) else ""
