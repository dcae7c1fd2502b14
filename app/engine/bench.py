"""Where one assignment's commands are run: its folders, its box, its environment, its control. Every command of an
engine and every line of a hook goes through here.

Knows a workspace and a stack's settings, nothing of what the commands mean.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.core.errors import UserError
from app.engine.box import Box, engine_files
from app.engine.child import Command, Control, Ended, Sink, run_child
from app.engine.environment import (
    CLI_CONFIG,
    Installation,
    ManagedState,
    check_environment,
    engine_env,
    identity_env,
    state_env,
    write_cli_config,
)
from app.engine.isolation import Isolation
from app.engine.limits import folder_bytes, too_large
from app.engine.stream import Lines
from app.engine.tools import Engine

RESCUE: Final = "rescue"
"""The step that saves what an apply could not."""
_REFUSED_WHEN_LARGE: Final = ("init", "plan", "hook")
_BINARIES: Final = ("terraform", "tofu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where an assignment works: the parts of its workspace."""

    source: Path
    data_dir: Path
    plan_file: Path
    home: Path
    tmp: Path
    isolation: Isolation = Isolation()  # noqa: RUF009 - frozen
    """How its commands are kept apart from this machine."""
    installation: Installation = Installation()  # noqa: RUF009 - frozen
    """Where providers come from."""

    @property
    def workspace(self) -> Path:
        """The folder that all of them are in."""
        return self.plan_file.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """What of a stack's settings the engine needs."""

    name: str
    project_root: str = ""
    """Relative to the checkout."""
    workspace: str = "default"
    var_files: tuple[str, ...] = ()
    """Relative to the project root, and inside the checkout."""
    backend_config: tuple[str, ...] = ()
    """Relative to the project root, and inside the checkout."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    exported: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What hooks of this assignment have exported: wins over `environment`; PATH may be in it."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What `TF_VAR_trackside_*` and `TF_VAR_spacelift_*` say, by name without the prefix."""
    state: ManagedState | None = None
    """None for external state."""
    is_preview: bool = False
    """Only looked at: a plan takes no lock, whoever keeps the state."""
    run_id: str = ""
    token_file: Path | None = None
    """The run's identity token; None: it has none."""


class Bench:
    """One stack's workspace, ready to run commands. `log` gets every line of output as plain text, not redacted;
    `count` how many resources a command has dealt with so far; `redact` is for what has to be cut to size,
    `redact_cut` for what was."""

    def __init__(
        self,
        engine: Engine,
        folders: Folders,
        stack: StackSettings,
        *,
        control: Control,
        log: Callable[[str], None],
        count: Callable[[int], None] = lambda _: None,
        redact: Callable[[str], str] = str,
        redact_cut: Callable[[str], str] = str,
    ) -> None:
        self._redact_cut = redact_cut
        self.engine, self.folders, self.stack, self.control, self.log = engine, folders, stack, control, log
        self.count, self.redact = count, redact
        check_environment(stack.environment, stack=stack.name)
        self.engine_argv, tools = engine_files(engine.argv) if folders.isolation.is_on else (engine.argv, ())
        self._box = Box(isolation=folders.isolation, workspace=folders.workspace, tools=tools)
        self.ended: Ended | None = None
        """How its last command ended."""
        if not self.root.is_dir():
            raise UserError(f"preparing stack {stack.name}: project root {stack.project_root!r}: no such folder")

    @property
    def root(self) -> Path:
        """The project root. Asked anew each time: a command may have put a link in its place.

        Raises: UserError when it leads out of the checkout.
        """
        return inside(self.folders.source, self.stack.project_root, what="project root", stack=self.stack.name)

    def lines(self, take: Callable[[str], None]) -> Lines:
        """A sink for lines of output."""
        return Lines(take, redact_cut=self._redact_cut)

    def seen(self, path: Path) -> Path:
        """A path of the workspace, as the commands see it."""
        return self._box.seen(path)

    def adopt(self, path: Path) -> None:
        """Hand a file that was just written to the commands' user."""
        self._box.adopt(path)

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables of a command: the stack's, those that hooks exported, ours, and what this one needs besides."""
        stack, folders = self.stack, self.folders
        env = engine_env(
            home=self.seen(folders.home),
            tmp=self.seen(folders.tmp),
            data_dir=self.seen(folders.data_dir),
            environment={**stack.environment, **stack.exported},
        )
        env["PATH"] = stack.exported.get("PATH") or self._with_engine(env["PATH"])
        env["TRACKSIDE_PLAN_FILE"] = str(self.seen(folders.plan_file))
        known = {**stack.variables, "workspace_root": str(self.seen(folders.source))}
        for name, value in known.items():
            env[f"TF_VAR_trackside_{name}"] = env[f"TF_VAR_spacelift_{name}"] = value
        if stack.token_file is not None:
            env |= identity_env(self.seen(stack.token_file), env, run_id=stack.run_id)
        env |= extra or {}
        if stack.workspace != "default":
            env["TF_WORKSPACE"] = stack.workspace
        return env | state_env(stack.state) if stack.state is not None else env

    def run(
        self,
        step: str,
        argv: Sequence[str],
        sinks: tuple[Sink, Sink],
        *,
        env: Mapping[str, str],
        writes_plan: bool = False,
    ) -> Ended:
        """Run one command in the project root.

        `step`: whose limits hold. Once the world may have changed, nothing is refused any more; RESCUE has no limit.
        Raises: UserError when the workspace holds more than it may.
        """
        folders, limit = self.folders, self.control.limits.workspace_bytes
        if limit and step in _REFUSED_WHEN_LARGE and folder_bytes(folders.workspace, enough=limit) > limit:
            raise UserError(f"running stack {self.stack.name}: {too_large(limit)}")
        write_cli_config(folders.home, folders.installation, seen_home=self.seen(folders.home))
        self._box.adopt(folders.source, folders.data_dir, folders.home, folders.tmp, folders.home / CLI_CONFIG)
        if os.path.lexists(folders.plan_file):
            self._box.adopt(folders.plan_file)
        box = Box(
            isolation=folders.isolation,
            workspace=folders.workspace,
            tools=self._box.tools,
            plan="rw" if writes_plan else "ro",
        )
        command = Command(
            argv=argv,
            env=env,
            cwd=self.root,
            box=box if folders.isolation.is_on else None,
            step=step,
            watched=folders.workspace,
            is_bound=step != RESCUE,
        )
        self.ended = run_child(command, control=self.control, sinks=sinks)
        return self.ended

    def _with_engine(self, path: str) -> str:
        """The search path, with the engine's folder first: hooks call it by its name."""
        binary = Path(self.engine.argv[0])
        if binary.name not in _BINARIES or str(binary.parent) in path.split(os.pathsep):
            return path
        return f"{binary.parent}{os.pathsep}{path}"


def inside(folder: Path, name: str, *, what: str, stack: str) -> Path:
    """The path of a name inside a folder.

    Raises: UserError when it leads out of it: absolute, by `..`, or through a link.
    """
    action = f"preparing stack {stack}: {what} {name[:200]!r}"
    if "\0" in name or Path(name).is_absolute():
        raise UserError(f"{action}: not a path inside the repository")
    path, base = folder / name, folder.resolve()
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:
        raise UserError(f"{action}: a link that leads nowhere") from error
    if not real.is_relative_to(base) or ".git" in real.relative_to(base).parts:
        raise UserError(f"{action}: leads out of the repository")
    return real
