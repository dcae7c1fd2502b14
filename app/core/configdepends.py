"""Mistakes of `depends_on` between the entries of a stacks.yml, each with its line and remedy.

Read from the raw data, so that they show beside the mistakes of single entries; `configmodel` says what one may hold.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.dependency import MAX_REFERENCES, find_cycle
from app.core.document import Document, Path, quoted
from app.core.stack import Problem

Entries = Mapping[int, Mapping[str, Any]]
"""The stacks of a file that are mappings, by position."""
_HERE = "dependencies are between stacks of this file"


def dependency_problems(document: Document, stacks: Entries) -> Iterator[Problem]:
    """Every mistake: an unknown stack, itself, a stack twice, a variable that is set twice, too much, a cycle."""
    names = {entry["name"] for entry in stacks.values() if isinstance(entry.get("name"), str)}
    above: dict[str, list[str]] = {}
    for at, entry in stacks.items():
        listed = _listed(entry)
        yield from _named(document, at, entry.get("name"), listed, names)
        yield from _variables(document, at, entry, listed)
        if isinstance(entry.get("name"), str):
            uppers = [one.get("stack") for one in listed.values()]
            above[entry["name"]] = [one for one in uppers if isinstance(one, str) and one in names - {entry["name"]}]
    cycle = find_cycle(above)
    if cycle:
        at = next(at for at, entry in stacks.items() if entry.get("name") == cycle[0])
        yield _problem(
            document,
            ("stacks", at, "depends_on"),
            f"stacks depend on each other in a circle: {quoted(' -> '.join(cycle[:10]))}",
            "take one of these dependencies away: one of the stacks has to come first",
        )


def _named(
    document: Document, at: int, own: object, listed: Mapping[int, Mapping[str, Any]], names: set[str]
) -> Iterator[Problem]:
    """The stacks that an entry names."""
    seen: set[str] = set()
    for place, one in listed.items():
        name = one.get("stack")
        if not isinstance(name, str):
            continue
        path: Path = ("stacks", at, "depends_on", place, "stack")
        if name == own:
            yield _problem(document, path, f"{quoted(name)} depends on itself", "take it away")
        elif name not in names:
            close = difflib.get_close_matches(name[:80], names, 1, 0.6)
            remedy = f"did you mean {quoted(close[0])}?" if close else "take it away, or write the stack into this file"
            yield _problem(document, path, f"{quoted(name)} is no stack of this file; {_HERE}", remedy)
        elif name in seen:
            yield _problem(document, path, f"{quoted(name)} is a dependency already", "put its outputs into one entry")
        seen.add(name)


def _variables(
    document: Document, at: int, entry: Mapping[str, Any], listed: Mapping[int, Mapping[str, Any]]
) -> Iterator[Problem]:
    """The variables that outputs are passed in."""
    environment = entry.get("environment")
    own = {name: name for name in environment} if isinstance(environment, dict) else {}
    own |= {name[3:]: name for name in own if name.startswith(("ro_", "wo_"))}
    given: dict[str, str] = {}
    total = 0
    for place, one in listed.items():
        outputs = one.get("outputs")
        for output, variable in outputs.items() if isinstance(outputs, dict) else ():
            path: Path = ("stacks", at, "depends_on", place, "outputs", output)
            total += 1
            if total == MAX_REFERENCES + 1:
                message = f"`outputs` of all dependencies together are more than {MAX_REFERENCES}"
                yield _problem(document, path, message, "pass one output that is an object")
            if not isinstance(variable, str):
                continue
            source = f"{one.get('stack')}.{output}"
            if variable in given:
                message = f"{quoted(variable)} gets the value of {quoted(given[variable])} already"
                yield _problem(document, path, message, "give each output a variable of its own")
            elif variable in own:
                message = f"{quoted(variable)} is set by {quoted(own[variable])} of `environment`, too"
                yield _problem(document, path, message, "keep one of them")
            given.setdefault(variable, source)


def _listed(entry: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """The dependencies of a stack that are mappings, by position; also when the rest of it is wrong."""
    listed = entry.get("depends_on")
    return {at: one for at, one in enumerate(listed) if isinstance(one, dict)} if isinstance(listed, list) else {}


def _problem(document: Document, path: Path, message: str, remedy: str) -> Problem:
    return Problem(line=document.line_of(path), message=message, remedy=remedy)
