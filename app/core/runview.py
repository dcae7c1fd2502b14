"""A run with all that its reports need to know, and the phrases that several of them use.

Pure values: the flow that publishes collects them, `report_check` and `report_deployment` turn them into reports.
"""

from dataclasses import dataclass

from app.core.changelist import delta_line
from app.core.plan import Delta, PlanSummary, Remark
from app.core.protocol import Output
from app.core.ruling import Approval
from app.core.run import Run, RunState, Trigger
from app.core.stack import ConfirmRules
from app.core.trigger import Triggered


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run as its reports see it."""

    run: Run
    summary: PlanSummary | None = None
    """Of `run.plan`; None while there is no plan, or when it is gone: the counts then come from `run.plan`."""
    blocked_by: Run | None = None
    """The live state-changing run of the stack that this one waits for."""
    is_superseded: bool = False
    """A newer commit of the stack has verdict track."""
    is_settings_changed: bool = False
    """The stack's effective settings are not those that were planned: this plan can no longer be confirmed."""
    is_stale: bool = False
    """The stack's managed state moved since the plan was made: the engine would refuse to apply it."""
    is_drift_over: bool = False
    """Of a drift run that found something: the stack was deployed or compared since, so that no longer stands."""
    is_reconciled: bool = False
    """The stack makes a run by itself that takes back what its schedule finds."""
    whole: PlanSummary | None = None
    """Of a plan of a part: the plan that it is a part of; None when that is not kept."""
    done: int = 0
    """How many resources the engine has read or changed so far, while a worker has the run."""
    in_state_s: float = 0.0
    """Seconds since the run came into its state, while a worker has it."""
    quarantined: tuple[str, ...] = ()
    """States that a lost worker still wrote, kept apart."""
    stack_hold: str = ""
    """Why nothing of the stack becomes ready; empty: no hold."""
    waits_for: str = ""
    """What keeps a queued run back besides another run, in words: a lock, something outside; hostile text."""
    position: int = 0
    """Its place in its stack's queue, from 1; 0 when it is not queued there."""
    failed_before: str = ""
    """Id of the stack's run before this one, when that one failed; empty: it did not, or this one is over."""
    failed_before_sha: str = ""
    lock_owner: str = ""
    """Who has the stack for themselves; empty: nobody."""
    lock_note: str = ""
    """What they said about it; hostile text."""
    is_promotion_allowed: bool = False
    """The stack lets the head of a pull request be deployed."""
    confirm_rules: ConfirmRules = ConfirmRules()  # noqa: RUF009 - frozen
    """Who may confirm."""
    owner: str = ""
    """Of the repository: whose teams are meant."""
    is_veiled: bool = False
    """Everybody can read the report and nobody has said that they may read the plan: it carries counts and states, but
    no change, no output and no word of the engine."""
    unjudged: tuple[str, ...] = ()
    """Plan policies that have not judged the waiting plan, by name."""
    prefix: str = "/trackside"
    """How a command begins in a comment."""
    is_in_comment: bool = False
    """The words stand in the App's comment on a pull request, and not on a check or a page."""
    run_url: str
    """Address of the run's page."""
    outputs: tuple[Output, ...] = ()
    """After an apply; sensitive ones without a value."""
    triggered: tuple[Triggered, ...] = ()
    """What its trigger policies asked for when it had ended, and what came of it."""
    below: tuple[tuple[str, str], ...] = ()
    """Stack and run of each that waits for this run below."""
    remarks: tuple[Remark, ...] = ()
    """The engine's errors, when the run failed by them."""
    environment: str | None = None
    """Deployment environment; None: no deployments."""
    is_production: bool = False
    """Whether that environment is a production environment."""

    @property
    def is_confirmable(self) -> bool:
        """True when nothing but a person's word is missing."""
        is_spoilt = self.is_superseded or self.is_settings_changed or self.is_stale or bool(self.unjudged)
        if self.run.plan is not None and self.run.plan.approval not in (Approval.NONE, Approval.APPROVED):
            return False
        return self.run.state is RunState.UNCONFIRMED and not is_spoilt

    @property
    def delta(self) -> Delta:
        """The counts of the plan; zeros while there is none."""
        if self.run.plan is not None:
            return self.run.plan.delta
        return self.summary.delta if self.summary is not None else Delta()

    @property
    def has_changes(self) -> bool:
        """True when the newest plan wants to change something, also when that is neither resource nor output."""
        return self.run.plan is not None and self.run.plan.has_changes

    @property
    def counts(self) -> str:
        """The delta in one line; a plan whose changes are not counted still says that it has some."""
        return "changes outside resources" if self.has_changes and not _total(self.delta) else delta_line(self.delta)


def short(sha: str) -> str:
    """A commit as people write it."""
    return sha[:7]


def cause(run: Run) -> str:
    """What made the run: `push`, `tag v1`, `pull request`."""
    if run.trigger is Trigger.POLICY:
        return "trigger policy"
    return f"tag {run.tag}" if run.trigger is Trigger.TAG and run.tag else run.trigger.value.replace("_", " ")


def _total(delta: Delta) -> int:
    return delta.resources.total + delta.outputs.total
