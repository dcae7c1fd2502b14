"""What a worker does with a fork's commit: init without a backend, validate, and nothing else.

The assignment brings no variables, no state and no key. Its clone token, where the repository needs one, is spent by
the worker's own fetch: no command of the engine ever sees it.
"""

from typing import Final

import msgspec

from app.core.protocol import Outcome, Stage, StageReport
from app.engine.terraform import Failure
from app.worker.job import End, Job, Step
from app.worker.steps import fetch, report_planning
from app.worker.tools import choose_engine, lay_out_providers


def require_isolation(job: Job) -> End | None:
    """Nothing of a fork begins outside of a box: to validate is to start the providers that it names."""
    isolation = job.config.isolation
    if isolation.is_on:
        return None
    return End(
        Outcome.FAILED,
        f"a fork's commit is validated on isolated workers alone, and worker {job.config.name} is none "
        f"({isolation.why_not}): install bubblewrap on the workers of its pool",
    )


def report_initializing(job: Job) -> End | None:
    """Move the run on, and forget the clone token: from here on the fork's own code is at work."""
    job.assignment = msgspec.structs.replace(job.assignment, clone_token="")
    job.hold.stage(StageReport(fencing=job.hold.fencing, stage=Stage.INITIALIZING))
    return None


def init(job: Job) -> End | None:
    """Modules and providers."""
    with job.step("init"):
        lay_out_providers(job)
        done = job.terraform().init_without_backend()
    return End(Outcome.FAILED, done.text, errors=done.errors) if isinstance(done, Failure) else None


def validate(job: Job) -> End:
    """Say whether the configuration is valid."""
    with job.step("validate"):
        done = job.terraform().validate()
    if isinstance(done, Failure):
        return End(Outcome.FAILED, done.text, errors=done.errors)
    return End(Outcome.VALIDATED)


VALIDATE_STEPS: Final[tuple[Step, ...]] = (
    require_isolation,
    fetch,
    choose_engine,
    report_initializing,
    init,
    report_planning,
    validate,
)
