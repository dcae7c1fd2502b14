"""One assignment under way: its workspace, its control, its log, its secrets; and how it can end.

Knows the engine's bench and the hold; what is done with them is in `steps` and `hooks`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from app.core.errors import BrokenError
from app.core.names import Secret
from app.core.protocol import Assignment, Outcome, Output, OutputValue, StateAccess
from app.core.statepoint import Obstacle
from app.engine.archive import ArchiveInfo
from app.engine.bench import Bench, Folders, StackSettings
from app.engine.environment import Installation, ManagedState
from app.engine.git import Mirror
from app.engine.messages import Diagnostic
from app.engine.terraform import Planned, Terraform, how_it_ended
from app.engine.tools import Engine
from app.engine.workspace import Workspace
from app.worker.client import Hold
from app.worker.config import MakeCipher, WorkerConfig
from app.worker.ending import Ending
from app.worker.identity import TokenFile
from app.worker.log import JobLog

PREVIEWS: Final = frozenset({"proposed", "drift"})
"""Types of runs that change no state."""
APPLIED: Final = "applied, and then: "
"""Begins the reason of what failed after the apply."""


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
    token: TokenFile
    """Who the run is, for clouds."""
    state: StateAccess | None
    """Credentials of managed state; a first run gets them with its stage."""
    engine: Engine | None = None
    """Set by `choose_engine` or `pin_engine`."""
    installation: Installation = Installation()  # noqa: RUF009 - frozen
    """Where the engine gets its providers; laid out before `init`."""
    planned: Planned = Planned(has_changes=False)  # noqa: RUF009 - frozen
    """How the plan ended, once there is one."""
    digest: str = ""
    """Of the plan file, once there is one."""
    doing: str = "preparing"
    """The run's state, as its commands are told."""
    exported: dict[str, str] = field(default_factory=dict, repr=False)
    """What hooks have exported."""
    is_after_run_done: bool = False
    """True once the hooks of `after_run` have had their turn."""
    is_workspace_kept: bool = False
    """True when the workspace holds what is nowhere else: a state that an apply could not save."""
    is_applied: bool = False
    """True once the plan is applied: whatever goes wrong from there on has to say so."""
    rescued: str = ""
    """Of an apply that broke: what became of a state that it could not save, in words for the reason."""
    _bench: Bench | None = field(default=None, init=False, repr=False)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A section of the log: how long it took, and how its last command ended."""
        began, self._bench = monotonic(), None
        self.hold.done = 0
        self.log.section(title)
        try:
            yield
        finally:
            self.log.line(f"── {title}: {monotonic() - began:.1f} s{self._how()} ──")

    def _how(self) -> str:
        ended = self._bench.ended if self._bench is not None else None
        return f", {how_it_ended(ended)}" if ended is not None else ""

    def bench(self, **told: str) -> Bench:
        """Where this job's commands run, under the control that counts now. `told`: more about the run, by name."""
        assignment, workspace = self.assignment, self.workspace
        folders = Folders(
            source=workspace.source,
            data_dir=workspace.data_dir,
            plan_file=workspace.plan_file,
            home=workspace.home,
            tmp=workspace.tmp,
            isolation=self.config.run_isolation,
            installation=self.installation,
        )
        stack = StackSettings(
            name=assignment.stack_name,
            project_root=assignment.project_root,
            workspace=assignment.workspace or "default",
            var_files=assignment.var_files,
            backend_config=assignment.backend_config,
            environment=assignment.environment,
            exported=self.exported,
            variables={**assignment.variables, "run_state": self.doing, **told},
            state=_managed(self.state, self.config.control_url.rstrip("/")),
            is_preview=assignment.run_type in PREVIEWS,
            run_id=assignment.run_id,
            token_file=self.token.path,
        )
        self._bench = Bench(
            self.found_engine,
            folders,
            stack,
            control=self.ending.control,
            log=self.log.line,
            count=self._count,
            redact=self.log.redact,
            redact_cut=self.log.redact_cut,
        )
        return self._bench

    def _count(self, done: int) -> None:
        self.hold.done = done

    def terraform(self) -> Terraform:
        """The engine on that bench."""
        return Terraform(self.bench())

    @property
    def has_changes(self) -> bool:
        """What the plan's exit code said."""
        return self.planned.has_changes

    @property
    def found_engine(self) -> Engine:
        """The engine, once it was found."""
        if self.engine is None:
            raise BrokenError(f"running stack {self.assignment.stack_name}: no engine was chosen")
        return self.engine

    def is_ending(self) -> bool:
        """True when the assignment has to end: nothing is waited for any more."""
        return self.ending.wanted is not None or self.hold.lost.is_set()

    def enter(self) -> None:
        """Mark the workspace as this assignment's: a lost one must not remove what its successor has made there."""
        self._owner_file.write_text(self.assignment.id)

    def leave(self) -> None:
        """Remove the workspace, unless it is another assignment's by now, or has to be kept. Before the result: the
        next may be here."""
        if self.is_workspace_kept:
            return
        if self._owner_file.is_file() and self._owner_file.read_text() == self.assignment.id:
            self.workspace.close()

    @property
    def _owner_file(self) -> Path:
        return self.workspace.path / "assignment"

    @property
    def archive_file(self) -> Path:
        """Where the archive is on its way; not itself part of an archive."""
        return self.workspace.path / "workspace.archive"


@dataclass(frozen=True, slots=True)
class End:
    """How the assignment ended. `outcome` None: the control plane knows already."""

    outcome: Outcome | None
    reason: str = ""
    outputs: tuple[Output, ...] = ()
    values: tuple[OutputValue, ...] | None = None
    """With APPLIED: the outputs for the stacks below; None: they are not known."""
    archive: ArchiveInfo | None = None
    """With PLANNED: what was stored."""
    obstacle: Obstacle | None = None
    """With FAILED: what the engine met before it changed anything."""
    errors: tuple[Diagnostic, ...] = ()
    """With FAILED: the engine's errors, not redacted."""


Step = Callable[[Job], End | None]


def _managed(state: StateAccess | None, control_url: str) -> ManagedState | None:
    if state is None:
        return None
    password = Secret(state.password)
    address = f"{control_url}{state.address}" if state.address.startswith("/") else state.address
    return ManagedState(address=address, username=state.username, password=password, is_read_only=state.is_read_only)
