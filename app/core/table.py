"""Rows as a terminal shows them: columns with their names, every cell in one visible line.

Pure. Whatever is listed on the command line is listed by this.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from app.core.markdown import shortened

MAX_CELL: Final = 200
"""Characters of one cell."""


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The rows below their columns' names, each column as wide as its widest cell; empty without rows."""
    cells = [[shortened(cell, MAX_CELL) for cell in row] for row in rows]
    if not cells:
        return []
    table = [list(columns), *cells]
    widths = [max(len(row[at]) for row in table) for at in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
