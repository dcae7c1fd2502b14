"""A worker's hold: what a call that passed every check has locked, and what its secrets and archives are bound to.

Pure. `conclude` checks and changes; everybody else only names things by it.
"""

from dataclasses import dataclass

from app.core.errors import LeaseLost
from app.core.names import AssignmentId, RunId, Secret
from app.core.protocol import Phase, StateAccess
from app.core.record import AssignmentRecord
from app.core.run import Plan, Run, RunState
from app.core.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A call that passed every check, with the stack and the assignment locked."""

    stack: Stack
    run: Run
    record: AssignmentRecord

    @property
    def by(self) -> str:
        """Who did it, for the history."""
        return f"worker {self.record.worker}"


def require_phase(held: Guarded, phase: Phase) -> None:
    """Nothing, when the assignment is for that. Raises: LeaseLost: a worker says what its assignment is not for."""
    if held.record.phase is not phase:
        raise LeaseLost(f"assignment {held.record.id} is there to {held.record.phase.value}, not to {phase.value}")


def require_applying(held: Guarded) -> None:
    """Nothing, when the engine was allowed to apply. Raises: LeaseLost: nobody has applied what was not begun."""
    if held.run.state is not RunState.APPLYING:
        raise LeaseLost(f"run {held.run.id} is {held.run.state.value}: nothing of it was to be applied")


def has_come_to_apply(run: Run, record: AssignmentRecord) -> bool:
    """True once this assignment was allowed to apply, also when its run ended since: until then it writes no state.

    Whoever applies ends with the run: what became of a run that another assignment holds now is not its doing.
    """
    came_to_it = run.state in (RunState.APPLYING, RunState.FINISHED, RunState.FAILED)
    return came_to_it and run.fencing == record.fencing and run.confirmed_digest is not None


def require_own_plan(held: Guarded, plan: Plan) -> None:
    """Nothing, when this assignment handed the plan in. Raises: LeaseLost: one of a worker that was lost before was
    made with the settings of then."""
    if plan.created_at < held.record.created_at:
        raise LeaseLost(f"assignment {held.record.id} has handed in no plan")


def archive_key(run_id: RunId, plan: Plan) -> str:
    """Where a plan's workspace is kept."""
    return f"workspaces/{run_id.lower()}/{plan.number}-{plan.digest[:16]}"


def archive_context(run: Run) -> dict[str, str]:
    """What the workspace archive is bound to: an archive of another run, stack or commit does not decrypt."""
    return {"run": run.id, "stack": run.stack_id, "sha": run.source_sha}


def clone_token_context(assignment_id: AssignmentId) -> dict[str, str]:
    """What the sealed clone token is bound to."""
    return {"table": "assignments", "assignment": assignment_id, "column": "clone_token"}


def state_access(stack: Stack, record: AssignmentRecord, password: Secret) -> StateAccess:
    """Credentials for the stack's managed state that die with the assignment."""
    return StateAccess(
        address=f"/state/{stack.id}",
        username=record.id,
        password=password.reveal(),
        is_read_only=record.is_state_read_only,
    )
