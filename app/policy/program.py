"""What is sent to OPA for one policy, and what comes back: the port between the policy engine and its two backends.

A program is immutable and named by its content. Knows neither processes nor HTTP.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Modules that belong together. Equal keys mean equal modules."""

    key: str
    modules: tuple[tuple[str, str], ...]
    """Shape: (module name, text)."""
    package: str
    is_lenient: bool = False
    """Its shim asks the child whether a built-in function would fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One evaluation."""

    query: str
    """`x := data.PACKAGE.RULE`, with modifiers for a lenient program."""
    question: bytes
    """The input, as JSON."""
    timeout_s: float
    coverage: bool = False
    trace: bool = False
    is_strict: bool = True
    """False: a built-in function that fails is undefined. Only for a backend that can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskMany:
    """Several evaluations of one query, strict and without coverage."""

    query: str
    shared: bytes
    """The part of every question that is the same: a JSON object."""
    owns: tuple[bytes, ...]
    """The rest of each: JSON objects without a key of the shared part."""
    timeout_s: float
    """For each of them."""


class EngineError(msgspec.Struct, frozen=True):
    """OPA's refusal."""

    code: str = ""
    message: str = ""


class Print(msgspec.Struct, frozen=True):
    """One `print`."""

    message: str = ""
    location: str = ""


class Step(msgspec.Struct, frozen=True):
    """One event of a trace."""

    op: str = ""
    location: str = ""
    node: str = ""
    message: str = ""


class Place(msgspec.Struct, frozen=True):
    """A place in a module, from 1."""

    row: int = 0
    col: int = 0


class Range(msgspec.Struct, frozen=True):
    """Where something stands that was, or was not, evaluated."""

    start: Place = Place()
    end: Place = Place()


class FileCoverage(msgspec.Struct, frozen=True):
    """What of one module was evaluated."""

    covered: list[Range] = []
    not_covered: list[Range] = []


class Coverage(msgspec.Struct, frozen=True):
    """By module."""

    files: dict[str, FileCoverage] = {}


class Result(msgspec.Struct, frozen=True):
    """One row of a query's result."""

    bindings: dict[str, Any] = {}


class Envelope(msgspec.Struct, frozen=True):
    """What OPA answered. No `result` and no `error`: undefined."""

    result: list[Result] | None = None
    error: EngineError | None = None
    prints: list[Print] | None = None
    coverage: Coverage | None = None
    trace: list[Step] | None = None
    summary: dict[str, Any] | None = None
    """Of an inspection, see `app.policy.tree`."""

    @property
    def value(self) -> Any:
        """What `x` is; None when the query was undefined."""
        return self.result[0].bindings.get("x") if self.result else None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The backend was asked and gave nothing. The policy is at fault but for `unavailable`."""

    kind: Literal["timeout", "memory", "crash", "contract", "unavailable"]
    message: str


@dataclass(frozen=True, slots=True)
class Timed:
    """One of several answers, and how long it took."""

    envelope: Envelope | NoAnswer
    elapsed_s: float


class Backend(Protocol):
    """Where OPA is. Thread-safe. Raises: UserError when there is no engine at all."""

    @property
    def width(self) -> int:
        """How many questions it can work on at the same time."""
        ...

    @property
    def is_lenient_itself(self) -> bool:
        """True when it can take a failing built-in function for undefined, as OPA does by default."""
        ...

    @property
    def isolation(self) -> dict[str, str]:
        """What the engine's process cannot do. Shape: what, and how it went."""
        ...

    def inspect(self, text: str, timeout_s: float) -> Envelope | NoAnswer:
        """The summary of a policy's text, or the errors of parsing it as v1."""
        ...

    def evaluate(self, program: Program, ask: Ask) -> Envelope | NoAnswer:
        """The answer of a program to a question."""
        ...

    def evaluate_many(self, program: Program, many: AskMany) -> list[Timed]:
        """The answers in the order of the questions, as far as they come; at least one, or none to no question."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
