"""What an assignment does, step by step: each step goes on (None) or ends the assignment (End).

Reads from top to bottom as the life of a run on a worker. Knows the engine and the hold; the executor runs the lists
PLAN_STEPS and APPLY_STEPS, asks between steps whether the assignment has to end, and turns exceptions into ends.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from app.core.dependency import MAX_TOTAL_BYTES
from app.core.errors import BrokenError, TracksideError, UserError
from app.core.names import Secret
from app.core.planjson import read_plan
from app.core.planresources import Resources, read_resources
from app.core.protocol import (
    MAX_ARCHIVE_BYTES,
    Next,
    Outcome,
    Output,
    OutputValue,
    PlanAnswer,
    PlanReport,
    Stage,
    StageReport,
)
from app.core.variables import SKIP_APPLYING
from app.engine.archive import StreamCipher, pack, restore
from app.engine.backend import implied_state_mode
from app.engine.checkout import Checkout, Extras
from app.engine.environment import CloneAccess
from app.engine.files import open_plain
from app.engine.git import Source
from app.engine.planfile import read_state_point
from app.engine.terraform import WHOLE, Done, Failure, Outputs, Part, Terraform
from app.worker.hooks import after_run, hooks
from app.worker.job import APPLIED, PREVIEWS, End, Job, Step
from app.worker.places import with_places
from app.worker.tools import choose_engine, lay_out_providers, pin_engine, project_root


def fetch(job: Job) -> End | None:
    """Check the commit out into the empty workspace."""
    assignment = job.assignment
    with job.step("fetch"):
        source = Source(assignment.repository_id, assignment.clone_url, Secret(assignment.clone_token))
        extras = Extras(submodules=assignment.submodules, lfs=assignment.lfs)
        checkout = Checkout(job.mirror, source, extras=extras, scratch=job.workspace.tmp)
        if assignment.clone_note:
            job.log.line(assignment.clone_note)
        checkout.write(assignment.sha, job.workspace.source)
        for line in [f"checked out {assignment.sha}", *checkout.told]:
            job.log.line(line)
    return None


def report_initializing(job: Job) -> End | None:
    """Move the run on; say who the configuration wants to keep the state, and get credentials when it is managed."""
    assignment, job.doing = job.assignment, "initializing"
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
    return _init(job)


def before_init(job: Job) -> End | None:
    """The hooks."""
    return hooks(job, "before_init")


def after_init(job: Job) -> End | None:
    """The hooks."""
    return hooks(job, "after_init")


def before_plan(job: Job) -> End | None:
    """The hooks."""
    return hooks(job, "before_plan")


def after_plan(job: Job) -> End | None:
    """The hooks: they can read the plan file, and not change it."""
    return hooks(job, "after_plan")


def report_planning(job: Job) -> End | None:
    """Move the run on."""
    job.doing = "planning"
    job.hold.stage(StageReport(fencing=job.hold.fencing, stage=Stage.PLANNING))
    return None


def plan(job: Job) -> End | None:
    """Make the plan file."""
    part = Part(targets=job.assignment.targets, excluded=job.assignment.excluded)
    with job.step("plan"):
        if part != WHOLE:
            job.log.line(f"planning a part: {len(part.targets)} addresses alone, {len(part.excluded)} left out")
        planned = job.terraform().plan(part, is_destroy=job.assignment.run_type == "destroy")
    if isinstance(planned, Failure):
        return End(Outcome.FAILED, planned.text, obstacle=planned.obstacle, errors=planned.errors)
    job.planned = planned
    return None


def report_plan(job: Job) -> End | None:
    """Read the plan, hand it in, and do what the answer says."""
    with job.step("show"):
        shown = job.terraform().show()
    if isinstance(shown, Failure):
        return End(Outcome.FAILED, shown.text)
    if job.ending.wanted is not None:
        return None
    job.digest = file_digest(job.workspace.plan_file)
    report = PlanReport(
        fencing=job.hold.fencing,
        digest=job.digest,
        engine=job.found_engine.label,
        has_changes=job.has_changes,
        summary=with_places(job, read_plan(shown, secrets=job.log.known), job.planned),
        is_targeted=bool(job.assignment.targets or job.assignment.excluded),
        state=read_state_point(job.workspace.plan_file),
        resources=_resources(job, shown),
    )
    del shown
    job.log.line("planned: " + ("there are changes" if job.has_changes else "no changes"))
    if _ends_with_its_plan(job):
        after_run(job, "finished")
    job.log.drain()  # the answer may end the assignment, and its log with it
    answer = job.hold.plan(report)
    match answer.next:
        case Next.ARCHIVE:
            return store(job)
        case Next.APPLY:
            job.ending.begin_applying()
            _change_phase(job, answer)
            return carry_out(job)
        case Next.DONE:
            return End(None)


def _resources(job: Job, shown: bytes) -> Resources | None:
    """What plan policies see of the plan, when there are any."""
    mode = job.assignment.policy_values
    if not mode:
        return None
    found = read_resources(shown, mode=mode, secrets=job.log.known)
    if found.size_bytes:
        job.log.line(f"the plan is too large for its policies: {found.size_bytes:,} bytes of resource changes")
    return found


def store(job: Job) -> End:
    """Archive the workspace, encrypted, and hand it over: this worker is free then."""
    with job.step("store"):
        with open_private(job.archive_file) as file:
            info = pack(job.workspace, file, cipher=_cipher(job), max_bytes=MAX_ARCHIVE_BYTES)
        job.hold.put_archive(job.archive_file, sha256=info.sha256)
        job.log.line(f"stored the workspace: {info.size_bytes} bytes")
        for left_out in info.left_out:
            job.log.line(f"left out: {left_out}")
    return End(Outcome.PLANNED, archive=info)


def restore_workspace(job: Job) -> End | None:
    """Bring the confirmed plan and everything that it was made from back to where it was."""
    job.doing = "preparing_apply"
    with job.step("restore"):
        with open_private(job.archive_file) as file:
            job.hold.get_archive(file)
            file.seek(0)
            try:
                restore(job.workspace, file, cipher=_cipher(job))
            except BrokenError as error:
                if isinstance(error.__cause__, OSError):
                    raise  # this worker's disk, not the archive
                why = f"the stored workspace is not this plan's: {error}: nothing was applied; plan again"
                return End(Outcome.FAILED, why)
        job.archive_file.unlink()
    return None


def verify(job: Job) -> End | None:
    """Hold the plan file against what was confirmed."""
    assignment, found = job.assignment, file_digest(job.workspace.plan_file)
    if found != assignment.plan_digest:
        return End(
            Outcome.FAILED,
            f"the stored plan is not the confirmed one: {found[:12]} instead of {assignment.plan_digest[:12]}: "
            "nothing was applied",
        )
    job.digest = found
    job.log.line(f"plan {found[:12]} of {assignment.engine}: as confirmed")
    return None


def init_locked(job: Job) -> End | None:
    """Providers as the lock file has them; modules and backend are there already."""
    return _init(job)


def request_apply(job: Job) -> End | None:
    """Ask for permission. Whatever happens from here on, the run is applying; without a yes nothing starts."""
    job.hold.request_apply(digest=job.assignment.plan_digest, engine=job.assignment.engine)
    job.ending.begin_applying()
    return None


def carry_out(job: Job) -> End:
    """Apply, with the hooks around it. The run is applying: they run once, whatever happens to this worker."""
    job.doing = "applying"
    failed = hooks(job, "before_apply")
    if failed is not None:
        return End(failed.outcome, f"{failed.reason}: nothing was applied")
    end = apply(job)
    failed = hooks(job, "after_apply") if end.outcome is Outcome.APPLIED else None
    return end if failed is None else End(failed.outcome, f"{APPLIED}{failed.reason}")


def apply(job: Job) -> End:
    """Apply the plan file, if it is still the one that may be, and read the outputs."""
    if file_digest(job.workspace.plan_file) != job.digest:
        return End(Outcome.FAILED, "a hook changed the plan file: nothing was applied")
    try:
        with job.step("apply"):
            terraform = job.terraform()
            applied = terraform.apply()
    except Exception:  # whatever broke, the apply may have run, and its state be nowhere else
        with suppress(TracksideError):  # what broke first is the reason
            job.rescued = _save_errored_state(job, job.terraform())
        raise
    if isinstance(applied, Failure):
        reason = applied.text + _save_errored_state(job, terraform)
        return End(Outcome.FAILED, reason, obstacle=applied.obstacle, errors=applied.errors)
    job.is_applied = True
    with job.step("outputs"):
        outputs = _outputs(job)
    if isinstance(outputs, Failure):
        job.log.line(f"applied, but its outputs could not be read: {outputs.text}")
        return End(Outcome.APPLIED)
    shown = tuple(_redacted(job, output) for output in outputs.shown)
    return End(Outcome.APPLIED, outputs=shown, values=tuple(_handed_in(job, outputs.values)))


PLAN_STEPS: Final[tuple[Step, ...]] = (
    fetch,
    choose_engine,
    report_initializing,
    before_init,
    init,
    after_init,
    report_planning,
    before_plan,
    plan,
    after_plan,
    report_plan,
)
APPLY_STEPS: Final[tuple[Step, ...]] = (
    pin_engine,
    restore_workspace,
    verify,
    before_init,
    init_locked,
    after_init,
    request_apply,
    carry_out,
)


def _implied_mode(job: Job) -> str:
    """What the configuration implies; empty when that cannot be read and is known already."""
    assignment = job.assignment
    try:
        return implied_state_mode(project_root(job))
    except UserError:
        if assignment.state_mode:
            return ""
        raise


def _init(job: Job) -> End | None:
    token = job.assignment.clone_token
    clone = CloneAccess(url=job.assignment.clone_url, token=Secret(token)) if token else None
    with job.step("init"):
        lay_out_providers(job)
        done = job.terraform().init(clone=clone)
    job.assignment = msgspec.structs.replace(job.assignment, clone_token="")
    return None if isinstance(done, Done) else End(Outcome.FAILED, done.text, errors=done.errors)


def _outputs(job: Job) -> Outputs | Failure:
    """What the state holds now, or why that is not known: the apply was one all the same."""
    try:
        return job.terraform().outputs()
    except UserError as error:
        return Failure(str(error))
    except BrokenError as error:
        return Failure(f"the worker could not ask for them ({type(error).__name__})")


def _save_errored_state(job: Job, terraform: Terraform) -> str:
    """Save what the apply could not: to the backend once more, else to this worker's disk, where it stays in its
    workspace at the worst. Words for the reason."""
    errored = terraform.errored_state
    if errored is None:
        return ""
    with job.step("state push"):
        pushed = _pushed(job) if job.state is not None else None
    if isinstance(pushed, Done):
        return "\nthe state could not be saved during the apply; it was saved afterwards"
    kept = job.config.errored_root / f"{job.workspace.run_id}.tfstate"
    try:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(open_plain(errored), "rb") as source, open_private(kept) as target:
            shutil.copyfileobj(source, target)
    except (OSError, UserError) as error:
        job.is_workspace_kept = True
        why = error.strerror if isinstance(error, OSError) else error
        job.log.line(f"keeping the state in {kept}: {why}")
        return f"\nthe state could not be saved: it is left on worker {job.config.name} in {errored}"
    job.log.line(f"the state is kept on worker {job.config.name} in {kept}")
    return f"\nthe state could not be saved: errored.tfstate is kept on worker {job.config.name} in {kept}"


def _pushed(job: Job) -> Done | Failure:
    """The state, pushed once more, or why not: whatever stands in the way, it is kept on this worker then."""
    try:
        return job.terraform().push_errored_state()
    except TracksideError as error:
        return Failure(str(error))


def _ends_with_its_plan(job: Job) -> bool:
    """True when nothing follows the plan: what the control plane will say is known before it is asked."""
    given = job.assignment.environment
    is_planned_only = any(given.get(name) == "true" for name in SKIP_APPLYING)
    return not job.has_changes or is_planned_only or job.assignment.run_type in PREVIEWS


def _change_phase(job: Job, answer: PlanAnswer) -> None:
    """The variables of the apply take the place of the plan's, also of those that hooks exported over them; and so does
    its identity."""
    if answer.oidc_token:
        job.token.take(answer.oidc_token)
    environment = answer.environment
    if environment is None:
        return
    before = job.assignment.environment
    bound = {name for name in before.keys() | environment.keys() if before.get(name) != environment.get(name)}
    job.exported = {name: value for name, value in job.exported.items() if name not in bound}
    for name in answer.secret_names:
        job.log.know(environment.get(name, ""))
    job.assignment = msgspec.structs.replace(job.assignment, environment=environment, secret_names=answer.secret_names)


def _redacted(job: Job, output: Output) -> Output:
    return output if output.value is None else msgspec.structs.replace(output, value=job.log.redact(output.value))


def _handed_in(job: Job, values: Iterable[OutputValue]) -> Iterator[OutputValue]:
    """The outputs for the stacks below: of sensitive ones, and of those that hold a secret of this run, the value only
    where a stack is passed it; MAX_TOTAL_BYTES of values at most."""
    wanted = set(job.assignment.sensitive_outputs)
    room = MAX_TOTAL_BYTES
    for one in values:
        if one.value is None:
            yield one
            continue
        is_sensitive = one.is_sensitive or job.log.redact(one.value) != one.value
        size = len(one.value.encode())
        is_told = size <= room and (not is_sensitive or one.name in wanted)
        room -= size if is_told else 0
        yield OutputValue(name=one.name, value=one.value if is_told else None, is_sensitive=is_sensitive)


def _cipher(job: Job) -> StreamCipher:
    """Bound to run, stack, commit and plan: an archive of an earlier plan of the same run is another's too."""
    digest = job.assignment.plan_digest or file_digest(job.workspace.plan_file)
    return job.make_cipher(Secret(job.assignment.data_key), job.assignment.archive_context | {"plan": digest})


def open_private(path: Path) -> BinaryIO:
    """A new file for writing and reading that nobody else can read; an old one at the path is replaced."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w+b")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises: UserError when it is not there.
    """
    try:
        with open(open_plain(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"reading the plan file: {error.strerror}") from error
