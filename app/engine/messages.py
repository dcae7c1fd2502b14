"""Turns the engine's machine-readable lines (`-json`) into lines for people, and keeps the errors among them.

Knows the shape of Terraform's and OpenTofu's messages; everything in them is hostile text and leaves as plain text.
Source: https://developer.hashicorp.com/terraform/internals/machine-readable-ui
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from app.core.statepoint import Obstacle
from app.engine.stream import clean

MAX_ERRORS: Final = 50
"""How many errors of one command are kept, and how many warnings."""
MAX_TEXT_CHARS: Final = 8_000
"""How much of one summary or detail is kept."""

MAX_BRIEF_LINES: Final = 12
"""How many lines of one error's detail a reason has."""

MAX_COUNTED: Final = 100_000
"""How many resources of one command are counted."""
_BEGUN: Final = frozenset({"apply_start"})
_ENDED: Final = frozenset({"apply_complete", "refresh_complete"})
"""Source: https://developer.hashicorp.com/terraform/internals/machine-readable-ui#operation-messages"""


class _Position(msgspec.Struct, frozen=True):
    line: int = 0


class _Range(msgspec.Struct, frozen=True):
    filename: str = ""
    start: _Position = _Position()


class _Diagnostic(msgspec.Struct, frozen=True):
    severity: str = "error"
    summary: str = ""
    detail: str = ""
    address: str = ""
    range: _Range | None = None


class _Resource(msgspec.Struct, frozen=True):
    addr: str = ""


class _Hook(msgspec.Struct, frozen=True):
    resource: _Resource = _Resource()


class _Message(msgspec.Struct, frozen=True):
    text: str = msgspec.field(name="@message", default="")
    level: str = msgspec.field(name="@level", default="")
    diagnostic: _Diagnostic | None = None
    type: str = ""
    hook: _Hook | None = None


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """One error or warning of the engine, as plain text."""

    severity: str
    summary: str
    detail: str = ""
    address: str = ""
    filename: str = ""
    """As the engine writes it, from the project root; empty when it is of no file."""
    line: int = 0

    @property
    def place(self) -> str:
        """`main.tf:12`, or empty."""
        return f"{self.filename}:{self.line}" if self.filename else ""

    @property
    def is_error(self) -> bool:
        """True when the command fails because of it."""
        return self.severity == "error"

    def brief(self) -> str:
        """What, where, and the first paragraph of the detail: who holds a lock stands in its later lines."""
        where = ", ".join(part for part in (self.place, self.address) if part)
        first, *others = [line.rstrip() for line in self.detail.split("\n\n", 1)[0].split("\n")][:MAX_BRIEF_LINES]
        head = self.summary + (f" ({where})" if where else "") + (f": {first.strip()}" if first.strip() else "")
        return "\n".join([head, *_indented("\n".join(others))])

    def lines(self) -> str:
        """All of it, as a log shows it; what follows the first line is indented."""
        where = ", ".join(part for part in (self.place, self.address) if part)
        head = f"{self.severity.capitalize()}: {self.summary}"
        return "\n".join([head, *([f"  on {where}"] if where else []), *_indented(self.detail)])


class _Validation(msgspec.Struct, frozen=True):
    diagnostics: tuple[_Diagnostic, ...] = ()


class Messages:
    """Reads one command's lines: each gives its text; the errors are remembered."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        """In order, each once, at most MAX_ERRORS."""
        self.warnings: list[Diagnostic] = []
        """The same of warnings."""
        self.warnings_left_out = 0
        self._done: set[str] = set()

    @property
    def done(self) -> int:
        """How many resources the command has dealt with: read, or changed; one that is replaced counts at its end."""
        return len(self._done)

    def read(self, line: str) -> str:
        """The line for people; one that is no message comes back as it is, cleaned."""
        if not line.startswith("{"):
            return clean(line)
        try:
            message = msgspec.json.decode(line, type=_Message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return clean(line)
        if message.hook is not None:
            self._count(message.type, message.hook.resource.addr)
        if message.diagnostic is None:
            return "\n  ".join(clean(message.text).strip("\n").split("\n")) if message.text else clean(line)
        return self._keep(_diagnostic(message.diagnostic)).lines()

    def _count(self, kind: str, address: str) -> None:
        if kind in _BEGUN:
            self._done.discard(address)
        elif kind in _ENDED and len(self._done) < MAX_COUNTED:
            self._done.add(address)

    def read_validation(self, answer: bytes) -> list[str]:
        """The answer of `validate -json` for people, a diagnostic each; nothing when it cannot be read."""
        try:
            found = msgspec.json.decode(answer, type=_Validation)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return []
        return [self._keep(_diagnostic(each)).lines() for each in found.diagnostics[: 2 * MAX_ERRORS]]

    def _keep(self, diagnostic: Diagnostic) -> Diagnostic:
        kept = self.errors if diagnostic.is_error else self.warnings
        if diagnostic not in kept:
            if len(kept) < MAX_ERRORS:
                kept.append(diagnostic)
            else:
                self.warnings_left_out += not diagnostic.is_error
        return diagnostic


_OBSTACLES: Final = {
    "Saved plan is stale": Obstacle.STALE,
    "Saved plan does not match the given state": Obstacle.STALE,
    "Error acquiring the state lock": Obstacle.LOCKED,
}
"""Source: internal/backend/local/backend_local.go and internal/command/clistate/state.go, Terraform and OpenTofu."""


def find_obstacle(errors: Sequence[Diagnostic]) -> Obstacle | None:
    """What kept the engine from beginning at all; None when it is anything else, or not that alone."""
    found = {_obstacle(error) for error in errors}
    return found.pop() if len(found) == 1 else None


def _obstacle(error: Diagnostic) -> Obstacle | None:
    """A lock that could not be had is somebody's only where the engine says whose."""
    met = _OBSTACLES.get(error.summary)
    return None if met is Obstacle.LOCKED and "Lock Info:" not in error.detail else met


def _diagnostic(raw: _Diagnostic) -> Diagnostic:
    at = raw.range if raw.range and raw.range.filename else _Range()
    return Diagnostic(
        severity="warning" if raw.severity == "warning" else "error",
        summary=_one_line(raw.summary),
        detail=clean(raw.detail).strip()[:MAX_TEXT_CHARS],
        address=_one_line(raw.address),
        filename=_one_line(at.filename),
        line=at.start.line,
    )


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())[:MAX_TEXT_CHARS]


def _indented(text: str) -> list[str]:
    return [f"  {line}" if line else "" for line in text.split("\n")] if text else []
