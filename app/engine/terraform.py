"""Runs terraform or tofu for one assignment: init, plan, show, apply, output, each in a process group of its own.

Knows a workspace's folders and a stack's settings, nothing of runs or the control plane. An expected end (exit code
not 0) is a `Failure` whose text may be shown once redacted; what it prints goes line by line to a log.
"""

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.core.errors import BrokenError, UserError
from app.core.protocol import Output
from app.core.statepoint import Obstacle
from app.engine.child import Control, Sink, run_child
from app.engine.environment import CloneAccess, ManagedState, check_environment, clone_env, engine_env, state_env
from app.engine.messages import Messages, find_obstacle
from app.engine.stream import Capture, Lines
from app.engine.tools import Engine

OVERRIDE: Final = "trackside_override.tf"
ERRORED_STATE: Final = "errored.tfstate"
LOCK_FILE: Final = ".terraform.lock.hcl"
LOCK_TIMEOUT: Final = "-lock-timeout=60s"
MAX_SHOW_BYTES: Final = 256 * 1024 * 1024
"""A plan as JSON: some 80,000 resources. A worker needs about twice its bytes of memory to read it."""
MAX_OUTPUTS_BYTES: Final = 32 * 1024 * 1024
MAX_OUTPUTS: Final = 1_000
MAX_OUTPUT_CHARS: Final = 16_000
"""A longer output has no value in the report."""
MAX_REASON_CHARS: Final = 3_500
_BACKEND: Final = '# Written by Trackside: it keeps the state of this stack.\nterraform {\n  backend "http" {}\n}\n'
_TAIL_LINES: Final = 25
_NO_CHANGES, _CHANGES = 0, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where an assignment works: the parts of its workspace."""

    source: Path
    data_dir: Path
    plan_file: Path
    home: Path
    tmp: Path


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
    state: ManagedState | None = None
    """None for external state."""
    is_preview: bool = False
    """Only looked at: a plan takes no lock, whoever keeps the state."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The engine's own no: which command, its exit code, its errors. Not redacted."""

    text: str
    obstacle: Obstacle | None = None
    """What it met before it changed anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a plan is restricted to: addresses, verbatim, each one argument of its own; empty: the whole."""

    targets: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    """Only engines of `can_exclude` know how to leave something out."""

    def words(self) -> list[str]:
        """The arguments."""
        return [
            *(f"-target={address}" for address in self.targets),
            *(f"-exclude={address}" for address in self.excluded),
        ]


WHOLE: Final = Part()


@dataclass(frozen=True, slots=True)
class Done:
    """The command ended well."""


@dataclass(frozen=True, slots=True)
class Planned:
    """There is a plan file."""

    has_changes: bool
    """False exactly when the exit code was 0."""


class Terraform:
    """One stack's engine in one workspace. `log` gets every line of output as plain text, not redacted."""

    def __init__(
        self, engine: Engine, folders: Folders, stack: StackSettings, *, control: Control, log: Callable[[str], None]
    ) -> None:
        self.engine, self._folders, self._stack, self._control, self._log = engine, folders, stack, control, log
        check_environment(stack.environment, stack=stack.name)
        self.root = inside(folders.source, stack.project_root, what="project root", stack=stack.name)
        if not self.root.is_dir():
            raise UserError(f"preparing stack {stack.name}: project root {stack.project_root!r}: no such folder")

    def init(self, *, clone: CloneAccess | None = None, with_locked_providers: bool = False) -> Done | Failure:
        """Get the backend, modules and providers. `with_locked_providers`: a lock file that is there is not changed.

        Raises: UserError when the stack's settings and the commit do not fit together.
        """
        self._write_backend()
        words = ["init", "-input=false", "-no-color", *(["-json"] if _has_json_init(self.engine) else [])]
        if with_locked_providers and (self.root / LOCK_FILE).is_file():
            words.append("-lockfile=readonly")
        words += [f"-backend-config={path}" for path in self._files(self._stack.backend_config, "backend config")]
        code, messages, tail = self._stream(words, extra=clone_env(clone) if clone else {})
        if code != 0:
            return self._failure("init", code, messages, tail)
        self._check_backend()
        return Done()

    def init_without_backend(self) -> Done | Failure:
        """Get modules and providers alone: no backend is asked, and no credentials are there to ask one with."""
        words = [
            "init",
            "-backend=false",
            "-input=false",
            "-no-color",
            *(["-json"] if _has_json_init(self.engine) else []),
        ]
        code, messages, tail = self._stream(words)
        return Done() if code == 0 else self._failure("init", code, messages, tail)

    def validate(self) -> Done | Failure:
        """Hold the configuration against its own rules and its providers' schemas; no state and no cloud is asked."""
        captured = Capture(MAX_OUTPUTS_BYTES)
        code, tail = self._capture(["validate", "-json", "-no-color"], captured)
        messages = Messages()
        for line in messages.read_validation(b"" if captured.is_over else captured.bytes()):
            self._log(line)
        return Done() if code == 0 else self._failure("validate", code, messages, tail)

    def plan(self, part: Part = WHOLE, *, is_destroy: bool = False) -> Planned | Failure:
        """Write the plan file, or say why there is none."""
        state = self._stack.state
        is_preview = self._stack.is_preview or (state is not None and state.is_read_only)
        words = ["plan", "-json", "-input=false", "-detailed-exitcode", f"-out={self._folders.plan_file}"]
        words.append("-lock=false" if is_preview else LOCK_TIMEOUT)
        words += ["-destroy"] if is_destroy else []
        words += [f"-var-file={path}" for path in self._files(self._stack.var_files, "var file")] + part.words()
        code, messages, tail = self._stream(words)
        if code in (_NO_CHANGES, _CHANGES) and self._folders.plan_file.is_file():
            self._folders.plan_file.chmod(0o600)
            return Planned(has_changes=code == _CHANGES)
        self._folders.plan_file.unlink(missing_ok=True)  # a failed precondition exits 1 and still writes one
        return self._failure("plan", code, messages, tail)

    def show(self) -> bytes | Failure:
        """The plan as JSON."""
        captured = Capture(MAX_SHOW_BYTES)
        code, tail = self._capture(["show", "-json", str(self._folders.plan_file)], captured)
        if captured.is_over:
            return Failure(f"{self.engine.name} show: the plan as JSON is larger than {MAX_SHOW_BYTES} bytes")
        return captured.bytes() if code == 0 else self._failure("show", code, Messages(), tail)

    def apply(self) -> Done | Failure:
        """Apply the plan file, and nothing else. An `errored.tfstate` may stay in the root: see `errored_state`."""
        (self.root / ERRORED_STATE).unlink(missing_ok=True)  # one that was committed is none of this apply
        words = ["apply", "-json", "-input=false", LOCK_TIMEOUT, str(self._folders.plan_file)]
        code, messages, tail = self._stream(words)
        return Done() if code == 0 else self._failure("apply", code, messages, tail)

    def outputs(self) -> tuple[Output, ...] | Failure:
        """The outputs that the state holds now, by name; sensitive and very long ones without their value."""
        captured = Capture(MAX_OUTPUTS_BYTES)
        code, tail = self._capture(["output", "-json", "-no-color"], captured)
        if code != 0 or captured.is_over:
            return self._failure("output", code, Messages(), tail)
        return read_outputs(captured.bytes())

    @property
    def errored_state(self) -> Path | None:
        """The state that an apply could not save; None when it could."""
        path = self.root / ERRORED_STATE
        return path if path.is_file() and not path.is_symlink() else None

    def push_errored_state(self) -> Done | Failure:
        """Save once more what the apply could not save; refused by the backend when another state is newer."""
        code, messages, tail = self._stream(["state", "push", LOCK_TIMEOUT, ERRORED_STATE])
        return Done() if code == 0 else self._failure("state push", code, messages, tail)

    def _write_backend(self) -> None:
        stack, path = self._stack, self.root / OVERRIDE
        if stack.state is None:
            return
        if stack.workspace != "default":
            raise UserError(
                f"preparing stack {stack.name}: workspace {stack.workspace!r} needs `state: external`: "
                "managed state has the workspace default only"
            )
        if os.path.lexists(path) and not (_is_plain(path) and path.read_text() == _BACKEND):
            raise UserError(f"preparing stack {stack.name}: the commit holds {OVERRIDE}, a name that is Trackside's")
        path.write_text(_BACKEND)

    def _check_backend(self) -> None:
        """Hold what init configured against who should keep the state: else it plans against an empty one."""
        try:
            document = json.loads((self._folders.data_dir / "terraform.tfstate").read_bytes())
            found = str(document["backend"]["type"])
        except FileNotFoundError:
            found = ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrokenError(f"reading the backend of stack {self._stack.name}: {error}") from error
        if self._stack.state is not None and found != "http":
            raise UserError(
                f"preparing stack {self._stack.name}: its state is managed, and the commit sets backend {found!r} in "
                "an override file: state mode changed: set `state:`"
            )
        if self._stack.state is None and not found:
            raise UserError(
                f"preparing stack {self._stack.name}: its state is external, and the commit has no backend or cloud "
                "block: state mode changed: set `state:`"
            )

    def _files(self, names: Sequence[str], what: str) -> list[str]:
        """The names, each an existing file inside the checkout."""
        for name in names:
            joined = str(Path(self._stack.project_root) / name)
            path = inside(self._folders.source, joined, what=what, stack=self._stack.name)
            if not path.is_file():
                raise UserError(f"preparing stack {self._stack.name}: {what} {name!r}: not in the commit")
        return list(names)

    def _env(self, extra: Mapping[str, str]) -> dict[str, str]:
        stack, folders = self._stack, self._folders
        env = engine_env(
            home=folders.home, tmp=folders.tmp, data_dir=folders.data_dir, environment=stack.environment
        ) | dict(extra)
        if stack.workspace != "default":
            env["TF_WORKSPACE"] = stack.workspace
        return env | state_env(stack.state) if stack.state is not None else env

    def _run(self, words: Sequence[str], extra: Mapping[str, str], sinks: tuple[Sink, Sink]) -> int:
        argv = [*self.engine.argv, *words]
        return run_child(argv, env=self._env(extra), cwd=self.root, control=self._control, sinks=sinks)

    def _stream(self, words: Sequence[str], *, extra: Mapping[str, str] | None = None) -> tuple[int, Messages, "_Tail"]:
        messages, tail = Messages(), _Tail()

        def take(line: str) -> None:
            text = messages.read(line)
            tail.add(text)
            self._log(text)

        return self._run(words, extra or {}, (Lines(take), Lines(take))), messages, tail

    def _capture(self, words: Sequence[str], captured: Capture) -> tuple[int, "_Tail"]:
        tail = _Tail()

        def take(line: str) -> None:
            text = Messages().read(line)
            tail.add(text)
            self._log(text)

        return self._run(words, {}, (captured, Lines(take))), tail

    def _failure(self, command: str, code: int, messages: Messages, tail: "_Tail") -> Failure:
        end = f"was ended by signal {-code}" if code < 0 else f"exited {code}"
        located = sorted(messages.errors, key=lambda error: not error.place)
        errors = [error.brief() for error in located] or tail.text()
        text = f"{self.engine.name} {command} {end}" + (": " + "\n".join(errors) if errors else "")
        cut = text if len(text) <= MAX_REASON_CHARS else text[:MAX_REASON_CHARS] + "…"
        return Failure(cut, find_obstacle(messages.errors))


class _Tail:
    """The last lines of a command that prints for people: where its error is."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """The next line; box drawing around errors is left out."""
        plain = line.strip("╷│╵ ")
        if plain:
            self._lines = [*self._lines[-_TAIL_LINES:], plain]

    def text(self) -> list[str]:
        """From the first error on; all of it when none is named."""
        starts = [number for number, line in enumerate(self._lines) if line.startswith("Error: ")]
        return [line.removeprefix("Error: ") for line in (self._lines[starts[0] :] if starts else self._lines[-3:])]


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


def read_outputs(raw: bytes) -> tuple[Output, ...]:
    """The answer of `output -json`, by name.

    Raises: UserError when it is not readable.
    """
    try:
        found = sorted(json.loads(raw).items())
        return tuple(_output(name, part) for name, part in found[:MAX_OUTPUTS])
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"reading the outputs: {error}") from error


def _output(name: str, part: Mapping[str, object]) -> Output:
    if part.get("sensitive", True):
        return Output(name=name, sensitive=True)
    value = json.dumps(part["value"], ensure_ascii=False, separators=(",", ":"))
    return Output(name=name, value=value if len(value) <= MAX_OUTPUT_CHARS else None)


def _has_json_init(engine: Engine) -> bool:
    """Source: https://github.com/hashicorp/terraform/blob/v1.9/CHANGELOG.md; OpenTofu's came at another version."""
    major, minor = (int(part) for part in engine.version.split(".")[:2])
    return engine.name == "terraform" and (major, minor) >= (1, 9)


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)
