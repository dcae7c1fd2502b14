"""Short ways to write a policy down and to ask it, for tests that read as sentences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.core.contract import CONTRACTS, Dialect, Evaluated, PolicyFailed, PolicyText, PolicyType, RuleKind
from app.policy.engine import PolicyEngine

EXAMPLES = Path(__file__).parent / "examples"
_UNDEFINED: dict[RuleKind, object] = {RuleKind.BOOL: False, RuleKind.TEXT: None}


def written(text: str, type_: PolicyType = PolicyType.PUSH, dialect: Dialect = Dialect.AUTO) -> PolicyText:
    """A policy with that text in `package spacelift`, unless the text says another."""
    whole = text if text.lstrip().startswith("package") or not text else f"package spacelift\n{text}"
    return PolicyText(name="p", type=type_, path="policies/p.rego", text=whole, dialect=dialect)


def example(name: str, dialect: Dialect) -> PolicyText:
    """An example of the examples folder; its type is the first word of its name."""
    path = EXAMPLES / f"{name}.{dialect.value}.rego"
    type_ = PolicyType(name.partition("-")[0])
    return PolicyText(name=name, type=type_, path=str(path), text=path.read_text())


def told(engine: PolicyEngine, policy: PolicyText, question: Mapping[str, object] | None = None) -> Evaluated:
    """What the policy says. Fails when it gives no answer."""
    said = engine.evaluate(policy, question or {})
    assert isinstance(said, Evaluated), said
    return said


def failed(engine: PolicyEngine, policy: PolicyText, question: Mapping[str, object] | None = None) -> PolicyFailed:
    """Why the policy gives no answer. Fails when it gives one."""
    said = engine.evaluate(policy, question or {})
    assert isinstance(said, PolicyFailed), said
    return said


def notable(said: Evaluated, type_: PolicyType = PolicyType.PUSH) -> dict[str, Any]:
    """The rules that are not what undefined means."""
    kinds = CONTRACTS[type_].rules
    return {rule: value for rule, value in said.rules.items() if value != _UNDEFINED.get(kinds[rule], [])}
