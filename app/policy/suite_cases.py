"""The tests of a file as OPA's own runner finds them: each definition apart, and a table's cases one by one.

Pure: reads text, and says how a test ended from the value of its rule. Source: `v1/tester/runner.go` of OPA 1.x.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.policy.grammar import Statement, StatementKind, literals_of, statements_of
from app.policy.lexer import Edit, Token, TokenKind, edited, tokens_of
from app.policy.program import Print

_PREFIXES: Final = ("test_", "todo_test_")
_MARK: Final = "trackside.case"
_CONSTANTS: Final = frozenset({"true", "false", "null"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRule:
    """One definition of a test."""

    __test__ = False

    name: str
    """Below its package; a further definition of the same name has a number, as OPA gives it: `test_x#01`."""
    reference: str
    """What to ask for below its package."""
    line: int
    is_skipped: bool
    has_cases: bool
    """Its name has a variable part, `test_x[note]`: each value of it is a case of its own."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a rule's name: its text, and the token that holds it. `text` None: a variable part."""

    text: str | None
    token: Token
    source: str


def rules_of(text: str) -> tuple[list[TestRule], str]:
    """The tests of a v1 text, in order, and the text in which each can be asked apart and tells of its cases.

    Every line stays where it is.
    """
    tokens = tokens_of(text)
    found: list[TestRule] = []
    edits: list[Edit] = []
    known: Counter[str] = Counter()
    for statement in statements_of(tokens):
        if statement.kind not in (StatementKind.RULE, StatementKind.DEFAULT):
            continue
        parts = _parts(text, tokens, statement)
        at = _named(parts)
        if at is None:
            continue
        name = ".".join(str(part.text) for part in parts[: at + 1])
        is_skipped = str(parts[at].text).startswith(_PREFIXES[1])
        number, tail = known[name], parts[at + 1 :]
        known[name] += 1
        suffix = f"__trackside_{number:02d}" if number and not is_skipped else ""
        has_cases = any(part.text is None for part in tail) and not statement.has_arguments
        has_cases = has_cases and not statement.has_contains and not is_skipped
        if suffix:
            end = parts[at].token.end - (parts[at].token.kind is TokenKind.STRING)
            edits.append(Edit(end, end, suffix))
        if has_cases:
            edits += _told(tokens, statement, tail)
        found.append(
            TestRule(
                name=f"{name}#{number:02d}" if suffix else name,
                reference=_reference([str(part.text) for part in parts[: at + 1]], suffix),
                line=parts[0].token.line,
                is_skipped=is_skipped,
                has_cases=has_cases,
            )
        )
    return found, edited(text, edits)


def failed_cases(value: object, prints: Sequence[Print]) -> tuple[str, ...]:
    """The cases of a table that did not come out true, by name: those that are not, and those that came to nothing."""
    cases = dict(_leaves(value, ()))
    for told in prints:
        if told.message.startswith(_MARK):
            try:
                path = tuple(map(_key, json.loads(told.message.removeprefix(_MARK))))
            except (ValueError, TypeError):
                continue  # the part of the name that makes the case is undefined: no case, as with OPA
            if not any(each[: len(path)] == path for each in cases):
                cases[path] = False
    return tuple(" / ".join(path) for path, is_passed in cases.items() if not is_passed)


def without_cases(prints: Sequence[Print] | None) -> list[Print]:
    """What the test itself printed."""
    return [each for each in prints or () if not each.message.startswith(_MARK)]


def _parts(text: str, tokens: Sequence[Token], statement: Statement) -> list[_Part]:
    first = tokens[statement.head.first]
    parts = [_Part(first.text, first, first.text)]
    for key in statement.keys:
        opening, inner = tokens[key.first], tokens[key.first + 1]
        if opening.text == ".":
            parts.append(_Part(inner.text, inner, json.dumps(inner.text)))
            continue
        source = text[opening.end : tokens[key.last - 1].start]
        parts.append(_Part(_literal(tokens[key.first + 1 : key.last - 1]), inner, source))
    return parts


def _literal(tokens: Sequence[Token]) -> str | None:
    """The text of a part that is the same for every case; None for one with a variable in it."""
    if any(token.kind is TokenKind.NAME and token.text not in _CONSTANTS for token in tokens):
        return None
    if len(tokens) == 1 and tokens[0].kind is TokenKind.STRING:
        return tokens[0].text.strip('"`')
    return "".join(token.text for token in tokens)


def _named(parts: Sequence[_Part]) -> int | None:
    """Which part makes the rule a test: the first one that is called so, before any variable part."""
    for at, part in enumerate(parts):
        if part.text is None:
            return None
        if part.text.startswith(_PREFIXES):
            return at
    return None


def _reference(parts: Sequence[str], suffix: str) -> str:
    first, *others = [*parts[:-1], f"{parts[-1]}{suffix}"]
    return first + "".join(f"[{json.dumps(each)}]" for each in others)


def _told(tokens: Sequence[Token], statement: Statement, tail: Sequence[_Part]) -> Iterator[Edit]:
    """What makes each case tell that it began: a print after the first mention of all that its name is made of."""
    words = {word for part in tail if part.text is None for word in _names(tokens_of(part.source))}
    told = f'print("{_MARK}", json.marshal([{", ".join(part.source for part in tail)}]))'
    for body in statement.bodies:
        literals = literals_of(tokens, body) if body.is_braced else []
        if not literals:
            continue  # a single condition: a case of it holds, or is none
        named = [_names(tokens[each.first : each.last]) for each in literals]
        first = [next((at for at, each in enumerate(named) if word in each), -1) for word in words]
        at = max(first, default=-1)
        if at < 0:
            start = tokens[literals[0].first].start
            yield Edit(start, start, f"{told}; ")
        else:
            end = tokens[literals[at].last - 1].end
            yield Edit(end, end, f"; {told}")


def _names(tokens: Sequence[Token]) -> set[str]:
    """What is named there, keys after a dot aside."""
    before = [None, *tokens]
    return {
        token.text
        for token, last in zip(tokens, before, strict=False)
        if token.kind is TokenKind.NAME and (last is None or last.text != ".")
    }


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, (*path, str(key)))
    elif path:
        yield path, value is True


def _key(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
