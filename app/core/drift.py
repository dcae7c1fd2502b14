"""Drift: what is known of a stack's schedule, when it is looked for, when not and why, and what follows from it.

Pure: flows ask the store and hand in what it knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from app.core import words_drift
from app.core.names import RunId
from app.core.run import Run, RunState, RunType, Trigger
from app.core.stack import Stack
from app.core.words_run import run_line

MAX_FAILURES: Final = 3
"""Runs in a row that were made to take drift back and failed, after which no more are made."""
_APPLIES: Final = frozenset({RunState.CONFIRMED, RunState.PREPARING_APPLY, RunState.APPLYING})
"""Where a run changes what exists, or is about to: nothing can be compared with that."""


class DriftResult(StrEnum):
    """What became of looking for drift, once."""

    CLEAN = "clean"
    FOUND = "found"
    FAILED = "failed"
    """Its run did not get as far as a plan."""
    PASSED_OVER = "passed_over"
    """No run was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftTurn:
    """Where the schedule of a stack stands."""

    due_at: datetime | None = None
    """The next moment; None: it has no schedule."""
    told: str = ""
    """What came of the moment before when that was no run, in words; empty: a run was made, or there was none."""
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFound:
    """What the newest comparison of a stack found; one that no longer stands is not told."""

    run_id: RunId
    at: datetime
    """When it was planned."""
    resources: int
    has_drift: bool
    counts: str
    """The difference in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSeen:
    """All that pages and lists tell of a stack's drift."""

    turn: DriftTurn = DriftTurn()
    found: DriftFound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a stack's comparison stands on."""

    live: Sequence[Run]
    """Its runs that have not ended, oldest first."""
    deployed: Run | None
    """The newest run that ended well and left the stack as its commit says, or destroyed it."""
    newest: Run | None
    """The newest state-changing run that got anywhere, but for those that drift made."""


def deployed_commit(ground: Ground) -> Run | str:
    """The run whose whole commit is deployed; or why none is, in words."""
    run = ground.deployed
    if run is None:
        return words_drift.NOTHING_DEPLOYED
    if run.type is RunType.DESTROY:  # also one that had nothing to do: nothing was there any more
        return words_drift.destroyed(run)
    return words_drift.applied_a_part(run) if run_line(run).is_part else run


def why_not(stack: Stack, ground: Ground) -> str:
    """Why the stack is not compared now, in words; empty when it is."""
    kept = words_drift.kept(stack)
    if kept:
        return kept
    for run in ground.live:
        if run.type is RunType.DRIFT or run.state in _APPLIES:
            return words_drift.not_over(run)
        if run.type.is_state_changing and not stack.settings.drift_ignore_state:
            return words_drift.not_over(run)
    deployed = deployed_commit(ground)
    if isinstance(deployed, str):
        return deployed
    newest = ground.newest
    if newest is not None and newest.state is RunState.FAILED and not stack.settings.drift_ignore_state:
        return words_drift.has_failed(newest)
    return ""


def why_no_reconciliation(stack: Stack, ground: Ground, found: Run, *, failures: int) -> str:
    """Why drift that was found makes no run, in words; empty when it makes one. Asked only where the stack wants it."""
    kept = words_drift.kept(stack)
    if kept:
        return kept
    changing = next((run for run in ground.live if run.type.is_state_changing), None)
    if changing is not None:
        return words_drift.not_over(changing)
    deployed = deployed_commit(ground)
    if isinstance(deployed, str):
        return deployed
    newest = ground.newest
    if newest is not None and newest.type is RunType.DESTROY and newest.state is RunState.FAILED:
        return words_drift.has_failed(newest)  # somebody wants it gone: what is left is not built up again
    if not found.head_sha == deployed.head_sha == stack.head_sha:
        return words_drift.HEAD_IS_NEWER
    return words_drift.gave_up(failures) if failures >= MAX_FAILURES else ""


def is_comparison(run: Run) -> bool:
    """True for a drift run that has ended with a plan, also where a policy has denied that."""
    is_over = run.state in (RunState.FINISHED, RunState.FAILED)
    return run.type is RunType.DRIFT and is_over and run.plan is not None


def is_quiet(run: Run) -> bool:
    """True for a drift run that says nothing on GitHub by itself: one by schedule that has not compared, or has found
    nothing. Where a check of the commit stands already, that has to stay true all the same."""
    if run.type is not RunType.DRIFT or run.trigger is not Trigger.DRIFT:
        return False
    return not is_comparison(run) or run.plan is None or not run.plan.has_changes


def result_of(run: Run) -> DriftResult:
    """What a drift run that has ended came to."""
    if not is_comparison(run) or run.plan is None:
        return DriftResult.FAILED
    return DriftResult.FOUND if run.plan.has_changes else DriftResult.CLEAN
