"""A plan's counts to look at: coloured squares, as text and as a picture; the tables of kinds and of modules.

Everything here is counts and our own words, but the names of modules, which are in code.
"""

import itertools
from typing import Final

from app.core.changelist import SIGNS, WORDS, by_action
from app.core.markdown import code
from app.core.plan import Action, Counts, Delta, PlanSummary

MAX_SQUARES: Final = 20
"""Of resources, and of outputs; beyond it they stand for shares, and no kind of change vanishes."""
MAX_MODULES: Final = 20
"""Modules that have a row of their own."""
_ORDER: Final = (
    Action.DELETE,
    Action.REPLACE,
    Action.UPDATE,
    Action.CREATE,
    Action.READ,
    Action.IMPORT,
    Action.MOVE,
    Action.FORGET,
)
_SQUARES: Final = {
    Action.DELETE: "🟥",
    Action.REPLACE: "🟪",
    Action.UPDATE: "🟨",
    Action.CREATE: "🟩",
    Action.READ: "🟦",
    Action.IMPORT: "🟦",
    Action.MOVE: "⬜",
    Action.FORGET: "⬜",
}
_COLOURS: Final = {"🟥": "#cf222e", "🟪": "#8250df", "🟨": "#d4a72c", "🟩": "#2da44e", "🟦": "#218bff", "⬜": "#8c959f"}
_SIDE, _GAP, _HEIGHT = 10, 2, 12


def strip_line(delta: Delta) -> str:
    """The squares of resources and outputs as text, what destroys first; empty without changes."""
    parts = []
    for counts, one, many in ((delta.resources, "resource", "resources"), (delta.outputs, "output", "outputs")):
        if counts.total:
            parts.append(f"{''.join(_squares(counts))} {counts.total:,} {one if counts.total == 1 else many}")
    return " · ".join(parts)


def strip_svg(delta: Delta) -> str:
    """The same as a picture: shapes and fills alone, so that it may stand on any page."""
    shapes: list[str] = []
    x = 0
    for squares in filter(None, (_squares(delta.resources), _squares(delta.outputs))):
        x += 3 * _GAP if shapes else 0
        for square in squares:
            shapes.append(f'<rect x="{x}" y="1" width="{_SIDE}" height="{_SIDE}" rx="2" fill="{_COLOURS[square]}"/>')
            x += _SIDE + _GAP
    width = max(x - _GAP, 1)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" viewBox="0 0 {width} {_HEIGHT}">'
    )
    return f"{head}{''.join(shapes)}</svg>\n"


def counts_table(delta: Delta) -> str:
    """The counts as a table of resources and outputs, columns without a number left out; empty without changes."""
    rows = [("resources", delta.resources), ("outputs", delta.outputs)]
    return _table("", [(name, counts) for name, counts in rows if counts.total])


def module_table(summary: PlanSummary) -> str:
    """The resources by module, what destroys most first; empty when all are in the root module."""
    shown = summary.modules[:MAX_MODULES]
    if not shown:
        return ""
    rows = [(code(one.module, limit=120).replace("|", "\\|") if one.module else "(root)", one.counts) for one in shown]
    missing = len(summary.modules) - len(shown) + summary.modules_left_out
    more = f"\n\n{missing:,} more {'module is' if missing == 1 else 'modules are'} not listed here." if missing else ""
    return _table("module", rows) + more


def _table(head: str, rows: list[tuple[str, Counts]]) -> str:
    """Counts with a name each; only the columns that have a number."""
    counted = [(name, by_action(counts)) for name, counts in rows]
    columns = [action for action in Action if any(counts[action] for _, counts in counted)]
    if not columns:
        return ""
    first = f"| {head} | " + " | ".join(f"{WORDS[action]} {SIGNS.get(action, '')}".strip() for action in columns) + " |"
    body = [
        f"| {name} | " + " | ".join(f"{counts[action]:,}" if counts[action] else "" for action in columns) + " |"
        for name, counts in counted
    ]
    return "\n".join((first.replace("|  |", "| |", 1), "| --- |" + " ---: |" * len(columns), *body))


def _squares(counts: Counts) -> list[str]:
    """A square for each, or for each share of them: then at least one for each kind of change."""
    numbers = {action: number for action, number in by_action(counts).items() if number}
    total = counts.total
    shown = {
        action: number if total <= MAX_SQUARES else max(1, number * MAX_SQUARES // total)
        for action, number in numbers.items()
    }
    return list(itertools.chain.from_iterable([_SQUARES[one]] * shown.get(one, 0) for one in _ORDER))
