"""What a policy of each type is asked for: its rules, their kinds, what undefined means, and the time that it may take.

Pure. The policy room evaluates by it, `app.core.contract_push` combines by it; nobody else decides what a rule means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

RuleValue = object
"""What a rule came to, as JSON: bool, text, list of texts (a set, sorted), list of mappings, or None for "no text"."""


class PolicyType(StrEnum):
    """What a policy decides."""

    PUSH = "push"
    """What an event means for a stack."""
    PLAN = "plan"
    """Whether a plan is denied, or needs a person."""
    APPROVAL = "approval"
    """Whether a run may start, and may be confirmed."""
    TRIGGER = "trigger"
    """Which stacks run after a run has ended."""
    NOTIFICATION = "notification"
    """Who is told what."""


class Dialect(StrEnum):
    """The generation of the Rego text."""

    AUTO = "auto"
    """v1 if it is v1; what is not is read as v0."""
    V0 = "v0"
    """`deny[msg] { … }`"""
    V1 = "v1"
    """`deny contains msg if { … }`"""


class RuleKind(StrEnum):
    """What a predefined rule is; a policy cannot make it something else."""

    BOOL = "bool"
    """A complete rule of true or false; undefined is false."""
    TEXT = "text"
    """A complete rule with a text; undefined is None."""
    TEXTS = "texts"
    """A set of texts; undefined is the empty set."""
    OBJECTS = "objects"
    """A set of objects; undefined is the empty set."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What one type of policy is asked, and for how long."""

    rules: Mapping[str, RuleKind]
    timeout_s: float
    restraints: frozenset[str]
    """Rules that hold something back: an error inside one of them closes the door, as undefined would open it."""


B, T, S, O = RuleKind.BOOL, RuleKind.TEXT, RuleKind.TEXTS, RuleKind.OBJECTS  # noqa: E741 - a table's column
_ALL: Final = {"flag": S, "reset_flag": S, "sample": B}
CONTRACTS: Final[Mapping[PolicyType, Contract]] = {
    PolicyType.PUSH: Contract(
        rules={
            "track": B, "propose": B, "ignore": B, "ignore_track": B, "notrigger": B, "notify": B, "message": S,
            "fail": B, "cancel": S, "prioritize": B, "lock": T, "unlock": T, "allow_fork": B,
            "external_dependency": S, "module_version": T, **_ALL,
        },
        timeout_s=10,
        restraints=frozenset({"ignore", "ignore_track", "notrigger", "lock", "external_dependency"}),
    ),
    PolicyType.PLAN: Contract(
        rules={"deny": S, "warn": S, **_ALL}, timeout_s=45, restraints=frozenset({"deny", "warn"})
    ),
    PolicyType.APPROVAL: Contract(
        rules={"approve": B, "reject": B, "approve_with_note": S, "reject_with_note": S, **_ALL},
        timeout_s=5,
        restraints=frozenset({"reject"}),
    ),
    PolicyType.TRIGGER: Contract(rules={"trigger": S, **_ALL}, timeout_s=5, restraints=frozenset()),
    PolicyType.NOTIFICATION: Contract(
        rules={"inbox": O, "slack": O, "webhook": O, "pull_request": O, "sample": B},
        timeout_s=10,
        restraints=frozenset(),
    ),
}  # fmt: skip
"""Source: docs of the push, plan, approval, trigger and notification policies that users migrate from."""

PACKAGES: Final = ("spacelift", "trackside")
"""The packages that a policy may be in."""
MAX_POLICY_BYTES: Final = 1_000_000
TEST_FOLDERS: Final = frozenset({"test", "tests"})
"""Folders whose tests are of the policies above them."""
FORBIDDEN: Final = ("http.send", "opa.runtime", "time.now_ns", "rego.parse_module", "trace", "net.lookup_ip_addr")
"""Built-in functions that reach out, look around, or give another answer the next time."""

FailureKind = Literal[
    "parse", "forbidden", "contract", "timeout", "memory", "crash", "builtin", "quarantined", "missing", "unavailable"
]
"""Why a policy gave no answer. contract: a rule of the wrong type, or two values for one rule; missing: no text;
unavailable: there is no engine to ask, or it does not answer; the policy is not at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """A policy as it was written."""

    name: str
    type: PolicyType
    path: str
    """Where it stands, for error messages."""
    text: str
    dialect: Dialect = Dialect.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyQuestions:
    """A policy with the questions that one event brings it."""

    policy: PolicyText
    own: Sequence[Mapping[str, object]]
    """The part of each question that is its own; the rest is shared by all, and a key of its own wins."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that came out true, or with members, and the line of the definition that made it so."""

    rule: str
    line: int
    """1 for the first line; 0 when the engine does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What a policy said. Shape: every rule of its type is a key of `rules`."""

    rules: Mapping[str, RuleValue]
    fired: tuple[Fired, ...] = ()
    prints: tuple[str, ...] = ()
    """`line: text` of each `print`, cut at 200."""
    elapsed_s: float = 0.0
    errors_by_rule: Mapping[str, str] = field(default_factory=dict)
    """Rules in which a built-in function failed. Their values are OPA's: the failing expression was undefined."""
    trace: tuple[str, ...] = ()
    """One line per step of the evaluation, cut at 5,000; empty unless asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFailed:
    """A policy that gave no answer: whatever it decides stays closed."""

    kind: FailureKind
    message: str
    line: int = 0
    """Where, when that is known; 0 when it is not."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that stops a policy from being accepted, and where."""

    line: int
    column: int
    """1 for the first character."""
    message: str
    source_line: str


def broken_restraint(type_: PolicyType, evaluated: Evaluated) -> str:
    """The rule that should hold something back, does not, and had an error: the evaluation counts as failed then.

    Empty when there is none. A restraint that came out true in spite of an error needs no such care.
    """
    restraints = CONTRACTS[type_].restraints
    kinds = CONTRACTS[type_].rules
    for rule in evaluated.errors_by_rule:
        if rule in restraints and (kinds[rule] is not RuleKind.BOOL or not evaluated.rules.get(rule)):
            return rule
    return ""
