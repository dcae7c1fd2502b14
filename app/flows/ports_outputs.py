"""What flows ask of a transaction about outputs of stacks, and about runs that wait for others."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from app.core.inputs import KeptOutput
from app.core.names import RepositoryId, RunId, StackId
from app.core.protocol import OutputValue
from app.core.run import Run
from app.core.stack import Stack
from app.core.upstream import Upstreams


class OutputRows(Protocol):
    """Outputs as they were last, and what runs were given of them."""

    def keep_outputs(self, stack_id: StackId, run_id: RunId, values: Sequence[OutputValue]) -> tuple[str, ...]:
        """Keep the outputs of the stack's newest apply in place of those before; which are new, changed or gone, by
        name."""
        ...

    def find_outputs(
        self, repository_id: RepositoryId, wanted: Mapping[str, Collection[str]]
    ) -> dict[tuple[str, str], KeptOutput]:
        """The kept outputs of the repository's stacks, by stack and output. Shape of `wanted`: outputs by stack."""
        ...

    def save_run_inputs(self, run_id: RunId, values: bytes) -> None:
        """Keep what a plan is made with, sealed, until its run has ended; empty bytes: nothing."""
        ...

    def find_run_inputs(self, run_id: RunId) -> bytes: ...

    def list_dependants(self, repository_id: RepositoryId) -> list[Stack]:
        """The repository's stacks that depend on others, detached ones left out, by name."""
        ...

    def list_runs_below(self, run: Run) -> list[Run]:
        """The queued runs that wait, or waited, for that run, oldest first; bounded."""
        ...

    def save_upstreams(self, run_id: RunId, upstreams: Upstreams) -> None:
        """Save what a live run waits for above. Call it with its stack locked."""
        ...
