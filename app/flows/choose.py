"""What the next plan of a run is to be of: the whole commit, or what a person chose of the plan that is shown.

Asks the transaction for the shown plan's changes; what the words mean is core's.
"""

from app.core.choice import Choice, Problem, Shown, Targeting, Trouble, can_exclude, resolve
from app.core.plan import PlanSummary
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
