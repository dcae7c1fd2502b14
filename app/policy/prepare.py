"""From a policy as it was written to a program that OPA can run: dialect, refusals, prelude.

Knows the backend as a port alone. What it finds wrong are mistakes with their places in the text as it was written.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.core.contract import (
    CONTRACTS,
    MAX_POLICY_BYTES,
    PACKAGES,
    Dialect,
    FailureKind,
    Mistake,
    PolicyText,
    PolicyType,
    RuleKind,
)
from app.policy.faults import faults_of, mistake_of
from app.policy.grammar import StatementKind, statements_of
from app.policy.lenient import SHIM_MODULE, lenient_text, shim
from app.policy.lexer import tokens_of
from app.policy.prelude import ANSWER_MODULE, POLICY_MODULE, PRELUDE_MODULE, answer, prelude
from app.policy.program import Backend, Envelope, NoAnswer, Program
from app.policy.upgrade import has_v0_meaning, is_v1_by_import, is_v1_by_its_words, upgrade
from app.policy.witness import WITNESS_MODULE, witness

INSPECT_TIMEOUT_S: Final = 10.0
_WANTED: Final = {
    RuleKind.BOOL: ("complete", "true or false: `{rule} if {{ … }}`"),
    RuleKind.TEXT: ("complete", "one text: `{rule} := text if {{ … }}`"),
    RuleKind.TEXTS: ("set", "a set of texts: `{rule} contains text if {{ … }}`"),
    RuleKind.OBJECTS: ("set", "a set of objects: `{rule} contains {{…}} if {{ … }}`"),
}
_LITERALS: Final = {RuleKind.BOOL: "boolean", RuleKind.TEXT: "string"}
_NOT_LITERAL: Final = frozenset({"", "var", "ref", "call", "templatestring"})
_LISTS: Final = frozenset({"var", "ref", "call", "set", "setcomprehension", "array", "arraycomprehension"})
"""Values that a rule with members may have all at once: `deny := broken | {"no"}`, `trigger := {id | …}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A policy that may be asked."""

    key: str
    """By content, type and dialect."""
    text: str
    """As OPA gets it: v1."""
    program: Program
    lenient: Program
    """The same with failing built-in functions undefined."""
    calls: Mapping[str, int]
    heads: Mapping[str, tuple[tuple[int, int], ...]]
    """Where the definitions of each rule begin. Shape: name to (line, column)."""
    several: frozenset[str]
    """Rules with several definitions."""
    has_witness: bool
    """Which of several definitions holds is asked along (`app.policy.witness`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A policy that cannot be asked, and why; at least one mistake."""

    kind: FailureKind
    mistakes: tuple[Mistake, ...]


def content_key(policy: PolicyText) -> str:
    """The name of a policy's content: the same text, type and dialect have the same, wherever the file is."""
    digest = hashlib.sha256(policy.text.encode("utf-8", "surrogatepass"))
    digest.update(f"\0{policy.type}\0{policy.dialect}".encode())
    return digest.hexdigest()


def prepare(policy: PolicyText, backend: Backend) -> Prepared | Refused:
    """The program of a policy, or its mistakes. Compiling it is left to the first question."""
    key = content_key(policy)
    refused = _outer(policy)
    if refused:
        return refused
    found = as_v1(policy, backend)
    if isinstance(found, Refused):
        return found
    text, summary = found
    refused = forbidden(policy, summary) or _package(policy, summary) or _contract(policy, text, summary)
    if refused:
        return refused
    package = summary["package"][0]
    defined = frozenset(rule["name"] for rule in summary["rules"])
    defaulted = {rule["name"] for rule in summary["rules"] if rule["default"]}
    beside = prelude(policy.type, package, defined=defined, defaulted=defaulted)
    calls: dict[str, int] = summary["calls"]
    names = [each.name for each in statements_of(tokens_of(text)) if each.kind is StatementKind.RULE]
    several = frozenset(name for name, count in Counter(names).items() if count > 1)
    conditions, asked = witness(policy.type, package, text)
    refused = _unlike(policy, conditions, backend)
    if refused:
        if refused.kind not in ("parse", "forbidden"):
            return refused
        conditions, asked = "", ""
    modules = [(POLICY_MODULE, text), (PRELUDE_MODULE, beside), (ANSWER_MODULE, answer(policy.type, package) + asked)]
    if conditions:
        modules.append((WITNESS_MODULE, conditions))
    program = Program(key=key, package=package, modules=tuple(modules))
    lenient = Program(
        key=f"{key}:lenient",
        package=package,
        modules=((POLICY_MODULE, lenient_text(text)), (PRELUDE_MODULE, beside), (SHIM_MODULE, shim(calls))),
        is_lenient=True,
    )
    return Prepared(
        key=key,
        text=text,
        program=program,
        lenient=lenient,
        calls=calls,
        heads=heads_of(text),
        several=several,
        has_witness=bool(conditions),
    )


def guess_type(text: str) -> PolicyType:
    """The type that has most of the rules that a policy defines; push when none has any."""
    names = set(heads_of(text))
    own = {type_: names & set(contract.rules) for type_, contract in CONTRACTS.items()}
    return max(PolicyType, key=lambda type_: len(own[type_]))


def heads_of(text: str) -> dict[str, tuple[tuple[int, int], ...]]:
    """Where the definitions of each rule begin; its default only when there is nothing else.

    Shape: name to (line, column), else branches after their rule.
    """
    tokens = tokens_of(text)
    found: dict[str, list[tuple[int, int]]] = {}
    statements = statements_of(tokens)
    for wanted in (StatementKind.RULE, StatementKind.DEFAULT):
        known = frozenset(found)
        for statement in statements:
            if statement.kind is wanted and statement.name not in known:
                starts = [statement.span.first, *(branch.at for branch in statement.branches)]
                places = ((tokens[at].line, tokens[at].column) for at in starts)
                found.setdefault(statement.name, []).extend(places)
    return {name: tuple(places) for name, places in found.items()}


def _outer(policy: PolicyText) -> Refused | None:
    """What is wrong with the text before anybody reads it."""
    if not policy.text.strip():
        return _refused("missing", "the policy is empty")
    if len(policy.text.encode("utf-8", "surrogatepass")) > MAX_POLICY_BYTES:
        return _refused("parse", f"the policy is longer than {MAX_POLICY_BYTES:,} bytes")
    try:
        policy.text.encode()
    except UnicodeEncodeError:
        return _refused("parse", "the policy is not UTF-8")
    if "\0" in policy.text:
        line = policy.text[: policy.text.index("\0")].count("\n") + 1
        return _refused("parse", "the policy holds a NUL character", line)
    return None


def as_v1(policy: PolicyText, backend: Backend) -> tuple[str, dict[str, Any]] | Refused:
    """The policy's text in v1, with its summary (`app.policy.tree`); nothing is refused yet but what cannot be read."""
    if policy.dialect is Dialect.V0:
        return _inspected(policy, upgrade(policy.text), backend)
    found = _inspected(policy, policy.text, backend)
    if policy.dialect is Dialect.V1:
        return found
    if isinstance(found, Refused):
        if found.kind != "parse" or is_v1_by_its_words(policy.text):
            return found
        upgraded = upgrade(policy.text)
        return found if upgraded == policy.text else _inspected(policy, upgraded, backend)
    if not is_v1_by_import(policy.text) and has_v0_meaning(policy.text, found[1]["calls"]):
        return _inspected(policy, upgrade(policy.text), backend)
    return found


def _inspected(policy: PolicyText, text: str, backend: Backend) -> tuple[str, dict[str, Any]] | Refused:
    envelope = backend.inspect(text, INSPECT_TIMEOUT_S)
    if isinstance(envelope, NoAnswer):
        return _refused(envelope.kind, envelope.message)
    if envelope.error:
        return refusal_of(envelope, policy)
    if not envelope.summary:
        return _refused("crash", "the engine did not say what the policy holds")
    return text, envelope.summary


def refusal_of(envelope: Envelope, policy: PolicyText) -> Refused:
    """The mistakes in an error of parsing or compiling."""
    message = envelope.error.message if envelope.error else ""
    faults = [fault for fault in faults_of(message) if fault.module in ("", POLICY_MODULE)]
    mistakes = tuple(mistake_of(fault, policy.text) for fault in faults)
    if not mistakes:  # something in the prelude: a predefined rule that is something else in the policy
        return _refused("contract", f"a predefined name is something else here: {message.strip()[:300]}")
    return Refused(kind="parse", mistakes=mistakes)


def _unlike(policy: PolicyText, conditions: str, backend: Backend) -> Refused | None:
    """Why the witness of a policy is not asked. It is cut out of the policy's text by a lexer that is not OPA's, and
    that a text within a text misleads: what it took for a rule, nobody has looked at."""
    if not conditions:
        return None
    found = _inspected(policy, conditions, backend)
    return found if isinstance(found, Refused) else forbidden(policy, found[1])


def _package(policy: PolicyText, summary: Mapping[str, Any]) -> Refused | None:
    if len(summary["package"]) == 1 and summary["package"][0] in PACKAGES:
        return None
    said = f"package {'.'.join(summary['package'])}: a policy is in package {' or '.join(PACKAGES)}"
    return Refused(kind="contract", mistakes=(_mistake(policy.text, said, *_find(policy.text, "package")),))


def forbidden(policy: PolicyText, summary: Mapping[str, Any]) -> Refused | None:
    """The refusal of a policy that uses a function that no policy may use."""
    mistakes: list[Mistake] = []
    for name in summary["forbidden"]:
        line, column = _find(policy.text, *name.split("."))
        mistakes.append(_mistake(policy.text, f"{name} may not be used in a policy", line, column))
    mistakes.sort(key=lambda each: (each.line, each.column))
    return Refused(kind="forbidden", mistakes=tuple(mistakes)) if mistakes else None


def _contract(policy: PolicyText, text: str, summary: Mapping[str, Any]) -> Refused | None:
    """Predefined rules that are something else in this policy."""
    rules, heads = CONTRACTS[policy.type].rules, heads_of(text)
    mistakes: dict[str, Mistake] = {}
    for rule in summary["rules"]:
        name = rule["name"]
        if name not in rules or name in mistakes:
            continue
        shape, words = _WANTED[rules[name]]
        literal = _LITERALS.get(rules[name])
        is_other = literal and rule["value"] not in _NOT_LITERAL and rule["value"] != literal and not rule["default"]
        is_whole = shape == "set" and rule["kind"] == "complete" and rule["value"] in _LISTS
        if is_whole or (rule["kind"] == shape and not is_other):
            continue
        line, column = _default_of(text, rule) or heads.get(name, ((0, 0),))[0]
        wanted = words.format(rule=name)
        message = f"rule {name} of a {policy.type} policy is {wanted}; here it is {_words(rule)}"
        mistakes[name] = _mistake(policy.text, message, line, column)
    return Refused(kind="contract", mistakes=tuple(mistakes.values())) if mistakes else None


def _default_of(text: str, rule: Mapping[str, Any]) -> tuple[int, int] | None:
    """The place of a default; None for any other rule."""
    tokens = tokens_of(text)
    kind = StatementKind.DEFAULT
    defaults = (each for each in statements_of(tokens) if each.kind is kind and each.name == rule["name"])
    places = ((tokens[each.span.first].line, tokens[each.span.first].column) for each in defaults)
    return next(places, None) if rule["default"] else None


def _words(rule: Mapping[str, Any]) -> str:
    if rule["kind"] == "complete":
        said = "a default" if rule["default"] else "a complete rule"
        return f"{said} ({rule['value']})" if rule["value"] not in _NOT_LITERAL else said
    return {"set": "a set", "map": "a map", "function": "a function"}[rule["kind"]]


def _find(text: str, *words: str) -> tuple[int, int]:
    """The place of the first of some words that follow one another, whatever signs are between; (1, 1) when absent."""
    tokens = [token for token in tokens_of(text) if token.text not in (".", "[", "]")]
    for at, token in enumerate(tokens):
        following = [each.text.strip('"`') for each in tokens[at : at + len(words)]]
        if following == list(words):
            return token.line, token.column
    return 1, 1


def _mistake(text: str, message: str, line: int, column: int) -> Mistake:
    lines = text.split("\n")
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    return Mistake(line, column, message, source.rstrip())


def _refused(kind: FailureKind, message: str, line: int = 0, column: int = 1) -> Refused:
    return Refused(kind=kind, mistakes=(Mistake(line, column, message, ""),))
