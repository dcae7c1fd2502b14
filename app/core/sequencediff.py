"""How two lists, or the lines of two texts, differ: what stays is found, what does not is paired by its place.

Knows nothing of plans: `app.core.plandiff` says what is compared. Long stretches, and stretches of much that is alike,
are not looked into, since that takes time by the square.
"""

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

MAX_LINES: Final = 80
"""How many lines of one text's diff are kept."""
MAX_MATCHED: Final = 2_000
MAX_ALIKE: Final = 20_000
"""Stretches that are longer, or have more pairs of equal parts, are not matched with each other: that takes time by
the square."""
CONTEXT: Final = 2
"""Lines around a difference."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two elements of lists that stand for each other; one of them may not be there."""

    old: int | None
    new: int | None

    @property
    def at(self) -> int:
        """Where it is in the new list; in the old one, when it is gone."""
        return self.new if self.new is not None else self.old or 0


def pairs(old: Sequence[str], new: Sequence[str]) -> Iterator[Pair]:
    """What differs between two lists: what is equal stays together, what is not is paired by its place."""
    start, ends = _same(old, new)
    for _, first, last, begin, end in _matched(old[start : len(old) - ends], new[start : len(new) - ends]):
        for at in range(max(last - first, end - begin)):
            was, will = first + at, begin + at
            yield Pair(start + was if was < last else None, start + will if will < end else None)


def _same(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """How many are equal at the beginning, and at the end."""
    short = min(len(old), len(new))
    start = next((at for at in range(short) if old[at] != new[at]), short)
    rest = short - start
    return start, next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)


def _matched(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """The stretches that differ; all of it, when it is too long to look closer."""
    times = Counter(new)
    if max(len(old), len(new)) > MAX_MATCHED or sum(times[part] for part in old) > MAX_ALIKE:
        return [("replace", 0, len(old), 0, len(new))]
    found = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [code for code in found if code[0] != "equal"]


def split_lines(text: str | None) -> list[str]:
    return [] if text is None else text.split("\n")


def line_diff(old: list[str], new: list[str]) -> Iterator[str]:
    """The lines that differ, with a few around them; `@12` where a part does not begin right after the one before."""
    start, ends = _same(old, new)
    shown_to = 0
    for _, first, last, begin, end in _matched(old[start : len(old) - ends], new[start : len(new) - ends]):
        after, at = min(shown_to + CONTEXT, start + begin) if shown_to else 0, max(start + begin - CONTEXT, 0)
        if at > after:
            yield from (f" {line}" for line in new[shown_to:after])
            yield f"@{at + 1}"
            shown_to = at
        yield from (f" {line}" for line in new[shown_to : start + begin])
        most = MAX_LINES // 2 if last > first and end > begin else MAX_LINES
        yield from _stretch("-", old[start + first : start + last], most)
        yield from _stretch("+", new[start + begin : start + end], most)
        shown_to = start + end
    yield from (f" {line}" for line in new[shown_to : shown_to + CONTEXT])


def _stretch(sign: str, lines: list[str], most: int) -> Iterator[str]:
    """Lines that all went or came: the first of them, so that both sides of a large difference are seen."""
    yield from (f"{sign}{line}" for line in lines[:most])
    if len(lines) > most:
        yield f"…{len(lines) - most}"


def stands_for(line: str) -> int:
    """How many lines of the text a line of its diff stands for."""
    return int(line[1:]) if line.startswith("…") else 0 if line.startswith("@") else 1
