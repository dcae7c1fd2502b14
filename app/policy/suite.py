"""Tests of policies: every `test_` rule of `*_test.rego` files, each file beside the policy that it tests.

As `opa test` does it, but one policy at a time: two policies of one package never meet. Reads files; writes nothing.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from app.core.contract import MAX_POLICY_BYTES, Mistake, PolicyText, PolicyType
from app.core.errors import UserError
from app.policy.faults import faults_of, is_builtin, mistake_of
from app.policy.lenient import SHIM_MODULE, lenient_text, replacements, shim
from app.policy.prelude import PRELUDE_MODULE, prelude
from app.policy.prepare import Refused, as_v1, content_key, forbidden, guess_type
from app.policy.program import Ask, Backend, Coverage, Envelope, NoAnswer, Program
from app.policy.reading import prints_of

TEST_SUFFIX: Final = "_test.rego"
TEST_TIMEOUT_S: Final = 30.0
"""Of one test rule; OPA's own default is 5 s."""
_MAX_FILES: Final = 5000
Outcome = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """How one test rule ended. A file that cannot be run is one result without a name."""

    path: Path
    name: str
    outcome: Outcome
    message: str = ""
    prints: tuple[str, ...] = ()
    elapsed_s: float = 0.0


@dataclass(slots=True)
class LineCoverage:
    """The lines of a policy that tests reached, and those that they could have."""

    covered: set[int] = field(default_factory=set)
    not_covered: set[int] = field(default_factory=set)

    @property
    def missed(self) -> tuple[int, ...]:
        """Lines that no test reached."""
        return tuple(sorted(self.not_covered - self.covered))

    @property
    def percent(self) -> float:
        """0 to 100; 100 for a policy without a line to reach."""
        everything = len(self.covered | self.not_covered)
        return 100.0 if not everything else 100.0 * len(self.covered) / everything


@dataclass(frozen=True, slots=True)
class _Module:
    """One file as v1, with what it contains."""

    path: Path
    written: str
    text: str
    summary: Mapping[str, Any]


class _Broken(Exception):
    """A file cannot be run; the message says why."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path, self.message = path, message


def find_tests(paths: Sequence[Path]) -> list[Path]:
    """The test files at some paths, in order. Raises: UserError when a path is not there, or holds no test."""
    found: dict[Path, None] = {}
    for path in paths:
        here: list[Path] = []
        if path.is_dir():
            here = list(_walk(path))
        elif not path.is_file():
            raise UserError(f"reading {path}: no such file or folder")
        elif path.name.endswith(TEST_SUFFIX):
            here = [path]
        else:
            beside = path.with_name(path.stem + TEST_SUFFIX)
            here = [beside] if beside.is_file() else []
        found.update(dict.fromkeys(here))
        if len(found) > _MAX_FILES:
            raise UserError(f"reading {path}: more than {_MAX_FILES:,} test files")
    if not found:
        raise UserError(
            f"no test under {', '.join(map(str, paths))}: tests are rules `test_…` in files `*{TEST_SUFFIX}`"
        )
    return list(found)


class Suite:
    """Runs test files on a backend, and remembers what of each policy they reached."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.coverage: dict[Path, LineCoverage] = {}
        """Of policies, not of tests."""

    def run(self, path: Path) -> Iterator[CaseResult]:
        """The results of one test file, in the order of its rules."""
        try:
            modules = self._modules(path)
            yield from self._rules(modules)
        except _Broken as broken:
            yield CaseResult(path=broken.path, name="", outcome="error", message=broken.message)

    def check(self, path: Path) -> Iterator[str]:
        """What is wrong with a test file beside its policy, each with its place."""
        try:
            self._programs(self._modules(path))
        except _Broken as broken:
            yield broken.message

    def _rules(self, modules: list[_Module]) -> Iterator[CaseResult]:
        test = modules[0]
        program, lenient, calls = self._programs(modules)
        names = dict.fromkeys(rule["name"] for rule in test.summary["rules"])
        for name in names:
            if name.startswith("todo_test_"):
                yield CaseResult(path=test.path, name=name, outcome="skipped")
            elif name.startswith("test_"):
                began = time.monotonic()
                query = f"x := {_reference(test.summary['package'])}.{name}"
                envelope = self._ask(program, query)
                if isinstance(envelope, Envelope) and envelope.error and _is_builtin(envelope):
                    envelope = self._ask(lenient, query + replacements(calls))
                self._cover(modules, envelope)
                yield _result(test.path, name, envelope, time.monotonic() - began)

    def _modules(self, path: Path) -> list[_Module]:
        """The test file first, then the policy beside it, then the files of other packages in that folder."""
        test = self._read(path)
        subject = path.with_name(path.name.removesuffix(TEST_SUFFIX) + ".rego")
        modules = [test]
        if subject.is_file():
            modules.append(self._read(subject))
        taken = {tuple(module.summary["package"]) for module in modules[1:]}
        for beside in sorted(path.parent.glob("*.rego")):
            if beside in (path, subject) or beside.name.endswith(TEST_SUFFIX):
                continue
            try:
                other = self._read(beside)
            except _Broken:
                if subject.is_file():
                    continue  # some other policy's business
                raise
            if tuple(other.summary["package"]) not in taken:
                modules.append(other)
        return modules

    def _read(self, path: Path) -> _Module:
        policy = PolicyText(name=path.stem, type=PolicyType.PUSH, path=str(path), text=read_policy(path))
        found = as_v1(policy, self._backend)
        if not isinstance(found, Refused):
            refused = forbidden(policy, found[1])
            if refused is None:
                return _Module(path, policy.text, *found)
            found = refused
        raise _Broken(path, "\n".join(shown(path, mistake) for mistake in found.mistakes))

    def _programs(self, modules: list[_Module]) -> tuple[Program, Program, dict[str, int]]:
        """The program to ask, the one for failing built-in functions, and the functions that are called."""
        calls: dict[str, int] = {}
        for module in modules:
            calls |= module.summary["calls"]
        own = [(str(module.path), module.text) for module in modules]
        refusal = ""
        for extra in ([], _prelude(modules)):
            program = _program([*own, *extra], is_lenient=False)
            envelope = self._ask(program, "x := true")
            if isinstance(envelope, NoAnswer):
                raise _Broken(modules[0].path, envelope.message)
            if envelope.error is None:
                relaxed = [(name, lenient_text(text)) for name, text in (*own, *extra)]
                return program, _program([*relaxed, (SHIM_MODULE, shim(calls))], is_lenient=True), calls
            refusal = refusal or _errors(modules, envelope)
        raise _Broken(modules[0].path, refusal)

    def _ask(self, program: Program, query: str) -> Envelope | NoAnswer:
        return self._backend.evaluate(program, Ask(query=query, question=b"", timeout_s=TEST_TIMEOUT_S, coverage=True))

    def _cover(self, modules: list[_Module], envelope: Envelope | NoAnswer) -> None:
        found = envelope.coverage if isinstance(envelope, Envelope) else None
        for module in modules[1:]:
            lines = self.coverage.setdefault(module.path, LineCoverage())
            _add_lines(lines, found, str(module.path))


def read_policy(path: Path) -> str:
    """The text of a policy file. Raises: UserError when it cannot be read, is too long, or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise UserError(f"reading {path}: {(error.strerror or 'cannot be read').lower()}") from error
    if len(data) > MAX_POLICY_BYTES:
        raise UserError(f"reading {path}: longer than {MAX_POLICY_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"reading {path}: not UTF-8") from error


def shown(path: Path, mistake: Mistake) -> str:
    """A mistake with its place, and its source line below it."""
    place = f"{path}:{mistake.line}:{mistake.column}" if mistake.line else str(path)
    lines = [f"{place}: {mistake.message}"]
    if mistake.source_line.strip():
        plain = mistake.source_line[:300].replace("\t", " ")
        lines += [f"    {plain}", f"    {' ' * (min(mistake.column, 300) - 1)}^"]
    return "\n".join(lines)


def _result(path: Path, name: str, envelope: Envelope | NoAnswer, elapsed_s: float) -> CaseResult:
    if isinstance(envelope, NoAnswer):
        return CaseResult(path=path, name=name, outcome="error", message=envelope.message, elapsed_s=elapsed_s)
    prints = prints_of(envelope.prints)
    if envelope.error:
        message = envelope.error.message[:1000]
        return CaseResult(path=path, name=name, outcome="error", message=message, prints=prints, elapsed_s=elapsed_s)
    outcome: Outcome = "passed" if envelope.result and _is_passed(envelope.value) else "failed"
    return CaseResult(path=path, name=name, outcome=outcome, prints=prints, elapsed_s=elapsed_s)


def _is_passed(value: object) -> bool:
    """True for anything but false; a rule with cases passes when it has some and none is false."""
    if isinstance(value, dict):
        return bool(value) and all(_is_passed(each) for each in value.values())
    return value is not False


def _prelude(modules: Sequence[_Module]) -> list[tuple[str, str]]:
    """The prelude of the policy under test: for one that uses its helpers, which plain OPA does not have."""
    found = []
    packages: dict[str, list[_Module]] = {}
    for module in modules[1:]:
        packages.setdefault(".".join(module.summary["package"]), []).append(module)
    for package, members in packages.items():
        rules = [rule for module in (*members, modules[0]) for rule in module.summary["rules"]]
        beside = prelude(
            guess_type("\n".join(module.text for module in members)),
            package,
            defined={rule["name"] for rule in rules},
            defaulted={rule["name"] for rule in rules if rule["default"]},
        )
        found.append((f"{package}.{PRELUDE_MODULE}", beside))
    return found


def _program(modules: list[tuple[str, str]], *, is_lenient: bool) -> Program:
    text = "\0".join(part for module in modules for part in module)
    key = content_key(PolicyText(name="", type=PolicyType.PUSH, path="", text=text))
    return Program(key=f"test:{key}:{is_lenient}", modules=tuple(modules), package="", is_lenient=is_lenient)


def _errors(modules: Sequence[_Module], envelope: Envelope) -> str:
    """The errors of compiling, each with its file and source line."""
    texts = {str(module.path): module for module in modules}
    lines = []
    for fault in faults_of(envelope.error.message if envelope.error else ""):
        module = texts.get(fault.module)
        lines.append(
            shown(module.path, mistake_of(fault, module.written)) if module else f"{fault.module}: {fault.text}"
        )
    return "\n".join(lines)


def _add_lines(lines: LineCoverage, found: Coverage | None, name: str) -> None:
    file = found.files.get(name) if found else None
    if file is None:
        return
    for each in file.covered:
        lines.covered.update(range(each.start.row, each.start.row + 1))
    for each in file.not_covered:
        lines.not_covered.update(range(each.start.row, each.start.row + 1))


def _is_builtin(envelope: Envelope) -> bool:
    return is_builtin(faults_of(envelope.error.message if envelope.error else "")[0])


def _reference(package: Sequence[str]) -> str:
    return "data" + "".join(f'["{part}"]' if not part.isidentifier() else f".{part}" for part in package)


def _walk(folder: Path) -> Iterator[Path]:
    """Test files below a folder, without hidden folders and without following links."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Path(here) / each for each in sorted(files) if each.endswith(TEST_SUFFIX))
