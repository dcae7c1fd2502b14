"""What a stack is passed of other stacks' outputs: the variables, or what is missing and what to do. Pure values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from app.core import words_depend as words
from app.core.dependency import MAX_TOTAL_BYTES, MAX_VALUE_BYTES, Dependency
from app.core.secret import MIN_SECRET_CHARS

MAX_LEAVES: Final = 1_000
"""Texts inside one sensitive value that are kept out of logs one by one."""
OF_TERRAFORM: Final = "TF_VAR_"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOutput:
    """An output of a stack's newest apply."""

    value: str | None = field(repr=False)
    """JSON text; None: it was not handed in, for it is too long, or sensitive and no dependency asked for it."""
    is_sensitive: bool = False


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is passed."""

    environment: dict[str, str] = {}
    secret_names: tuple[str, ...] = ()
    """Which of them are sensitive."""
    redacted: tuple[str, ...] = ()
    """Texts inside of sensitive values."""

    def __repr__(self) -> str:
        return "Passed(***)"


NOTHING: Final = Passed()


def passed(depends_on: Sequence[Dependency], known: Mapping[tuple[str, str], KeptOutput]) -> Passed | tuple[str, ...]:
    """The variables of a run; or every reason why it cannot have them, in words."""
    environment: dict[str, str] = {}
    secret_names: list[str] = []
    redacted: list[str] = []
    reasons: list[str] = []
    missing: list[tuple[str, str, str]] = []
    for dependency in depends_on:
        for output, variable in dependency.outputs.items():
            kept = known.get((dependency.stack, output))
            if kept is None:
                missing.append((dependency.stack, output, variable))
                continue
            is_expression = variable.startswith(OF_TERRAFORM)
            reason = _refusal(dependency, output, kept, is_expression=is_expression)
            if reason or kept.value is None:
                reasons.append(reason)
                continue
            environment[variable] = _text(kept.value, is_expression=is_expression)
            if kept.is_sensitive:
                secret_names.append(variable)
                redacted += _leaves(json.loads(kept.value))
    if missing:
        reasons.insert(0, words.missing(missing))
    if sum(len(value.encode()) for value in environment.values()) > MAX_TOTAL_BYTES:
        reasons.append(words.too_much())
    if reasons:
        return tuple(reasons)
    return Passed(environment=environment, secret_names=tuple(secret_names), redacted=tuple(redacted))


def is_readable(value: str) -> bool:
    """True for JSON that can be passed: it is read, and what comes out of it is text that can be written again."""
    try:
        json.dumps(json.loads(value), ensure_ascii=False).encode()  # half of a pair (`\\ud800`) is refused here
    except (ValueError, RecursionError):
        return False
    return True


def _refusal(dependency: Dependency, output: str, kept: KeptOutput, *, is_expression: bool) -> str:
    """Why a known output cannot be passed; empty: it can."""
    name = f"{dependency.stack}.{output}"
    if kept.is_sensitive and not dependency.sensitive:
        return words.is_sensitive(dependency.stack, output)
    if kept.value is None:
        return words.was_not_kept(name, dependency.stack) if kept.is_sensitive else words.too_long(name)
    if len(kept.value.encode()) > MAX_VALUE_BYTES or not is_readable(kept.value):
        return words.too_long(name)
    if len(_text(kept.value, is_expression=is_expression).encode()) > MAX_VALUE_BYTES:
        return words.too_long(name)  # with what is escaped in it, it is longer than it was
    text = _text(kept.value, is_expression=False)
    if "\0" in text:
        return words.has_nul(name)
    if kept.is_sensitive and len(text) < MIN_SECRET_CHARS:
        return words.too_short(name)
    return ""


def _text(value: str, *, is_expression: bool) -> str:
    """The value of a variable: a text as it is, everything else as JSON.

    `is_expression`: Terraform reads what is no text as an expression, in which nothing of the value is a template.
    """
    read = json.loads(value)
    if isinstance(read, str):
        return read
    return value.replace("${", "$${").replace("%{", "%%{") if is_expression else value


def _leaves(value: object) -> Iterator[str]:
    """The texts inside of a value that are long enough to be kept out of logs; at most MAX_LEAVES."""
    found = 0
    ahead = [value]
    while ahead and found < MAX_LEAVES:
        match ahead.pop():
            case dict() as fields:
                ahead += fields.values()
            case list() as items:
                ahead += items
            case str() as text if len(text) >= MIN_SECRET_CHARS:
                found += 1
                yield text
