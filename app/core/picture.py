"""The run's table as a picture and as a page of the documentation: docs/states.md is what `states_page` gives.

Generated from the same table that moves runs, so that picture and behaviour cannot differ.
"""

from app.core.run import CLAIMABLE, PERSONS_STEPS, TABLE, TERMINAL, WITH_WORKER, RunState
from app.core.words_run import phase_word

_HEAD = """# The states of a run

Generated from the table in `app/core/run.py` by `app/core/picture.py`; a test fails when the two differ. To write it
again: `python -c "from app.core.picture import states_page; print(states_page(), end='')" > docs/states.md`.

Policies, metrics and JSON have the state as the table spells it. People read its words (`app/core/words_run.py`), and
of a run that has ended what became of it: applied, applied a part, planned only, denied, rejected, outcome unknown.
"""


def state_picture() -> str:
    """The table as a Mermaid state diagram."""
    edges: dict[tuple[RunState, RunState], list[str]] = {}
    for (before, step), after in TABLE.items():
        edges.setdefault((before, after), []).append(step.value)
    lines = ["stateDiagram-v2", f"    [*] --> {RunState.QUEUED.value}"]
    lines += [f"    {before.value} --> {after.value}: {', '.join(steps)}" for (before, after), steps in edges.items()]
    lines += [f"    {state.value} --> [*]" for state in RunState if state in TERMINAL]
    return "\n".join(lines)


def states_page() -> str:
    """The page: the picture, and what each state allows."""
    rows = [f"| {state.value} | {phase_word(state)} | {_holder(state)} | {_steps(state)} |" for state in RunState]
    head = "| state | in words | who holds it | steps, those of persons in bold |"
    table = "\n".join((head, "| --- | --- | --- | --- |", *rows))
    return f"{_HEAD}\n```mermaid\n{state_picture()}\n```\n\n{table}\n"


def _holder(state: RunState) -> str:
    """Who makes the next step."""
    if state in TERMINAL:
        return "nobody: it is over"
    if state in WITH_WORKER:
        return "a worker"
    return "the next free worker" if state in CLAIMABLE else "the control plane, or a person"


def _steps(state: RunState) -> str:
    """The steps that leave a state."""
    steps = [step for before, step in TABLE if before is state]
    return ", ".join(f"**{step.value}**" if step in PERSONS_STEPS else step.value for step in steps) or "none"
