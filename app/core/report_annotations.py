"""Remarks on the files of a commit: on the block of each destroy, replace and denial, and where the engine complains.

Plain text, since GitHub renders no Markdown in annotations. Paths and lines came from a worker: they are held against
the form of a place in a repository once more.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from app.core.address import block_of
from app.core.changelist import REASONS, WORDS
from app.core.markdown import cut, shortened, visible
from app.core.place import is_place
from app.core.plan import Action, Block, Change, Kind, PlanSummary, Remark
from app.core.reply import MAX_ANNOTATIONS, Annotation, AnnotationLevel
from app.core.run import RunState
from app.core.runview import RunView

MAX_TITLE: Final = 200
MAX_MESSAGE: Final = 4_000
MAX_INSTANCES: Final = 20
"""Addresses that are named on one block."""
_MARKED: Final = (Action.DELETE, Action.REPLACE)
_PLANNED: Final = (RunState.UNCONFIRMED, RunState.PENDING_REVIEW, RunState.FINISHED)


def annotations(view: RunView) -> tuple[Annotation, ...]:
    """All those of the run's check, the weightiest first: errors and denials, destroys, replaces, warnings.

    A plan policy's denial that names an address stands on its block. An apply's check marks no change: the plan's has.
    Where everybody reads the check, and may not read plans, there are none. GitHub is sent MAX_ANNOTATIONS of them.
    """
    if view.is_veiled:
        return ()
    found = [*_remarked(view.remarks)]
    rulings = view.run.plan.rulings if view.run.plan is not None else ()
    denials = [(ruling.name, message) for ruling in rulings for message in ruling.denies]
    is_planned = view.run.state in _PLANNED or bool(denials)
    if view.summary is not None and view.run.confirmed_digest is None and is_planned:
        found += [*_denied(denials, view.summary.blocks), *_changed(view.summary), *_remarked(view.summary.remarks)]
    return tuple(sorted(found, key=lambda one: one.level is not AnnotationLevel.FAILURE))


def unshown_line(count: int) -> str:
    """How many of so many annotations are not shown; empty when all are."""
    missing = count - MAX_ANNOTATIONS
    if missing <= 0:
        return ""
    return f"{missing:,} more {'annotation is' if missing == 1 else 'annotations are'} not shown."


def _remarked(remarks: Iterable[Remark]) -> Iterable[Annotation]:
    for remark in remarks:
        if is_place(remark.path, remark.line, remark.line):
            yield Annotation(
                path=remark.path,
                line=remark.line,
                level=AnnotationLevel.FAILURE if remark.is_error else AnnotationLevel.WARNING,
                title=shortened(remark.summary, MAX_TITLE),
                message=_message((remark.address, remark.detail or remark.summary)),
            )


def _denied(denials: Iterable[tuple[str, str]], blocks: Sequence[Block]) -> Iterable[Annotation]:
    """A denial on each block whose address its message names; the longest one, where one holds the other."""
    for policy, message in denials:
        plain = block_of(message)
        named = [block for block in blocks if _names(plain, block.address)]
        longest = [
            one for one in named if not any(one is not other and one.address in other.address for other in named)
        ]
        for block in longest:
            yield from _on(block, AnnotationLevel.FAILURE, f"denied by plan policy {policy}", (message,))


def _names(message: str, address: str) -> bool:
    """True when the message has the address as a word of its own."""
    at = message.find(address)
    while at >= 0:
        around = message[at - 1 : at] + message[at + len(address) : at + len(address) + 1]
        if not any(char.isalnum() or char in "_-" for char in around):
            return True
        at = message.find(address, at + 1)
    return False


def _changed(summary: PlanSummary) -> Iterable[Annotation]:
    """What a block loses, each block once, however many resources come from it; those that destroy first."""
    known = {block.address: block for block in summary.blocks}
    by_place: dict[tuple[str, int], tuple[Block, list[Change]]] = {}
    for change in summary.changes:
        block = known.get(block_of(change.address))
        if change.action in _MARKED and change.kind is Kind.RESOURCE and block is not None:
            by_place.setdefault((block.path, block.start_line), (block, []))[1].append(change)
    losses = sorted(by_place.values(), key=lambda loss: all(one.action is not Action.DELETE for one in loss[1]))
    for block, changes in losses:
        rows = [_row(change) for change in changes[:MAX_INSTANCES]]
        missing = len(changes) - len(rows)
        more = [f"and {missing:,} more"] if missing else []
        yield from _on(block, AnnotationLevel.WARNING, _what(changes), (*rows, *more))


def _what(changes: Sequence[Change]) -> str:
    """`this plan destroys 2 and replaces 1 of these`."""
    parts = []
    for action, word in ((Action.DELETE, "destroys"), (Action.REPLACE, "replaces")):
        number = sum(change.action is action for change in changes)
        if number:
            parts.append(f"{word} {number:,}" if len(changes) > 1 else f"{word} this")
    return f"this plan {' and '.join(parts)}" + (" of these" if len(changes) > 1 else "")


def _row(change: Change) -> str:
    why = REASONS.get(change.reason) or change.reason
    return f"{change.number}. {WORDS[change.action]} {change.address}" + (f": {why}" if why else "")


def _on(block: Block, level: AnnotationLevel, title: str, lines: Sequence[str]) -> Iterable[Annotation]:
    if is_place(block.path, block.start_line, block.end_line):
        yield Annotation(
            path=block.path,
            line=block.start_line,
            end_line=block.end_line,
            level=level,
            title=shortened(title, MAX_TITLE),
            message=_message(lines),
        )


def _message(parts: Iterable[str]) -> str:
    """The parts, each from a line of its own on."""
    return cut(visible("\n".join(part for part in parts if part), keep_lines=True), MAX_MESSAGE)
