"""Which engine an assignment works with, and where that gets its providers: steps before `init`.

Knows a worker's toolbox and its store of packages; what they hold, and what may be fetched, is the engine room's.
"""

from pathlib import Path

from app.core.errors import UserError
from app.core.protocol import Outcome, Phase
from app.engine.bench import inside
from app.engine.layout import prepare_providers
from app.engine.requirements import required_version
from app.engine.tools import OPENTOFU
from app.worker.job import End, Job


def choose_engine(job: Job) -> End | None:
    """Choose the stack's engine: its `version`, else what the checked out root module requires."""
    assignment = job.assignment
    constraint = assignment.version or required_version(project_root(job), is_opentofu=assignment.tool == OPENTOFU)
    # A fork's commit chooses among what is there: it brings nothing onto this machine.
    may_fetch = assignment.phase is not Phase.VALIDATE
    toolbox = job.config.toolbox(job.is_ending)
    job.engine = toolbox.choose(assignment.tool, constraint, stack=assignment.stack_name, may_fetch=may_fetch)
    job.log.line(f"engine: {job.engine.label}" + (f", for version {constraint!r}" if constraint else ""))
    return None


def pin_engine(job: Job) -> End | None:
    """Take exactly the engine that made the plan, also when a newer one is here by now."""
    label, toolbox = job.assignment.engine, job.config.toolbox(job.is_ending)
    job.engine = toolbox.find_exactly(label)
    if job.engine is not None:
        return None
    has = ", ".join(toolbox.labels(label.partition(" ")[0])) or "none"
    return End(
        Outcome.FAILED,
        f"the plan was made with {label} and this worker has {has}: a plan does not cross versions: "
        "nothing was applied; plan again",
    )


def lay_out_providers(job: Job) -> None:
    """Give `init` the packages that the lock file names; a fork's commit gets those that are here already."""
    may_fetch = job.assignment.phase is not Phase.VALIDATE
    prepared = prepare_providers(
        project_root(job), job.workspace.home, job.config.providers, may_fetch=may_fetch, is_ending=job.is_ending
    )
    job.installation = prepared.installation
    for line in prepared.lines:
        job.log.line(line)


def project_root(job: Job) -> Path:
    """Where the stack's root module is checked out. Raises: UserError when it is not in the commit."""
    assignment = job.assignment
    root = inside(job.workspace.source, assignment.project_root, what="project root", stack=assignment.stack_name)
    if not root.is_dir():
        raise UserError(
            f"preparing stack {assignment.stack_name}: project root {assignment.project_root!r}: no such folder"
        )
    return root
