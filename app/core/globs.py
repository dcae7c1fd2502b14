"""Globs over repository paths, as Go's doublestar reads them: `*`, `?` and `[a-z]` stay in a segment, `**` spans them.

Why our own: a glob comes from a repository and meets hostile paths, and a glob turned into one regular expression
backtracks without end on `*a*a*a*b`. This matcher keeps one point to return to per level, so its time is bounded.
"""

import fnmatch
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import bracex

MAX_GLOB: Final = 500
"""Characters of one glob."""
MAX_ALTERNATIVES: Final = 100
"""Globs that the braces of one glob may stand for."""
_MAGIC = re.compile(r"[*?\[]")
_OPEN_BRACKET = re.compile(r"\[(?!\]|[!^]\])[^\]]*\Z|\[[!^]?\]?\Z|\[[!^]?\][^\]]*\Z")


@dataclass(frozen=True, slots=True)
class Glob:
    """One glob without braces, ready to match."""

    literal: str
    """The leading segments that hold no wildcard: `modules/vpc` of `modules/vpc/**`; empty when there are none."""
    segments: tuple[str | re.Pattern[str], ...]
    """`**`, or the pattern that one segment has to match whole."""

    def matches(self, path: str) -> bool:
        """True when the whole path matches; it has no leading slash."""
        return _matches(self.segments, path.split("/"))


@lru_cache(maxsize=4096)
def compile_glob(text: str) -> tuple[Glob, ...]:
    """The globs that a text stands for once its braces are written out.

    Raises: ValueError, in words for people, when the text is no glob that could match a path of a repository.
    """
    problem = _problem(text)
    if problem:
        raise ValueError(problem)
    try:
        expanded = bracex.expand(text, limit=MAX_ALTERNATIVES)
    except bracex.ExpansionLimitException as error:
        raise ValueError(f"its braces stand for more than {MAX_ALTERNATIVES} globs") from error
    for alternative in expanded:
        problem = _problem(alternative)
        if problem:
            raise ValueError(problem)
    return tuple(_compile(alternative) for alternative in expanded)


def literal_prefix(text: str) -> str:
    """The leading segments of a glob that hold no wildcard and no brace: a path that matches lies under it. Cheap."""
    head: list[str] = []
    for segment in text.split("/"):
        if "{" in segment or "}" in segment or _MAGIC.search(segment):
            break
        head.append(segment)
    return "/".join(head)


def _problem(text: str) -> str:
    """Why a text is no usable glob, or empty."""
    segments = text.split("/")
    checks = (
        (not text, "it is empty"),
        (len(text) > MAX_GLOB, f"it is longer than {MAX_GLOB} characters"),
        ("\\" in text, "backslashes mean nothing here: write `[*]` for a star"),
        (text.startswith("/"), "it begins with a slash: globs begin at the repository's root"),
        (text.endswith("/"), "it names a folder: end it with `/**`"),
        (".." in segments or "." in segments, "it has a `.` or `..` segment"),
        ("" in segments[1:-1], "it has an empty segment"),
        (any(_OPEN_BRACKET.search(segment) for segment in segments), "it has a `[` without its `]`"),
        (not text.isprintable(), "it has a control character"),
    )
    return next((message for is_wrong, message in checks if is_wrong), "")


def _compile(text: str) -> Glob:
    """The matcher of one glob without braces."""
    segments = tuple(part if part == "**" else _segment(part) for part in text.split("/"))
    return Glob(literal_prefix(text), segments)


@lru_cache(maxsize=4096)
def _segment(text: str) -> re.Pattern[str]:
    """The pattern of one segment. The standard library writes its stars as atomic groups: no backtracking."""
    return re.compile(fnmatch.translate(text.replace("[^", "[!")))


def _matches(pattern: tuple[str | re.Pattern[str], ...], path: list[str]) -> bool:
    """Wildcard matching with one point to return to: the last `**`, which then takes one segment more."""
    at = step = 0
    back_at, back_step = -1, -1
    while at < len(path):
        part = pattern[step] if step < len(pattern) else None
        if part == "**":
            back_at, back_step = at, step
            step += 1
        elif isinstance(part, re.Pattern) and part.match(path[at]):
            at, step = at + 1, step + 1
        elif back_step >= 0:
            back_at += 1
            at, step = back_at, back_step + 1
        else:
            return False
    return all(part == "**" for part in pattern[step:])
