"""A run as a deployment: only runs that change something have one.

Source: GitHub's deployments; descriptions take 140 characters, and a discarded plan makes its deployment inactive.
"""

from typing import Final

from app.core.markdown import shortened
from app.core.reply import DeploymentReport, DeploymentState
from app.core.run import RunState
from app.core.runview import RunView, short
from app.core.words_run import phase_word

MAX_DESCRIPTION: Final = 140
_STATES: Final = {
    RunState.QUEUED: None,
    RunState.READY: None,
    RunState.PREPARING: None,
    RunState.INITIALIZING: None,
    RunState.PENDING_REVIEW: None,
    RunState.PLANNING: DeploymentState.QUEUED,
    RunState.UNCONFIRMED: DeploymentState.QUEUED,
    RunState.REPLAN_REQUESTED: DeploymentState.QUEUED,
    RunState.PREPARING_REPLAN: DeploymentState.QUEUED,
    RunState.CONFIRMED: DeploymentState.QUEUED,
    RunState.PREPARING_APPLY: DeploymentState.QUEUED,
    RunState.APPLYING: DeploymentState.IN_PROGRESS,
    RunState.FINISHED: DeploymentState.SUCCESS,
    RunState.FAILED: DeploymentState.FAILURE,
    RunState.STOPPED: DeploymentState.INACTIVE,
    RunState.CANCELED: DeploymentState.INACTIVE,
    RunState.DISCARDED: DeploymentState.INACTIVE,
    RunState.SKIPPED: DeploymentState.INACTIVE,
}
"""What each state means for a deployment that exists; None: too early for one."""


def deployment_report(view: RunView) -> DeploymentReport | None:
    """What the run's deployment should say now; None for runs without changes, or stacks without deployments."""
    run = view.run
    state = _state(view)
    if view.environment is None or state is None or not run.type.is_state_changing:
        return None
    return DeploymentReport(
        environment=view.environment,
        sha=run.head_sha,
        task=f"trackside:{run.stack_name}",
        description=_bounded(f"{run.stack_name} at {short(run.head_sha)}"),
        payload={"run": run.id, "stack": run.stack_name, "tag": run.tag},
        is_production=view.is_production,
        state=state,
        state_description=_bounded(_describe(view)),
        log_url=view.run_url,
    )


def _state(view: RunView) -> DeploymentState | None:
    """The deployment's state. A later plan exists only after one with changes, so its deployment exists too."""
    run = view.run
    if run.plan_number == 1 and not view.has_changes:
        return None
    if run.state is RunState.FINISHED and not _is_applied(view):
        return DeploymentState.INACTIVE
    return _STATES[run.state]


def _describe(view: RunView) -> str:
    """The status in one sentence."""
    run = view.run
    by = f" by {run.decided_by}" if run.decided_by else ""
    match run.state:
        case RunState.UNCONFIRMED:
            return "waiting for confirmation"
        case RunState.CONFIRMED | RunState.PREPARING_APPLY:
            return f"confirmed{by}"
        case RunState.APPLYING:
            return f"applying {view.counts}"
        case RunState.FINISHED:
            if _is_applied(view):
                return f"applied: {view.counts}"
            return "planned only: nothing was applied" if view.has_changes else "no changes any more"
        case RunState.FAILED:
            return "outcome unknown: the worker was lost while applying" if run.is_outcome_unknown else _why(view)
        case RunState.DISCARDED:
            return f"discarded{by}"
        case _:
            return phase_word(run.state)


def _is_applied(view: RunView) -> bool:
    """False for a run that ended well without an apply: nothing to do any more, or planned only."""
    return view.has_changes and view.run.confirmed_digest is not None


def _why(view: RunView) -> str:
    """The first line of the reason, and of what it announces; it may name what the plan is of, so not where everybody
    reads it."""
    if view.is_veiled:
        return "failed: the run's page says why"
    first, *others = view.run.reason.strip().splitlines() or ["failed"]
    return f"{first} {others[0].strip().removeprefix('- ')}" if first.endswith(":") and others else first


def _bounded(text: str) -> str:
    return shortened(text, MAX_DESCRIPTION)
