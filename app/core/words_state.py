"""What the command line says of managed states: one line for each thing done, and why something is not done; what their
door says to whoever may not change one.

Pure. Versions are named by their ULIDs, as `trackside state list` shows them.
"""

from collections.abc import Sequence

from app.core.record import StateVersion
from app.core.run import Run
from app.core.table import table_lines

PREVIEWS_ONLY = "changing the state: a preview or a drift run changes none, and its credentials may only read it"
NOT_APPLYING = (
    "changing the state: only an apply does, and none has begun; until then it may be read and locked. `moved` and "
    "`removed` blocks change addresses with a plan that is confirmed, `trackside state mv|rm` does on the server"
)
KEPT = "changing the state: its versions are kept for ever, so it cannot be deleted"
_COLUMNS = ("VERSION", "WRITTEN (UTC)", "SERIAL", "BYTES", "STANDING", "BY", "LINEAGE")
UNKNOWN = "`trackside stacks` lists the stacks with their ids"


def version_lines(versions: Sequence[StateVersion], current: str) -> list[str]:
    """The table of versions; empty without any. `current`: the id of the one in force, or empty."""
    return table_lines(_COLUMNS, (_row(version, current) for version in versions))


def version_document(version: StateVersion, current: str) -> dict[str, object]:
    """One version for programs."""
    return {
        "id": version.id,
        "serial": version.serial,
        "lineage": version.lineage,
        "size_bytes": version.size_bytes,
        "is_current": version.id == current,
        "is_kept_apart": version.is_quarantined,
        "assignment_id": version.assignment_id,
        "digest": version.digest,
        "created_at": version.created_at.isoformat(),
    }


def _row(version: StateVersion, current: str) -> tuple[str, ...]:
    where = "kept apart" if version.is_quarantined else "current" if version.id == current else "-"
    by = f"assignment {version.assignment_id}" if version.assignment_id else "by hand"
    when = f"{version.created_at:%Y-%m-%d %H:%M:%S}"
    return version.id, when, str(version.serial), f"{version.size_bytes:,}", where, by, version.lineage


def written(stack: str, version: StateVersion, waiting: Sequence[Run]) -> str:
    """A version was written by hand."""
    said = f"stack {stack} has state version {version.id} now: serial {version.serial}"
    if not waiting:
        return said
    return f"{said}; run {waiting[0].id} waits with a plan of the state before: `trackside replan {waiting[0].id}`"


def unchanged(stack: str, version: StateVersion) -> str:
    """What was pushed is what is there."""
    return f"stack {stack} has exactly this state already: version {version.id}, serial {version.serial}"


def dropped(stack: str, version: StateVersion) -> str:
    """A version that was kept apart is gone."""
    return f"version {version.id} of stack {stack}, which was kept apart, is gone for good"


def is_held(action: str, worker: str, run_id: str) -> str:
    """A worker may come to write the state."""
    held = f"worker {worker} holds run {run_id} of the stack, which may come to write its state"
    return f"{action}: {held}; wait until it has ended"


def is_external(action: str) -> str:
    """The state is not ours."""
    return f"{action}: its state is external: terraform keeps it in the backend that the configuration names"


def other_lineage(action: str, found: str, wanted: str) -> str:
    """The state is another one's."""
    return f"{action}: its lineage is {found[:100]} and the stack's is {wanted}: another state; --force takes it anyway"


def old_serial(action: str, found: int, wanted: int) -> str:
    """The state is older, or has moved on in another way."""
    return f"{action}: its serial is {found} and the current one's is {wanted}: an older state; --force takes it anyway"


def has_moved(action: str) -> str:
    """Somebody else was faster."""
    return f"{action}: the state was changed meanwhile: nothing was written; try again"
