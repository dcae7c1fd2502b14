"""Something outside that a queued run waits for is marked: finished, skipped, or failed, by CI or on the server.

Marked twice the same it changes nothing; what is done stays done.
"""

from dataclasses import dataclass

from app.core.errors import UserError
from app.core.names import RunId
from app.core.record import AuditLine
from app.core.run import ExternalState, Run, RunState, Step
from app.core.words_run import phase_word
from app.flows.ports import Store, Transaction
from app.flows.schedule import schedule, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Externals:
    """The use case of `external`."""

    store: Store

    def mark(self, run_id: RunId, name: str, state: ExternalState, *, by: str, source: str) -> str:
        """Mark one dependency of a run; what follows from it, in words.

        Raises: UserError when there is no such run, it does not wait for that, or it is marked otherwise already.
        """
        with self.store.begin() as tx:
            run = tx.get_run(run_id)
            stack = tx.lock_stack(run.stack_id)
            run = tx.get_run(run_id)
            known = _known(run, name)
            if known is state:
                return f"{name} of run {run.id} is {state.value} already"
            if run.state is not RunState.QUEUED or known is not ExternalState.PENDING:
                raise UserError(
                    f"marking {name} of run {run.id}: the run is {phase_word(run.state)} and the dependency "
                    f"{known.value}"
                )
            tx.save_externals(run.id, {**run.externals, name: state})
            _note(tx, run, f"external {name} {state.value}", by=by, source=source)
            if state is ExternalState.FAILED:
                step(tx, run, Step.FAIL, by=by, cause=f"the external dependency {name} failed")
            schedule(tx, stack)
            run = tx.get_run(run.id)
        left = f", waits for {', '.join(run.waits_for)}" if run.waits_for and run.is_live else ""
        return f"{name} is {state.value}: run {run.id} is {phase_word(run.state)}{left}"


def _known(run: Run, name: str) -> ExternalState:
    known = run.externals.get(name)
    if known is None:
        names = ", ".join(sorted(run.externals)) or "nothing outside"
        raise UserError(f"marking {name[:200]!r} of run {run.id}: it waits for {names}")
    return known


def _note(tx: Transaction, run: Run, command: str, *, by: str, source: str) -> None:
    tx.add_audit(
        AuditLine(
            at=tx.now(),
            actor=by,
            source=source,
            command=f"{command} {run.id}",
            run_id=run.id,
            repository_id=run.repository_id,
            is_allowed=True,
            reason="",
        )
    )
