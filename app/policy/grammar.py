"""The statements of a Rego file, v0 or v1: package, imports, and rules with their heads, bodies and else branches.

Reads shape alone: what is inside a body is skipped by its brackets. A text that is no Rego gives fewer statements,
never an error; OPA is the one that complains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from app.policy.lexer import CLOSING, OPENING, Token, TokenKind, closing_of


class StatementKind(StrEnum):
    """What a statement is."""

    PACKAGE = "package"
    IMPORT = "import"
    DEFAULT = "default"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens from `first` up to, not including, `last`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Body:
    """What makes a head true. `has_if`: the keyword stands before it."""

    span: Span
    has_if: bool
    is_braced: bool


@dataclass(frozen=True, slots=True)
class Branch:
    """An `else`, with its body if it has one."""

    at: int
    body: Body | None


@dataclass(slots=True)
class Statement:
    """One statement. Of a rule: `head` spans everything before `if` or the body."""

    kind: StatementKind
    span: Span
    name: str = ""
    head: Span = Span(0, 0)
    keys: list[Span] = field(default_factory=list)
    """The parts of the head's reference after its name: `.b` and `[c]`, with their signs."""
    has_arguments: bool = False
    has_contains: bool = False
    has_value: bool = False
    bodies: list[Body] = field(default_factory=list)
    """More than one: chained bodies, which only v0 has."""
    branches: list[Branch] = field(default_factory=list)


_BINARY: Final = frozenset({"+", "-", "*", "/", "%", "&", "|", "==", "!=", "<", ">", "<=", ">="})
_JOINING: Final = _BINARY | {":=", "=", ",", ".", ":"}
_JOINING_NAMES: Final = frozenset({"with", "as", "in", "not", "some", "every"})


def statements_of(tokens: Sequence[Token]) -> list[Statement]:
    """The statements of a file, in order. What cannot be one is passed over."""
    reader, found = _Reader(tokens), []
    while reader.at < len(tokens):
        before = reader.at
        statement = reader.read()
        if statement is not None:
            found.append(statement)
        reader.at = max(reader.at, before + 1)
    return found


def literals_of(tokens: Sequence[Token], body: Body) -> list[Span]:
    """The literals of a body in braces, in order."""
    reader, found = _Reader(tokens), []
    last = min(body.span.last - 1, len(tokens))
    at = first = next((at for at in range(body.span.first, last) if tokens[at].text == "{"), last) + 1
    while at < last:
        is_sign = tokens[at].kind is TokenKind.SIGN
        reader.at = at
        if is_sign and tokens[at].text == ";":
            found.append(Span(first, at))
            first = at + 1
        elif at > first and reader.begins_line():
            found.append(Span(first, at))
            first = at
        if is_sign and tokens[at].text in OPENING:
            at = closing_of(tokens, at)
        at += 1
    found.append(Span(first, last))
    return [each for each in found if each.first < each.last]


class _Reader:
    """A place in the tokens; each method reads one thing and moves on."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self.at = 0

    def read(self) -> Statement | None:
        token = self._tokens[self.at]
        if token.kind is not TokenKind.NAME:
            return None
        if token.text in ("package", "import"):
            return self._line(StatementKind(token.text))
        if token.text == "default" and self._is_name(self.at + 1):
            return self._default()
        return self._rule()

    def _line(self, kind: StatementKind) -> Statement:
        first = self.at
        self.at += 1
        self._reference()
        if self._text() == "as":
            self.at += 2
        return Statement(kind, Span(first, self.at))

    def _default(self) -> Statement:
        first = self.at
        self.at += 1
        statement = self._head(StatementKind.DEFAULT)
        statement.span = Span(first, self.at)
        return statement

    def _rule(self) -> Statement:
        statement = self._head(StatementKind.RULE)
        first = statement.head.first
        body = self._body()
        if body is not None:
            statement.bodies.append(body)
        while self._text() == "else":
            at = self.at
            self.at += 1
            self._value()
            statement.branches.append(Branch(at, self._body()))
        while self._text() == "{" and statement.bodies and statement.bodies[-1].is_braced:
            extra = self._body()
            if extra is None:
                break
            statement.bodies.append(extra)
        statement.span = Span(first, self.at)
        return statement

    def _head(self, kind: StatementKind) -> Statement:
        first = self.at
        statement = Statement(kind, Span(first, first), name=self._tokens[first].text)
        self.at += 1
        statement.keys = self._reference_keys()
        if self._text() == "(" and self._touches():
            statement.has_arguments = True
            self.at = closing_of(self._tokens, self.at) + 1
            statement.keys += self._reference_keys()
        if self._text() == "contains":
            statement.has_contains = True
            self.at += 1
            self._expression()
        statement.has_value = self._value()
        statement.head = Span(first, min(self.at, len(self._tokens)))
        return statement

    def _value(self) -> bool:
        if self._text() not in ("=", ":="):
            return False
        self.at += 1
        self._expression()
        return True

    def _body(self) -> Body | None:
        first, has_if = self.at, self._text() == "if"
        if has_if:
            self.at += 1
        if self._text() == "{":
            opening = self.at
            self.at = min(closing_of(self._tokens, opening) + 1, len(self._tokens))
            if not has_if or self._ends_line():
                return Body(Span(opening, self.at), has_if, is_braced=True)
            self._literal()  # `if {1, 2} == x`
            return Body(Span(first, self.at), has_if, is_braced=False)
        if not has_if:
            return None
        self._literal()
        return Body(Span(first, self.at), has_if, is_braced=False)

    def _literal(self) -> None:
        """One literal without braces: to the end of its line, and further where an operator joins the next one."""
        first = True
        while self.at < len(self._tokens):
            token = self._tokens[self.at]
            if not first and self.begins_line():
                return
            if token.text == "else" and token.kind is TokenKind.NAME:
                return
            if token.kind is TokenKind.SIGN and token.text in OPENING:
                self.at = closing_of(self._tokens, self.at)
            self.at += 1
            first = False

    def begins_line(self) -> bool:
        """True when this token begins a line, and no operator joins it to the one before."""
        return self._tokens[self.at].line > self._end_line(self.at - 1) and not self._is_joined()

    def _is_joined(self) -> bool:
        before, after = self._tokens[self.at - 1], self._tokens[self.at]
        return (
            (before.kind is TokenKind.SIGN and before.text in _JOINING)
            or (before.kind is TokenKind.NAME and before.text in _JOINING_NAMES)
            or (after.kind is TokenKind.SIGN and after.text in _JOINING)
            or after.text == "with"
        )

    def _expression(self) -> None:
        """Operands with binary operators between them."""
        while True:
            self._operand()
            if self._text() not in _BINARY and self._text() != "in":
                return
            self.at += 1

    def _operand(self) -> None:
        if self._text() == "-":
            self.at += 1
        if self.at >= len(self._tokens):
            return
        token = self._tokens[self.at]
        if token.kind is TokenKind.SIGN and token.text in OPENING:
            self.at = min(closing_of(self._tokens, self.at) + 1, len(self._tokens))
        elif token.kind is TokenKind.SIGN and token.text in CLOSING:
            return
        else:
            self.at += 1
        self._reference_tail()

    def _reference(self) -> None:
        self.at += 1
        self._reference_tail()

    def _reference_tail(self) -> None:
        while True:
            self._reference_keys()
            if self._text() != "(" or not self._touches():
                return
            self.at = min(closing_of(self._tokens, self.at) + 1, len(self._tokens))

    def _reference_keys(self) -> list[Span]:
        keys: list[Span] = []
        while True:
            first = self.at
            if self._text() == "." and self._is_name(self.at + 1):
                self.at += 2
            elif self._text() == "[" and self._touches():
                self.at = min(closing_of(self._tokens, self.at) + 1, len(self._tokens))
            else:
                return keys
            keys.append(Span(first, self.at))

    def _text(self) -> str:
        """The sign or name at this place; empty at the end and for other tokens."""
        if self.at >= len(self._tokens):
            return ""
        token = self._tokens[self.at]
        return token.text if token.kind in (TokenKind.NAME, TokenKind.SIGN) else ""

    def _is_name(self, at: int) -> bool:
        return at < len(self._tokens) and self._tokens[at].kind is TokenKind.NAME

    def _touches(self) -> bool:
        """True when no space stands before this token."""
        return self.at > 0 and self._tokens[self.at - 1].end == self._tokens[self.at].start

    def _end_line(self, at: int) -> int:
        return self._tokens[at].line + self._tokens[at].text.count("\n")

    def _ends_line(self) -> bool:
        """True when a literal cannot go on after the closing brace before this token."""
        if self.at >= len(self._tokens):
            return True
        after = self._tokens[self.at]
        return not (after.kind is TokenKind.SIGN and after.text in _BINARY) and after.text not in ("with", "in")
