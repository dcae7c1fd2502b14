"""The changes of a plan as Markdown: numbered, destroys first, with what every attribute was and will be.

Any plan fits: details are given up before addresses are, and what is left out is counted exactly.
"""

import itertools
from collections.abc import Sequence
from typing import Final

from app.core.markdown import code, fence, shortened, size_bytes, visible
from app.core.plan import Action, Attribute, Change, Counts, Delta, Kind, PlanSummary

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
MAX_ATTRIBUTES: Final = 40
"""Attributes of one change that are shown."""
REASONS: Final = {
    "replace_because_tainted": "it is tainted",
    "replace_because_cannot_update": "it cannot be updated in place",
    "replace_by_request": "asked for",
    "replace_by_triggers": "its triggers changed",
    "delete_because_no_resource_config": "it is no longer in the configuration",
    "delete_because_no_module": "its module is no longer in the configuration",
    "delete_because_wrong_repetition": "its count or for_each is gone or new",
    "delete_because_count_index": "its index is beyond count",
    "delete_because_each_key": "its key is no longer in for_each",
    "delete_because_no_move_target": "what it moved to is not in the configuration",
    "read_because_config_unknown": "its arguments are known only at apply",
    "read_because_dependency_pending": "what it depends on changes too",
    "read_because_check_nested": "a check asks for it",
}
"""Why the engine does it, in words. Source: the values of `action_reason` in Terraform's JSON output format."""


def delta_line(delta: Delta) -> str:
    """The counts in one line: `+3 ~1 -2`, with `· outputs +1` behind it; `no changes` when there are none."""
    parts = [_counts_line(delta.resources)] if delta.resources.total else []
    if delta.outputs.total:
        parts.append(f"outputs {_counts_line(delta.outputs)}")
    return " · ".join(parts) or "no changes"


def counts_table(delta: Delta) -> str:
    """The counts as a table of resources and outputs, columns without a number left out; empty without changes."""
    rows = {"resources": _by_action(delta.resources), "outputs": _by_action(delta.outputs)}
    columns = [action for action in Action if any(row[action] for row in rows.values())]
    if not columns:
        return ""
    head = "| | " + " | ".join(f"{WORDS[action]} {SIGNS.get(action, '')}".strip() for action in columns) + " |"
    rule = "| --- |" + " ---: |" * len(columns)
    body = [
        f"| {name} | " + " | ".join(str(row[action] or "") for action in columns) + " |"
        for name, row in rows.items()
        if any(row.values())
    ]
    return "\n".join((head, rule, *body))


def change_list(summary: PlanSummary, *, run_url: str, limit_bytes: int) -> str:
    """The changes as Markdown of at most `limit_bytes`; ends with exactly what is left out and where it stands."""
    room = limit_bytes - 400
    lines = [_line(change) for change in summary.changes]
    listed = _fitting([size_bytes(line) + 2 for line in lines], room)
    spare = room - sum(size_bytes(line) + 2 for line in lines[:listed])
    blocks: list[str] = []
    without_details = 0
    for change, line in zip(summary.changes[:listed], lines[:listed], strict=True):
        details = _details(change)
        cost = size_bytes(details) + 2
        if details and cost <= spare:
            spare -= cost
            blocks.append(f"{line}\n{details}")
            continue
        without_details += bool(details)
        blocks.append(line)
    missing = len(summary.changes) - listed + summary.changes_left_out
    return "\n\n".join((*blocks, *_left_out(missing, without_details, run_url)))


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the first sizes fit into the room."""
    return sum(1 for total in itertools.accumulate(sizes) if total <= room)


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
        line += f", moved from {code(change.previous_address)}"
    if change.import_id:
        line += f", imported from {code(change.import_id, limit=120)}"
    if change.reason:
        line += f": {REASONS.get(change.reason) or code(change.reason, limit=80)}"
    return line


def _details(change: Change) -> str:
    """The attributes of one change as a diff; empty when it lists none."""
    shown = change.attributes[:MAX_ATTRIBUTES]
    rows = list(itertools.chain.from_iterable(_attribute(attribute, change.action) for attribute in shown))
    missing = len(change.attributes) - len(shown) + change.attributes_left_out
    if missing:
        rows.append(f"  … and {missing:,} more {'attribute' if missing == 1 else 'attributes'}")
    return fence("\n".join(rows), "diff")


def _attribute(attribute: Attribute, action: Action) -> list[str]:
    """One attribute: what it was, what it will be. A line that begins with - is red on GitHub, with + green."""
    name = shortened(attribute.name, 120)
    before, after = _windows(attribute.before, attribute.after)
    why = "  # forces replacement" if attribute.forces_replacement else ""
    rows: list[str] = []
    if before is not None and before == after:
        return [f"! {name} = {before}{why}"]
    if before is not None:
        rows.append(f"- {name} = {before}")
    if after is not None:
        rows.append(f"+ {name} = {after}{why}")
    elif why and rows:
        rows[-1] += why
    if not rows:
        return [f"! {name}{why}"] if action is not Action.DELETE else [f"- {name}"]
    return rows


def _windows(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Both values, cut to the part where they begin to differ."""
    start = 0
    if before is not None and after is not None and max(len(before), len(after)) > MAX_VALUE:
        same = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
        start = max(same - MAX_VALUE // 4, 0)
    return _window(before, start), _window(after, start)


def _window(value: str | None, start: int) -> str | None:
    """MAX_VALUE characters of a value from `start`, and how many it has in all when that is not all of it."""
    if value is None or len(value) <= MAX_VALUE:
        return value if value is None else visible(value)
    head = "…" if start else ""
    part = value[start : start + MAX_VALUE]
    end = "…" if start + MAX_VALUE < len(value) else ""
    return f"{head}{visible(part)}{end}  # {len(value):,} characters"


def _by_action(counts: Counts) -> dict[Action, int]:
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
    numbers = _by_action(counts)
    return " ".join(
        f"{SIGNS[action]}{number}" if action in SIGNS else f"{WORDS[action]} {number}"
        for action, number in numbers.items()
        if number
    )
