"""Masks values of a plan: by the engine's own marks (sensitive, unknown), and by value, because marks miss copies.

Knows the shape of marks (a tree beside the value's tree, true where it holds) and nothing of resources or reports.
Stands under `planjson`.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from app.core.plan import MASK

MIN_EQUAL_CHARS: Final = 6
"""A marked string this long is masked where another value equals it; shorter ones are too common (`true`, `admin`)."""
MIN_WITHIN_CHARS: Final = 8
"""A marked string this long is also masked inside longer values."""
MAX_WITHIN: Final = 2_000
"""How many marked strings are looked for inside longer values, longest first; equality has no bound."""

Tree = Any
"""A JSON value: the plan's own, so any shape at all."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A sensitive part of a tree: what it was is compared, and never shown."""

    value: Tree


class Unknown:
    """A part of a tree that only the apply will tell."""


MYSTERY: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Number:
    """A number, with the digits that it was written with."""

    text: str


def marked_tree(raw: msgspec.Raw, marks: msgspec.Raw, unknown: msgspec.Raw | None = None) -> Tree:
    """The value with Hidden, MYSTERY and Number where they belong."""
    text = bytes(raw)
    tree = None if text == b"null" else load(text.decode())
    if unknown is not None and b"true" in bytes(unknown):
        tree = _overlay(tree, json.loads(bytes(unknown)), lambda _: MYSTERY)
    return _overlay(tree, json.loads(bytes(marks)), Hidden) if b"true" in bytes(marks) else tree


load: Final = json.JSONDecoder(parse_float=Number, parse_int=Number).decode
"""JSON text as a tree that keeps every digit."""


def collect(raw: msgspec.Raw, marks: msgspec.Raw) -> Iterator[str]:
    """The strings of the value that its marks call sensitive."""
    if b"true" not in bytes(marks):
        return iter(())
    return _marked(json.loads(bytes(raw)), json.loads(bytes(marks)))


class Masker:
    """Masks known secret strings in JSON text, wherever they are."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {text for secret in secrets for text in (secret, secret.strip())}
        self._equal = frozenset(text for text in known if len(text) >= MIN_EQUAL_CHARS)
        longest = sorted((text for text in self._equal if len(text) >= MIN_WITHIN_CHARS), key=lambda s: (-len(s), s))
        self._within = tuple(form for text in longest[:MAX_WITHIN] for form in _forms(text))

    def knows(self, text: str) -> bool:
        """True for a known secret, as a whole."""
        return text in self._equal

    def within(self, text: str) -> str:
        """The text with every known secret replaced by MASK, also when it is a part of something longer."""
        if not self._equal:
            return text
        if text in self._equal:
            return MASK
        for form in self._within:
            if form in text:
                text = text.replace(form, MASK)
        return text


def _forms(secret: str) -> tuple[str, ...]:
    """How a string looks in JSON text, and in JSON text inside JSON text (`jsonencode`), longest first."""
    once = _dump(secret)[1:-1]
    twice = _dump(once)[1:-1]
    return tuple(dict.fromkeys((twice, once, secret)))


def _dump(tree: Tree) -> str:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def _overlay(tree: Tree, marks: Tree, word: Callable[[Tree], Tree]) -> Tree:
    """The tree with a word wherever the marks are true; a mark may stand where the value has nothing."""
    if marks is True:
        return word(tree)
    if isinstance(marks, dict):
        base = tree if isinstance(tree, dict) else {}
        if tree is None and not _holds(marks):
            return None
        names = [*base, *(name for name in marks if name not in base and _holds(marks[name]))]
        return {name: _overlay(base.get(name), marks.get(name), word) for name in names}
    if isinstance(marks, list):
        base_list = tree if isinstance(tree, list) else []
        if tree is None and not _holds(marks):
            return None
        longer = max(len(base_list), len(marks))
        return [
            _overlay(
                base_list[i] if i < len(base_list) else None,
                marks[i] if i < len(marks) else None,
                word,
            )
            for i in range(longer)
        ]
    return tree


def _holds(marks: Tree) -> bool:
    """True when a mark is set anywhere in the tree."""
    if isinstance(marks, dict):
        return any(map(_holds, marks.values()))
    return any(map(_holds, marks)) if isinstance(marks, list) else marks is True


def _marked(tree: Tree, marks: Tree) -> Iterator[str]:
    if marks is True:
        yield from _strings(tree)
    elif isinstance(marks, dict) and isinstance(tree, dict):
        for name, part in marks.items():
            yield from _marked(tree.get(name), part)
    elif isinstance(marks, list) and isinstance(tree, list):
        for value, part in zip(tree, marks, strict=False):
            yield from _marked(value, part)


def _strings(tree: Tree) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from _strings(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _strings(part)
