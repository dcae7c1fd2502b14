"""Runs the steps of an assignment's phase in order, and makes one result of whatever happens.

Knows no engine. A lost hold writes nothing more; every other end is reported, with a reason that a person can act on.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, assert_never

import structlog

from app.core.errors import BrokenError, LeaseLost, RetryableError, UserError
from app.core.protocol import Outcome, Phase, ResultReport
from app.engine.files import is_disk_full
from app.engine.programs import free_bytes
from app.worker.hooks import after_run
from app.worker.job import APPLIED, End, Job, Step
from app.worker.places import remarks_of
from app.worker.steps import APPLY_STEPS, PLAN_STEPS
from app.worker.validation import VALIDATE_STEPS

MAX_REASON_CHARS: Final = 4_000
FINAL_STATE: Final = {Outcome.APPLIED: "finished", Outcome.FAILED: "failed", Outcome.STOPPED: "stopped"}
"""What becomes of a run whose assignment ends so; after the other ends it goes on."""
INTERRUPTED: Final = (
    "the worker had to end and interrupted the apply: what was changed until then is in the state; another plan shows "
    "what is left"
)
NO_ROOM: Final = "no space left"
STORE_IS_FULL: Final = "HTTP error: 424"
"""Terraform's words for the control plane's answer when a state finds no room; it shows nothing of its text."""
FULL_BYTES: Final = 256 * 1024
"""A disk with less is full: nothing that a run writes is that small for long."""
_log = structlog.get_logger(__name__)


def steps_of(phase: Phase) -> tuple[Step, ...]:
    """The steps of a phase, in order."""
    match phase:
        case Phase.PLAN:
            return PLAN_STEPS
        case Phase.APPLY:
            return APPLY_STEPS
        case Phase.VALIDATE:
            return VALIDATE_STEPS
        case _:
            assert_never(phase)


def execute(job: Job, steps: Iterable[Step]) -> End | None:
    """How the assignment ended, reported; None when its hold was lost and nothing more may be said."""
    try:
        end = _run(job, (prepare, *steps))
        if job.hold.lost.is_set():
            return None
        if end.outcome in FINAL_STATE:
            with _without_loss(job, "running its after_run hooks"):
                after_run(job, FINAL_STATE[end.outcome])
        left_out = job.log.close()
        with _without_loss(job, "removing its workspace"):
            job.leave()
        if end.outcome is not None:
            report = ResultReport(
                fencing=job.hold.fencing,
                outcome=end.outcome,
                reason=_cut(job.log.redact(end.reason)),
                outputs=end.outputs,
                values=end.values,
                obstacle=end.obstacle,
                remarks=remarks_of(job, end.errors),
                log_bytes_left_out=left_out,
                archive_size_bytes=end.archive.size_bytes if end.archive else 0,
                archive_sha256=end.archive.sha256 if end.archive else "",
                is_shutdown=end.outcome is Outcome.RETURNED and job.ending.wanted is Outcome.RETURNED,
            )
            job.hold.result(report)
    except LeaseLost:
        return None
    return end


def prepare(job: Job) -> End | None:
    """Mark the workspace as this assignment's."""
    job.enter()
    return None


@contextmanager
def _without_loss(job: Job, doing: str) -> Iterator[None]:
    """Whatever goes wrong once it is known how a run ended is for this worker's operator: the result goes out."""
    try:
        yield
    except Exception as error:  # of an apply the outcome would be unknown, and its stack on hold
        text = job.log.redact(f"{type(error).__name__}: {error}")
        _log.error("after the end of an assignment", run=job.assignment.run_id, doing=doing, error=text)


def _run(job: Job, steps: Iterable[Step]) -> End:
    for step in steps:
        wanted = job.ending.wanted
        if wanted is not None:
            return _ended(wanted, step)
        try:
            end = step(job)
        except LeaseLost:
            raise
        except Exception as error:  # whatever a step meets, the run has to end and say so
            end = _broken(job, step, error)
        wanted = job.ending.wanted
        if wanted is not None and (end is None or end.outcome is Outcome.FAILED):
            return _ended(wanted, step)
        if end is not None:
            end = _with_disk(job, end)
            end = _interrupted(end) if job.ending.is_applying and job.ending.is_interrupted else end
            _say(job, end)
            return end
    raise BrokenError("running an assignment: its last step did not end it")


def _ended(wanted: Outcome, step: Step) -> End:
    words = "the worker shuts down" if wanted is Outcome.RETURNED else "stopped"
    return End(wanted, f"{words} during {step.__name__.replace('_', ' ')}")


def _interrupted(end: End) -> End:
    """The same end, and that it was not the engine's own wish."""
    if end.outcome is not Outcome.FAILED:
        return end
    return replace(end, reason=f"{INTERRUPTED}\n{end.reason}")


def _broken(job: Job, step: Step, error: Exception) -> End:
    """What an exception means: words for people, another try elsewhere, or a person who has to look."""
    if isinstance(error, RetryableError) and not job.ending.is_applying and not is_disk_full(error):
        return End(Outcome.RETURNED, str(error))
    return End(Outcome.FAILED, f"{APPLIED if job.is_applied else ''}{_why(job, step, error)}{job.rescued}")


def _why(job: Job, step: Step, error: Exception) -> str:
    if is_disk_full(error):
        # Another try would meet the same disk: whoever makes room starts it.
        return _no_room(job, step)
    if isinstance(error, UserError):
        return str(error)
    run = job.assignment.run_id
    _log.error("step broke", run=run, step=step.__name__, error=job.log.redact(f"{type(error).__name__}: {error}"))
    what = str(error) if isinstance(error, RetryableError) else "the worker's own log says what happened"
    return f"{step.__name__.replace('_', ' ')} on worker {job.config.name}: {what}"


def _with_disk(job: Job, end: End) -> End:
    """A failure on a full disk says so: a hook or an engine may have seen its consequences alone."""
    if end.outcome is not Outcome.FAILED or NO_ROOM in end.reason:
        return end
    if STORE_IS_FULL in end.reason:
        said = f"{NO_ROOM} on the control plane's disk for artifacts (ARTIFACT_URL, else DATA_DIR): make room there"
    elif free_bytes(job.workspace.path)[1] < FULL_BYTES:
        said = f"{NO_ROOM} on the disk of worker {job.config.name} ({job.workspace.path.parent}): make room there"
    else:
        return end
    return replace(end, reason=f"{end.reason}\nthere is {said}")


def _no_room(job: Job, step: Step) -> str:
    what = "the apply may have begun: look at what it did" if job.ending.is_applying else "nothing was applied"
    what = "the plan is applied" if job.is_applied else what
    return (
        f"{step.__name__.replace('_', ' ')} on worker {job.config.name}: there is {NO_ROOM} on that worker's disk "
        f"({job.workspace.path.parent}, or its DATA_DIR): {what}; make room, then try again"
    )


def _say(job: Job, end: End) -> None:
    if end.reason:
        job.log.section(end.outcome.value if end.outcome else "end")
        job.log.line(end.reason)


def _cut(reason: str) -> str:
    return reason if len(reason) <= MAX_REASON_CHARS else reason[: MAX_REASON_CHARS - 1] + "…"
