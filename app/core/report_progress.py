"""How far a run is that a worker has: what it has dealt with, and for how long it has been at it."""

from typing import Final

from app.core.run import RunState
from app.core.runview import RunView

WORTH_SAYING_S: Final = 10.0
"""From when on it is said."""


def how_far(view: RunView) -> str:
    """`12 of 40 resources done, 45 s`; empty while there is nothing worth saying."""
    if view.in_state_s < WORTH_SAYING_S:
        return ""
    counts = view.delta.resources
    total = counts.create + counts.update + counts.replace + counts.delete + counts.read
    counted = ""
    if view.run.state is RunState.APPLYING and total:
        counted = f"{min(view.done, total):,} of {total:,} {_resources(total)} done, "
    elif view.run.state is RunState.PLANNING and view.done:
        counted = f"{view.done:,} {_resources(view.done)} read, "
    return counted + _elapsed(view.in_state_s)


def _resources(count: int) -> str:
    return "resource" if count == 1 else "resources"


def _elapsed(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 5 min`: no finer than anybody looks."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole // 5 * 5} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
