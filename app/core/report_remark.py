"""What plan policies and the engine say about a plan, as Markdown: denials, warnings, diagnostics with file and line.

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


def policy_lines(denials: Sequence[tuple[str, str]], warnings: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What plan policies denied and warned of, as paragraphs. Each is the policy's name and its message."""
    return (*_said("denied", "🛑", denials), *_said("warned", "⚠️", warnings))


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


def _said(verb: str, mark: str, said: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    if not said:
        return ()
    what = f"{len(said):,} times" if len(said) > 1 else "once"
    rows = fitting(
        (f"- {mark} {code(name, limit=100)}: {code(text, limit=500)}" for name, text in said), MAX_LIST_BYTES
    )
    return (f"**Plan policies {verb} {what}.**", "\n".join(_counted(rows[:MAX_ROWS], len(said))))


def _remark(remark: Remark) -> str:
    """One diagnostic as an item: what, where, and its detail below."""
    where = ", ".join(code(part, limit=200) for part in (place(remark), remark.address) if part)
    head = f"- {code(remark.summary, limit=300)}" + (f" at {where}" if where else "")
    detail = fence(cut(visible(remark.detail, keep_lines=True), MAX_DETAIL)).replace("\n", "\n  ")
    return f"{head}\n\n  {detail}\n" if detail else head


def _counted(rows: list[str], total: int) -> list[str]:
    return [*rows, f"- and {total - len(rows):,} more"] if len(rows) < total else rows
