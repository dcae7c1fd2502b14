"""The tests of a file as OPA's own runner finds them: each definition apart, and a table's cases one by one.

Pure: reads text, and says how a test ended from the value of its rule. Source: `v1/tester/runner.go` of OPA 1.x.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The tests of a text, and the texts in which they can be asked: every definition of a test has a name of its own,
    and the cases of tables tell that they began.

    Every line stays where it is. Our lexer is not OPA's: whoever asks a text has it read by OPA first.
    """

    rules: tuple[TestRule, ...]
    written: str
    names: tuple[Edit, ...]
    told: tuple[tuple[Edit, ...], ...]
    """One for each table."""

    def text(self, tables: Iterable[int]) -> str:
        """The text in which those tables tell of their cases."""
        told = [edit for number in tables for edit in self.told[number]]
        return edited(self.written, sorted([*self.names, *told], key=lambda edit: edit.start))


def plain_rules(text: str, heads: Iterable[str]) -> tuple[TestRule, ...]:
    """The tests among the rules that OPA has read in a text, to be asked in it as it is."""
    names = dict.fromkeys(name for name in heads if name.startswith(_PREFIXES))
    return tuple(
        TestRule(
            name=name,
            reference=name,
            line=1 + text[: max(0, text.find(name))].count("\n"),
            is_skipped=name.startswith(_PREFIXES[1]),
            has_cases=True,
        )
        for name in sorted(names, key=text.find)
    )


def set_aside(text: str) -> str:
    """A v1 text whose tests have other names, so that they are not taken for another file's."""
    tokens = tokens_of(text)
    edits: list[Edit] = []
    for statement in statements_of(tokens):
        if statement.kind in (StatementKind.RULE, StatementKind.DEFAULT):
            parts = _parts(text, tokens, statement)
            at = _named(parts)
            if at is not None:
                edits.append(_renamed(parts[at], "__trackside_aside"))
    return edited(text, edits)


def rules_of(text: str) -> Asked:
    """The tests of a v1 text, in order, and how they can be asked."""
    tokens = tokens_of(text)
    found: list[TestRule] = []
    names: list[Edit] = []
    told: list[tuple[Edit, ...]] = []
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
            names.append(_renamed(parts[at], suffix))
        if has_cases:
            told.append(tuple(_told(tokens, statement, tail)))
        found.append(
            TestRule(
                name=f"{name}#{number:02d}" if suffix else name,
                reference=_reference([str(part.text) for part in parts[: at + 1]], suffix),
                line=parts[0].token.line,
                is_skipped=is_skipped,
                has_cases=has_cases,
            )
        )
    return Asked(rules=tuple(found), written=text, names=tuple(names), told=tuple(told))


def failed_cases(value: object, prints: Sequence[Print]) -> tuple[str, ...]:
    """The cases of a table that did not come out true, by name: those that are not, and those that came to nothing."""
    cases = dict(_leaves(value, ()))
    begun = {path[:length] for path in cases for length in range(1, len(path) + 1)}
    for told in prints:
        if told.message.startswith(_MARK):
            try:
                path = tuple(map(_key, json.loads(told.message.removeprefix(_MARK))))
            except RecursionError:
                path = (told.message.removeprefix(_MARK).strip()[:100],)
            except (ValueError, TypeError):
                continue  # the part of the name that makes the case is undefined: no case, as with OPA
            if path not in begun:
                begun.add(path)
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
    if len(tokens) != 1 or tokens[0].text.startswith("$"):
        return None
    if tokens[0].kind is TokenKind.STRING:
        return tokens[0].text.strip('"`')
    is_scalar = tokens[0].kind is TokenKind.NUMBER or tokens[0].text in _CONSTANTS
    return tokens[0].text if is_scalar else None


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
        span = body.span
        if not body.is_braced:
            if body.has_if and span.last > span.first:  # a single condition
                at = span.first + (tokens[span.first].text == "if" and span.last - span.first > 1)
                yield Edit(tokens[at].start, tokens[at].start, "{ ")
                yield Edit(tokens[span.last - 1].end, tokens[span.last - 1].end, f"; {told} }}")
            continue
        literals = literals_of(tokens, body)
        named = [_bound(tokens[each.first : each.last]) for each in literals]
        first = [next((at for at, each in enumerate(named) if word in each), -1) for word in words]
        at = max(first, default=-1)
        if not literals:
            continue
        if at < 0:
            start = tokens[literals[0].first].start
            yield Edit(start, start, f"{told}; ")
        else:
            end = tokens[literals[at].last - 1].end
            yield Edit(end, end, f"; {told}")


def _renamed(part: _Part, suffix: str) -> Edit:
    end = part.token.end - (part.token.kind is TokenKind.STRING)
    return Edit(end, end, suffix)


def _bound(tokens: Sequence[Token]) -> set[str]:
    """What a literal names that is of its body: not what it merely declares, and not what is of a body of its own."""
    if tokens and tokens[0].text == "every":
        return set()
    if tokens and tokens[0].text == "some" and all(token.text != "in" for token in tokens):
        return set()
    hidden, opened = set[int](), list[tuple[int, bool]]()
    for at, token in enumerate(tokens):
        if token.kind is not TokenKind.SIGN:
            continue
        if token.text in ("[", "{", "("):
            opened.append((at, False))
        elif token.text == "|" and opened and tokens[opened[-1][0]].text != "(":
            opened[-1] = (opened[-1][0], True)
        elif token.text in ("]", "}", ")") and opened:
            start, is_comprehension = opened.pop()
            hidden |= set(range(start, at)) if is_comprehension else set()
    return _names([token for at, token in enumerate(tokens) if at not in hidden])


def _names(tokens: Sequence[Token]) -> set[str]:
    """What is named there: keys after a dot, and functions that are called, aside."""
    found = set()
    for at, token in enumerate(tokens):
        if token.kind is not TokenKind.NAME or (at and tokens[at - 1].text == "."):
            continue
        end = at + 1
        while end + 1 < len(tokens) and tokens[end].text == "." and tokens[end + 1].kind is TokenKind.NAME:
            end += 2
        if end >= len(tokens) or tokens[end].text != "(":
            found.add(token.text)
    return found


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, (*path, _key(key)))
    elif path:
        yield path, value is True


def _key(value: Any) -> str:
    """A part of a case's name, spelled one way: OPA writes the keys of an object as text, and escapes them."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value if isinstance(value, str) else str(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
