"""The App's comment on a pull request: every stack with how it stands, what it changes, and boxes to choose a part.

Pure. One comment for each pull request, edited in place; whatever the plans, it fits into what GitHub takes, and what
is left out is counted exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Final

from app.core.changelist import WORDS, change_list
from app.core.markdown import code, fitting, size_bytes
from app.core.names import Sha
from app.core.plan import Change, Kind
from app.core.report_check import check_prose
from app.core.report_summary import CROWD
from app.core.run import Run, RunState, RunType
from app.core.runview import RunView, short
from app.core.stack import Comments
from app.core.ticks import box, heading, plan_key, replan_box
from app.core.words_run import run_line, state_word

LIMIT: Final = 65_000
"""Bytes of a comment. Source: GitHub takes 65,536 characters; bytes are never fewer."""
MAX_BOXES: Final = 100
"""Changes of one plan that have a box; the others are chosen with a command."""
MAX_BOXES_BYTES: Final = 8_000
LEAST: Final = 900
"""Bytes that a section needs to say anything."""
_FOOT: Final = "Trackside keeps this comment true: ticks are read, and anything else that is changed in it is put back."


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentRow:
    """One stack in the comment."""

    run: Run
    run_url: str
    view: RunView | None = None
    """What is told of it below the table; None: the table says all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentView:
    """A pull request as its comment sees it."""

    rows: tuple[CommentRow, ...]
    """By stack name."""
    landed_sha: Sha | None = None
    ticks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """What people have ticked, by the key of the plan (`app.core.ticks`)."""
    prefix: str = "/trackside"


def told_runs(runs: Sequence[Run], switches: Mapping[str, Comments]) -> tuple[Run, ...]:
    """The runs that the comment tells of, by stack name: of each stack the newer one of preview and deployment, but one
    that is still to be decided or under way always; and no stack that is switched off.

    `switches`: by stack id; a stack that is not there any more is on.
    """
    told = [run for run in runs if _is_told(run, switches.get(run.stack_id, Comments.ON))]
    newest: dict[str, Run] = {}
    for run in sorted(told, key=lambda run: (run.created_at, run.id)):
        if not _is_told_better(newest.get(run.stack_id), run):
            newest[run.stack_id] = run
    kept = [
        run
        for run in told
        if newest[run.stack_id] is run or (run.type is RunType.TRACKED and not run.state.is_terminal)
    ]
    return tuple(sorted(kept, key=lambda run: (run.stack_name, run.created_at, run.id)))


def _is_told_better(older: Run | None, newer: Run) -> bool:
    """True where the older of two is the deployment of the commit that the newer one previewed meanwhile: what became
    of it is the news."""
    if older is None or older.type is not RunType.TRACKED or newer.type is not RunType.PROPOSED:
        return False
    return older.head_sha == newer.head_sha and older.updated_at > newer.created_at


def is_crowded(runs: Sequence[Run]) -> bool:
    """True when the table is all that is said."""
    return len(runs) > CROWD


def boxed(run: Run) -> str:
    """The key by which the boxes of the run's plan are known; empty for a run that has none."""
    is_boxed = run.type is RunType.TRACKED and run.state is RunState.UNCONFIRMED and run.plan is not None
    return plan_key(run.stack_name, run.plan.digest) if is_boxed and run.plan is not None else ""


def comment_body(view: CommentView) -> str:
    """The whole comment."""
    head = _head(view)
    table = _table(view.rows, LIMIT - size_bytes(head) - size_bytes(_FOOT) - 100)
    fixed = (head, table)
    room = LIMIT - sum(size_bytes(part) + 2 for part in (*fixed, _FOOT))
    sections = _sections(view, room)
    return "\n\n".join((*fixed, *sections, _FOOT))


def _head(view: CommentView) -> str:
    if view.landed_sha is None:
        return "### Trackside\n\nWhat this pull request would change."
    return f"### Trackside\n\nMerged as {code(short(view.landed_sha))}: what becomes of it."


def _table(rows: Sequence[CommentRow], room: int) -> str:
    head = "| stack | what happens | changes | commit |\n| --- | --- | --- | --- |"
    shown = fitting((_row(row) for row in rows), room - size_bytes(head))
    more = f"\n\nand {len(rows) - len(shown):,} more" if len(shown) < len(rows) else ""
    return "\n".join((head, *shown)) + more


def _row(row: CommentRow) -> str:
    run, line = row.run, run_line(row.run, row.run_url)
    counts = "-"
    if run.plan is not None:
        counts = line.counts if run.plan.has_changes else "none"
    cells = (code(run.stack_name, limit=100), f"[{state_word(line)}](<{row.run_url}>)", counts)
    return f"| {' | '.join(cells)} | {code(short(run.head_sha))} |"


def _sections(view: CommentView, room: int) -> list[str]:
    """What is told of each stack, those with the least first to be given room; in the order of the table."""
    rows = [row for row in view.rows if row.view is not None]
    made: dict[str, str] = {}
    for left, row in zip(range(len(rows), 0, -1), sorted(rows, key=_weight), strict=True):
        share = room // left - 2
        section = _section(row.view, view, share) if row.view is not None and share >= LEAST else ""
        made[row.run.id] = section
        room -= size_bytes(section) + 2 if section else 0
    return [made[row.run.id] for row in rows if made[row.run.id]]


def _weight(row: CommentRow) -> int:
    return len(row.view.summary.changes) if row.view is not None and row.view.summary is not None else 0


def _section(run: RunView, view: CommentView, room: int) -> str:
    """One stack: what is to be done, the boxes of a plan that waits, and the changes in a fold; empty for nothing.

    Where everybody can read the comment, and may not read plans, it names no resource."""
    parts: list[str] = []
    if boxed(run.run) and run.run.plan is not None:
        prose = _prose(run)
        parts += [heading(run.run.stack_name, run.run.plan.number, run.run.plan.digest)]
        parts += [prose] if size_bytes(prose) < room // 3 else []
        parts += (
            [] if run.is_veiled else _boxes(run, view.ticks.get(boxed(run.run), ()), min(MAX_BOXES_BYTES, room // 3))
        )
    elif _asks_or_tells(run.run):
        prose = _prose(run)
        head = f"#### {_name(run.run)}"
        parts += [head, prose] if size_bytes(prose) < room // 2 else []
    elif run.run.state is RunState.FAILED:
        prose = _prose(run)
        parts += [_fold(f"{_name(run.run)}: failed", prose)] if size_bytes(prose) < room - 100 else []
    used = sum(size_bytes(part) + 2 for part in parts)
    if run.summary is not None and run.has_changes and not run.is_veiled and room - used >= LEAST:
        changes = change_list(run.summary, run_url=run.run_url, limit_bytes=room - used - 200)
        parts.append(_fold(f"{_name(run.run)}: {run.counts}", changes))
    return "\n\n".join(parts)


def _prose(run: RunView) -> str:
    """What its check says beside the tables, for somebody who reads it on the pull request."""
    return check_prose(replace(run, is_in_comment=True))


def _asks_or_tells(run: Run) -> bool:
    """True for a preview that somebody has to review, and for a part that was applied: the rest is still pending."""
    return run.state is RunState.PENDING_REVIEW or (run.state is RunState.FINISHED and run.targeting is not None)


def _name(run: Run) -> str:
    """A stack's name for HTML, where Markdown is not read."""
    return f"<code>{escape(run.stack_name)}</code>"


def _fold(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _boxes(run: RunView, ticked: Sequence[int], room: int) -> list[str]:
    """The changes that can be chosen, each with a box, and the box that asks for the next plan."""
    changes = [change for change in run.summary.changes if change.kind is Kind.RESOURCE] if run.summary else []
    if len(changes) < 2 or run.summary is None:
        return []
    rows = (box(change.number, _label(change), is_ticked=change.number in ticked) for change in changes[:MAX_BOXES])
    shown = fitting(rows, room - 600)
    missing = len(changes) - len(shown) + run.summary.changes_left_out
    by_number = code(f"{run.prefix} replan {run.run.stack_name} only 1,4-7")
    more = (f"{missing:,} more can be chosen by their numbers, as in {by_number}.",) if missing else ()
    listed = "\n".join((*shown, replan_box()))
    head = "Tick changes, and last the box below them: the next plan is of these alone."
    return [_fold("Plan a part of it", "\n\n".join((head, listed, *more, *_unboxed(run))))]


def _unboxed(run: RunView) -> tuple[str, ...]:
    """Why the outputs that change have no box; nothing where none does."""
    count = run.delta.outputs.total
    if not count:
        return ()
    what = "The output has no box" if count == 1 else f"The {count:,} outputs have no box"
    return (f"{what}: the engine's `-target` knows resources alone, and outputs follow what is chosen.",)


def _label(change: Change) -> str:
    return f"{WORDS[change.action]}** {code(change.address, limit=200)}"


def _is_told(run: Run, switch: Comments) -> bool:
    if switch is Comments.CHANGES:
        return run.state is RunState.FAILED or (run.plan is not None and run.plan.has_changes)
    return switch is Comments.ON
