"""What the command line says of managed states: one line for each thing done, and why something is not done; what their
door says to whoever may not change one.

Pure. Versions are named by their ULIDs, as `trackside state list` shows them.
"""

from collections.abc import Sequence

from app.core.record import StateVersion
from app.core.run import Run

PREVIEWS_ONLY = "changing the state: a preview or a drift run changes none, and its credentials may only read it"
NOT_APPLYING = (
    "changing the state: only an apply does, and none has begun; until then it may be read and locked. `moved` and "
    "`removed` blocks change addresses with a plan that is confirmed, `trackside state mv|rm` does on the server"
)
KEPT = "changing the state: its versions are kept for ever, so it cannot be deleted"
UNKNOWN = "`trackside stacks` lists the stacks with their ids"


def version_line(version: StateVersion, *, is_current: bool) -> str:
    """One version in a list."""
    where = "kept apart" if version.is_quarantined else "current" if is_current else ""
    by = f"run's assignment {version.assignment_id}" if version.assignment_id else "by hand"
    when = version.created_at.strftime("%Y-%m-%d %H:%M:%S")
    line = f"{version.id}  {when}  serial {version.serial:<6}  {version.size_bytes:>9} bytes  {where:10}  {by}"
    return f"{line}  lineage {version.lineage}"


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
