"""Reads which versions of the engine a configuration accepts: `required_version` of the root module's files.

Runs nothing, and only what is written down counts: a value that would have to be evaluated, or a file that cannot be
read, is passed over, because the engine itself holds its version against all of it and says what is wrong.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.engine.hcl import (
    Unreadable,
    attribute,
    blocks,
    configuration_files,
    objects,
    parse_hcl,
    parse_json,
    read_bounded,
    string,
)
from app.engine.version import unreadable_term

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_PARSED_BYTES: Final = 2 * 1024 * 1024
"""Of one root module: hostile text takes the parser three seconds a megabyte."""
MAX_CONSTRAINT_CHARS: Final = 1_000
_WORD: Final = b"required_version"


def required_version(root_dir: Path, *, is_opentofu: bool) -> str:
    """Every constraint that the root module states, with commas between; empty when it states none that can be read.

    Source: https://developer.hashicorp.com/terraform/language/files/override (an override file's replaces the others)
    """
    stated: list[str] = []
    budget = MAX_PARSED_BYTES
    try:
        paths = _read_by(configuration_files(root_dir), is_opentofu=is_opentofu)
    except (OSError, Unreadable):
        return ""
    for path in paths:
        try:
            text = read_bounded(path, max_bytes=MAX_FILE_BYTES)
            if _WORD not in text or len(text) > budget:
                continue
            budget -= len(text)
            found = list(_json(text) if path.suffix == ".json" else _hcl(text))
        except (OSError, Unreadable):
            continue
        stated = found if found and _is_override(path) else stated + found
    return ", ".join(dict.fromkeys(stated))


def _read_by(paths: list[Path], *, is_opentofu: bool) -> list[Path]:
    """The files that this engine reads, override files last. OpenTofu takes `x.tofu` instead of `x.tf`."""
    if is_opentofu:
        names = {path.name for path in paths}
        chosen = [path for path in paths if path.name.replace(".tf", ".tofu", 1) not in names or ".tofu" in path.name]
    else:
        chosen = [path for path in paths if path.name.endswith((".tf", ".tf.json"))]
    return sorted(chosen, key=_is_override)


def _is_override(path: Path) -> bool:
    stem = path.name.removesuffix(".json").removesuffix(".tf").removesuffix(".tofu")
    return stem == "override" or stem.endswith("_override")


def _hcl(text: bytes) -> Iterator[str]:
    for block in blocks(parse_hcl(text), "terraform"):
        yield from _usable(string(attribute(block, "required_version")))


def _json(text: bytes) -> Iterator[str]:
    for outer in objects(parse_json(text)):
        for block in objects(outer.get("terraform")):
            yield from _usable(block.get("required_version"))


def _usable(value: object) -> Iterator[str]:
    if isinstance(value, str) and value.strip() and len(value) <= MAX_CONSTRAINT_CHARS and not unreadable_term(value):
        yield value.strip()
