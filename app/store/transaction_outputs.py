"""Outputs of stacks and what runs were given of them, inside a transaction; sealed here, and opened here alone.

Knows nothing of what an output is for: the flows say whose is wanted.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.errors import BrokenError
from app.core.inputs import KeptOutput
from app.core.names import RepositoryId, RunId, StackId
from app.core.protocol import OutputValue
from app.core.run import Run
from app.core.stack import Stack
from app.core.upstream import Upstreams
from app.store.rows import read_run, select_runs
from app.store.schema import IS_LIVE, run_inputs, runs, stack_outputs, stacks
from app.store.transaction_runs import RunWrites
from app.store.transaction_stacks import read_stack
from app.store.wire import safe_json, sealed_as

MAX_BELOW = 10_000


class OutputWrites(RunWrites):
    """Transaction methods about outputs, and about the runs that wait for them."""

    def keep_outputs(self, stack_id: StackId, run_id: RunId, values: Sequence[OutputValue]) -> tuple[str, ...]:
        """Keep the outputs of the stack's newest apply in place of those before; which are new, changed or gone, by
        name."""
        rows = self._all(select(stack_outputs).where(stack_outputs.c.stack_id == stack_id))
        before = {row.name: self._kept(row) for row in rows}
        after = {one.name: KeptOutput(value=one.value, is_sensitive=one.is_sensitive) for one in values}
        gone = before.keys() - after.keys()
        if gone:
            mine = stack_outputs.c.stack_id == stack_id
            self._execute(delete(stack_outputs).where(mine, stack_outputs.c.name.in_(sorted(gone))))
        changed = [name for name, one in after.items() if before.get(name) != one]
        for name in changed:
            self._keep(stack_id, run_id, name, after[name])
        return tuple(sorted({*gone, *changed}))

    def find_outputs(
        self, repository_id: RepositoryId, wanted: Mapping[str, Collection[str]]
    ) -> dict[tuple[str, str], KeptOutput]:
        """The kept outputs of the repository's stacks, by stack and output. Shape of `wanted`: outputs by stack."""
        names = sorted({name for listed in wanted.values() for name in listed})
        if not names:
            return {}
        found = select(stack_outputs, stacks.c.name.label("stack")).join(
            stacks, stacks.c.id == stack_outputs.c.stack_id
        )
        mine = (stacks.c.repository_id == repository_id) & stacks.c.is_detached.is_(False)
        rows = self._all(found.where(mine, stacks.c.name.in_(sorted(wanted)), stack_outputs.c.name.in_(names)))
        return {(row.stack, row.name): self._kept(row) for row in rows if row.name in wanted[row.stack]}

    def save_run_inputs(self, run_id: RunId, values: bytes) -> None:
        """Keep what a plan is made with, sealed, until its run has ended; empty bytes: nothing."""
        self._execute(delete(run_inputs).where(run_inputs.c.run_id == run_id))
        if values:
            sealed = self._sealer.seal(values, sealed_as("run_inputs.values", run_id))
            self._execute(insert(run_inputs).values(run_id=run_id, sealed_values=sealed))

    def find_run_inputs(self, run_id: RunId) -> bytes:
        """What `save_run_inputs` kept; empty when there is nothing."""
        found = self._scalar(select(run_inputs.c.sealed_values).where(run_inputs.c.run_id == run_id))
        return self._sealer.open(bytes(found), sealed_as("run_inputs.values", run_id)) if found is not None else b""

    def list_dependants(self, repository_id: RepositoryId) -> list[Stack]:
        """The repository's stacks that depend on others, detached ones left out, by name."""
        mine = (stacks.c.repository_id == repository_id) & stacks.c.is_detached.is_(False)
        wanted = select(stacks).where(mine, stacks.c.settings.contains('"depends_on":'))
        found = (read_stack(row) for row in self._all(wanted.order_by(stacks.c.name, stacks.c.id)))
        return [stack for stack in found if stack.settings.depends_on]

    def list_runs_below(self, run: Run) -> list[Run]:
        """The queued runs that wait, or waited, for that run, oldest first; bounded."""
        here = select_runs().where(runs.c.repository_id == run.repository_id, text(IS_LIVE), runs.c.state == "queued")
        mine = here.where(text("runs.upstreams::jsonb ? :upstream").bindparams(upstream=run.id))
        return [read_run(row) for row in self._all(mine.order_by(runs.c.created_at, runs.c.id).limit(MAX_BELOW))]

    def save_upstreams(self, run_id: RunId, upstreams: Upstreams) -> None:
        """Save what a live run waits for above; its report is wanted again. Call it with the run's stack locked."""
        values = safe_json(msgspec.to_builtins(dict(upstreams)))
        done = self._execute(update(runs).where(runs.c.id == run_id, text(IS_LIVE)).values(upstreams=values))
        if done.rowcount != 1:
            raise BrokenError(f"saving what run {run_id} waits for above: it has ended")
        self._want_check(self.get_run(run_id))

    def _keep(self, stack_id: StackId, run_id: RunId, name: str, kept: KeptOutput) -> None:
        sealed = None
        if kept.value is not None:
            sealed = self._sealer.seal(kept.value.encode(), _sealed(stack_id, name))
        values = {
            "sealed_value": sealed,
            "is_sensitive": kept.is_sensitive,
            "run_id": run_id,
            "updated_at": func.clock_timestamp(),
        }
        statement = insert(stack_outputs).values(stack_id=stack_id, name=name, **values)
        self._execute(statement.on_conflict_do_update(index_elements=["stack_id", "name"], set_=values))

    def _kept(self, row: Row[Any]) -> KeptOutput:
        value = None
        if row.sealed_value is not None:
            value = self._sealer.open(bytes(row.sealed_value), _sealed(row.stack_id, row.name)).decode()
        return KeptOutput(value=value, is_sensitive=row.is_sensitive)


def _sealed(stack_id: str, name: str) -> dict[str, str]:
    return sealed_as("stack_outputs.value", f"{stack_id}/{name}")
