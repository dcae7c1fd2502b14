"""OPA's errors in our words: which kind, which line, which text.

Pure. Source: the wording of OPA 1.x, `FILE:ROW: CODE: MESSAGE`, several of them in one text, some with an excerpt.
"""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Final

from app.core.contract import FailureKind, Mistake
from app.policy.lexer import tokens_of

_ENTRY: Final = re.compile(
    r"(?:^|[\n:] ?)(?P<file>[^\s:]*\.rego):(?P<line>\d+): (?:(?P<code>(?:rego|eval)_\w+): )?(?P<text>[^\n]*)"
)
_WORD: Final = re.compile(r"[A-Za-z_][\w.]*")
MAX_FAULTS: Final = 50
"""Of one message: a policy of a megabyte may hold an error in each of its lines, and fifty show what is wrong."""
_MAX_EXCERPT: Final = 4_000
BUILTIN_CODES: Final = frozenset({"eval_builtin_error", "eval_type_error"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of OPA's. `module`: the file that it names, or empty."""

    module: str
    line: int
    code: str
    text: str
    column: int = 0


def faults_of(message: str) -> tuple[Fault, ...]:
    """The first errors that one message of OPA's holds, in order; one without a place when it has none."""
    found = []
    for match in islice(_ENTRY.finditer(message), MAX_FAULTS):
        column = _caret(message[match.end() : match.end() + _MAX_EXCERPT])
        found.append(Fault(match["file"], int(match["line"]), match["code"] or "", match["text"].strip(), column))
    if found:
        return tuple(found)
    code = re.search(r"\b((?:rego|eval)_\w+): ", message)
    return (Fault("", 0, code[1] if code else "", message.strip().splitlines()[0][:500] if message.strip() else ""),)


def is_builtin(fault: Fault) -> bool:
    """True when a built-in function failed, which OPA by default takes for undefined."""
    return fault.code in BUILTIN_CODES


def kind_of(fault: Fault) -> FailureKind:
    """What an error of the evaluation means for the policy."""
    if is_builtin(fault):
        return "builtin"
    return "contract" if fault.code.startswith("eval_") else "parse"


def mistake_of(fault: Fault, text: str) -> Mistake:
    """The error as the author sees it. `text` is what was written, before any upgrade."""
    lines = text.split("\n")
    source = lines[fault.line - 1][:_MAX_EXCERPT] if 0 < fault.line <= len(lines) else ""
    column = fault.column if fault.column and fault.column <= len(source) + 1 else _find_column(fault.text, source)
    return Mistake(fault.line, column, f"{fault.code}: {fault.text}" if fault.code else fault.text, source.rstrip())


def _caret(rest: str) -> int:
    """The column that OPA's excerpt points at; 0 when there is none."""
    lines = rest.split("\n")[1:4]
    for line in lines:
        if not line.startswith("\t"):
            break
        if line.strip() == "^":
            return line.index("^")
    return 0


def _find_column(message: str, source: str) -> int:
    """Where the source line holds a word of the message, the last ones first; else where it begins."""
    words = {token.text: token.column for token in reversed(tokens_of(source))}
    for word in reversed(_WORD.findall(message)):
        column = words.get(word.split(".")[-1])
        if column:
            return column
    return len(source) - len(source.lstrip()) + 1
