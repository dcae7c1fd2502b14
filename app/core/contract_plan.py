"""What a plan policy's evaluation means for the plan: denials, warnings, flags. A policy that gave no answer denies.

Pure. Each policy was evaluated apart; `ruling.verdict_of` says what they come to together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.contract import Evaluated, PolicyFailed, PolicyType, RuleValue, broken_restraint
from app.core.flags import FlagTurns
from app.core.ruling import MAX_LINES, MAX_MESSAGE, MAX_MESSAGES, PlanRuling
from app.core.stack import PolicySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswer:
    """What a stack's plan policies said of one plan."""

    rulings: tuple[PlanRuling, ...] = ()
    flags: FlagTurns = field(default_factory=FlagTurns)


def rule_plan(told: Sequence[tuple[PolicySpec, Evaluated | PolicyFailed]]) -> PlanAnswer:
    """What the evaluations of several policies come to, in their order."""
    return PlanAnswer(rulings=tuple(_ruling(spec, one) for spec, one in told), flags=flags_of(told))


def refused_plan(specs: Sequence[PolicySpec], why: str) -> PlanAnswer:
    """Every policy denies, because none could be asked."""
    return PlanAnswer(
        rulings=tuple(
            PlanRuling(name=spec.name, digest=spec.digest, path=spec.path, failure=why[:MAX_MESSAGE]) for spec in specs
        )
    )


def _ruling(spec: PolicySpec, said: Evaluated | PolicyFailed) -> PlanRuling:
    failure = failure_of(PolicyType.PLAN, said)
    if isinstance(said, PolicyFailed) or failure:
        return PlanRuling(name=spec.name, digest=spec.digest, path=spec.path, failure=failure)
    denies, warns = texts(said.rules["deny"]), texts(said.rules["warn"])
    return PlanRuling(
        name=spec.name,
        digest=spec.digest,
        path=spec.path,
        denies=_kept(denies),
        deny_lines=lines_of(said, "deny"),
        warns=_kept(warns),
        warn_lines=lines_of(said, "warn"),
        left_out=sum(max(0, len(each) - MAX_MESSAGES) for each in (denies, warns)),
    )


def failure_of(type_: PolicyType, said: Evaluated | PolicyFailed) -> str:
    """Why the policy gave no answer that counts, in words; empty when it gave one."""
    if isinstance(said, PolicyFailed):
        where = f" (line {said.line})" if said.line else ""
        return f"{said.kind}: {said.message}{where}"[:MAX_MESSAGE]
    broken = broken_restraint(type_, said)
    return f"rule {broken}: {said.errors_by_rule[broken]}"[:MAX_MESSAGE] if broken else ""


def lines_of(said: Evaluated, rule: str) -> tuple[int, ...]:
    """The lines of the definitions that made a rule so."""
    return tuple(sorted({fired.line for fired in said.fired if fired.rule == rule and fired.line}))[:MAX_LINES]


def texts(value: RuleValue) -> tuple[str, ...]:
    """The texts of a set."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def flags_of(told: Sequence[tuple[PolicySpec, Evaluated | PolicyFailed]]) -> FlagTurns:
    """The flags that policies set and take back."""
    said = [(spec.name, one.rules) for spec, one in told if isinstance(one, Evaluated)]
    return FlagTurns(
        sets={name: texts(rules["flag"]) for name, rules in said if rules["flag"]},
        resets={name: texts(rules["reset_flag"]) for name, rules in said if rules["reset_flag"]},
    )


def _kept(messages: Sequence[str]) -> tuple[str, ...]:
    return tuple(message[:MAX_MESSAGE] or "(no message)" for message in messages[:MAX_MESSAGES])
