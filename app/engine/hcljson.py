"""Finds the blocks of configuration in JSON: what each describes, its lines, and what it holds. Hostile text.

Positions are those of Python's own decoder, which says where each value ends: no parser of ours. What is not JSON is
said to the caller, as in `app.engine.hcl`.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from app.engine.hcl import Unreadable, parse_json

LABELS: Final = {"resource": 2, "data": 2, "ephemeral": 2, "module": 1, "output": 1, "check": 1, "removed": 0}
"""The kinds of blocks that are looked for, and how many labels each has: in JSON these are keys within keys."""
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBlock:
    """One block."""

    kind: str
    labels: tuple[str, ...]
    first_line: int
    """Of its last label, from 1; of its opening bracket where it has none."""
    last_line: int
    value: Any
    """What it holds: an object, in a sane file."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A key and its value. The numbers are characters from the beginning of the text."""

    key: str
    key_at: int
    value_at: int
    end: int
    value: Any


def json_blocks(text: bytes) -> Iterator[JsonBlock]:
    """The blocks of a file, in its order. Raises: Unreadable when it is no JSON."""
    parse_json(text)  # what follows relies on it
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8") from error
    yield from _Reading(decoded).blocks()


class _Reading:
    """One walk over a text that is JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._breaks = [found.start() for found in re.finditer("\n", text)]

    def blocks(self) -> Iterator[JsonBlock]:
        for object_at in self._objects(self._skip(0)):
            for member in self._members(object_at):
                if member.key in LABELS:
                    yield from self._labelled(member.key, (), LABELS[member.key], member.value_at)

    def _labelled(self, kind: str, labels: tuple[str, ...], missing: int, at: int) -> Iterator[JsonBlock]:
        """The blocks of one kind below a value that still lacks some labels."""
        for object_at in self._objects(at):
            if not missing:
                value, end = _DECODER.raw_decode(self._text, object_at)
                yield self._block(kind, labels, (object_at, end), value)
                continue
            for member in self._members(object_at):
                named = (*labels, member.key)
                if missing == 1:
                    yield self._block(kind, named, (member.key_at, member.end), member.value)
                else:
                    yield from self._labelled(kind, named, missing - 1, member.value_at)

    def _block(self, kind: str, labels: tuple[str, ...], span: tuple[int, int], value: Any) -> JsonBlock:
        first, last = self._line(span[0]), self._line(span[1] - 1)
        return JsonBlock(kind=kind, labels=labels, first_line=first, last_line=last, value=value)

    def _objects(self, at: int) -> Iterator[int]:
        """Where objects begin: the value itself, or those of a list. JSON configuration may be written either way."""
        if self._text[at] == "{":
            yield at
        elif self._text[at] == "[":
            at = self._skip(at + 1)
            while self._text[at] != "]":
                if self._text[at] == "{":
                    yield at
                at = self._after(_DECODER.raw_decode(self._text, at)[1])

    def _members(self, at: int) -> Iterator[_Member]:
        """The members of the object that begins there."""
        at = self._skip(at + 1)
        while self._text[at] != "}":
            key, end = _DECODER.raw_decode(self._text, at)
            value_at = self._skip(self._skip(end) + 1)
            value, end = _DECODER.raw_decode(self._text, value_at)
            yield _Member(key, at, value_at, end, value)
            at = self._after(end)

    def _after(self, at: int) -> int:
        """Where the next one begins, or the bracket that closes them."""
        at = self._skip(at)
        return self._skip(at + 1) if self._text[at] == "," else at

    def _skip(self, at: int) -> int:
        found = _BLANKS.match(self._text, at)
        return found.end() if found else at

    def _line(self, at: int) -> int:
        return bisect_left(self._breaks, at) + 1
