"""What the next plan of a run is to be of: the whole commit, or what a person chose of the plan that is shown; and how
much of the whole such a part leaves undone.

Asks the transaction for the plans' changes; what the words mean is core's.
"""

from app.core.choice import Choice, Problem, Shown, Targeting, Trouble, can_exclude, resolve
from app.core.plan import PlanSummary
from app.core.rest import Rest, rest_of
from app.core.run import Run
from app.core.words_choice import choice_refused
from app.flows.ports import Transaction


def choose(tx: Transaction, run: Run, choice: Choice | None, prefix: str) -> Targeting | str | None:
    """What the next plan is restricted to (None: nothing), or why the choice cannot be carried out, in words."""
    if choice is None:
        return None
    summary = tx.find_summary(run.id, run.plan.number) if run.plan is not None else None
    found = _resolve(run, choice, summary)
    if isinstance(found, Problem):
        if tx.get_run_facts(run).is_veiled:  # the answer is public, and the plan's addresses are not
            found = found.veiled()
        return choice_refused(run, found, prefix, listed=len(summary.changes) if summary else 0)
    return found


def left_undone(tx: Transaction, run: Run, part: PlanSummary, *, has_changes: bool) -> Rest | None:
    """How much of the whole plan is still to be done once the run's plan of a part is; None for a plan of the whole,
    and when the whole one is not kept."""
    whole = tx.find_summary(run.id, run.targeting.of_plan) if run.targeting is not None else None
    if run.targeting is None or whole is None:
        return None
    return rest_of(run.targeting, whole, part, has_changes=has_changes)


def _resolve(run: Run, choice: Choice, summary: PlanSummary | None) -> Targeting | Problem:
    if run.plan is None or summary is None:
        return Problem(trouble=Trouble.GONE)
    shown = Shown(
        number=run.plan.number,
        summary=summary,
        targeting=run.targeting,
        can_exclude=can_exclude(run.plan.engine),
    )
    return resolve(choice, shown)
