"""What a comparison of what exists with what was deployed says on its commit, and whether that still stands."""

from dataclasses import dataclass

from app.core.command import Verb
from app.core.reply import Conclusion
from app.core.report_offer import command
from app.core.run import Trigger
from app.core.runview import RunView


@dataclass(frozen=True, slots=True)
class Compared:
    """The end of a drift run as a check says it."""

    conclusion: Conclusion
    title: str
    line: str


def compared(view: RunView) -> Compared:
    """What a drift run found; what it found no longer once something newer is known."""
    if not view.has_changes:
        return Compared(Conclusion.SUCCESS, "no drift", "What exists is what the stack has deployed.")
    if view.is_drift_over:
        line = (
            f"This run found drift ({view.counts}). It no longer stands: the stack was deployed, or compared, after it."
        )
        return Compared(Conclusion.SUCCESS, "drift: over", line)
    line = f"What exists is not what the stack has deployed. {_way_back(view)}"
    return Compared(Conclusion.NEUTRAL, f"drift: {view.counts}", line)


def _way_back(view: RunView) -> str:
    if view.is_reconciled and view.run.trigger is Trigger.DRIFT:
        return "The stack makes a run of this commit that takes it back, or its page says why not."
    return f"On this commit, {command(view, Verb.DEPLOY, view.run.stack_name)} plans to bring it back."
