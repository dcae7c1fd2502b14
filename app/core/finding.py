"""What looking an installation over finds: one thing at a time, how bad it is, and the way out.

For `trackside doctor`: what is looked at is said by app.flows.diagnose and app.worker.diagnose, the words are in
app.core.words_doctor.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.names import Secret

MAX_TEXT: Final = 1_000
_WIDTH: Final = max(map(len, ("ok", "warning", "problem")))


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """As it should be."""
    WARNING = "warning"
    """It works, and less well or less safely than it could."""
    PROBLEM = "problem"
    """Something that was promised does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    """What was looked at: `database`."""
    text: str
    """What was found; for everything but OK with the way out."""

    @property
    def line(self) -> str:
        """For a terminal: one line, whatever the text has."""
        said = " ".join("".join(char if char.isprintable() else " " for char in self.text).split())
        return f"{self.level.value:{_WIDTH}}  {self.subject}: {said[:MAX_TEXT]}"


def fine(subject: str, text: str) -> Finding:
    """As it should be."""
    return Finding(level=Level.OK, subject=subject, text=text)


def warning(subject: str, text: str) -> Finding:
    """It works, and could be better."""
    return Finding(level=Level.WARNING, subject=subject, text=text)


def problem(subject: str, text: str) -> Finding:
    """It does not work."""
    return Finding(level=Level.PROBLEM, subject=subject, text=text)


def has_problem(findings: Iterable[Finding]) -> bool:
    """True when something does not work."""
    return any(one.level is Level.PROBLEM for one in findings)


def without(findings: Iterable[Finding], secrets: Sequence[Secret]) -> list[Finding]:
    """The findings, with every value that must not leave replaced: what was found may be in others' words."""
    known = sorted({one.reveal() for one in secrets if one}, key=len, reverse=True)
    told = []
    for one in findings:
        text = one.text
        for value in known:
            text = text.replace(value, "***")
        told.append(Finding(level=one.level, subject=one.subject, text=text))
    return told


def findings_document(findings: Sequence[Finding]) -> dict[str, object]:
    """For `--json`. Shape: findings: each with level, subject and text; is_fine: whether none is a problem."""
    return {
        "is_fine": not has_problem(findings),
        "findings": [{"level": one.level.value, "subject": one.subject, "text": one.text} for one in findings],
    }
