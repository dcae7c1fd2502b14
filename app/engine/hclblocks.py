"""Finds the block that an address comes from, in HCL or in JSON: its file and its lines, in a checkout.

Everything that it reads is hostile. A folder or file that leads out of the checkout, that is too large or cannot be
read counts as one that is not there: what is not found is not told.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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
from app.engine.hcljson import json_blocks

MAX_BLOCKS: Final = 1_000
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_ALL_BYTES: Final = 32 * 1024 * 1024
"""What is read for one plan."""
MAX_DEPTH: Final = 20
"""Modules within modules."""


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
                if name and self._is_inside(file):
                    self._read_file(file, name, found)
        except (OSError, Unreadable):
            pass
        return found

    def _read_file(self, file: Path, name: str, found: dict[str, _Found]) -> None:
        try:
            text = read_bounded(file, max_bytes=min(MAX_FILE_BYTES, max(self.room_bytes, 0)))
            self.room_bytes -= len(text)
            for one in _of_json(text, name) if file.suffix == ".json" else _of_hcl(text, name):
                found.setdefault(one.block.address, one)
        except (OSError, Unreadable):
            return

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


def _of_hcl(text: bytes, path: str) -> Iterator[_Found]:
    for block in blocks(parse_hcl(text)):
        kind, names = block_name(block), labels(block)
        words = tuple(name for name in names if name)
        if len(words) != len(names):
            continue
        moved_from = written(attribute(block, "from")).strip() if kind == "removed" else ""
        source = string(attribute(block, "source")) or "" if kind == "module" else ""
        lines = block.start_point.row + 1, block.end_point.row + 1
        yield from _found(_address(kind, words, moved_from), path, lines, source)


def _of_json(text: bytes, path: str) -> Iterator[_Found]:
    for block in json_blocks(text):
        held = block.value if isinstance(block.value, dict) else {}
        address = _address(block.kind, block.labels, _text(held.get("from")))
        source = _text(held.get("source")) if block.kind == "module" else ""
        yield from _found(address, path, (block.first_line, block.last_line), source)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _found(address: str, path: str, lines: tuple[int, int], source: str) -> Iterator[_Found]:
    """One, unless the block describes nothing of its own."""
    if address:
        first, last = (min(line, MAX_LINE) for line in lines)
        yield _Found(Block(address=address, path=path, start_line=first, end_line=last), source)


def _address(kind: str, words: tuple[str, ...], removed: str) -> str:
    """What a block is called within its module; empty for a block that describes nothing of its own."""
    match kind, words:
        case "resource", (type_, name):
            return f"{type_}.{name}"
        case (("data" | "ephemeral"), (type_, name)):
            return f"{kind}.{type_}.{name}"
        case (("module" | "output" | "check"), (name,)):
            return f"{kind}.{name}"
        case "removed", ():
            return removed
        case _:
            return ""
