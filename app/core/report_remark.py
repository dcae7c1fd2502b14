"""What the engine warns of, as Markdown, with file and line.

Everything is hostile text: it stands in code. What does not fit is counted.
"""

from collections.abc import Sequence
from typing import Final

from app.core.markdown import code, cut, fence, fitting, visible
from app.core.plan import Remark

MAX_ROWS: Final = 50
MAX_LIST_BYTES: Final = 12_000
MAX_DETAIL: Final = 1_000
"""Characters of a diagnostic's detail."""


def remark_lines(remarks: Sequence[Remark], left_out: int = 0) -> tuple[str, ...]:
    """What the engine warned of, as paragraphs; empty when it was nothing."""
    total = len(remarks) + left_out
    if not total:
        return ()
    head = f"**The engine {'warned once' if total == 1 else f'has {total:,} warnings'}.**"
    rows = fitting((_remark(remark) for remark in remarks[:MAX_ROWS]), MAX_LIST_BYTES)
    return (head, "\n".join(_counted(rows, total)))


def place(remark: Remark) -> str:
    """`main.tf:12`, or the file alone; empty when it is of no file."""
    return f"{remark.path}:{remark.line}" if remark.path and remark.line else remark.path


def _remark(remark: Remark) -> str:
    """One diagnostic as an item: what, where, and its detail below."""
    where = ", ".join(code(part, limit=200) for part in (place(remark), remark.address) if part)
    head = f"- {code(remark.summary, limit=300)}" + (f" at {where}" if where else "")
    detail = fence(cut(visible(remark.detail, keep_lines=True), MAX_DETAIL)).replace("\n", "\n  ")
    return f"{head}\n\n  {detail}\n" if detail else head


def _counted(rows: list[str], total: int) -> list[str]:
    return [*rows, f"- and {total - len(rows):,} more"] if len(rows) < total else rows
