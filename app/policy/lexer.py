"""Rego text as tokens with their places: what upgrading, locating and rewriting need, and no more grammar than that.

Knows nothing of rules. Never fails: what is no token of Rego becomes a token of one character, for OPA to complain of.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class TokenKind(StrEnum):
    """What a token is."""

    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    """Quoted, raw, or a template."""
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `start` and `end` are offsets; `line` and `column` count from 1."""

    kind: TokenKind
    text: str
    start: int
    end: int
    line: int
    column: int


_PATTERN: Final = re.compile(
    r"""
    (?P<space>[ \t\r]+|\#[^\n]*)
  | (?P<newline>\n)
  | (?P<string>\$?"(?:[^"\\\n]|\\.)*"|\$?`[^`]*`)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
  | (?P<sign>:=|==|!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
OPENING: Final = {"(": ")", "[": "]", "{": "}"}
CLOSING: Final = frozenset(OPENING.values())


def tokens_of(text: str) -> list[Token]:
    """The tokens of a Rego text, without spaces and comments."""
    found: list[Token] = []
    line, line_start = 1, 0
    for match in _PATTERN.finditer(text):
        kind, start = match.lastgroup, match.start()
        if kind == "newline":
            line, line_start = line + 1, match.end()
        elif kind and kind != "space":
            found.append(Token(TokenKind(kind), match[0], start, match.end(), line, start - line_start + 1))
            if kind == "string" and "\n" in match[0]:
                line += match[0].count("\n")
                line_start = start + match[0].rindex("\n") + 1
    return found


def closing_of(tokens: Sequence[Token], at: int) -> int:
    """The index of the bracket that closes the one at `at`; the number of tokens when nothing closes it."""
    depth = 0
    for index in range(at, len(tokens)):
        token = tokens[index]
        if token.kind is not TokenKind.SIGN:
            continue
        if token.text in OPENING:
            depth += 1
        elif token.text in CLOSING:
            depth -= 1
            if depth <= 0:
                return index
    return len(tokens)


def closings_of(tokens: Sequence[Token]) -> dict[int, int]:
    """`closing_of` for every bracket that is closed, in one pass: nested ones cost no more than others."""
    found: dict[int, int] = {}
    waiting: list[int] = []
    for at, token in enumerate(tokens):
        if token.kind is not TokenKind.SIGN:
            continue
        if token.text in OPENING:
            waiting.append(at)
        elif token.text in CLOSING and waiting:
            found[waiting.pop()] = at
    return found


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text from `start` to `end`; equal: insert."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Sequence[Edit]) -> str:
    """The text with every edit made. Edits do not overlap; several at one place are made in their order."""
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda each: (each.start, each.end)):
        parts.append(text[at : edit.start])
        parts.append(edit.text)
        at = max(at, edit.end)
    parts.append(text[at:])
    return "".join(parts)
