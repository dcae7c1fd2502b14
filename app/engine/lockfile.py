"""Reads a dependency lock file, and adds to it what the engine itself would: the checksum of an unpacked package.

The file is hostile text. What it says holds for its own stack alone: which package is taken, and by which checksums.
Source: https://developer.hashicorp.com/terraform/language/files/dependency-lock
"""

import re
from dataclasses import dataclass
from typing import Final

from app.engine.hcl import attribute, blocks, items, label, parse_hcl, string, tuple_of
from app.engine.version import is_exact

LOCK_FILE: Final = ".terraform.lock.hcl"
MAX_LOCK_BYTES: Final = 1024 * 1024
MAX_PROVIDERS: Final = 200
MAX_HASHES: Final = 500
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?", re.ASCII)
_PART: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?", re.ASCII)
_HASH: Final = re.compile(r"zh:[0-9a-f]{64}|h1:[A-Za-z0-9+/]{43}=", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Address:
    """What a provider is called: `registry.terraform.io/hashicorp/aws`."""

    host: str
    namespace: str
    type: str

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.type}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One provider of a lock file."""

    address: Address
    version: str
    hashes: frozenset[str]
    """As they are written: `zh:` of an archive, `h1:` of what is in it."""
    insert_at: int
    """Offset in the file, in bytes: just behind the `[` of its checksums."""


def find_address(text: str) -> Address | None:
    """The address that is written so; None when it is none, in this spelling: nothing else becomes part of a path."""
    parts = text.split("/")
    if len(parts) != 3 or _HOST.fullmatch(parts[0]) is None or ".." in parts[0]:
        return None
    if any(_PART.fullmatch(part) is None for part in parts[1:]):
        return None
    return Address(host=parts[0], namespace=parts[1], type=parts[2])


def read_lock(text: bytes) -> list[Locked]:
    """The providers of a lock file whose address, version and checksums can be read; the rest is the engine's to judge.

    A provider that is named twice is left out.
    """
    found: dict[Address, list[Locked]] = {}
    for block in list(blocks(parse_hcl(text), "provider"))[:MAX_PROVIDERS]:
        address = find_address(label(block) or "")
        version = string(attribute(block, "version")) or ""
        hashes = tuple_of(attribute(block, "hashes"))
        if address is None or not is_exact(version) or hashes is None:
            continue
        written = [string(item) or "" for item in items(hashes)[:MAX_HASHES]]
        locked = Locked(
            address=address,
            version=version,
            hashes=frozenset(one for one in written if _HASH.fullmatch(one)),
            insert_at=hashes.children[0].end_byte,
        )
        found.setdefault(address, []).append(locked)
    return [one for group in found.values() if len(group) == 1 for one in group]


def way_out(problem: str, *, tool: str, system: str) -> str:
    """What to do about an `init` that the lock file stopped, as a sentence; empty when it was something else."""
    words = " ".join(problem.split())
    if "match any of the checksums" in words:
        return (
            f"the lock file has no checksum of this package for {system}: run `{tool} providers lock "
            f"-platform={system}` and commit {LOCK_FILE}"
        )
    if "rovider dependency changes detected" in words or "inconsistent dependency lock file" in words.lower():
        return f"the lock file does not fit the configuration: run `{tool} init` and commit {LOCK_FILE}"
    return ""


def with_hashes(text: bytes, added: dict[Locked, str]) -> bytes:
    """The lock file with one more checksum in each of these providers, as `init` records what it has verified."""
    for locked, one in sorted(added.items(), key=lambda pair: pair[0].insert_at, reverse=True):
        if one not in locked.hashes:
            text = text[: locked.insert_at] + f'\n    "{one}",'.encode() + text[locked.insert_at :]
    return text
