"""Orders versions and holds them against constraints (`~> 1.9, != 1.9.3`), as terraform and tofu do.

Values in, values out. Whatever cannot be read is False or None here; who asked says so.
Source: https://developer.hashicorp.com/terraform/language/expressions/version-constraints
"""

import re
from collections.abc import Iterable
from typing import Final

_VERSION: Final = re.compile(r"v?(\d{1,9}(?:\.\d{1,9}){0,2})(?:-([0-9A-Za-z.-]{1,64}))?(?:\+\S{1,64})?", re.ASCII)
_TERM: Final = re.compile(r"\s*(=|!=|>=|<=|>|<|~>)?\s*(v?\d\S{0,100})\s*", re.ASCII)
_EXACT: Final = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[0-9A-Za-z.-]{1,64})?", re.ASCII)
MAX_TERMS: Final = 200

_Part = tuple[bool, int, str]
Key = tuple[tuple[int, ...], bool, tuple[_Part, ...]]


def is_exact(text: str) -> bool:
    """True for a whole version as releases are named, `1.11.4` or `1.12.0-rc1`: nothing else becomes part of a path."""
    return _EXACT.fullmatch(text) is not None and ".." not in text


def is_version(text: str) -> bool:
    """True when it can be read as a version."""
    return _VERSION.fullmatch(text) is not None


def version_key(text: str) -> Key:
    """Orders versions: numbers, then a prerelease before its release. One that cannot be read comes first."""
    match = _VERSION.fullmatch(text)
    return _key(match) if match else ((), False, ())


def terms(constraint: str) -> list[str]:
    """The parts of a constraint."""
    return [part.strip() for part in constraint.split(",") if part.strip()]


def unreadable_term(constraint: str) -> str:
    """The first part of a constraint that cannot be read; empty when all can."""
    found = terms(constraint)
    if len(found) > MAX_TERMS:
        return found[MAX_TERMS]
    for term in found:
        match = _TERM.fullmatch(term)
        if match is None or _VERSION.fullmatch(match[2]) is None:
            return term
    return ""


def satisfies(version: str, constraint: str) -> bool:
    """True when the version satisfies every part of a readable constraint; an empty one is always satisfied."""
    found = _VERSION.fullmatch(version)
    for term in terms(constraint):
        match = _TERM.fullmatch(term)
        wanted = _VERSION.fullmatch(match[2]) if match else None
        if match is None or wanted is None or found is None or not _holds(match[1] or "=", found, wanted):
            return False
    return True


def pinned(constraint: str) -> str:
    """The one version that a constraint names (`1.9.8`, `= 1.9.8`); empty when it leaves a choice."""
    found = terms(constraint)
    text = found[0].removeprefix("=").strip().removeprefix("v") if len(found) == 1 else ""
    return text if is_exact(text) else ""


def newest(versions: Iterable[str], constraint: str) -> str:
    """The newest version that satisfies the constraint; empty when none does. A prerelease is chosen by name alone."""
    fitting = [version for version in versions if satisfies(version, constraint)]
    if not terms(constraint):
        fitting = [version for version in fitting if "-" not in version]
    return max(fitting, key=version_key, default="")


def _holds(operator: str, found: re.Match[str], wanted: re.Match[str]) -> bool:
    have, want = _key(found), _key(wanted)
    if operator in ("=", "!="):
        return (have == want) is (operator == "=")
    if found[2] and not (wanted[2] and have[0] == want[0]):
        return False  # a prerelease is only ever chosen by name, or by another one of the same version
    if operator == "~>":
        fixed = wanted[1].count(".")
        return have >= want and have[0][:fixed] == want[0][:fixed]
    return {">": have > want, ">=": have >= want, "<": have < want, "<=": have <= want}[operator]


def _key(match: re.Match[str]) -> Key:
    numbers = [int(part) for part in match[1].split(".")]
    return (*numbers, *[0] * (3 - len(numbers))), not match[2], _prerelease(match[2] or "")


def _prerelease(text: str) -> tuple[_Part, ...]:
    """Source: https://semver.org/#spec-item-11, and `rc10` after `rc9` besides: releases are named so."""
    pieces = re.findall(r"\d+|[^\d.]+", text)
    return tuple((not piece.isdigit(), int(piece) if piece.isdigit() else 0, piece) for piece in pieces)
