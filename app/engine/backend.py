"""Reads whether a configuration brings its own backend: what decides, at a stack's first run, who keeps its state.

Knows the syntax of HCL and its JSON form, nothing of runs. What cannot be read is refused: a wrong guess would plan
against an empty state.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import tree_sitter_hcl
from tree_sitter import Language, Node, Parser

from app.core.errors import UserError

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_FILES: Final = 5_000
_BLOCKS: Final = ("backend", "cloud")
_SUFFIXES: Final = (".tf", ".tofu", ".tf.json", ".tofu.json")
_WAY_OUT: Final = "cannot tell who keeps the state: repair it, or set `state: managed` or `state: external`"

StateMode = Literal["managed", "external"]


def implied_state_mode(root_dir: Path) -> StateMode:
    """`external` when a `terraform` block of the root module has a `backend` or `cloud` block, else `managed`.

    Raises: UserError when a file that may hold one cannot be read; its text names the file and the way out.
    """
    return "external" if any(_has_backend(path) for path in _files(root_dir)) else "managed"


def _files(root_dir: Path) -> list[Path]:
    try:
        found = sorted(path for path in root_dir.iterdir() if path.name.endswith(_SUFFIXES) and path.is_file())
    except OSError as error:
        raise UserError(f"reading {root_dir.name or 'the project root'}: {error.strerror}: {_WAY_OUT}") from error
    if len(found) > MAX_FILES:
        raise UserError(f"reading {root_dir.name}: more than {MAX_FILES} configuration files: {_WAY_OUT}")
    return found


def _has_backend(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"reading {path.name}: {error.strerror}: {_WAY_OUT}") from error
    if len(text) > MAX_FILE_BYTES:
        raise UserError(f"reading {path.name}: larger than {MAX_FILE_BYTES} bytes: {_WAY_OUT}")
    if not any(word.encode() in text for word in _BLOCKS):
        return b"\\u" in text and path.suffix == ".json" and _json_has_backend(path, text)
    return _json_has_backend(path, text) if path.suffix == ".json" else _hcl_has_backend(path, text)


def _hcl_has_backend(path: Path, text: bytes) -> bool:
    tree = Parser(Language(tree_sitter_hcl.language())).parse(text)
    found = any(
        _name(inner) in _BLOCKS
        for outer in _blocks(tree.root_node)
        if _name(outer) == "terraform"
        for inner in _blocks(outer)
    )
    if not found and tree.root_node.has_error:
        raise UserError(f"reading {path.name}: not readable as HCL: {_WAY_OUT}")
    return found


def _blocks(node: Node) -> Iterator[Node]:
    """The blocks directly in a file or in a block."""
    for body in node.children:
        if body.type == "body":
            yield from (child for child in body.children if child.type == "block")


def _name(block: Node) -> str:
    first = block.children[0]
    return (first.text or b"").decode("utf-8", "replace") if first.type == "identifier" else ""


def _json_has_backend(path: Path, text: bytes) -> bool:
    """Source: https://developer.hashicorp.com/terraform/language/syntax/json"""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"reading {path.name}: not readable as JSON: {_WAY_OUT}") from error
    return any(
        word in block and block[word] is not None
        for outer in _objects(document)
        for block in _objects(outer.get("terraform"))
        for word in _BLOCKS
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    """An object, or the objects of a list: JSON configuration may write one block either way."""
    return [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict)]
