"""Which files belong to a test: itself, the policy that it tests, and what it alone uses beside that.

A policy is evaluated alone, so it is tested alone: a file beside it that it refers to is not given to it, but named
when a test fails. Reads files; writes nothing.
"""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.core.contract import (
    CONTRACTS,
    MAX_POLICY_BYTES,
    PACKAGES,
    TEST_FOLDERS,
    Dialect,
    Mistake,
    PolicyText,
    PolicyType,
)
from app.core.errors import UserError
from app.policy.lexer import TokenKind, tokens_of
from app.policy.prepare import Refused, as_v1, forbidden, heads_of
from app.policy.program import Backend
from app.policy.suite_data import documents, modifiers

TEST_SUFFIX: Final = "_test.rego"
_MAX_FILES: Final = 5000
_TESTS: Final = ("test_", "todo_test_")
_PREDEFINED: Final = frozenset(rule for contract in CONTRACTS.values() for rule in contract.rules)
Package = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """One file as v1, with what it contains."""

    path: Path
    written: str
    text: str
    summary: Mapping[str, Any]
    words: frozenset[str]
    """All that is named in it."""

    @property
    def package(self) -> Package:
        """The segments of its package."""
        return tuple(self.summary["package"])

    @property
    def defined(self) -> frozenset[str]:
        """The names of its rules."""
        return frozenset(rule["name"] for rule in self.summary["rules"])

    @property
    def is_policy(self) -> bool:
        """True when it decides something: it has a predefined rule of some type."""
        return self.package[0] in PACKAGES and len(self.package) == 1 and not self.defined.isdisjoint(_PREDEFINED)

    def uses_of(self, other: "Module", own: Sequence["Module"]) -> frozenset[str]:
        """The names of another file of its package that it uses, and that it does not find where it belongs."""
        known = frozenset[str]().union(*(module.defined for module in own if module.path != other.path))
        return frozenset(name for name in (other.defined & self.words) - known if not name.startswith(_TESTS))

    def refers_to(self, package: Package) -> bool:
        """True when its text names something of that package."""
        return any(path[: len(package)] == package[: len(path)] for path in map(tuple, self.summary["data"]))


class Broken(Exception):
    """A file cannot be run; the message says why, and the line where."""

    def __init__(self, path: Path, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.path, self.message, self.line = path, message, line


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The files of one test file."""

    modules: list[Module]
    """The test first, then the policy, if it is another file, then the packages that the test alone refers to."""
    helpers: tuple[Module, ...]
    """Files of their package that the test may use: for a test that cannot do without."""
    hints: tuple[str, ...]
    """What a policy refers to and does not get, one sentence each."""
    data: str = ""
    """What gives the test the data files that it alone uses: modifiers of its query."""

    @property
    def subject(self) -> Module:
        """The policy under test: the test file itself when it stands alone."""
        return self.modules[min(1, len(self.modules) - 1)]


def find_tests(paths: Sequence[Path]) -> list[Path]:
    """The files with tests at some paths, in order. Raises: UserError when a path is not there, or none has a test."""
    found: dict[Path, None] = {}
    for path in paths:
        here: list[Path] = []
        try:
            is_folder, is_file = path.is_dir(), path.is_file()
        except OSError as error:
            raise UserError(f"reading {path}: {(error.strerror or 'cannot be read').lower()}") from error
        if is_folder:
            here = [file for file in _walk(path) if is_test(file)]
        elif not is_file:
            raise UserError(f"reading {path}: no such file or folder")
        elif is_test(path):
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


class Files:
    """Reads policies and tests, and chooses those that belong together."""

    def __init__(self, backend: Backend, roots: Sequence[Path] = ()) -> None:
        self._backend = backend
        self._roots = sorted(roots, key=lambda root: -len(root.parts))
        self._read: dict[Path, Module | Broken] = {}
        self._documents = functools.cache(documents)

    def choose(self, path: Path) -> Chosen:
        """The files of a test file. Raises: Broken when one of them cannot be read as Rego."""
        test = self.read(path)
        beside = self._beside(path)
        subject = self._subject(test, beside)
        modules = [test] if subject is None else [test, subject]
        own = {module.package for module in modules}
        decides = subject or (test if test.is_policy else None)
        hints, helpers = [], []
        for other in beside:
            if subject is not None and other.path == subject.path:
                continue
            if other.package in own:
                if other.is_policy:
                    continue
                missed = decides.uses_of(other, modules) if decides is not None else ()
                if decides is not None and missed:
                    hints += [_hint(decides, name, other.path) for name in sorted(missed)]
                elif test.uses_of(other, modules):
                    helpers.append(other)
            elif decides is not None and decides.refers_to(other.package):
                hints.append(_hint(decides, f"data.{'.'.join(other.package)}", other.path))
            elif test.refers_to(other.package):
                modules.append(other)
        data, more = self._data(test, decides, [*modules, *helpers])
        return Chosen(modules=modules, helpers=tuple(helpers), hints=(*hints, *more), data=data)

    def is_harmless(self, path: Path, text: str) -> bool:
        """True for a v1 text that was made of that file and that OPA, too, reads as nothing that may not be asked."""
        policy = PolicyText(name=path.stem, type=PolicyType.PUSH, path=str(path), text=text, dialect=Dialect.V1)
        found = as_v1(policy, self._backend)
        return not isinstance(found, Refused) and forbidden(policy, found[1]) is None

    def _data(self, test: Module, decides: Module | None, modules: Sequence[Module]) -> tuple[str, list[str]]:
        """The modifiers that give a test its data, and what is said of data that its policy uses too."""
        packages = {module.package for module in modules}
        rules = {(*module.package, name) for module in modules for name in module.defined}
        root = next((each for each in self._roots if each in test.path.parents), test.path.parent)
        is_used = test.summary["data"] or (decides and decides.summary["data"])
        given, hints = {}, []
        for name, (value, file) in (self._documents(root) if is_used else {}).items():
            if decides is not None and decides.refers_to((name,)):
                hints += [_hint(decides, f"data.{name}", file)] if (name,) not in packages else []
            elif test.refers_to((name,)):
                given[name] = value
        return modifiers(given, packages, rules), hints

    def read(self, path: Path) -> Module:
        """One file, read once. Raises: Broken with its mistakes; UserError when it cannot be read at all."""
        if path not in self._read:
            self._read[path] = self._module(path)
        found = self._read[path]
        if isinstance(found, Broken):
            raise found
        return found

    def _module(self, path: Path) -> Module | Broken:
        policy = PolicyText(name=path.stem, type=PolicyType.PUSH, path=str(path), text=read_policy(path))
        found = as_v1(policy, self._backend)
        if not isinstance(found, Refused):
            refused = forbidden(policy, found[1])
            if refused is None:
                return Module(path, policy.text, *found, _words(found[0]))
            found = refused
        said = "\n".join(shown(path, mistake) for mistake in found.mistakes)
        return Broken(path, said, found.mistakes[0].line)

    def _subject(self, test: Module, beside: Sequence[Module]) -> Module | None:
        """The policy that a test is named after; else the only one beside it, or of that name, that it can mean."""
        is_named = test.path.name.endswith(TEST_SUFFIX)
        if not is_named and test.is_policy:
            return None  # a policy that holds its own tests
        here = test.path.parent
        names = [f"{name}.rego" for name in _names_of(test.path)]
        for folder in (here, *([here.parent] if here.name in TEST_FOLDERS else [])):
            for name in names:
                if (folder / name).is_file():
                    return self.read(folder / name)
        likely = [each for each in beside if each.package == test.package and each.is_policy]
        likely = likely or [each for each in beside if test.refers_to(each.package) and not is_test(each.path)]
        if len(likely) > 1:
            if not is_named:
                return None
            asked = ", ".join(each.path.name.removesuffix(".rego") + TEST_SUFFIX for each in likely)
            raise Broken(test.path, f"{test.path}: which policy does it test? Call it {asked}")
        return likely[0] if likely else self._elsewhere(test.path, names)

    def _elsewhere(self, path: Path, names: Sequence[str]) -> Module | None:
        """The only policy of that name in the folders that are tested, where policies and tests have a tree each."""
        roots = [root for root in self._roots if root in path.parents]
        found = {file for root in roots for file in _walk(root) if file.name in names}
        return self.read(found.pop()) if len(found) == 1 else None

    def _beside(self, path: Path) -> list[Module]:
        """The other files of the folder that can be read, by name."""
        found = []
        for file in sorted(path.parent.glob("*.rego")):
            if file == path or not file.is_file():
                continue
            try:
                found.append(self.read(file))
            except (Broken, UserError):
                continue  # some other policy's business
        return found


def _words(text: str) -> frozenset[str]:
    """What is named in a text, keys after a dot aside."""
    tokens = tokens_of(text)
    return frozenset(
        token.text
        for at, token in enumerate(tokens)
        if token.kind is TokenKind.NAME and not (at and tokens[at - 1].text == ".")
    )


def _names_of(path: Path) -> list[str]:
    """What the policy of a test may be called, by the test's own name."""
    stem = path.name.removesuffix(".rego")
    ends = [stem.removesuffix(end) for end in ("_test", "_tests", "-test", ".test") if stem.endswith(end)]
    return [*ends, *([stem.removeprefix("test_")] if stem.startswith("test_") else [])]


def _hint(policy: Module, name: str, file: Path) -> str:
    return (
        f"{policy.path} uses {name} of {file}, which it does not have when it decides: a policy is evaluated alone. "
        "Copy what it uses into it."
    )


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


def is_test(path: Path) -> bool:
    """True for a file that is called a test, and for one that holds test rules under another name."""
    if path.name.endswith(TEST_SUFFIX):
        return True
    if path.suffix != ".rego":
        return False
    try:
        return any(name.startswith(_TESTS) for name in heads_of(read_policy(path)))
    except UserError:
        return False


def _walk(folder: Path) -> Iterator[Path]:
    """Policies below a folder: files alone, without hidden folders and without following links to folders."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        found = (Path(here) / each for each in sorted(files) if each.endswith(".rego"))
        yield from (file for file in found if file.is_file())
