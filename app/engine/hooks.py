"""Runs one line of a stack's hooks: the repository's own shell code, in the same box and environment as its engine.

Knows no phases. The line is handed to a shell as it stands, as an argument of a fixed text; what it exported is read
from a file that the shell leaves, and nothing in that file is trusted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.core.errors import UserError
from app.engine.bench import Bench
from app.engine.child import MARK, Ended
from app.engine.environment import MAX_VALUE_BYTES, is_name, is_ours
from app.engine.files import read_plain
from app.engine.stream import clean
from app.engine.terraform import how_it_ended

MAX_EXPORTED: Final = 500
"""Variables that a line may hand on."""
_MAX_DUMP_BYTES: Final = 4 * 1024 * 1024
_DUMP: Final = "exported"
_SHELL: Final = (
    "/bin/sh",
    "-ec",
    'kept=$2; trap \'code=$?; [ "$code" -ne 0 ] || /usr/bin/env -0 >"$kept"; exit "$code"\' EXIT; eval "$1"',
    "hook",
)
"""Ends at the first command that fails. The line is `$1`; `$2` is where its variables are left when it ended well."""
_STATE_REFUSED: Final = "HTTP error: 403"
"""What is said of a state that may not be written: the answer's own words are not shown.

Source: terraform and opentofu, internal/backend/remote-state/http/client.go, Put
"""
_NOT_OF_A_HOOK: Final = frozenset({"PWD", "OLDPWD", "SHLVL", "_", MARK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooked:
    """What a line did."""

    ended: Ended
    exported: Mapping[str, str]
    """Variables that it set or changed: for what follows on this worker. Empty when it failed."""
    refused: tuple[str, ...] = ()
    """Names of those that are not handed on."""
    is_state_refused: bool = False
    """The engine said that its http backend refused a write."""

    @property
    def failure(self) -> str:
        """How it failed, in words; empty when it did not."""
        return "" if self.ended == Ended(0) else how_it_ended(self.ended)


def run_hook(bench: Bench, line: str) -> Hooked:
    """Run one line in the project root; its output goes into the bench's log.

    Raises: UserError when the workspace holds more than it may.
    """
    before, dump = bench.env(), bench.folders.tmp / _DUMP
    refusals: list[str] = []

    def take(text: str) -> None:
        bench.log(clean(text))
        if _STATE_REFUSED in text and not refusals:
            refusals.append(text)

    _forget(dump)
    argv = [*_SHELL, line, str(bench.seen(dump))]
    ended = bench.run("hook", argv, (bench.lines(take), bench.lines(take)), env=before)
    after = _read(dump) if ended == Ended(0) else {}
    changed = {name: value for name, value in after.items() if before.get(name) != value and name not in _NOT_OF_A_HOOK}
    kept = {name: value for name, value in changed.items() if may_be_exported(name, value)}
    kept = dict(sorted(kept.items())[:MAX_EXPORTED])
    left_out = tuple(sorted(name[:100] for name in changed if name not in kept))
    return Hooked(ended=ended, exported=kept, refused=left_out, is_state_refused=bool(refusals))


def may_be_exported(name: str, value: str) -> bool:
    """True when what follows may be given the variable: PATH too, which a stack's settings cannot set."""
    if not is_name(name) or len(value.encode("utf-8", "surrogateescape")) > MAX_VALUE_BYTES:
        return False
    return name == "PATH" or not is_ours(name)


def _read(dump: Path) -> dict[str, str]:
    """The variables that the shell left; none when it left no file that can be read."""
    try:
        text = read_plain(dump, max_bytes=_MAX_DUMP_BYTES).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, UserError):
        return {}
    pairs = (entry.partition("=") for entry in text.split("\0") if "=" in entry)
    return {name: value for name, _, value in pairs}


def _forget(dump: Path) -> None:
    try:
        dump.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"preparing a hook: {dump.name}: {error.strerror}") from error
