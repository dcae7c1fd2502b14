"""From OPA's answer to what the policy said: values of the right kinds, the rules that fired, what was printed.

Pure. A value of the wrong kind is an answer too: the policy failed.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.core.contract import CONTRACTS, Fired, PolicyFailed, PolicyType, RuleKind, RuleValue
from app.policy.prelude import POLICY_MODULE
from app.policy.prepare import Prepared
from app.policy.program import Coverage, Print, Step
from app.policy.witness import WITNESS_MODULE

_MAX_PRINTS: Final = 200
_MAX_STEPS: Final = 5000
_MAX_TEXT: Final = 4000
_MAX_MEMBERS: Final = 10_000


def values_of(type_: PolicyType, found: Mapping[str, Any]) -> dict[str, RuleValue] | PolicyFailed:
    """Every rule of the type with its value; what is undefined has the value that the contract gives it."""
    values: dict[str, RuleValue] = {}
    for rule, kind in CONTRACTS[type_].rules.items():
        value = found.get(rule)
        if rule not in found:
            values[rule] = {RuleKind.BOOL: False, RuleKind.TEXT: None}.get(kind, [])
        elif _fits(kind, value):
            values[rule] = value
        else:
            return PolicyFailed(kind="contract", message=f"rule {rule} came out as {_shown(value)}: {_expected(kind)}")
    return values


def fired_in(
    values: Mapping[str, RuleValue], prepared: Prepared, witnessed: Iterable[str], coverage: Coverage | None
) -> tuple[Fired, ...]:
    """The rules that came out true or with members, each with the lines that made it so.

    `witnessed`: `rule:line` of definitions whose conditions hold; `coverage`: asked for where there is no witness.
    """
    covered = {
        (each.start.row, each.start.col)
        for each in (coverage.files[POLICY_MODULE].covered if coverage and POLICY_MODULE in coverage.files else ())
    }
    seen = [each.partition(":") for each in witnessed]
    fired: list[Fired] = []
    for rule, value in values.items():
        if not value:
            continue
        places = prepared.heads.get(rule, ())
        lines = {int(line) for name, _, line in seen if name == rule}
        lines |= {line for line, column in places if (line, column) in covered}
        if not lines:
            lines = {0} if rule in prepared.several or not places else {places[0][0]}
        fired.extend(Fired(rule, line) for line in sorted(lines))
    return tuple(fired)


def prints_of(prints: Iterable[Print] | None) -> tuple[str, ...]:
    """`line: text` of each print."""
    found = []
    for each in list(prints or ())[:_MAX_PRINTS]:
        module, _, line = each.location.rpartition(":")
        if module == WITNESS_MODULE:
            continue
        found.append(f"{line}: {each.message}"[:_MAX_TEXT])
    return tuple(found)


def trace_of(steps: Iterable[Step] | None, path: str) -> tuple[str, ...]:
    """One line per step in the policy itself: what happened, where, to which expression."""
    found = []
    for step in steps or ():
        if not step.location.startswith(f"{POLICY_MODULE}:"):
            continue
        said = f"  {step.message}" if step.message else ""
        place = path + step.location.removeprefix(POLICY_MODULE)
        found.append(f"{step.op:6} {place}  {step.node}{said}"[:_MAX_TEXT])
        if len(found) >= _MAX_STEPS:
            break
    return tuple(found)


def _fits(kind: RuleKind, value: object) -> bool:
    match kind:
        case RuleKind.BOOL:
            return isinstance(value, bool)
        case RuleKind.TEXT:
            return value is None or isinstance(value, str)
        case RuleKind.TEXTS:
            return _is_list_of(str, value)
        case RuleKind.OBJECTS:
            return _is_list_of(dict, value)


def _is_list_of(wanted: type, value: object) -> bool:
    return isinstance(value, list) and len(value) <= _MAX_MEMBERS and all(isinstance(each, wanted) for each in value)


def _expected(kind: RuleKind) -> str:
    return {
        RuleKind.BOOL: "it must be true or false",
        RuleKind.TEXT: "it must be a text",
        RuleKind.TEXTS: f"it must be a set of at most {_MAX_MEMBERS:,} texts",
        RuleKind.OBJECTS: f"it must be a set of at most {_MAX_MEMBERS:,} objects",
    }[kind]


def _shown(value: object) -> str:
    if isinstance(value, list):
        odd = next((each for each in value if not isinstance(each, str)), None)
        return f"{len(value):,} members" + (f", one of them {_shown(odd)}" if odd is not None else "")
    if isinstance(value, dict):
        return "an object"
    return repr(value)[:80]
