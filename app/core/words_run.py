"""How a run stands, in a word or two: the same on checks, in comments and replies, on pages and on the terminal.

Pure. `state_word` says how a run stands, `phase_word` names one state of its history. The words of the table itself
(`unconfirmed`, `preparing_apply`) are for policies, metrics and documents, never for a sentence.
"""

from dataclasses import dataclass
from typing import Final

from app.core.changelist import delta_line
from app.core.names import RunId
from app.core.plan import Delta
from app.core.ruling import Approval, Verdict
from app.core.run import Run, RunState, RunType

_PHASES: Final = {
    RunState.PENDING_REVIEW: "waiting for review",
    RunState.UNCONFIRMED: "waiting for confirmation",
    RunState.REPLAN_REQUESTED: "replan requested",
    RunState.PREPARING_REPLAN: "preparing the next plan",
    RunState.PREPARING_APPLY: "preparing to apply",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run in one line."""

    id: RunId
    type: RunType
    state: RunState
    delta: Delta | None
    """None while there is no plan."""
    has_changes: bool
    url: str
    plan_number: int = 1
    is_from_fork: bool = False
    """Validated alone: there is never a plan."""
    is_planned_only: bool = False
    """Nothing of its plan was confirmed."""
    is_part: bool = False
    """Its plan leaves something of its commit's undone, or may do so."""
    instead: str = ""
    """What is said instead of its state: what policies, reviews or the loss of its worker made of it."""

    @property
    def counts(self) -> str:
        """The delta; a plan whose changes are not counted still says that it has some."""
        is_counted = self.delta is not None and bool(self.delta.resources.total + self.delta.outputs.total)
        return delta_line(self.delta) if is_counted and self.delta is not None else "changes outside resources"


def run_line(run: Run, run_url: str = "") -> RunLine:
    """A run as one line of a table sees it."""
    return RunLine(
        id=run.id,
        type=run.type,
        state=run.state,
        delta=run.plan.delta if run.plan is not None else None,
        has_changes=run.plan is not None and run.plan.has_changes,
        url=run_url,
        plan_number=run.plan_number,
        is_from_fork=run.is_from_fork,
        is_planned_only=run.confirmed_digest is None,
        is_part=_leaves_something(run),
        instead=_instead(run),
    )


def state_word(run: RunLine) -> str:
    """How a run stands, in a word or two."""
    if run.instead:
        return run.instead
    match run.state:
        case RunState.FINISHED:
            return _end_word(run)
        case RunState.QUEUED | RunState.READY | RunState.REPLAN_REQUESTED:
            return "queued"
        case RunState.PREPARING | RunState.INITIALIZING | RunState.PLANNING | RunState.PREPARING_REPLAN:
            return "validating" if run.is_from_fork else "planning"
        case RunState.PREPARING_APPLY | RunState.APPLYING:
            return "applying"
        case _:
            return phase_word(run.state)


def word_of(run: Run) -> str:
    """How a run stands, of the run itself."""
    return state_word(run_line(run))


def phase_word(state: RunState) -> str:
    """One state, apart from what became of its run."""
    return _PHASES.get(state, state.value)


def part_word(run: Run) -> str:
    """Which part of a plan its newest plan is and, once that is settled, how much of the whole is still pending; empty
    for a plan of the whole, and when nothing is pending any more."""
    if run.targeting is None:
        return ""
    said = f"part of plan {run.targeting.of_plan}"
    if run.plan is None or run.state is not RunState.FINISHED:
        return said
    if run.plan.has_changes and run.confirmed_digest is None:
        return said
    if run.plan.rest is None:
        return f"{said}, what is still pending is not known"
    return f"{said}, {run.plan.rest.words} still pending" if run.plan.rest.most else ""


def _end_word(run: RunLine) -> str:
    """What a run that ended well has done."""
    if run.is_from_fork:
        return "validated"
    if run.type is RunType.PROPOSED:
        return "planned"
    if run.type is RunType.DRIFT:
        return "drift" if run.has_changes else "no drift"
    if not run.has_changes:
        return "without changes"
    if run.is_planned_only:
        return "planned only"
    done = "destroyed" if run.type is RunType.DESTROY else "applied"
    return f"{done} a part" if run.is_part else done


def _leaves_something(run: Run) -> bool:
    """True unless its plan is of the whole commit, or is known to leave nothing of that undone."""
    if run.targeting is None:
        return False
    return run.plan is None or run.plan.rest is None or run.plan.rest.most > 0


def _instead(run: Run) -> str:
    if run.is_outcome_unknown:
        return "outcome unknown"
    if run.plan is None:
        return ""
    if run.state is RunState.UNCONFIRMED and run.plan.approval is Approval.UNDECIDED:
        return "waiting for approval"
    if run.state is not RunState.FAILED:
        return ""
    if run.plan.verdict is Verdict.DENIED:
        return "denied"
    return "rejected" if run.plan.approval is Approval.REJECTED else ""
