"""Finds the block of HCL that an address comes from: its file and its lines, in a checkout.

Everything that it reads is hostile. A folder or file that leads out of the checkout, that is too large or cannot be
read counts as one that is not there: what is not found is not told.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tree_sitter import Node

from app.core.address import block_of
from app.core.place import MAX_LINE, repository_path
from app.core.plan import Block
from app.engine.hcl import (
    Unreadable,
    attribute,
    block_name,
    blocks,
    configuration_files,
    labels,
    parse_hcl,
    read_bounded,
    string,
    written,
)

MAX_BLOCKS: Final = 1_000
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_ALL_BYTES: Final = 32 * 1024 * 1024
"""What is read for one plan."""
MAX_DEPTH: Final = 20
"""Modules within modules."""
_READABLE: Final = (".tf", ".tofu")
"""The JSON form has no lines to point at."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A block, and for a module call where its configuration comes from."""

    block: Block
    source: str = ""


@dataclass(slots=True)
class _Checkout:
    """The folders of a checkout, each read once."""

    root: Path
    room_bytes: int = MAX_ALL_BYTES
    known: dict[str, dict[str, _Found]] = field(default_factory=dict)

    def folder(self, path: str) -> dict[str, _Found]:
        """What the configuration of one folder describes, by address within its module."""
        if path not in self.known:
            self.known[path] = self._read(path)
        return self.known[path]

    def _read(self, path: str) -> dict[str, _Found]:
        found: dict[str, _Found] = {}
        try:
            folder = self.root / path
            for file in configuration_files(folder) if self._is_inside(folder) else ():
                name = repository_path(path, file.name)
                if name and file.suffix in _READABLE and self._is_inside(file):
                    self._read_file(file, name, found)
        except (OSError, Unreadable):
            pass
        return found

    def _read_file(self, file: Path, name: str, found: dict[str, _Found]) -> None:
        try:
            text = read_bounded(file, max_bytes=min(MAX_FILE_BYTES, max(self.room_bytes, 0)))
        except (OSError, Unreadable):
            return
        self.room_bytes -= len(text)
        for block in blocks(parse_hcl(text)):
            address = _address(block)
            if address:
                source = string(attribute(block, "source")) or "" if block_name(block) == "module" else ""
                found.setdefault(address, _Found(_lines(block, address, name), source))

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root)


def find_blocks(source_dir: Path, project_root: str, addresses: Iterable[str]) -> tuple[Block, ...]:
    """The blocks that these addresses come from, each address once and without its keys, at most MAX_BLOCKS.

    What is in a module of the same repository is found in its file; what is in any other, at its module call.
    """
    checkout = _Checkout(source_dir.resolve())
    found: dict[str, Block] = {}
    for address in dict.fromkeys(block_of(address) for address in addresses):
        block = _find(checkout, project_root, address)
        if block is not None:
            found[address] = Block(
                address=address, path=block.path, start_line=block.start_line, end_line=block.end_line
            )
        if len(found) == MAX_BLOCKS:
            break
    return tuple(found.values())


def _find(checkout: _Checkout, project_root: str, address: str) -> Block | None:
    folder, rest = project_root, address.split(".")
    for _ in range(MAX_DEPTH):
        if rest[0] != "module" or len(rest) < 3:
            break
        call = checkout.folder(folder).get(".".join(rest[:2]))
        if call is None:
            return None
        is_local = call.source.startswith(("./", "../"))
        inner = repository_path(folder, call.source) if is_local else ""
        if not inner:
            return call.block
        folder, rest = inner, rest[2:]
    one = checkout.folder(folder).get(".".join(rest))
    return one.block if one is not None else None


def _address(block: Node) -> str:
    """What a block is called within its module; empty for a block that describes nothing of its own."""
    names = labels(block)
    words = [name for name in names if name]
    if len(words) != len(names):
        return ""
    match block_name(block), words:
        case "resource", [kind, name]:
            return f"{kind}.{name}"
        case ("data" | "ephemeral") as word, [kind, name]:
            return f"{word}.{kind}.{name}"
        case ("module" | "output" | "check") as word, [name]:
            return f"{word}.{name}"
        case "removed", []:
            return written(attribute(block, "from")).strip()
        case _:
            return ""


def _lines(block: Node, address: str, path: str) -> Block:
    first, last = block.start_point.row + 1, block.end_point.row + 1
    return Block(address=address, path=path, start_line=min(first, MAX_LINE), end_line=min(last, MAX_LINE))
