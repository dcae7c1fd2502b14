"""Which definition of a rule made it true: a second module that holds each definition's conditions alone.

Only for rules with several definitions. OPA's own coverage would say it too, at three times the evaluation's price.
"""

from collections.abc import Sequence
from typing import Final

from app.core.contract import CONTRACTS, PolicyType, RuleKind
from app.policy.grammar import Body, Statement, StatementKind, statements_of
from app.policy.lexer import Token, tokens_of
from app.policy.prelude import ANSWER_PACKAGE

WITNESS_MODULE: Final = "witness.rego"
_MAX_DEFINITIONS: Final = 50
_EMPTY: Final = {RuleKind.BOOL: "== true", RuleKind.TEXT: '!= ""'}


def witness(type_: PolicyType, package: str, text: str) -> tuple[str, str]:
    """The module of conditions, and what the answer module asks of it; both empty when no rule needs it.

    Shape of the answer: `fired["track:3"]` is true when `track` is, and its definition in line 3 made it so.
    """
    tokens = tokens_of(text)
    statements = statements_of(tokens)
    conditions: list[str] = []
    asked: list[str] = []
    for rule, kind in CONTRACTS[type_].rules.items():
        found = [each for each in statements if each.kind is StatementKind.RULE and each.name == rule]
        if not 1 < len(found) <= _MAX_DEFINITIONS:
            continue
        holds = f"data.{package}.{rule} {_EMPTY[kind]}" if kind in _EMPTY else f"count(data.{package}.{rule}) > 0"
        for statement in found:
            name = f"trackside_fired_{len(asked)}"
            conditions += [f"{name} {each}" for each in _conditions(text, tokens, statement)]
            line = tokens[statement.span.first].line
            asked.append(f'fired["{rule}:{line}"] if {{\n\t{holds}\n\tdata.{package}.{name}\n}}')
    if not asked:
        return "", ""
    imports = [_slice(text, tokens, each) for each in statements if each.kind is StatementKind.IMPORT]
    return "\n\n".join([f"package {package}", *imports, *conditions]) + "\n", "\n".join(asked) + "\n"


def without_witness(query: str) -> str:
    """The question for the values alone, should a condition fail that the rule itself never came to."""
    return query.replace(f"data.{ANSWER_PACKAGE}", f"data.{ANSWER_PACKAGE}.values")


def _conditions(text: str, tokens: Sequence[Token], statement: Statement) -> list[str]:
    bodies = [*statement.bodies, *(branch.body for branch in statement.branches if branch.body)]
    return [_condition(text, tokens, body) for body in bodies] or [":= true"]


def _condition(text: str, tokens: Sequence[Token], body: Body) -> str:
    source = text[tokens[body.span.first].start : tokens[body.span.last - 1].end]
    return f"if {source}" if body.is_braced else source


def _slice(text: str, tokens: Sequence[Token], statement: Statement) -> str:
    return text[tokens[statement.span.first].start : tokens[statement.span.last - 1].end]
