"""Tests of policies: every `test_` rule of `*_test.rego` files, each file beside the policy that it tests.

As `opa test` does it, but one policy at a time, with the prelude that it decides with: two policies of one package
never meet. Which files belong together is left to `app.policy.suite_files`.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from app.core.contract import PACKAGES, PolicyText, PolicyType
from app.policy.faults import faults_of, is_builtin, mistake_of
from app.policy.lenient import SHIM_MODULE, lenient_text, replacements, shim
from app.policy.prelude import PRELUDE_MODULE, prelude
from app.policy.prepare import content_key, guess_type
from app.policy.program import Ask, Backend, Coverage, Envelope, NoAnswer, Program
from app.policy.reading import prints_of
from app.policy.suite_cases import TestRule, failed_cases, plain_rules, rules_of, set_aside, without_cases
from app.policy.suite_files import TEST_SUFFIX, Broken, Chosen, Files, Module, shown

TEST_TIMEOUT_S: Final = 30.0
"""Of one test rule; OPA's own default is 5 s."""
TRIED_S: Final = 3.0
"""For so long the tables of a file are tried one by one, when they cannot all be asked together."""
Outcome = Literal["passed", "failed", "error", "skipped"]
Programs = tuple[Program, Program, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """How one test rule ended. A file that cannot be run is one result without a name."""

    path: Path
    name: str
    """As OPA calls it: `data.PACKAGE.RULE`."""
    outcome: Outcome
    message: str = ""
    prints: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    line: int = 1
    """Of the rule, or of what is wrong with the file."""
    policy: Path | None = None
    """The policy that it tests; None when that is not known."""


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


class Suite:
    """Runs test files on a backend, and remembers what of each policy they reached."""

    def __init__(self, backend: Backend, roots: Sequence[Path] = ()) -> None:
        """`roots`: the folders in which a test's policy and data are looked for, beside its own."""
        self._backend = backend
        self._files = Files(backend, roots)
        self.coverage: dict[Path, LineCoverage] = {}
        """Of policies, not of tests."""

    def run(self, path: Path) -> Iterator[CaseResult]:
        """The results of one test file, in the order of its rules."""
        hints: tuple[str, ...] = ()
        try:
            chosen = self._files.choose(path)
            hints = chosen.hints
            for found in self._rules(chosen):
                result = replace(found, policy=chosen.subject.path)
                is_fine = result.outcome in ("passed", "skipped")
                yield result if is_fine else replace(result, message="\n".join([*result.message.splitlines(), *hints]))
        except Broken as broken:
            message = "\n".join([broken.message, *hints])
            yield CaseResult(path=broken.path, name="", outcome="error", message=message, line=max(1, broken.line))

    def check(self, path: Path) -> Iterator[str]:
        """What is wrong with a test file beside its policy, each with its place."""
        try:
            chosen = self._files.choose(path)
            self._ready(chosen, chosen.modules[0].text)
        except Broken as broken:
            yield broken.message

    def _rules(self, chosen: Chosen) -> Iterator[CaseResult]:
        """The result of each test of the file."""
        test = chosen.modules[0]
        rules, (program, lenient, calls) = self._asked(chosen)
        package = _reference(test.package)
        for rule in rules:
            place = CaseResult(path=test.path, name=f"{package}.{rule.name}", line=rule.line, outcome="skipped")
            if rule.is_skipped:
                yield place
                continue
            began = time.monotonic()
            query = f"x := {package}.{rule.reference}"
            envelope = self._ask(program, query + chosen.data)
            if isinstance(envelope, Envelope) and envelope.error and _is_builtin(envelope):
                envelope = self._ask(lenient, query + replacements(calls) + chosen.data)
            self._cover(chosen.subject, envelope)
            yield replace(_result(place, rule, envelope), elapsed_s=time.monotonic() - began)

    def _asked(self, chosen: Chosen) -> tuple[tuple[TestRule, ...], Programs]:
        """The tests of the file, and the programs in which each can be asked: those that tell most of it, that OPA
        reads as harmless, and that compile. Raises: Broken when the file as it is does not compile."""
        test = chosen.modules[0]
        asked = rules_of(test.text)
        known = plain_rules(test.text, (rule["name"] for rule in test.summary["rules"] if not rule["arity"]))
        if {rule.name for rule in known} <= {rule.name for rule in asked.rules}:  # else our lexer was misled
            tables = range(len(asked.told))
            ready = self._tried(chosen, asked.text(tables))
            if ready is None:  # one form of a table that cannot tell keeps no other from it
                until = time.monotonic() + TRIED_S
                can_tell = [
                    each for each in tables if time.monotonic() < until and self._tried(chosen, asked.text([each]))
                ]
                ready = self._tried(chosen, asked.text(can_tell)) or self._tried(chosen, asked.text(()))
            if ready is not None:
                return asked.rules, ready
        return known, self._ready(chosen, test.text)

    def _tried(self, chosen: Chosen, text: str) -> Programs | None:
        """The programs of the test file with a text that was made of it; None when it does not compile, or would ask
        what no test may ask."""
        test = chosen.modules[0]
        if text != test.text and not self._files.is_harmless(test.path, text):
            return None
        try:
            return self._ready(chosen, text)
        except Broken:
            return None

    def _ready(self, chosen: Chosen, text: str) -> Programs:
        """The programs of a test file with that text: with files of its package only where it cannot do without, and
        without their tests. Raises: Broken."""
        test, *others = chosen.modules
        modules = [replace(test, text=text), *(_beside(test, other) for other in others)]
        try:
            return self._programs(modules)
        except Broken as broken:
            tries = [
                [*modules, *(_beside(test, other) for other in chosen.helpers)],
                [replace(test, text=text), *others],
            ]
            for each in tries if chosen.helpers or others else []:
                with contextlib.suppress(Broken):
                    return self._programs(each)
            raise broken from None

    def _programs(self, modules: list[Module]) -> Programs:
        """The program to ask, the one for failing built-in functions, and the functions that are called."""
        calls: dict[str, int] = {}
        for module in modules:
            calls |= module.summary["calls"]
        own = [(str(module.path), module.text) for module in modules]
        refusal, line = "", 1
        for extra in (_prelude(modules), []):  # the second for names that the prelude has and the test means otherwise
            program = _program([*own, *extra], is_lenient=False)
            envelope = self._ask(program, "x := true")
            if isinstance(envelope, NoAnswer):
                raise Broken(modules[0].path, envelope.message)
            if envelope.error is None:
                relaxed = [(name, lenient_text(text)) for name, text in (*own, *extra)]
                return program, _program([*relaxed, (SHIM_MODULE, shim(calls))], is_lenient=True), calls
            if not refusal:
                refusal, line = _errors(modules, envelope), _line_of(modules[0], envelope)
        raise Broken(modules[0].path, refusal, line)

    def _ask(self, program: Program, query: str) -> Envelope | NoAnswer:
        return self._backend.evaluate(program, Ask(query=query, question=b"", timeout_s=TEST_TIMEOUT_S, coverage=True))

    def _cover(self, policy: Module, envelope: Envelope | NoAnswer) -> None:
        found = envelope.coverage if isinstance(envelope, Envelope) else None
        _add_lines(self.coverage.setdefault(policy.path, LineCoverage()), found, str(policy.path))


def _beside(test: Module, other: Module) -> Module:
    """A file as the test meets it: tests of one package and of one name are two tests, each its own file's."""
    return replace(other, text=set_aside(other.text)) if other.package == test.package else other


def _result(place: CaseResult, rule: TestRule, envelope: Envelope | NoAnswer) -> CaseResult:
    """How a test ended, as with OPA: it passes when it is true, and a table when each of its cases is."""
    if isinstance(envelope, NoAnswer):
        return replace(place, outcome="error", message=envelope.message)
    told = without_cases(envelope.prints)
    prints = prints_of(told)
    if envelope.error:
        return replace(place, outcome="error", message=envelope.error.message[:1000], prints=prints)
    if not rule.has_cases or not isinstance(envelope.value, dict):
        return replace(place, outcome="passed" if envelope.value is True else "failed", prints=prints)
    failed = failed_cases(envelope.value, envelope.prints or ())
    message = "\n".join(f"{name}: FAIL" for name in failed)[:1000]
    return replace(place, outcome="failed" if failed else "passed", message=message, prints=prints)


def _prelude(modules: Sequence[Module]) -> list[tuple[str, str]]:
    """The prelude of the policy under test, which plain OPA does not have; none for what is in a package of its own."""
    policy = modules[min(1, len(modules) - 1)]
    is_test_alone = len(modules) == 1 and policy.path.name.endswith(TEST_SUFFIX)
    if is_test_alone or len(policy.package) != 1 or policy.package[0] not in PACKAGES:
        return []
    rules = [rule for module in modules if module.package == policy.package for rule in module.summary["rules"]]
    beside = prelude(
        guess_type(policy.text),
        policy.package[0],
        defined={rule["name"] for rule in rules},
        defaulted={rule["name"] for rule in rules if rule["default"]},
    )
    return [(PRELUDE_MODULE, beside)]


def _program(modules: list[tuple[str, str]], *, is_lenient: bool) -> Program:
    text = "\0".join(part for module in modules for part in module)
    key = content_key(PolicyText(name="", type=PolicyType.PUSH, path="", text=text))
    return Program(key=f"test:{key}:{is_lenient}", modules=tuple(modules), package="", is_lenient=is_lenient)


def _errors(modules: Sequence[Module], envelope: Envelope) -> str:
    """The errors of compiling, each with its file and source line."""
    texts = {str(module.path): module for module in modules}
    lines = []
    for fault in faults_of(envelope.error.message if envelope.error else ""):
        module = texts.get(fault.module)
        lines.append(
            shown(module.path, mistake_of(fault, module.written)) if module else f"{fault.module}: {fault.text}"
        )
    return "\n".join(lines)


def _line_of(module: Module, envelope: Envelope) -> int:
    """The first line of that file that does not compile; 1 when the mistake is in another."""
    faults = faults_of(envelope.error.message if envelope.error else "")
    return next((fault.line for fault in faults if fault.module == str(module.path)), 1)


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
