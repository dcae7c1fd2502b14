"""`trackside policy …`: check, evaluate, test and upgrade policies on the author's own machine.

Needs no server, no database and no GitHub: the embedded engine, or the OPA at OPA_URL where that is not installed.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.core.contract import Dialect, Evaluated, PolicyFailed, PolicyText, PolicyType, broken_restraint
from app.core.errors import TracksideError, UserError
from app.on_server import error_text

if TYPE_CHECKING:
    from app.policy.engine import PolicyEngine
    from app.policy.suite import CaseResult, LineCoverage

policy_app = typer.Typer(
    name="policy", help="Check, evaluate, test and upgrade policies.", no_args_is_help=True, rich_markup_mode=None
)

_MAX_INPUT_BYTES: Final = 48 * 1024 * 1024
Type = Annotated[PolicyType | None, typer.Option("--type", help="What it decides; default: told from its rules.")]
Generation = Annotated[Dialect, typer.Option("--dialect", help="Of the Rego text.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A policy.")]


@policy_app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Policies.")],
    type_: Type = None,
    dialect: Generation = Dialect.AUTO,
) -> None:
    """Say what is wrong with policies: file, line and source line of each mistake; exit code 1 when there is one."""
    from app.policy.suite import Suite
    from app.policy.suite_files import TEST_SUFFIX, shown

    mistakes = 0
    with _asking() as engine:
        for file in files:
            if file.name.endswith(TEST_SUFFIX):
                found = list(Suite(engine.backend).check(file))
            else:
                found = [shown(file, mistake) for mistake in engine.check(_policy(file, type_, dialect))]
            for text in found:
                typer.echo(text, err=True)
            mistakes += len(found)
    if mistakes:
        typer.echo(f"{mistakes} mistake{'s' if mistakes > 1 else ''}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(files)} polic{'ies are' if len(files) > 1 else 'y is'} fine")


@policy_app.command(name="eval")
def evaluate(
    file: File,
    input_: Annotated[Path, typer.Option("--input", help="The input document, a JSON file; `-`: standard input.")],
    type_: Type = None,
    dialect: Generation = Dialect.AUTO,
    trace: Annotated[bool, typer.Option("--trace", help="Also print every step of the evaluation.")] = False,
) -> None:
    """Evaluate a policy and print one JSON object: every rule with its value, prints, errors."""
    question = _question(input_)
    with _asking() as engine:
        policy = _policy(file, type_, dialect)
        said = engine.evaluate(policy, question, want_trace=trace)
    typer.echo(json.dumps(_told(policy, said, want_trace=trace), indent=2, ensure_ascii=False))
    if isinstance(said, PolicyFailed):
        raise typer.Exit(1)


@policy_app.command(name="test")
def run_tests(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Test files, policies, or folders.")],
    coverage: Annotated[bool, typer.Option("--coverage", help="Also say which lines no test reached.")] = False,
) -> None:
    """Run the tests in `*_test.rego` files, each beside its policy, as `opa test` does; exit code 1 on a failure."""
    from app.policy.pool import PoolBackend
    from app.policy.suite import Suite
    from app.policy.suite_files import find_tests
    from app.policy.worker import Limits

    counts = {"passed": 0, "failed": 0, "error": 0, "skipped": 0}
    with _clear_errors():
        backend = PoolBackend(1, Limits())
        try:
            files = find_tests(paths)
            suite = Suite(backend, [path for path in paths if path.is_dir()])
            for path in files:
                typer.echo(f"{path}:")
                for result in suite.run(path):
                    _show(result)
                    counts[result.outcome] += 1
        finally:
            backend.close()
        if not sum(counts.values()):
            raise UserError(f"no test in {', '.join(map(str, files))}: tests are rules called `test_…`")
    if coverage:
        _show_coverage(suite.coverage)
    if counts["skipped"]:
        typer.echo(f"{counts['skipped']} skipped")
    failed = counts["failed"] + counts["error"]
    typer.echo(f"{counts['passed']} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


@policy_app.command()
def upgrade(file: File) -> None:
    """Print a v0 policy as v1, every line where it was."""
    from app.policy.suite_files import read_policy
    from app.policy.upgrade import is_v1_by_its_words
    from app.policy.upgrade import upgrade as upgraded

    with _clear_errors():
        text = read_policy(file)
    sys.stdout.write(text if is_v1_by_its_words(text) else upgraded(text))


def _policy(file: Path, type_: PolicyType | None, dialect: Dialect) -> PolicyText:
    from app.policy.prepare import guess_type
    from app.policy.suite_files import read_policy

    text = read_policy(file)
    return PolicyText(name=file.stem, type=type_ or guess_type(text), path=str(file), text=text, dialect=dialect)


def _question(path: Path) -> dict[str, Any]:
    """The input document. Exits when it cannot be read."""
    with _clear_errors():
        try:
            if str(path) == "-":
                data = sys.stdin.buffer.read(_MAX_INPUT_BYTES + 1)
            else:
                with path.open("rb") as file:
                    data = file.read(_MAX_INPUT_BYTES + 1)
        except OSError as error:
            raise UserError(f"reading {path}: {(error.strerror or 'cannot be read').lower()}") from error
        if len(data) > _MAX_INPUT_BYTES:
            raise UserError(f"reading {path}: longer than {_MAX_INPUT_BYTES:,} bytes")
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UserError(f"reading {path}: not JSON: {error}") from error
        if not isinstance(found, dict):
            raise UserError(f"reading {path}: the input must be a JSON object")
        return found


def _told(policy: PolicyText, said: Evaluated | PolicyFailed, *, want_trace: bool) -> dict[str, Any]:
    """Shape: policy, type, rules: {name: value}, fired: [{rule, line}], prints, errors: [{kind, message, …}],
    fails_closed: why the answer would count as none, or None; trace.
    """
    told: dict[str, Any] = {"policy": policy.path, "type": policy.type.value}
    if isinstance(said, PolicyFailed):
        error = {"kind": said.kind, "message": said.message, "line": said.line or None}
        why = f"{said.kind}: {said.message}"
        told |= {"rules": {}, "fired": [], "prints": [], "errors": [error], "fails_closed": why}
        return told | ({"trace": []} if want_trace else {})
    broken = broken_restraint(policy.type, said)
    errors = [{"kind": "builtin", "rule": rule, "message": text} for rule, text in said.errors_by_rule.items()]
    told |= {
        "rules": dict(said.rules),
        "fired": [asdict(each) for each in said.fired],
        "prints": list(said.prints),
        "errors": errors,
        "fails_closed": f"rule {broken} holds something back, and had an error" if broken else None,
        "elapsed_ms": round(said.elapsed_s * 1000, 3),
    }
    return told | ({"trace": list(said.trace)} if want_trace else {})


def _show(result: "CaseResult") -> None:
    words = {"passed": "PASS", "failed": "FAIL", "error": "ERROR", "skipped": "SKIPPED"}
    took = "" if result.outcome == "skipped" else f" ({result.elapsed_s * 1000:.1f}ms)"
    typer.echo(f"{result.name or 'not run'}: {words[result.outcome]}{took}")
    if result.outcome in ("failed", "error"):
        for line in (*result.prints, *result.message.splitlines()):
            typer.echo(f"  {line}")


def _show_coverage(files: "dict[Path, LineCoverage]") -> None:
    for path, lines in sorted(files.items()):
        missed = f"; not reached: {', '.join(map(str, lines.missed))}" if lines.missed else ""
        typer.echo(f"coverage {path}: {lines.percent:.1f} %{missed}")


@contextmanager
def _asking() -> "Iterator[PolicyEngine]":
    """The engine of this machine. Exits with a line when something is wrong outside the policy."""
    from app.policy.pool import OpaPool, find_library
    from app.policy.server import OpaServer

    url = os.environ.get("OPA_URL", "").strip()
    with _clear_errors():
        try:
            find_library()
            engine: PolicyEngine = OpaPool(1)
        except UserError:
            if not url:
                raise
            engine = OpaServer(url)
        with engine:
            yield engine


@contextmanager
def _clear_errors() -> Iterator[None]:
    """One line on stderr and exit code 1 for what the author can mend."""
    try:
        yield
    except TracksideError as error:
        typer.echo(error_text(error), err=True)
        raise typer.Exit(1) from error
