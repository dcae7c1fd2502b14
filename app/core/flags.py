"""Flags on a run: words that policies leave for each other, each with the policies that it is kept for.

Pure. Visible to the policies of every later event and type; what one policy sets, another cannot take back alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

FlagOwners = Mapping[str, tuple[str, ...]]
"""Shape: flag to the names of the policies that set it, sorted. No name: nobody knows any more who did."""
MAX_FLAGS: Final = 100
MAX_FLAG: Final = 200
"""Characters of a flag."""


def turn_flags(
    held: FlagOwners, *, sets: Mapping[str, Sequence[str]], resets: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """The flags after one evaluation of some policies: resets first, then what is set.

    A flag goes when every policy that set it has reset it; one that nobody is known to have set, with the first reset.
    Shape: sets, resets: policy name to flags. Source: docs of run flags, "Resetting flags".
    """
    after = {flag: set(owners) for flag, owners in held.items()}
    for policy, flags in resets.items():
        for flag in {flag[:MAX_FLAG] for flag in flags} & after.keys():
            after[flag].discard(policy)
            if not after[flag]:
                del after[flag]
    for policy, flags in sets.items():
        for flag in sorted({flag[:MAX_FLAG] for flag in flags if flag}):
            if flag in after or len(after) < MAX_FLAGS:
                after.setdefault(flag, set()).add(policy)
    return {flag: tuple(sorted(owners)) for flag, owners in sorted(after.items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagTurns:
    """What one evaluation of some policies does to a run's flags. Shape: policy name to flags."""

    sets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    resets: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def after(self, held: FlagOwners) -> FlagOwners:
        """The flags after it."""
        return turn_flags(held, sets=self.sets, resets=self.resets)
