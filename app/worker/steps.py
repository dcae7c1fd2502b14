"""What an assignment does, step by step: each step goes on (None) or ends the assignment (End).

Reads from top to bottom as the life of a run on a worker. Knows the engine and the hold; the executor runs the lists
PLAN_STEPS and APPLY_STEPS, asks between steps whether the assignment has to end, and turns exceptions into ends.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from app.core.errors import BrokenError, UserError
from app.core.names import Secret
from app.core.planjson import read_plan
from app.core.protocol import (
    MAX_ARCHIVE_BYTES,
    Assignment,
    Next,
    Outcome,
    Output,
    PlanReport,
    Stage,
    StageReport,
    StateAccess,
)
from app.core.statepoint import Obstacle
from app.engine.archive import StreamCipher, pack, restore
from app.engine.backend import implied_state_mode
from app.engine.environment import CloneAccess, ManagedState
from app.engine.git import Mirror, Source
from app.engine.planfile import read_state_point
from app.engine.terraform import WHOLE, Done, Failure, Folders, Part, StackSettings, Terraform, inside
from app.engine.tools import Engine, check_version, find_engine
from app.engine.workspace import Workspace
from app.worker.client import Hold
from app.worker.config import MakeCipher, WorkerConfig
from app.worker.ending import Ending
from app.worker.log import JobLog

PREVIEWS: Final = frozenset({"proposed", "drift"})
"""Types of runs that change no state."""


@dataclass(slots=True, kw_only=True)
class Job:
    """One assignment under way: what its steps share."""

    config: WorkerConfig
    assignment: Assignment
    hold: Hold
    workspace: Workspace
    mirror: Mirror
    make_cipher: MakeCipher
    ending: Ending
    log: JobLog
    state: StateAccess | None
    """Credentials of managed state; a first run gets them with its stage."""
    engine: Engine | None = None
    """Set by the first step."""
    has_changes: bool = False
    """What the plan's exit code said."""

    def terraform(self) -> Terraform:
        """The engine in this job's workspace, under the control that counts now."""
        assignment, workspace = self.assignment, self.workspace
        folders = Folders(
            source=workspace.source,
            data_dir=workspace.data_dir,
            plan_file=workspace.plan_file,
            home=workspace.home,
            tmp=workspace.tmp,
        )
        stack = StackSettings(
            name=assignment.stack_name,
            project_root=assignment.project_root,
            workspace=assignment.workspace or "default",
            var_files=assignment.var_files,
            backend_config=assignment.backend_config,
            environment=assignment.environment,
            state=_managed(self.state, self.config.control_url.rstrip("/")),
            is_preview=assignment.run_type in PREVIEWS,
        )
        return Terraform(self.found_engine, folders, stack, control=self.ending.control, log=self.log.line)

    @property
    def found_engine(self) -> Engine:
        """The engine, once it was found."""
        if self.engine is None:
            raise BrokenError(f"running stack {self.assignment.stack_name}: no engine was chosen")
        return self.engine

    def enter(self) -> None:
        """Mark the workspace as this assignment's: a lost one must not remove what its successor has made there."""
        self._owner_file.write_text(self.assignment.id)

    def leave(self) -> None:
        """Remove the workspace, unless it is another assignment's by now. Before the result: the next may be here."""
        if self._owner_file.is_file() and self._owner_file.read_text() == self.assignment.id:
            self.workspace.close()

    @property
    def _owner_file(self) -> Path:
        return self.workspace.path / "assignment"

    @property
    def archive_file(self) -> Path:
        """Where the archive is on its way; not itself part of an archive."""
        return self.workspace.tmp / "workspace.archive"


@dataclass(frozen=True, slots=True)
class End:
    """How the assignment ended. `outcome` None: the control plane knows already."""

    outcome: Outcome | None
    reason: str = ""
    outputs: tuple[Output, ...] = ()
    obstacle: Obstacle | None = None
    """With FAILED: what the engine met before it changed anything."""


Step = Callable[[Job], End | None]


def choose_engine(job: Job) -> End | None:
    """Find the stack's engine on this worker, in the version that the stack asks for."""
    config, assignment = job.config, job.assignment
    job.engine = find_engine(
        assignment.tool,
        terraform_bin=config.terraform_bin,
        tofu_bin=config.tofu_bin,
        search_path=config.search_path,
    )
    check_version(job.engine, assignment.version, stack=assignment.stack_name)
    return None


def fetch(job: Job) -> End | None:
    """Check the commit out into the empty workspace."""
    assignment = job.assignment
    job.log.section("fetch")
    source = Source(assignment.repository_id, assignment.clone_url, Secret(assignment.clone_token))
    job.mirror.checkout(source, assignment.sha, job.workspace.source)
    job.log.line(f"checked out {assignment.sha}")
    if assignment.clone_note:
        job.log.line(assignment.clone_note)
    return None


def report_initializing(job: Job) -> End | None:
    """Move the run on; say who the configuration wants to keep the state, and get credentials when it is managed."""
    assignment = job.assignment
    mode = _implied_mode(job)
    answer = job.hold.stage(StageReport(fencing=job.hold.fencing, stage=Stage.INITIALIZING, state_mode=mode))
    if answer.state is not None:
        job.state = answer.state
        job.log.know(answer.state.password)
    if (assignment.state_mode or mode) == "managed" and job.state is None:
        raise BrokenError(f"preparing stack {assignment.stack_name}: managed state, but no credentials came for it")
    return None


def init(job: Job) -> End | None:
    """Backend, modules, providers. Afterwards the clone token is forgotten."""
    return _init(job, with_locked_providers=False)


def report_planning(job: Job) -> End | None:
    """Move the run on."""
    job.hold.stage(StageReport(fencing=job.hold.fencing, stage=Stage.PLANNING))
    return None


def plan(job: Job) -> End | None:
    """Make the plan file."""
    job.log.section("plan")
    part = Part(targets=job.assignment.targets, excluded=job.assignment.excluded)
    if part != WHOLE:
        job.log.line(f"planning a part: {len(part.targets)} addresses alone, {len(part.excluded)} left out")
    planned = job.terraform().plan(part, is_destroy=job.assignment.run_type == "destroy")
    if isinstance(planned, Failure):
        return End(Outcome.FAILED, planned.text, obstacle=planned.obstacle)
    job.has_changes = planned.has_changes
    return None


def report_plan(job: Job) -> End | None:
    """Read the plan, hand it in, and do what the answer says."""
    shown = job.terraform().show()
    if isinstance(shown, Failure):
        return End(Outcome.FAILED, shown.text)
    if job.ending.wanted is not None:
        return None
    secrets = [job.assignment.environment.get(name, "") for name in job.assignment.secret_names]
    report = PlanReport(
        fencing=job.hold.fencing,
        digest=file_digest(job.workspace.plan_file),
        engine=job.found_engine.label,
        has_changes=job.has_changes,
        summary=read_plan(shown, secrets=secrets),
        is_targeted=bool(job.assignment.targets or job.assignment.excluded),
        state=read_state_point(job.workspace.plan_file),
    )
    del shown
    job.log.line("planned: " + ("there are changes" if job.has_changes else "no changes"))
    job.log.drain()  # the answer may end the assignment, and its log with it
    answer = job.hold.plan(report)
    match answer.next:
        case Next.ARCHIVE:
            return store(job)
        case Next.APPLY:
            job.ending.begin_applying()
            return apply(job)
        case Next.DONE:
            return End(None)


def store(job: Job) -> End:
    """Archive the workspace, encrypted, and hand it over: this worker is free then."""
    job.log.section("store")
    with open_private(job.archive_file) as file:
        info = pack(job.workspace, file, cipher=_cipher(job), max_bytes=MAX_ARCHIVE_BYTES)
    job.hold.put_archive(job.archive_file)
    job.log.line(f"stored the workspace: {info.size_bytes} bytes")
    for left_out in info.left_out:
        job.log.line(f"left out: {left_out}")
    return End(Outcome.PLANNED)


def restore_workspace(job: Job) -> End | None:
    """Bring the confirmed plan and everything that it was made from back to where it was."""
    job.log.section("restore")
    with open_private(job.archive_file) as file:
        job.hold.get_archive(file)
        file.seek(0)
        restore(job.workspace, file, cipher=_cipher(job))
    job.archive_file.unlink()
    return None


def verify(job: Job) -> End | None:
    """Hold plan file and engine against what was confirmed."""
    assignment, found = job.assignment, file_digest(job.workspace.plan_file)
    if found != assignment.plan_digest:
        return End(
            Outcome.FAILED,
            f"the stored plan is not the confirmed one: {found[:12]} instead of {assignment.plan_digest[:12]}: "
            "nothing was applied",
        )
    if job.found_engine.label != assignment.engine:
        return End(
            Outcome.FAILED,
            f"the plan was made with {assignment.engine} and this worker has {job.found_engine.label}: a plan does not "
            "cross versions: nothing was applied; plan again",
        )
    job.log.line(f"plan {found[:12]} of {assignment.engine}: as confirmed")
    return None


def init_locked(job: Job) -> End | None:
    """Providers as the lock file has them; modules and backend are there already."""
    return _init(job, with_locked_providers=True)


def request_apply(job: Job) -> End | None:
    """Ask for permission. Whatever happens from here on, the run is applying; without a yes nothing starts."""
    job.hold.request_apply(digest=job.assignment.plan_digest, engine=job.assignment.engine)
    job.ending.begin_applying()
    return None


def apply(job: Job) -> End:
    """Apply the plan file, and read the outputs."""
    job.log.section("apply")
    terraform = job.terraform()
    applied = terraform.apply()
    if isinstance(applied, Failure):
        reason = applied.text + _save_errored_state(job, terraform)
        return End(Outcome.FAILED, reason, obstacle=applied.obstacle)
    outputs = terraform.outputs()
    if isinstance(outputs, Failure):
        job.log.line(f"applied, but its outputs could not be read: {outputs.text}")
        return End(Outcome.APPLIED)
    return End(Outcome.APPLIED, outputs=tuple(_redacted(job, output) for output in outputs))


PLAN_STEPS: Final[tuple[Step, ...]] = (
    choose_engine,
    fetch,
    report_initializing,
    init,
    report_planning,
    plan,
    report_plan,
)
APPLY_STEPS: Final[tuple[Step, ...]] = (choose_engine, restore_workspace, verify, init_locked, request_apply, apply)


def _implied_mode(job: Job) -> str:
    """What the configuration implies; empty when that cannot be read and is known already."""
    assignment = job.assignment
    root = inside(job.workspace.source, assignment.project_root, what="project root", stack=assignment.stack_name)
    if not root.is_dir():
        raise UserError(
            f"preparing stack {assignment.stack_name}: project root {assignment.project_root!r}: no such folder"
        )
    try:
        return implied_state_mode(root)
    except UserError:
        if assignment.state_mode:
            return ""
        raise


def _init(job: Job, *, with_locked_providers: bool) -> End | None:
    job.log.section("init")
    token = job.assignment.clone_token
    clone = CloneAccess(url=job.assignment.clone_url, token=Secret(token)) if token else None
    done = job.terraform().init(clone=clone, with_locked_providers=with_locked_providers)
    job.assignment = msgspec.structs.replace(job.assignment, clone_token="")
    return None if isinstance(done, Done) else End(Outcome.FAILED, done.text)


def _save_errored_state(job: Job, terraform: Terraform) -> str:
    """Save what the apply could not: to the backend once more, else to this worker's disk. Words for the reason."""
    errored = terraform.errored_state
    if errored is None:
        return ""
    job.log.section("state push")
    pushed = terraform.push_errored_state() if job.state is not None else None
    if isinstance(pushed, Done):
        return "\nthe state could not be saved during the apply; it was saved afterwards"
    kept = job.config.errored_root / f"{job.workspace.run_id}.tfstate"
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with errored.open("rb") as source, open_private(kept) as target:
        shutil.copyfileobj(source, target)
    job.log.line(f"the state is kept on worker {job.config.name} in {kept}")
    return f"\nthe state could not be saved: errored.tfstate is kept on worker {job.config.name} in {kept}"


def _redacted(job: Job, output: Output) -> Output:
    return output if output.value is None else msgspec.structs.replace(output, value=job.log.redact(output.value))


def _cipher(job: Job) -> StreamCipher:
    return job.make_cipher(Secret(job.assignment.data_key), job.assignment.archive_context)


def _managed(state: StateAccess | None, control_url: str) -> ManagedState | None:
    if state is None:
        return None
    password = Secret(state.password)
    address = f"{control_url}{state.address}" if state.address.startswith("/") else state.address
    return ManagedState(address=address, username=state.username, password=password, is_read_only=state.is_read_only)


def open_private(path: Path) -> BinaryIO:
    """A new file for writing and reading that nobody else can read; an old one at the path is replaced."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w+b")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises: UserError when it is not there.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"reading the plan file: {error.strerror}") from error
