"""Reads whether a configuration brings its own backend: what decides, at a stack's first run, who keeps its state.

Knows the syntax of HCL and its JSON form, nothing of runs. What cannot be read is refused: a wrong guess would plan
against an empty state.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from app.core.errors import UserError
from app.engine.hcl import (
    Unreadable,
    block_name,
    blocks,
    configuration_files,
    objects,
    parse_hcl,
    parse_json,
    read_bounded,
)

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_PARSED_BYTES: Final = 2 * 1024 * 1024
"""Of one root module: while hostile text is parsed, some seconds a megabyte, nothing else of the worker goes on."""
_BLOCKS: Final = ("backend", "cloud")
_MAY_HAVE: Final = re.compile(rb"\b(?:backend|cloud)\b")
_WAY_OUT: Final = "cannot tell who keeps the state: repair it, or set `state: managed` or `state: external`"

StateMode = Literal["managed", "external"]


def implied_state_mode(root_dir: Path) -> StateMode:
    """`external` when a `terraform` block of the root module has a `backend` or `cloud` block, else `managed`.

    Raises: UserError when a file that may hold one cannot be read; its text names the file and the way out.
    """
    room = _Room()
    return "external" if any(_has_backend(path, room) for path in _files(root_dir)) else "managed"


@dataclass(slots=True)
class _Room:
    """What of a root module may still be parsed."""

    left_bytes: int = MAX_PARSED_BYTES

    def take(self, text: bytes) -> None:
        """Raises: Unreadable when there is not so much."""
        self.left_bytes -= len(text)
        if self.left_bytes < 0:
            raise Unreadable(f"more than {MAX_PARSED_BYTES} bytes to look through")


def _files(root_dir: Path) -> list[Path]:
    try:
        return configuration_files(root_dir)
    except OSError as error:
        raise UserError(f"reading {root_dir.name or 'the project root'}: {error.strerror}: {_WAY_OUT}") from error
    except Unreadable as error:
        raise UserError(f"reading {root_dir.name}: {error}: {_WAY_OUT}") from error


def _has_backend(path: Path, room: _Room) -> bool:
    try:
        text = read_bounded(path, max_bytes=MAX_FILE_BYTES)
        if path.suffix == ".json":
            return (b"\\u" in text or any(word.encode() in text for word in _BLOCKS)) and _json_has_backend(text)
        if _MAY_HAVE.search(text) is None:
            return False
        room.take(text)
        return _hcl_has_backend(text)
    except OSError as error:
        raise UserError(f"reading {path.name}: {error.strerror}: {_WAY_OUT}") from error
    except Unreadable as error:
        raise UserError(f"reading {path.name}: {error}: {_WAY_OUT}") from error


def _hcl_has_backend(text: bytes) -> bool:
    tree = parse_hcl(text)
    found = any(block_name(inner) in _BLOCKS for outer in blocks(tree, "terraform") for inner in blocks(outer))
    if not found and tree.has_error:
        raise Unreadable("not readable as HCL")
    return found


def _json_has_backend(text: bytes) -> bool:
    """Source: https://developer.hashicorp.com/terraform/language/syntax/json"""
    return any(
        word in block and block[word] is not None
        for outer in objects(parse_json(text))
        for block in objects(outer.get("terraform"))
        for word in _BLOCKS
    )
