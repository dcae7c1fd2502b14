"""The boxes of the App's comment: how they are written, and what a person's edit did to them.

Pure. An edit is read as the difference of two bodies, and never as what the newer one says: GitHub's page sends the
whole text, and may have begun from an older one than ours. Boxes are known by the heading above them, its digest and
its stack (stacks of one configuration that are planned in one second have equal plan files), and by their number; what
else was changed is only noticed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from app.core.markdown import code
from app.core.names import Digest

DIGITS: Final = 16
"""Of a plan's digest that a heading shows."""
MAX_TICKED: Final = 500
"""Boxes of one plan that are kept as ticked."""
REPLAN: Final = "**Replan with the selection**"
_HEADING: Final = re.compile(r"#### `([^`]+)` · plan [0-9]+ · `([0-9a-f]{16})`")
_BOX: Final = re.compile(r"- \[([ xX])\] \*\*([0-9]{1,9})\. .*")
_REPLAN: Final = re.compile(r"- \[([ xX])\] " + re.escape(REPLAN) + ".*")
_FENCE: Final = re.compile(r"(`{3,}|~{3,}).*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """The boxes that stand in a body."""

    numbers: Mapping[str, Mapping[int, bool]] = field(default_factory=dict)
    """Whether each change is ticked, by the key of its heading and its number."""
    replans: Mapping[str, bool] = field(default_factory=dict)
    """Whether the box that asks for the next plan is ticked, by the key of its heading."""
    rest: str = ""
    """The body with every box empty: what a tick does not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxEdit:
    """What an edit did."""

    ticked: Mapping[str, frozenset[int]]
    """Changes by the key of their plan, of those that got a tick; empty sets left out."""
    cleared: Mapping[str, frozenset[int]]
    """The same, of those that lost it; none when something else was changed, too: a page that began from an older body
    sends that body's empty boxes with it."""
    replans: tuple[str, ...]
    """Keys of the plans whose box that asks for the next one got its tick."""
    is_other: bool
    """Something else than boxes was changed."""
    standing: Mapping[str, frozenset[int]]
    """Every change that is ticked in the newer body: what the person saw."""


def plan_key(stack_name: str, digest: str) -> str:
    """What the boxes of one plan are known by: the first digits of its digest, and its stack."""
    return f"{digest[:DIGITS]} {stack_name}"


def digits_of(key: str) -> str:
    """The digits of the digest in a plan's key."""
    return key.partition(" ")[0]


def heading(stack_name: str, plan_number: int, digest: Digest) -> str:
    """The heading above a plan's boxes; by it they are known."""
    return f"#### {code(stack_name)} · plan {plan_number} · {code(digest[:DIGITS])}"


def box(number: int, rest: str, *, is_ticked: bool) -> str:
    """The box of one change; `rest` is Markdown without a newline."""
    return f"- [{'x' if is_ticked else ' '}] **{number}. {rest}"


def replan_box() -> str:
    """The box that asks for the next plan. It is never written with a tick: asking is what a tick does."""
    return f"- [ ] {REPLAN}"


def normalised(body: str) -> str:
    """The body as GitHub may give it back: other line ends, blanks at the ends gone."""
    return body.replace("\r\n", "\n").replace("\r", "\n").strip()


def read_boxes(body: str) -> Boxes:
    """The boxes of a body. The first of two with the same number counts; what stands in code is none."""
    numbers: dict[str, dict[int, bool]] = {}
    replans: dict[str, bool] = {}
    rest: list[str] = []
    key = ""
    for line, is_code in _lines(normalised(body)):
        found = None if is_code else (_BOX.fullmatch(line) or _REPLAN.fullmatch(line))
        rest.append(f"- [ ] {line[6:]}" if found else line)
        head = None if is_code else _HEADING.fullmatch(line)
        if head is not None:
            key = plan_key(head[1], head[2])
        if found is None or not key:
            continue
        is_ticked = found[1] != " "
        if found.re is _BOX:
            numbers.setdefault(key, {}).setdefault(int(found[2]), is_ticked)
        else:
            replans.setdefault(key, is_ticked)
            key = ""  # it is the last box of its plan
    return Boxes(numbers=numbers, replans=replans, rest="\n".join(rest))


def compare(old: str, new: str) -> BoxEdit:
    """What turned the old body into the new one."""
    before, after = read_boxes(old), read_boxes(new)
    is_other = before.rest != after.rest
    was = {key: _ticked(boxes) for key, boxes in before.numbers.items()}
    ticked = {key: _ticked(boxes) - was.get(key, frozenset()) for key, boxes in after.numbers.items()}
    cleared = {
        key: frozenset(number for number, is_ticked in boxes.items() if not is_ticked) & was.get(key, frozenset())
        for key, boxes in after.numbers.items()
    }
    asked = [key for key, is_ticked in after.replans.items() if is_ticked and not before.replans.get(key)]
    return BoxEdit(
        ticked={key: found for key, found in ticked.items() if found},
        cleared={key: found for key, found in cleared.items() if found and not is_other},
        replans=tuple(asked),
        is_other=is_other,
        standing={key: _ticked(boxes) for key, boxes in after.numbers.items()},
    )


def applied(ticks: Mapping[str, tuple[int, ...]], edit: BoxEdit, present: frozenset[str]) -> dict[str, tuple[int, ...]]:
    """What is ticked after the edit, of the plans that are present; what was ticked elsewhere meanwhile stays."""
    found = {}
    for key in sorted(present):
        left = (frozenset(ticks.get(key, ())) | edit.ticked.get(key, frozenset())) - edit.cleared.get(key, frozenset())
        if left:
            found[key] = tuple(sorted(left)[:MAX_TICKED])
    return found


def _ticked(boxes: Mapping[int, bool]) -> frozenset[int]:
    return frozenset(number for number, is_ticked in boxes.items() if is_ticked)


def _lines(body: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it stands in a block of code or opens or closes one."""
    fence = ""
    for line in body.split("\n"):
        if fence:
            bare = line.strip()
            is_end = bare.startswith(fence) and not bare.strip(fence[0])
            fence = "" if is_end else fence
            yield line, True
            continue
        opening = _FENCE.fullmatch(line)
        fence = opening[1] if opening else ""
        yield line, opening is not None
