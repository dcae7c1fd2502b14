"""The hooks of a stack: lines of the repository's own shell around init, plan and apply, and after the run.

Says when they run and what their end means; `app.engine.hooks` runs one. Each has a section of the log.
"""

from typing import Final

from app.core.errors import TracksideError
from app.core.protocol import Outcome
from app.core.words_state import NOT_APPLYING
from app.engine.hooks import run_hook
from app.worker.job import End, Job

AFTER_RUN: Final = "after_run"
MAX_SHOWN_CHARS: Final = 200
"""What of a line a log's section and a reason say."""


def hooks(job: Job, moment: str, **told: str) -> End | None:
    """Run the lines of a moment, one after the other; the first that fails ends the run.

    What they export is there for everything that follows on this worker. `told`: more variables about the run.
    """
    lines = job.assignment.hooks.get(moment, ())
    for number, line in enumerate(lines, start=1):
        if job.ending.wanted is not None and moment != AFTER_RUN:
            return None
        with job.step(f"{moment} {number} of {len(lines)}"):
            told_why = ""
            job.log.line(f"$ {_shown(line)}")
            hooked = run_hook(job.bench(**told), line)
            job.exported |= hooked.exported
            if hooked.refused:
                job.log.line(f"exported, and not handed on: {', '.join(hooked.refused)}")
            if hooked.is_state_refused and job.state is not None and not job.ending.is_applying:
                job.log.line(NOT_APPLYING)
                told_why = f": {NOT_APPLYING}"
        if hooked.failure:
            return End(Outcome.FAILED, f"hook {moment} `{_shown(line)}` {hooked.failure}{told_why}")
    return None


def after_run(job: Job, final_state: str) -> None:
    """The hooks after the run, once, whose failure changes nothing. Without an engine and a checkout there are none."""
    if job.is_after_run_done or job.engine is None or not job.assignment.hooks.get(AFTER_RUN):
        return
    job.is_after_run_done = True
    job.ending.begin_after_run()
    job.doing = final_state
    try:
        failed = hooks(job, AFTER_RUN, final_run_state=final_state)
    except TracksideError as error:
        failed = End(Outcome.FAILED, str(error))
    if failed is not None:
        job.log.line(f"{failed.reason}: the run has ended already, this changes nothing")


def _shown(line: str) -> str:
    one = " ".join(line.split())
    return one if len(one) <= MAX_SHOWN_CHARS else one[: MAX_SHOWN_CHARS - 1] + "…"
