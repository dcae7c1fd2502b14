"""Runs terraform or tofu for one assignment: init, plan, show, apply, output, each in a process group of its own.

Knows a workspace's folders and a stack's settings, nothing of runs or the control plane. An expected end (exit code
not 0) is a `Failure` whose text may be shown once redacted; what it prints goes line by line to a log.
"""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.core.dependency import MAX_VALUE_BYTES
from app.core.errors import BrokenError, UserError
from app.core.protocol import Output, OutputValue
from app.core.statepoint import Obstacle
from app.engine.bench import RESCUE, Bench, inside
from app.engine.child import Ended, Sink
from app.engine.environment import CloneAccess, clone_env
from app.engine.files import read_plain, write_new
from app.engine.lockfile import LOCK_FILE, way_out
from app.engine.messages import Diagnostic, Messages, find_obstacle
from app.engine.release import system
from app.engine.stream import Capture
from app.engine.tools import Engine

OVERRIDE: Final = "trackside_override.tf"
ERRORED_STATE: Final = "errored.tfstate"
LOCK_TIMEOUT: Final = "-lock-timeout=60s"
MAX_BACKEND_BYTES: Final = 1024 * 1024
"""What init writes about the backend."""
MAX_SHOW_BYTES: Final = 256 * 1024 * 1024
"""A plan as JSON: some 80,000 resources. A worker needs about twice its bytes of memory to read it."""
MAX_OUTPUTS_BYTES: Final = 32 * 1024 * 1024
MAX_OUTPUTS: Final = 1_000
MAX_OUTPUT_CHARS: Final = 16_000
"""A longer output has no value in the report."""
MAX_REASON_CHARS: Final = 3_500
_BACKEND: Final = '# Written by Trackside: it keeps the state of this stack.\nterraform {\n  backend "http" {}\n}\n'
_ADDRESSES: Final = ("address", "lock_address", "unlock_address")
"""What of the http backend's settings says where a state goes; in a block they win over the environment."""
_TAIL_LINES: Final = 25
_NO_CHANGES, _CHANGES = 0, 2
_WELL: Final = Ended(0)
_STEPS: Final = {"validate": "plan", "show": "plan", "output": "apply", "state": RESCUE}
"""Whose time limit holds for the commands that have none of their own."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The engine's own no: which command, its exit code, its errors as they came."""

    text: str
    obstacle: Obstacle | None = None
    """What it met before it changed anything."""
    errors: tuple[Diagnostic, ...] = ()
    """The errors that it is made of, as the engine gave them."""


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
    warnings: tuple[Diagnostic, ...] = ()
    warnings_left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """The outputs of a state."""

    shown: tuple[Output, ...]
    """For people: sensitive and very long ones without their value."""
    values: tuple[OutputValue, ...]
    """For the stacks below: sensitive ones, too; those longer than MAX_VALUE_BYTES without their value."""


class Terraform:
    """One stack's engine in one workspace."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.engine = bench, bench.engine
        self._folders, self._stack, self._log = bench.folders, bench.stack, bench.log

    @property
    def root(self) -> Path:
        """The project root."""
        return self.bench.root

    def init(self, *, clone: CloneAccess | None = None) -> Done | Failure:
        """Get the backend, modules and providers. A lock file that is there is not changed.

        Raises: UserError when the stack's settings and the commit do not fit together.
        """
        self._write_backend()
        words = ["init", *self._init_words()]
        words += [f"-backend-config={path}" for path in self._files(self._stack.backend_config, "backend config")]
        ended, messages, tail = self._stream(words, extra=clone_env(clone) if clone else {})
        if ended != _WELL:
            return self._failure("init", ended, messages, tail)
        self._check_backend()
        return Done()

    def init_without_backend(self) -> Done | Failure:
        """Get modules and providers alone: no backend is asked, and no credentials are there to ask one with."""
        ended, messages, tail = self._stream(["init", "-backend=false", *self._init_words()])
        return Done() if ended == _WELL else self._failure("init", ended, messages, tail)

    def _init_words(self) -> list[str]:
        words = ["-input=false", "-no-color", *(["-json"] if _has_json_init(self.engine) else [])]
        return [*words, "-lockfile=readonly"] if (self.root / LOCK_FILE).is_file() else words

    def validate(self) -> Done | Failure:
        """Hold the configuration against its own rules and its providers' schemas; no state and no cloud is asked."""
        captured = Capture(MAX_OUTPUTS_BYTES)
        ended, tail = self._capture(["validate", "-json", "-no-color"], captured)
        messages = Messages()
        for line in messages.read_validation(b"" if captured.is_over else captured.bytes()):
            self._log(line)
        return Done() if ended == _WELL else self._failure("validate", ended, messages, tail)

    def plan(self, part: Part = WHOLE, *, is_destroy: bool = False) -> Planned | Failure:
        """Write the plan file, or say why there is none."""
        state = self._stack.state
        is_preview = self._stack.is_preview or (state is not None and state.is_read_only)
        plan_file = self._folders.plan_file
        write_new(plan_file, "")  # the one file that a plan can write beside its folders
        self.bench.adopt(plan_file)
        words = ["plan", "-json", "-input=false", "-detailed-exitcode", f"-out={self.bench.seen(plan_file)}"]
        words.append("-lock=false" if is_preview else LOCK_TIMEOUT)
        words += ["-destroy"] if is_destroy else []
        words += [f"-var-file={path}" for path in self._files(self._stack.var_files, "var file")] + part.words()
        ended, messages, tail = self._stream(words)
        if ended.code in (_NO_CHANGES, _CHANGES) and not ended.excess and _has_content(plan_file):
            plan_file.chmod(0o600)
            warnings = tuple(messages.warnings)
            return Planned(ended.code == _CHANGES, warnings, messages.warnings_left_out)
        plan_file.unlink(missing_ok=True)  # a failed precondition exits 1 and still writes one
        return self._failure("plan", ended, messages, tail)

    def show(self) -> bytes | Failure:
        """The plan as JSON."""
        captured = Capture(MAX_SHOW_BYTES)
        ended, tail = self._capture(["show", "-json", str(self.bench.seen(self._folders.plan_file))], captured)
        if captured.is_over:
            return Failure(f"{self.engine.name} show: the plan as JSON is larger than {MAX_SHOW_BYTES} bytes")
        return captured.bytes() if ended == _WELL else self._failure("show", ended, Messages(), tail)

    def apply(self) -> Done | Failure:
        """Apply the plan file, and nothing else. An `errored.tfstate` may stay in the root: see `errored_state`."""
        (self.root / ERRORED_STATE).unlink(missing_ok=True)  # one that was committed is none of this apply
        words = ["apply", "-json", "-input=false", LOCK_TIMEOUT, str(self.bench.seen(self._folders.plan_file))]
        ended, messages, tail = self._stream(words)
        return Done() if ended.code == 0 else self._failure("apply", ended, messages, tail)

    def outputs(self) -> Outputs | Failure:
        """The outputs that the state holds now, by name."""
        captured = Capture(MAX_OUTPUTS_BYTES)
        ended, tail = self._capture(["output", "-json", "-no-color"], captured)
        if ended != _WELL or captured.is_over:
            return self._failure("output", ended, Messages(), tail)
        return read_outputs(captured.bytes())

    @property
    def errored_state(self) -> Path | None:
        """The state that an apply could not save; None when it could."""
        path = self.root / ERRORED_STATE
        return path if path.is_file() and not path.is_symlink() else None

    def push_errored_state(self) -> Done | Failure:
        """Save once more what the apply could not save; refused by the backend when another state is newer."""
        ended, messages, tail = self._stream(["state", "push", LOCK_TIMEOUT, ERRORED_STATE])
        return Done() if ended == _WELL else self._failure("state push", ended, messages, tail)

    def _write_backend(self) -> None:
        stack, path = self._stack, self.root / OVERRIDE
        if stack.state is None:
            return
        if stack.workspace != "default":
            raise UserError(
                f"preparing stack {stack.name}: workspace {stack.workspace!r} needs `state: external`: "
                "managed state has the workspace default only"
            )
        if os.path.lexists(path) and not _holds(path, _BACKEND):
            raise UserError(f"preparing stack {stack.name}: the commit holds {OVERRIDE}, a name that is Trackside's")
        write_new(path, _BACKEND)
        self.bench.adopt(path)

    def _check_backend(self) -> None:
        """Hold what init configured against who should keep the state: else it plans against an empty one."""
        try:
            document = json.loads(read_plain(self._folders.data_dir / "terraform.tfstate", max_bytes=MAX_BACKEND_BYTES))
            found, config = str(document["backend"]["type"]), document["backend"]["config"] or {}
            is_elsewhere = any(config.get(name) is not None for name in _ADDRESSES)
        except FileNotFoundError:
            found, is_elsewhere = "", False
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BrokenError(f"reading the backend of stack {self._stack.name}: {error}") from error
        if self._stack.state is not None and (found != "http" or is_elsewhere):
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

    def _run(self, words: Sequence[str], sinks: tuple[Sink, Sink], *, extra: Mapping[str, str] | None = None) -> Ended:
        argv, step = [*self.bench.engine_argv, *words], _STEPS.get(words[0], words[0])
        return self.bench.run(step, argv, sinks, env=self.bench.env(extra), writes_plan=words[0] == "plan")

    def _stream(
        self, words: Sequence[str], *, extra: Mapping[str, str] | None = None
    ) -> tuple[Ended, Messages, "_Tail"]:
        messages, tail = Messages(), _Tail()

        def take(line: str) -> None:
            text = messages.read(line)
            tail.add(text)
            self._log(text)
            self.bench.count(messages.done)

        return self._run(words, (self.bench.lines(take), self.bench.lines(take)), extra=extra), messages, tail

    def _capture(self, words: Sequence[str], captured: Capture) -> tuple[Ended, "_Tail"]:
        tail = _Tail()

        def take(line: str) -> None:
            text = Messages().read(line)
            tail.add(text)
            self._log(text)

        return self._run(words, (captured, self.bench.lines(take))), tail

    def _failure(self, command: str, ended: Ended, messages: Messages, tail: "_Tail") -> Failure:
        end = how_it_ended(ended)
        located = sorted(messages.errors, key=lambda error: not error.place)
        errors = [error.brief() for error in located] or tail.text()
        hint = way_out("\n".join(errors), tool=self.engine.name, system=system()) if command == "init" else ""
        errors = [hint, *errors] if hint else errors
        said = f"{self.engine.name} {command} {end}" + (": " + "\n".join(errors) if errors else "")
        text = self.bench.redact(said)  # before it is cut: a piece of a secret is not known for one
        cut = text if len(text) <= MAX_REASON_CHARS else text[:MAX_REASON_CHARS] + "…"
        return Failure(cut, find_obstacle(messages.errors), tuple(messages.errors))


def how_it_ended(ended: Ended) -> str:
    """`exited 1`, `was ended by signal 9`, or which limit ended it."""
    if ended.excess:
        return f"was ended: {ended.excess}"
    number = -ended.code if ended.code < 0 else ended.code - 128  # a box says it as a shell does
    if number == signal.SIGXFSZ:
        return f"was ended by signal {number}: one file was about to grow larger than the workspace may be"
    return f"was ended by signal {number}" if 0 < number < 65 else f"exited {ended.code}"


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


def read_outputs(raw: bytes) -> Outputs:
    """The answer of `output -json`, by name.

    Raises: UserError when it is not readable.
    """
    try:
        found = sorted(json.loads(raw).items())
        return Outputs(
            shown=tuple(_output(name, part) for name, part in found[:MAX_OUTPUTS]),
            values=tuple(_value(name, part) for name, part in found[:MAX_OUTPUTS]),
        )
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"reading the outputs: {error}") from error


def _output(name: str, part: Mapping[str, object]) -> Output:
    if part.get("sensitive", True):
        return Output(name=name, sensitive=True)
    value = json.dumps(part["value"], ensure_ascii=False, separators=(",", ":"))
    return Output(name=name, value=value if len(value) <= MAX_OUTPUT_CHARS else None)


def _value(name: str, part: Mapping[str, object]) -> OutputValue:
    value = json.dumps(part["value"], ensure_ascii=False, separators=(",", ":"))
    is_short = len(value.encode()) <= MAX_VALUE_BYTES
    return OutputValue(name=name, value=value if is_short else None, is_sensitive=bool(part.get("sensitive", True)))


def _has_json_init(engine: Engine) -> bool:
    """Source: https://github.com/hashicorp/terraform/blob/v1.9/CHANGELOG.md; OpenTofu's came at another version."""
    major, minor = (int(part) for part in engine.version.split(".")[:2])
    return engine.name == "terraform" and (major, minor) >= (1, 9)


def _holds(path: Path, text: str) -> bool:
    try:
        return read_plain(path, max_bytes=len(text)) == text.encode()
    except UserError:
        return False


def _has_content(path: Path) -> bool:
    """True for a plain file with something in it."""
    return path.is_file() and not path.is_symlink() and path.stat().st_size > 0
