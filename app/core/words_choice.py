"""What the App says of a choice of changes: why it cannot be carried out, and the way on. Markdown.

Pure; foreign words go into code. Stands beside `app.core.words`.
"""

from app.core.choice import Problem, Targeting, Trouble
from app.core.markdown import code
from app.core.run import Run

MAX_PICK = 200
"""Characters of a chosen word that are shown again."""
_ADDRESSES = (
    ". An address names one too, written as the plan has it, a key in double quotes and all of it in backticks: "
    + code('aws_instance.web["a b"]')
)


def choice_refused(run: Run, problem: Problem, prefix: str, *, listed: int) -> str:
    """A replan's choice chooses nothing that could be planned. `listed`: how many changes the plan lists."""
    name, number = code(run.stack_name), run.plan.number if run.plan else run.plan_number
    example = code(f"{prefix} replan {run.stack_name} only 1")
    pick = code(problem.pick, limit=MAX_PICK)
    match problem.trouble:
        case Trouble.EMPTY:
            why = f"no change is named. Name numbers or addresses of plan {number}, as in {example}"
        case Trouble.UNKNOWN:
            why = _unknown(problem, pick, number, listed)
        case Trouble.OUTPUT:
            what = f"{pick} is an output" if problem.pick else "only outputs are chosen"
            why = f"{what}, and outputs cannot be chosen: they follow from the resources that are planned"
        case Trouble.NOTHING_LEFT:
            discard = code(f"{prefix} discard {run.stack_name}")
            why = f"nothing is left of plan {number} without what is excepted. {discard} turns the plan down"
        case Trouble.MOVE:
            what = pick if problem.pick else "a change that you left out"
            why = f"{what} moves, and the engine plans no part of a configuration that leaves a pending move out"
        case Trouble.NOT_LISTED:
            why = (
                f"plan {number} has more changes than are listed, and this choice would have to name those too. "
                f"A choice as in {example} need not, unless a move is among them"
            )
        case Trouble.GONE:
            whole = code(f"{prefix} replan {run.stack_name}")
            why = f"the changes of plan {number} are not kept any more. {whole} plans the whole commit again"
        case Trouble.TOO_MANY:
            why = "the choice is longer than the engine's command line takes. Choose fewer changes"
    return f"Not done for {name}: {why}."


def part_requested(run: Run, targeting: Targeting) -> str:
    """A replan of chosen changes was carried out."""
    return (
        f"Another plan of {code(run.stack_name)} is being made, of a part of plan {targeting.of_plan}: "
        f"{chosen_words(targeting)}. What that depends on may come with it."
    )


def chosen_words(targeting: Targeting) -> str:
    """What was chosen, in a few words: `one resource chosen`."""
    count = len(targeting.excluded or targeting.chosen)
    what = "one resource" if count == 1 else f"{count:,} resources"
    return f"everything but {what}" if targeting.excluded else f"{what} chosen"


def _unknown(problem: Problem, pick: str, number: int, listed: int) -> str:
    if not problem.nearest:
        addresses = "" if problem.pick[:1].isdecimal() else _ADDRESSES
        return f"plan {number} has no change {pick}; its changes are numbered 1 to {listed:,}{addresses}"
    nearest = code(problem.nearest, limit=MAX_PICK)
    return f"plan {number} has no change {pick}. Did you mean {nearest}? Its number can be given instead"
