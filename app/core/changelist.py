"""The changes of a plan as Markdown: numbered, destroys first, with what every attribute was and will be.

Any plan fits: details are given up first, those of the first changes last, and what is left out is counted exactly.
"""

import itertools
from typing import Final

from app.core.markdown import code, cut, fence, fitting, shortened, size_bytes, visible
from app.core.plan import UNKNOWN, Action, Attribute, Change, Counts, Delta, Kind, PlanSummary
from app.core.plandiff import first_difference

WORDS: Final = {
    Action.CREATE: "create",
    Action.UPDATE: "update",
    Action.REPLACE: "replace",
    Action.DELETE: "destroy",
    Action.READ: "read",
    Action.IMPORT: "import",
    Action.FORGET: "forget",
    Action.MOVE: "move",
}
SIGNS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.REPLACE: "±", Action.DELETE: "-"}
MAX_VALUE: Final = 400
"""Characters of one value that are shown."""
MAX_PASSING: Final = 120
"""A longer one is not shown when the apply replaces it by what nobody knows yet."""
MAX_NAME: Final = 120
MAX_ATTRIBUTES: Final = 40
"""Values of one change that are shown."""
MIN_BLOCK_BYTES: Final = 200
"""What a block of details needs around its rows: its fence, and what it says is missing."""
MIN_DETAILS_BYTES: Final = 4_000
"""One change may take an eighth of the room for its details, and this much at least: the others have some too."""
DETAILS_SHARE: Final = 4
"""Where not even all lines fit, this part of the room is kept for the details of the first: they destroy most."""
_CLOSING_BYTES: Final = 400
REASONS: Final = {
    "replace_because_tainted": "it is tainted",
    "replace_because_cannot_update": "it cannot be updated in place",
    "replace_by_request": "asked for",
    "replace_by_triggers": "its triggers changed",
    "delete_because_no_resource_config": "it is no longer in the configuration",
    "delete_because_no_module": "its module, or this instance of it, is no longer in the configuration",
    "delete_because_wrong_repetition": "its count or for_each is gone or new",
    "delete_because_count_index": "its index is beyond count",
    "delete_because_each_key": "its key is no longer in for_each",
    "delete_because_no_move_target": "what it moved to is not in the configuration",
    "read_because_config_unknown": "its arguments are known only at apply",
    "read_because_dependency_pending": "what it depends on changes too",
    "read_because_check_nested": "a check asks for it",
    "deposed": "a deposed object, left over from a replacement",
}
"""Why the engine does it, in words. Source: the values of `action_reason` in Terraform's JSON output format."""


def delta_line(delta: Delta) -> str:
    """The counts in one line: `+3 ~1 -2`, with `· outputs +1` behind it; `no changes` when there are none."""
    parts = [_counts_line(delta.resources)] if delta.resources.total else []
    if delta.outputs.total:
        parts.append(f"outputs {_counts_line(delta.outputs)}")
    return " · ".join(parts) or "no changes"


def change_list(summary: PlanSummary, *, run_url: str, limit_bytes: int) -> str:
    """The changes as Markdown of at most `limit_bytes`; ends with exactly what is left out and where it stands."""
    room = limit_bytes - _CLOSING_BYTES
    lines = fitting((_line(change) + "\n" for change in summary.changes), room)
    if len(lines) < len(summary.changes):
        lines = fitting(lines, room - room // DETAILS_SHARE)
    spare = room - sum(size_bytes(line) + 1 for line in lines)
    share = max(room // 8, MIN_DETAILS_BYTES)
    blocks: list[str] = []
    without_details = 0
    for change, line in zip(summary.changes, lines, strict=False):
        details = change_details(change, limit_bytes=min(share, spare - 1)) if spare > MIN_BLOCK_BYTES else ""
        spare -= size_bytes(details) + 1 if details else 0
        without_details += not details and bool(change.attributes or change.attributes_left_out)
        blocks.append(line + details if details else line.rstrip("\n"))
    missing = len(summary.changes) - len(blocks) + summary.changes_left_out
    return "\n\n".join((*blocks, *_left_out(missing, without_details, run_url)))


def change_details(change: Change, *, limit_bytes: int) -> str:
    """The attributes of one change as a diff of at most `limit_bytes`; empty when it lists none, or has no room."""
    rows: list[list[str]] = []
    room = limit_bytes - MIN_BLOCK_BYTES
    for attribute in change.attributes[:MAX_ATTRIBUTES]:
        found = attribute_rows(attribute)
        room -= sum(size_bytes(row) + 1 for row in found)
        if room < 0:
            break
        rows.append(found)
    if not rows:
        return ""
    missing = len(change.attributes) - len(rows) + change.attributes_left_out
    notes = [_more(f"{missing:,}", "value")] if missing else []
    if change.hidden:
        notes.append(f"  # {change.hidden:,} sensitive {'value' if change.hidden == 1 else 'values'} hidden")
    block = fence("\n".join((*itertools.chain.from_iterable(rows), *notes)), "diff")
    return block if size_bytes(block) <= limit_bytes else ""  # a fence is as long as what it holds makes it


def attribute_rows(attribute: Attribute) -> list[str]:
    """One value: what it was, what it will be. A line that begins with - is red on GitHub, with + green."""
    name = shortened(attribute.name, MAX_NAME)
    why = "  # forces replacement" if attribute.forces_replacement else ""
    if attribute.lines:
        return _text_rows(attribute, name, why)
    before, after = _windows(attribute.before, attribute.after)
    if before is None and after is None:
        return [f"! {name}{why}"]
    if after == UNKNOWN and len(attribute.before or "") > MAX_PASSING:
        return [f"! {name} = {after}{why}  # {len(attribute.before or ''):,} characters before: see the run's page"]
    if before == after:
        return [f"! {name} = {before}{why}"]
    rows = [f"- {name} = {before}"] if before is not None else []
    return [*rows, f"+ {name} = {after}{why}"] if after is not None else [rows[0] + why]


def _text_rows(attribute: Attribute, name: str, why: str) -> list[str]:
    """The diff of a text, under a head that says where it is."""
    first, *others = attribute.lines
    at = f", from line {shortened(first[1:], MAX_NAME)}" if first.startswith("@") else ""
    shown = others if at else attribute.lines
    rows = [f"@@ {name}{at} @@{why}"]
    for line in shown:
        sign, text = line[:1], cut(visible(line[1:]), MAX_VALUE)
        match sign:
            case "@":
                rows.append(f"@@ from line {text} @@")
            case "…":
                rows.append(_more(text, "line"))
            case "+" | "-":
                rows.append(f"{sign} {text}".rstrip())
            case _:
                rows.append(f"  {text}".rstrip())
    return [*rows, _more(str(attribute.lines_left_out), "line")] if attribute.lines_left_out else rows


def _more(number: str, what: str) -> str:
    return f"  … and {number} more {what if number == '1' else what + 's'}"


def _left_out(missing: int, without_details: int, run_url: str) -> list[str]:
    """The closing sentence, when something is left out."""
    said = []
    if missing:
        said.append(f"{missing:,} more {'change is' if missing == 1 else 'changes are'} not listed here")
    if without_details:
        said.append(f"{without_details:,} listed without details")
    return [f"**{'; '.join(said)}.** The whole plan is on [the run's page](<{run_url}>)."] if said else []


def _line(change: Change) -> str:
    """One change in one line: number, what happens, address, why."""
    what = WORDS[change.action]
    kind = "output " if change.kind is Kind.OUTPUT else ""
    line = f"**{change.number}. {what}** {kind}{code(change.address)}"
    if change.previous_address:
        line += f"{'' if change.action is Action.MOVE else ', moved'} from {code(change.previous_address)}"
    if change.import_id:
        line += f"{'' if change.action is Action.IMPORT else ', imported'} from {code(change.import_id, limit=120)}"
    if change.action is Action.FORGET:
        line += ", which is left as it is"
    if change.reason:
        line += f": {REASONS.get(change.reason) or code(change.reason, limit=80)}"
    return line


def _windows(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Both values, cut to the part where they begin to differ."""
    is_long = max(len(before or ""), len(after or "")) > MAX_VALUE
    start = first_difference(before, after) if is_long else 0
    return _window(before, start), _window(after, start)


def _window(value: str | None, start: int) -> str | None:
    """MAX_VALUE characters of a value from `start`, and how many it has in all when that is not all of it."""
    if value is None or len(value) <= MAX_VALUE:
        return value if value is None else visible(value)
    head = "…" if start else ""
    part = value[start : start + MAX_VALUE]
    end = "…" if start + MAX_VALUE < len(value) else ""
    return f"{head}{visible(part)}{end}  # {len(value):,} characters"


def by_action(counts: Counts) -> dict[Action, int]:
    """Counts by action, in the order of the report."""
    return {
        Action.CREATE: counts.create,
        Action.UPDATE: counts.update,
        Action.REPLACE: counts.replace,
        Action.DELETE: counts.delete,
        Action.READ: counts.read,
        Action.IMPORT: counts.import_,
        Action.FORGET: counts.forget,
        Action.MOVE: counts.move,
    }


def _counts_line(counts: Counts) -> str:
    """`+3 ~1 -2 import 1`."""
    numbers = by_action(counts)
    return " ".join(
        f"{SIGNS[action]}{number:,}" if action in SIGNS else f"{WORDS[action]} {number:,}"
        for action, number in numbers.items()
        if number
    )
