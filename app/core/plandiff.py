"""What of a value changes, leaf by leaf: within objects, lists, JSON in strings, and texts of several lines.

Takes trees as `planmask.marked_tree` makes them and gives rows of a change; a sensitive part is compared and never
shown. Everything has a bound, and what is beyond it is counted.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from app.core.address import natural
from app.core.plan import MASK, UNKNOWN, Attribute
from app.core.planmask import MYSTERY, Hidden, Masker, Number, Tree, load
from app.core.sequencediff import MAX_LINES, line_diff, pairs, split_lines, stands_for

MAX_ATTRIBUTES: Final = 40
"""How many rows of one change are listed."""
MAX_VALUE_CHARS: Final = 2_000
"""How much of one value is kept."""
MAX_LINE_CHARS: Final = 400
"""How much of one line of a text is kept."""
MAX_DEPTH: Final = 30
SHORT: Final = 100
"""An object or a list that was not there before, or is not any more, stands in one row when it is shorter than this."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NULL: Final = Number("null")
"""`null` as an element of a list: elsewhere it means that there is no value."""

Step = str | int


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value is: its name for people, and the steps that lead there for the engine."""

    name: str
    steps: tuple[Step, ...]

    def key(self, key: str) -> "Spot":
        """An attribute of it, or a value of a map."""
        shown = f".{key}" if _NAME.fullmatch(key) else f"[{_quoted(key)}]"
        return Spot(self.name + shown, (*self.steps, key))

    def item(self, at: int) -> "Spot":
        """An element of it."""
        return Spot(f"{self.name}[{at}]", (*self.steps, at))

    def decoded(self) -> "Spot":
        """What the JSON in it says."""
        return Spot(f"jsondecode({self.name})", self.steps)


@dataclass(slots=True, kw_only=True)
class Rows:
    """The rows of one change, as they are found."""

    masker: Masker
    forcing: Sequence[tuple[Step, ...]] = ()
    """What the engine says forces a replacement, as paths."""
    limit: int = MAX_ATTRIBUTES
    found: list[Attribute] = field(default_factory=list)
    left_out: int = 0
    hidden: int = 0

    def compare(self, spot: Spot, old: Tree, new: Tree, depth: int = 0) -> None:
        """Add what differs between both; None is no value."""
        if isinstance(old, Hidden) or isinstance(new, Hidden):
            if old != new:
                self._add(spot, None if old is None else MASK, _after_hidden(new))
        elif new is MYSTERY:
            self._add(spot, self._text(old), UNKNOWN)
        elif depth >= MAX_DEPTH:
            self._leaf(spot, old, new)
        elif _are(str, old, new):
            self._strings(spot, old, new, depth)
        elif _are(dict, old, new):
            self._objects(spot, old, new, depth)
        elif _are(list, old, new):
            self._lists(spot, old, new, depth)
        else:
            self._leaf(spot, old, new)

    def _objects(self, spot: Spot, old: dict[str, Tree] | None, new: dict[str, Tree] | None, depth: int) -> None:
        if _is_whole(old, new):
            self._leaf(spot, old, new)
            return
        before, after = old or {}, new or {}
        for key in sorted(before.keys() | after.keys(), key=natural):
            self.compare(spot.key(key), before.get(key), after.get(key), depth + 1)

    def _lists(self, spot: Spot, old: list[Tree] | None, new: list[Tree] | None, depth: int) -> None:
        if _is_whole(old, new):
            self._leaf(spot, old, new)
            return
        before = [_NULL if item is None else item for item in old or ()]
        after = [_NULL if item is None else item for item in new or ()]
        for pair in pairs([_token(item) for item in before], [_token(item) for item in after]):
            was = before[pair.old] if pair.old is not None else None
            will = after[pair.new] if pair.new is not None else None
            if pair.old is None or pair.new is None or _is_same_kind(was, will) or pair.old == pair.new:
                self.compare(spot.item(pair.at), was, will, depth + 1)
            else:
                self.compare(spot.item(pair.old), was, None, depth + 1)
                self.compare(spot.item(pair.new), None, will, depth + 1)

    def _strings(self, spot: Spot, old: str | None, new: str | None, depth: int) -> None:
        if old == new:
            return
        if any(text is not None and self.masker.knows(text) for text in (old, new)):
            self._leaf(spot, old, new)
            return
        before, after = _json(old), _json(new)
        is_json = (old is None or before is not None) and (new is None or after is not None)
        if is_json and _differ(before, after):
            self.compare(spot.decoded(), before, after, depth + 1)
        elif _has_lines(old) or _has_lines(new):
            self._lines(spot, old, new)
        else:
            self._leaf(spot, old, new)

    def _lines(self, spot: Spot, old: str | None, new: str | None) -> None:
        """A text as a diff of its lines; masked as a whole before, since a secret can have several."""
        before = None if old is None else self.masker.within(old)
        after = None if new is None else self.masker.within(new)
        if before == after:
            self._add(spot, MASK, MASK)
            return
        self.hidden += MASK in (before or "") or MASK in (after or "")
        if self._has_no_room():
            return
        lines = list(line_diff(split_lines(before), split_lines(after)))
        row = Attribute(
            name=self._name(spot),
            forces_replacement=self._forces(spot),
            lines=tuple(cut_text(line, MAX_LINE_CHARS) for line in lines[:MAX_LINES]),
            lines_left_out=sum(stands_for(line) for line in lines[MAX_LINES:]),
        )
        self.found.append(row)

    def _leaf(self, spot: Spot, old: Tree, new: Tree) -> None:
        """A value that is not looked into."""
        if _differ(old, new):
            self._add(spot, self._text(old), self._text(new))

    def _add(self, spot: Spot, before: str | None, after: str | None) -> None:
        if before is None and after is None:
            return
        self.hidden += MASK in (before or "") or MASK in (after or "")
        if self._has_no_room():
            return
        start = first_difference(before, after) if max(len(before or ""), len(after or "")) > MAX_VALUE_CHARS else 0
        row = Attribute(
            name=self._name(spot),
            before=None if before is None else cut_text(before, MAX_VALUE_CHARS, start),
            after=None if after is None else cut_text(after, MAX_VALUE_CHARS, start),
            forces_replacement=self._forces(spot),
        )
        self.found.append(row)

    def _has_no_room(self) -> bool:
        """True for a row beyond the bound, which is counted."""
        is_full = len(self.found) >= self.limit
        self.left_out += is_full
        return is_full

    def _name(self, spot: Spot) -> str:
        return cut_text(self.masker.within(spot.name), MAX_VALUE_CHARS)

    def _forces(self, spot: Spot) -> bool:
        return bool(self.forcing) and any(_leads(path, spot.steps) for path in self.forcing)

    def _text(self, value: Tree) -> str | None:
        """JSON text, masked."""
        if value is None:
            return None
        if isinstance(value, str):
            return MASK if self.masker.knows(value) else self.masker.within(_quoted(value))
        return MASK if isinstance(value, Hidden) else self.masker.within(_dump(value, self.masker))


def cut_text(text: str, limit: int, start: int = 0) -> str:
    """The text within its bound, from `start` on; what is left out on either side is counted. Half a character (a lone
    surrogate) becomes `?`: it could not be stored."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if len(text) <= limit:
        return text
    head = f"({start} characters before) …" if start else ""
    more = len(text) - start - limit
    return f"{head}{text[start : start + limit]}" + (f"… ({more} more characters)" if more > 0 else "")


def first_difference(before: str | None, after: str | None, *, shown: int = SHORT) -> int:
    """Where to begin showing both, so that their first difference is seen with `shown` characters before it."""
    if before is None or after is None or after == UNKNOWN:
        return 0
    same = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    return max(same - shown, 0)


def _after_hidden(new: Tree) -> str | None:
    return UNKNOWN if new is MYSTERY else None if new is None else MASK


def _are(kind: type, old: Tree, new: Tree) -> bool:
    """True when what is there of both is of that kind."""
    if old is None:
        return isinstance(new, kind)
    return isinstance(old, kind) and (new is None or isinstance(new, kind))


def _is_same_kind(old: Tree, new: Tree) -> bool:
    return _are(dict, old, new) or _are(list, old, new)


def _is_whole(old: Tree, new: Tree) -> bool:
    """True for what is there on one side alone and short enough for one row; nothing hidden must be in it."""
    return (old is None or new is None) and _spent(old if new is None else new, SHORT) > 0


def _spent(value: Tree, room: int) -> int:
    """What is left of the room once the value is written; 0 or less: it does not fit, or has to be looked into."""
    if value is None or isinstance(value, bool):
        return room - 5
    if isinstance(value, str):
        return room - len(value) - 2 if "\n" not in value and _json(value) is None else 0
    if isinstance(value, Number):
        return room - len(value.text)
    if not isinstance(value, dict | list):
        return 0
    room -= 4 * len(value)
    if isinstance(value, dict):
        room -= sum(map(len, value))
    for part in value.values() if isinstance(value, dict) else value:
        room = _spent(part, room) if room > 0 else 0
        if room <= 0:
            return 0
    return room


def _leads(path: Sequence[Step], steps: Sequence[Step]) -> bool:
    """True when one of both is where the other one begins."""
    return all(one == other for one, other in zip(path, steps, strict=False))


def _differ(old: Tree, new: Tree) -> bool:
    if old is None or new is None:
        return old is not new
    return _token(old) != _token(new)


def _token(value: Tree) -> str:
    """A text that is the same for the same values alone."""
    return _quoted(value) if isinstance(value, str) else _TOKENS(value)


def _marked(value: object) -> object:
    if isinstance(value, Hidden):
        return {"\0hidden": [value.value]}
    return {"\0number": value.text} if isinstance(value, Number) else {"\0": "unknown"}


_TOKENS: Final = json.JSONEncoder(default=_marked, sort_keys=True).encode
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


def _has_lines(text: str | None) -> bool:
    return text is not None and "\n" in text.rstrip("\n")


def _dump(value: Tree, masker: Masker) -> str:
    """JSON as people write it."""
    match value:
        case dict():
            inner = (f"{_quoted(key)}: {_dump(part, masker)}" for key, part in value.items())
            return "{" + ", ".join(inner) + "}"
        case list():
            return "[" + ", ".join(_dump(part, masker) for part in value) + "]"
        case Number():
            return value.text
        case Hidden():
            return f'"{MASK}"'
        case str():
            return _quoted(MASK if masker.knows(value) else value)
        case _:
            return f'"{UNKNOWN}"' if value is MYSTERY else json.dumps(value)


def _json(text: str | None) -> Tree:
    """The object or list that a text is, as JSON; None for every other text."""
    if text is None or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found = load(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) and found else None
