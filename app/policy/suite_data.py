"""The data files beside tests, as OPA's own runner loads them: `mocks/prod.json` is `data.mocks`.

Reads files; what cannot be read as an object is passed over, since many a JSON file beside policies is no data.
"""

import json
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from app.core.document import Document, read_document
from app.policy.prelude import PREDEFINED

_ENDS: Final = (".json", ".yaml", ".yml")
_MAX_FILES: Final = 200
_MAX_BYTES: Final = 1_000_000
"""Of all of them."""
_MAX_DEPTH: Final = 50

Package = tuple[str, ...]
"""Its segments."""


def documents(root: Path) -> dict[str, tuple[object, Path]]:
    """What `data` holds at its top, each with the file that brought it first. Folders below the root are keys."""
    found: dict[str, Any] = {}
    files: dict[str, Path] = {}
    left = _MAX_BYTES
    for file in _files(root):
        value, size = _value(file, left)
        left -= size
        for part in reversed(file.parent.relative_to(root).parts):
            value = {part: value}
        if isinstance(value, dict):
            for name in value:
                files.setdefault(str(name), file)
            _merge(found, value)
    return {name: (value, files[name]) for name, value in found.items()}


def modifiers(
    given: Mapping[str, object], packages: Collection[Package], rules: Collection[Package] | None = None
) -> str:
    """What gives those documents to a query: one `with` for each that is no package, and none for a package's rules.

    `rules`: the paths of all rules of the packages; without them, nothing is given inside a package.
    """
    said: list[str] = []
    waiting: list[tuple[Package, object]] = [((name,), value) for name, value in given.items()]
    while waiting:
        path, value = waiting.pop(0)
        if path[:-1] in packages and (path in (rules or ()) or path[-1] in PREDEFINED):
            continue
        if any(each[: len(path)] == path for each in packages):
            if isinstance(value, dict) and (rules is not None or path not in packages):
                waiting += [((*path, name), each) for name, each in value.items()]
            continue
        said.append(f" with data{''.join(f'[{json.dumps(part)}]' for part in path)} as {json.dumps(value)}")
    return "".join(said)


def _files(root: Path) -> list[Path]:
    found: list[Path] = []
    for here, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        likely = (Path(here) / name for name in sorted(names) if name.endswith(_ENDS) and not name.startswith("."))
        found += [file for file in likely if _is_regular(file)]
        if len(found) > _MAX_FILES:
            break
    return found[:_MAX_FILES]


def _is_regular(file: Path) -> bool:
    """True for a file itself: a link leads out of the folder, and a pipe is never read to its end."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


def _value(file: Path, most: int) -> tuple[object, int]:
    """The document and its size; None and 0 when there is none to be had."""
    try:
        with file.open("rb") as source:
            raw = source.read(most + 1)
        if len(raw) > most:
            return None, 0
        if file.suffix != ".json":
            read = read_document(raw, max_bytes=_MAX_BYTES)  # no aliases: a short text could stand for gigabytes
            return (read.data, len(raw)) if isinstance(read, Document) and not read.problems else (None, 0)
        value = json.loads(raw, parse_constant=float)
        return (value, len(raw)) if _is_shallow(value, 0) and json.dumps(value, allow_nan=False) else (None, 0)
    except (OSError, ValueError, RecursionError):
        return None, 0


def _is_shallow(value: object, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        return False
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_is_shallow(each, depth + 1) for each in inner)


def _merge(into: dict[str, Any], value: Mapping[str, Any]) -> None:
    for name, each in value.items():
        if isinstance(each, dict) and isinstance(into.get(name), dict):
            _merge(into[name], each)
        else:
            into.setdefault(name, each)
