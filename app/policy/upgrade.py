"""A v0 policy as v1, in place: every line stays where it is, so that errors and rules keep their numbers.

Only for text that is not v1 already: `p[x]` means something else there. Knows no engine; OPA judges the result.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.policy.grammar import Body, Span, Statement, StatementKind, statements_of
from app.policy.lexer import Edit, Token, TokenKind, closing_of, closings_of, edited, tokens_of

_KEYWORDS: Final = frozenset({"if", "in", "every", "contains"})
_AFTER_OPERAND: Final = frozenset((":=", "==", "!=", "<=", ">=", *"=<>.,)]};+-*/"))


@dataclass(frozen=True, slots=True)
class _Call:
    """What replaces a call of a function that v1 no longer has: text before and after its arguments."""

    before: str
    after: str


_WRAPPED: Final = {
    "re_match": _Call("regex.match(", ")"),
    "any": _Call("(true in (", "))"),
    "all": _Call("(count([0 | some v0_each in (", "); v0_each != true]) == 0)"),
    "cast_string": _Call('concat("", [', "])"),
    "cast_boolean": _Call("{true: true, false: false}[", "]"),
    "cast_null": _Call("{null: null}[", "]"),
    "cast_array": _Call("[v0_each | some v0_each in (", ")]"),
    "cast_set": _Call("{v0_each | some v0_each in (", ")}"),
    "cast_object": _Call("object.union(", ", {})"),
}
_MAX_REPEATED: Final = 1_000_000
"""Characters that chained bodies may add by repeating their head: they come from a file of a megabyte at most."""
DEPRECATED: Final = frozenset(_WRAPPED) | {"set_diff", "net.cidr_overlap"}
"""Built-in functions of v0 that v1 does not have."""


def upgrade(text: str) -> str:
    """The same policy in v1. Text that needs nothing comes back as it is.

    Source: OPA's v0 compatibility and upgrade guides, and its parser's treatment of rule heads.
    """
    tokens = tokens_of(text)
    statements = statements_of(tokens)
    own = {each.name for each in statements if each.kind is StatementKind.RULE}
    edits = [*_deprecated(tokens, own), *_imports(text, tokens, statements)]
    edits += _renamed(tokens, _KEYWORDS & own, has_keywords=_has_keywords(tokens, statements))
    for statement in statements:
        if statement.kind is StatementKind.RULE:
            edits += _rule(text, tokens, statement)
            edits += _unshadowed(tokens, statement)
    return edited(text, edits)


def has_v0_meaning(text: str, called: Iterable[str]) -> bool:
    """True for text that parses as v1 and is refused by it: functions that are gone, a variable called `input`."""
    if not DEPRECATED.isdisjoint(called):
        return True
    tokens = tokens_of(text)
    return any(_unshadowed(tokens, each) for each in statements_of(tokens) if each.kind is StatementKind.RULE)


def is_v1_by_import(text: str) -> bool:
    """True when the text says `import rego.v1`."""
    tokens = tokens_of(text)
    return any(_joined(tokens, each.span) == "importrego.v1" for each in statements_of(tokens))


def is_v1_by_its_words(text: str) -> bool:
    """True when the text says itself that it is v1: `import rego.v1`, or `if` without importing it."""
    tokens = tokens_of(text)
    statements = statements_of(tokens)
    imports = [_joined(tokens, each.span) for each in statements if each.kind is StatementKind.IMPORT]
    if "importrego.v1" in imports:
        return True
    if any(each.startswith("importfuture.keywords") for each in imports):
        return False
    return any(body.has_if for each in statements for body in each.bodies)


def _rule(text: str, tokens: Sequence[Token], rule: Statement) -> list[Edit]:
    """The edits of one rule: `contains`, `if`, and bodies that were chained."""
    edits = [] if not _is_partial_set(rule) else _contains(tokens, rule.keys[0])
    head = edited(
        text[tokens[rule.head.first].start : tokens[rule.head.last - 1].end],
        [_shifted(edit, tokens[rule.head.first].start) for edit in edits],
    )
    lead = f"{' '.join(head.split())} if "
    is_long = len(lead) * (len(rule.bodies) - 1) > _MAX_REPEATED
    for number, body in enumerate(rule.bodies):
        if not body.has_if and not (number and is_long):  # as it is, OPA refuses it
            opening = tokens[body.span.first]
            edits.append(Edit(opening.start, opening.start, _spaced(text, opening.start, lead if number else "if ")))
    for branch in rule.branches:
        if branch.body is not None and not branch.body.has_if:
            edits.append(_if_before(text, tokens, branch.body))
    return edits


def _unshadowed(tokens: Sequence[Token], rule: Statement) -> list[Edit]:
    """Variables and parameters of a rule called `input` or `data` get an underscore; the documents keep their names."""
    edits: list[Edit] = []
    places = range(rule.span.first, min(rule.span.last, len(tokens)))
    arguments = _arguments(tokens, rule)
    for name in ("input", "data"):
        named = [at for at in places if tokens[at].text == name and tokens[at].kind is TokenKind.NAME]
        named = [at for at in named if not at or tokens[at - 1].text not in (".", "with")]
        if any(at in arguments or (at + 1 < len(tokens) and tokens[at + 1].text == ":=") for at in named):
            edits += [Edit(tokens[at].end, tokens[at].end, "_") for at in named]
    return edits


def _arguments(tokens: Sequence[Token], rule: Statement) -> frozenset[int]:
    """Where a function's parameters stand that are names, and no longer references."""
    if not rule.has_arguments:
        return frozenset()
    opening = next(at for at in range(rule.head.first, rule.head.last) if tokens[at].text == "(")
    closing = min(closing_of(tokens, opening), len(tokens) - 1)
    return frozenset(at for at in range(opening + 1, closing) if tokens[at + 1].text not in (".", "[", "("))


def _if_before(text: str, tokens: Sequence[Token], body: Body) -> Edit:
    start = tokens[body.span.first].start
    return Edit(start, start, _spaced(text, start, "if "))


def _is_partial_set(rule: Statement) -> bool:
    """True for `p[x]` without a value: in v0 a set, in v1 a map. A longer reference is a map in both."""
    return (
        len(rule.keys) == 1
        and not rule.has_value
        and not rule.has_arguments
        and not rule.has_contains
        and not any(body.has_if for body in rule.bodies)
    )


def _contains(tokens: Sequence[Token], key: Span) -> list[Edit]:
    first, last = tokens[key.first], tokens[key.last - 1]
    if first.text == ".":
        return [Edit(first.start, last.end, f' contains "{last.text}"')]
    return [Edit(first.start, first.end, " contains "), Edit(last.start, last.end, "")]


def _imports(text: str, tokens: Sequence[Token], statements: Sequence[Statement]) -> list[Edit]:
    """Imports that stand there twice are blanked: v1 refuses them."""
    seen: set[str] = set()
    edits = []
    for statement in statements:
        if statement.kind is not StatementKind.IMPORT:
            continue
        words = _joined(tokens, statement.span)
        start, end = tokens[statement.span.first].start, tokens[statement.span.last - 1].end
        if words in seen and "\n" not in text[start:end]:
            edits.append(Edit(start, end, ""))
        seen.add(words)
    return edits


def _has_keywords(tokens: Sequence[Token], statements: Sequence[Statement]) -> bool:
    return any(
        _joined(tokens, each.span).startswith(("importfuture.keywords", "importrego.v1"))
        for each in statements
        if each.kind is StatementKind.IMPORT
    )


def _renamed(tokens: Sequence[Token], own: frozenset[str], *, has_keywords: bool) -> list[Edit]:
    """Rules and variables that are called like a keyword of v1 get an underscore."""
    places = [
        at
        for at, token in enumerate(tokens[:-1])
        if token.kind is TokenKind.NAME and token.text in _KEYWORDS and not (at and tokens[at - 1].text == ".")
    ]
    variables = (
        frozenset() if has_keywords else {tokens[at].text for at in places if tokens[at + 1].text in (":=", "=")}
    )
    edits = []
    for at in places:
        token, after = tokens[at], tokens[at + 1]
        is_operand = after.kind is TokenKind.SIGN and after.text in _AFTER_OPERAND
        is_variable = not has_keywords and (is_operand or (after.text == "[" and token.text in variables))
        if token.text in own or is_variable:
            edits.append(Edit(token.end, token.end, "_"))
    return edits


def _deprecated(tokens: Sequence[Token], own: set[str]) -> list[Edit]:
    """Calls of functions that v1 does not have, but for those that the policy defines itself."""
    edits: list[Edit] = []
    closings = closings_of(tokens)
    for at, token in enumerate(tokens):
        if token.kind is not TokenKind.NAME or (at and tokens[at - 1].text == "."):
            continue
        if token.text == "net" and [each.text for each in tokens[at + 1 : at + 3]] == [".", "cidr_overlap"]:
            edits.append(Edit(tokens[at + 2].start, tokens[at + 2].end, "cidr_contains"))
        if token.text in own or at + 1 >= len(tokens) or tokens[at + 1].text != "(" or at + 1 not in closings:
            continue
        edits += _call_edits(tokens, at, closings)
    return edits


def _call_edits(tokens: Sequence[Token], at: int, closings: Mapping[int, int]) -> list[Edit]:
    name, opening, last = tokens[at], tokens[at + 1], tokens[closings[at + 1]]
    if name.text == "set_diff":
        comma = _comma(tokens, at + 2, closings)
        if comma is None:
            return []
        return [
            Edit(name.start, opening.end, "(("),
            Edit(tokens[comma].start, tokens[comma].end, ") - ("),
            Edit(last.start, last.end, "))"),
        ]
    call = _WRAPPED.get(name.text)
    if call is None:
        return []
    return [Edit(name.start, opening.end, call.before), Edit(last.start, last.end, call.after)]


def _comma(tokens: Sequence[Token], first: int, closings: Mapping[int, int]) -> int | None:
    """The comma between two arguments."""
    at = first
    last = closings[first - 1]
    while at < last:
        if at in closings:
            at = closings[at]
        elif tokens[at].kind is TokenKind.SIGN and tokens[at].text == ",":
            return at
        at += 1
    return None


def _spaced(text: str, at: int, lead: str) -> str:
    return lead if at == 0 or text[at - 1].isspace() else f" {lead}"


def _shifted(edit: Edit, by: int) -> Edit:
    return Edit(edit.start - by, edit.end - by, edit.text)


def _joined(tokens: Sequence[Token], span: Span) -> str:
    return "".join(token.text for token in tokens[span.first : span.last])
