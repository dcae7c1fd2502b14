"""YAML from a repository as plain data, with the line of every key and entry. Safe: nothing is constructed or expanded.

Knows nothing of stacks; `app.core.config` reads the data. What YAML allows and nobody means is a Problem: a key twice,
an alias, a tag, a second document.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import Reader

from app.core.markdown import cut, visible
from app.core.stack import Problem

Path = tuple[str | int, ...]
"""Keys and positions from the top: `("stacks", 0, "name")`."""
MAX_DEPTH: Final = 16
MAX_SCALAR: Final = 65_536
"""Characters of one value."""
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where the wheel brings it: ten times as fast, the same marks."""
_TAG: Final = "tag:yaml.org,2002:"
_WHOLE = re.compile(r"[-+]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Document:
    """What the file says. Shape: dicts with text keys, lists, text, int, float, bool, None."""

    data: object
    lines: dict[Path, int]
    """1-based line of each key and each entry."""
    problems: tuple[Problem, ...]
    """Mistakes beside which the rest can still be read."""

    def line_of(self, path: Path) -> int:
        """The line of a path, or of the nearest thing above it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def quoted(text: object) -> str:
    """A foreign word for a message, in backticks that it cannot leave."""
    return f"`{cut(visible(str(text)), 80).replace('`', '?')}`"


def read_document(text: bytes, *, max_bytes: int) -> Document | tuple[Problem, ...]:
    """The document, or why it cannot be read at all."""
    if len(text) > max_bytes:
        return (
            _problem(1, f"the file is larger than {max_bytes:,} bytes", "split the repository, or shorten the file"),
        )
    decoded = _decode(text)
    if isinstance(decoded, Problem):
        return (decoded,)
    try:
        refused = _refused(decoded)
        if refused:
            return refused
        root = yaml.compose(decoded, Loader=_Loader)
    except yaml.YAMLError as error:
        return (_syntax(error),)
    if root is None:
        return (_problem(1, "the file is empty", "begin it with `version: 1`"),)
    reading = _Reading()
    data = reading.value(root, ())
    return Document(data, reading.lines, tuple(reading.problems))


@dataclass(slots=True)
class _Reading:
    """One walk over the nodes: collects lines and problems."""

    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The node as plain data."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        match node:
            case yaml.MappingNode() if node.tag == f"{_TAG}map":
                return self._mapping(node, path)
            case yaml.SequenceNode() if node.tag == f"{_TAG}seq":
                return [self.value(each, (*path, at)) for at, each in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node)
            case _:
                self._add(node, f"the tag {quoted(node.tag)} is not read", "take it away")
                return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._add(key, "a key must be a word", "write `key: value`")
                continue
            name = str(key.value)
            if name in found:
                first = self.lines[(*path, name)]
                self._add(key, f"the key {quoted(name)} stands here twice, first in line {first}", "keep one of them")
                continue
            self.lines[(*path, name)] = key.start_mark.line + 1
            found[name] = self.value(value, (*path, name))
        return found

    def _scalar(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        """Text, number, truth or nothing. What YAML would make a date or an odd number of stays text."""
        text = str(node.value)
        if len(text) > MAX_SCALAR:
            self._add(node, f"a value is longer than {MAX_SCALAR:,} characters", "shorten it")
            return ""
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool" if text.lower() in SafeConstructor.bool_values:
                return bool(SafeConstructor.bool_values[text.lower()])
            case "int" if _WHOLE.fullmatch(text):
                return int(text)
            case "float" if _DECIMAL.fullmatch(text):
                return float(text)
            case "str" | "int" | "float" | "bool" | "timestamp" | "value" | "merge":
                return text
            case _:
                self._add(node, f"the tag {quoted(node.tag)} is not read", "take it away")
                return None

    def _add(self, node: yaml.Node, message: str, remedy: str) -> None:
        self.problems.append(_problem(node.start_mark.line + 1, message, remedy))


def _decode(text: bytes) -> str | Problem:
    """The text, if it is UTF-8 without characters that YAML forbids."""
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        return _problem(line, "the file is not UTF-8", "save it as UTF-8")
    odd = Reader.NON_PRINTABLE.search(decoded)
    if odd:
        line = decoded[: odd.start()].count("\n") + 1
        return _problem(line, f"the character {quoted(odd[0])} is not allowed", "take it away")
    return decoded


def _refused(text: str) -> tuple[Problem, ...]:
    """Why the document must not be composed: too deep, aliases, several documents. Reads events only, one by one."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.AliasEvent):
            return (_problem(line, f"the alias {quoted('*' + str(event.anchor))} is not read", "write the value out"),)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            return (_problem(line, f"it is nested deeper than {MAX_DEPTH} levels", "look for a bracket too many"),)
        if documents > 1:
            return (_problem(line, "a second document begins here", "keep one, without `---` between"),)
    return ()


def _syntax(error: yaml.YAMLError) -> Problem:
    """What is wrong with the YAML itself, and where."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = visible(str(getattr(error, "problem", None) or "it cannot be parsed"))
    line = int(mark.line) + 1 if mark is not None else 1
    remedy = "look at this line and the one above: indentation, a colon, a quote that is not closed"
    return _problem(line, f"not valid YAML: {quoted(said)}", remedy)


def _problem(line: int, message: str, remedy: str) -> Problem:
    return Problem(line=line, message=message, remedy=remedy)
