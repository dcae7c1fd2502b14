"""Reads the few things that are needed from configuration before any engine runs: HCL and its JSON form, hostile text.

Knows syntax, nothing of what is looked for. What is too large or not readable is said to the caller, who knows whether
that matters.
"""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import tree_sitter_hcl
from tree_sitter import Language, Node, Parser

MAX_FILES: Final = 5_000
SUFFIXES: Final = (".tf", ".tofu", ".tf.json", ".tofu.json")


class Unreadable(Exception):
    """Not readable, with the reason; never leaves the engine."""


def configuration_files(root_dir: Path) -> list[Path]:
    """The configuration files of one folder, by name.

    Raises: Unreadable when there are too many; OSError when the folder cannot be read.
    """
    found = sorted(path for path in root_dir.iterdir() if path.name.endswith(SUFFIXES) and path.is_file())
    if len(found) > MAX_FILES:
        raise Unreadable(f"more than {MAX_FILES} configuration files")
    return found


def read_bounded(path: Path, *, max_bytes: int) -> bytes:
    """A file's content; links are followed as the engine follows them, devices and pipes are not.

    Raises: Unreadable when it is larger, or no plain file; OSError when it cannot be read.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unreadable("not a plain file")
        text = file.read(max_bytes + 1)
    if len(text) > max_bytes:
        raise Unreadable(f"larger than {max_bytes} bytes")
    return text


def parse_hcl(text: bytes) -> Node:
    """The tree of a file; `has_error` of the node says whether all of it could be read."""
    return Parser(Language(tree_sitter_hcl.language())).parse(text).root_node


def parse_json(text: bytes) -> Any:
    """Raises: Unreadable."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable("not readable as JSON") from error


def blocks(node: Node, name: str = "") -> Iterator[Node]:
    """The blocks directly in a file or in a block; with a name, those that are called so."""
    for child in _body(node):
        if child.type == "block" and (not name or block_name(child) == name):
            yield child


def block_name(block: Node) -> str:
    """What kind of block it is: `terraform`."""
    first = block.children[0]
    return _text(first) if first.type == "identifier" else ""


def label(block: Node) -> str | None:
    """A block's first label as text; None when it has none, or one that is not plain text."""
    return next(iter(labels(block)), None)


def labels(block: Node) -> list[str | None]:
    """A block's labels as text; None for one that is not plain text."""
    found = [child for child in block.children if child.type in ("string_lit", "identifier")]
    return [string(one) if one.type == "string_lit" else _text(one) for one in found[1:]]


def attribute(block: Node, name: str) -> Node | None:
    """The value of an attribute directly in a block; None when it is not there."""
    for child in _body(block):
        if child.type == "attribute" and _text(child.children[0]) == name:
            return child.children[-1]
    return None


def written(node: Node | None) -> str:
    """An expression as it is written; empty for none."""
    return _text(node) if node is not None else ""


def string(node: Node | None) -> str | None:
    """A plain text; None for whatever would have to be evaluated, and for escapes, which nothing here needs."""
    while node is not None and node.type in ("expression", "literal_value"):
        node = node.children[0] if node.child_count == 1 else None
    if node is None or node.type != "string_lit":
        return None
    inner = [child for child in node.children if child.type == "template_literal"]
    text = _text(inner[0]) if len(inner) == 1 else ""
    return None if node.has_error or len(inner) > 1 or "\\" in text or "%%" in text or "$$" in text else text


def tuple_of(node: Node | None) -> Node | None:
    """The node of a `[...]`; None when the value is something else."""
    while node is not None and node.type in ("expression", "collection_value"):
        node = node.children[0] if node.child_count == 1 else None
    return node if node is not None and node.type == "tuple" and not node.has_error else None


def items(tuple_node: Node) -> list[Node]:
    """The values of a `[...]`."""
    return [child for child in tuple_node.children if child.type == "expression"]


def objects(value: Any) -> list[dict[str, Any]]:
    """An object, or the objects of a list: JSON configuration may write one block either way."""
    return [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict)]


def _body(node: Node) -> Iterator[Node]:
    for body in node.children:
        if body.type == "body":
            yield from body.children


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
