"""The Rego that stands beside a policy: defaults of the predefined rules, helpers, and the question that asks for all.

A module of its own in the policy's package, so that the policy's lines keep their numbers. Nothing that the policy
defines itself is added.
"""

from collections.abc import Collection
from typing import Final

from app.core.contract import CONTRACTS, PolicyType, RuleKind

POLICY_MODULE: Final = "policy.rego"
"""What every policy is called towards OPA, so that equal texts are compiled once."""
PRELUDE_MODULE: Final = "prelude.rego"
ANSWER_MODULE: Final = "answer.rego"
ANSWER_PACKAGE: Final = "trackside_answer"

# A replaced resource is created and deleted as well as recreated: what denies the one denies the other.
_HELPERS: Final = {
    "sanitized": "sanitized(s) := substring(crypto.sha256(s), 56, -1)",
    "affected_resources": """affected_resources contains r if {
	some r in input.terraform.resource_changes
	some action in r.change.actions
	action in {"create", "update", "delete"}
}""",
    "created_resources": """created_resources contains r if {
	some r in input.terraform.resource_changes
	"create" in r.change.actions
}""",
    "deleted_resources": """deleted_resources contains r if {
	some r in input.terraform.resource_changes
	"delete" in r.change.actions
}""",
    "recreated_resources": """recreated_resources contains r if {
	some r in input.terraform.resource_changes
	"delete" in r.change.actions
	"create" in r.change.actions
}""",
    "updated_resources": """updated_resources contains r if {
	some r in input.terraform.resource_changes
	"update" in r.change.actions
}""",
}

PREDEFINED: Final = frozenset(_HELPERS).union(*(contract.rules for contract in CONTRACTS.values()))
"""The names of all rules that may stand beside a policy."""


def prelude(type_: PolicyType, package: str, *, defined: Collection[str], defaulted: Collection[str]) -> str:
    """The module beside a policy. `defined`: names of its own rules; `defaulted`: those that have a default."""
    lines = [f"package {package}", ""]
    for rule, kind in CONTRACTS[type_].rules.items():
        if kind is RuleKind.BOOL and rule not in defaulted:
            lines.append(f"default {rule} := false")
        elif kind in (RuleKind.TEXTS, RuleKind.OBJECTS) and rule not in defined:
            lines.append(f'{rule} contains "" if false')
    names = _HELPERS if type_ is PolicyType.PLAN else ("sanitized",)
    lines += [_HELPERS[name] for name in names if name not in defined]
    return "\n".join(lines) + "\n"


def answer(type_: PolicyType, package: str) -> str:
    """The module whose one rule holds every rule of the type that is defined."""
    asked = (f'values["{rule}"] := data.{package}.{rule}' for rule in CONTRACTS[type_].rules)
    return "\n".join([f"package {ANSWER_PACKAGE}", "", *asked]) + "\n"
