"""A choice of changes: which part of the plan that is shown the next plan is to be of, and the targets that this means.

Pure: words of a command and a plan's changes in, addresses out, verbatim as the engine wrote them. Words that choose
nothing, or nothing that there is, become a Problem, which `app.core.words_choice` says.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import msgspec

from app.core.errors import UserError
from app.core.plan import Change, Kind, PlanSummary
from app.core.typed import BLANKS, lowered, plain_word

ONLY: Final = "only"
EXCEPT: Final = "except"
MAX_PICKS: Final = 500
"""Numbers, ranges and addresses of one command."""
MAX_ADDRESS_BYTES: Final = 100_000
"""Of one target: the system takes no argument of 128 KiB."""
MAX_TARGETS_BYTES: Final = 256 * 1024
"""Of all targets together: with the environment they have to fit into one command line."""
MAX_COMPARED: Final = 2_000
"""Addresses among which the nearest to an unknown one is looked for."""
_CURLY: Final = "\u201c\u201d\u201e\u201f"
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a person chose, as written: numbers, ranges and addresses of the plan that is shown."""

    is_only: bool = False
    """`only` was said, perhaps with nothing behind it."""
    only: tuple[str, ...] = ()
    is_except: bool = False
    excepted: tuple[str, ...] = ()


class Targeting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a plan is restricted to. Addresses are the engine's own, verbatim."""

    of_plan: int
    """Number of the newest plan that was made without a choice: what is still pending is told by it."""
    chosen: tuple[str, ...] = ()
    """What a person chose: everything else in the plan was pulled in by the engine. Empty when `excluded` says it."""
    moves: tuple[str, ...] = ()
    """Targets besides, because the engine plans no part of a configuration unless it covers every pending move."""
    excluded: tuple[str, ...] = ()
    """What the engine itself is told to leave out; everything else is chosen then."""

    @property
    def targets(self) -> tuple[str, ...]:
        """What the engine is told to plan alone; empty when it is told what to leave out."""
        return () if self.excluded else (*self.chosen, *self.moves)

    def split(self, changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
        """The changes of resources that were chosen, and those that were not."""
        named = frozenset(self.excluded or self.chosen)
        resources = [change for change in changes if change.kind is Kind.RESOURCE]
        inside = [change for change in resources if (change.address in named) is not bool(self.excluded)]
        return inside, [change for change in resources if (change.address in named) is bool(self.excluded)]


class Trouble(StrEnum):
    """Why a choice cannot be carried out."""

    EMPTY = "empty"
    """A word was said and nothing behind it."""
    UNKNOWN = "unknown"
    """A number or an address that the plan does not have."""
    OUTPUT = "output"
    """Outputs cannot be chosen: they follow from the resources."""
    NOTHING_LEFT = "nothing_left"
    """Everything that was chosen is excepted again."""
    MOVE = "move"
    """A pending move cannot be left out."""
    NOT_LISTED = "not_listed"
    """The plan has more changes than are listed, and the choice would have to name them."""
    GONE = "gone"
    """The plan's changes are not kept any more."""
    TOO_MANY = "too_many"
    """More words, or longer addresses, than fit into one command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A choice that cannot be carried out, with what to say of it."""

    trouble: Trouble
    pick: str = ""
    """The word or address that it is about; hostile text."""
    nearest: str = ""
    """The address that was probably meant; hostile text."""

    def veiled(self) -> "Problem":
        """The same without any address of the plan that the person did not write."""
        is_from_plan = self.trouble is Trouble.MOVE
        return replace(self, nearest="", pick="" if is_from_plan else self.pick)


def split_words(text: str) -> list[str] | None:
    """The words of a text: blanks and commas part them, but not within double quotes, where keys of addresses are.

    None when a quote is not closed. Within quotes a backslash takes the next character with it, as in an address. A
    telephone's curly quotes are read as straight ones, if the quote began with one.
    """
    words, word = [], ""
    ends, is_escaped = "", False
    for letter in text:
        if ends:
            is_end = letter in ends and not is_escaped
            is_escaped = letter == "\\" and not is_escaped
            word += '"' if is_end else letter
            ends = "" if is_end else ends
        elif letter in BLANKS or letter == ",":
            words.append(word)
            word = ""
        else:
            ends = '"' if letter == '"' else _CURLY if letter in _CURLY else ""
            word += '"' if ends else letter
    return None if ends else [one for one in (*words, word) if one]


def read_choice(words: Sequence[str]) -> Choice | None:
    """The choice that begins with `only` or `except`; None when there is none."""
    if not words or lowered(words[0]) not in (ONLY, EXCEPT):
        return None
    picks: dict[str, list[str]] = {}
    kind = ""
    for word in words:
        if lowered(word) in (ONLY, EXCEPT):
            kind = lowered(word)
            picks.setdefault(kind, [])
        else:
            picks[kind].append(_pick(word))
    return Choice(
        is_only=ONLY in picks,
        only=tuple(picks.get(ONLY, ())),
        is_except=EXCEPT in picks,
        excepted=tuple(picks.get(EXCEPT, ())),
    )


def choice_of(only: Sequence[str] | None, excepted: Sequence[str] | None) -> Choice | None:
    """The choice of a command line's options, each of which may hold several words; None when neither was given.

    Raises: UserError when a quote within an address is not closed.
    """
    if only is None and excepted is None:
        return None
    return Choice(
        is_only=only is not None,
        only=_all_words(only or ()),
        is_except=excepted is not None,
        excepted=_all_words(excepted or ()),
    )


def _all_words(texts: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for text in texts:
        words = split_words(text)
        if words is None:
            raise UserError(f"reading the choice {text[:200]!r}: a quote is not closed; an address is quoted whole")
        found += words
    return tuple(found)


def can_exclude(engine: str) -> bool:
    """True when that engine (`tofu 1.9.0`) can be told what to leave out; others are told everything else.

    Source: https://opentofu.org/docs/v1.9/intro/whats-new/ (`-exclude`); Terraform has no such option.
    """
    match = re.fullmatch(r"tofu ([0-9]{1,4})\.([0-9]{1,4})(?:[.-].*)?", engine)
    return match is not None and (int(match[1]), int(match[2])) >= (1, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The plan that a choice is about."""

    number: int
    summary: PlanSummary
    targeting: Targeting | None = None
    """What it is restricted to itself."""
    can_exclude: bool = False
    """The engine that made it knows how to leave resources out."""


def resolve(choice: Choice, shown: Shown) -> Targeting | Problem:
    """What the next plan is restricted to. Every pending move is part of it, as the engine demands."""
    summary = shown.summary
    if (choice.is_only and not choice.only) or (choice.is_except and not choice.excepted):
        return Problem(trouble=Trouble.EMPTY)
    if len(choice.only) + len(choice.excepted) > MAX_PICKS:
        return Problem(trouble=Trouble.TOO_MANY)
    only, excepted = _addresses(choice.only, summary.changes), _addresses(choice.excepted, summary.changes)
    if isinstance(only, Problem):
        return only
    if isinstance(excepted, Problem):
        return excepted
    base = only if choice.is_only else _resources(summary.changes)
    chosen = _without(base, excepted)
    if not chosen:
        return Problem(trouble=Trouble.NOTHING_LEFT if choice.is_except else Trouble.OUTPUT)
    moving = {change.address: change for change in summary.changes if change.previous_address}
    stuck = next((address for address in excepted if address in moving), None)
    if stuck is not None:
        return Problem(trouble=Trouble.MOVE, pick=stuck)
    leaves_out = shown.can_exclude and not choice.is_only and shown.targeting is None
    if summary.moves_left_out or (summary.changes_left_out and not choice.is_only and not leaves_out):
        return Problem(trouble=Trouble.NOT_LISTED)
    of_plan = shown.targeting.of_plan if shown.targeting else shown.number
    if leaves_out:
        targeting = Targeting(of_plan=of_plan, excluded=excepted)
    else:
        pairs = [part for change in moving.values() for part in (change.address, change.previous_address)]
        moves = _without(tuple(dict.fromkeys(pairs)), chosen)
        targeting = Targeting(of_plan=of_plan, chosen=chosen, moves=moves)
    return targeting if _fits(targeting) else Problem(trouble=Trouble.TOO_MANY)


def additions(targeting: Targeting, summary: PlanSummary) -> tuple[Change, ...]:
    """The changes of a plan that nobody chose: what the engine pulled in. Outputs follow by themselves."""
    return tuple(targeting.split(summary.changes)[1])


def _pick(word: str) -> str:
    """A number or a range with a plain hyphen; an address as it is written."""
    return plain_word(word) if _RANGE.fullmatch(plain_word(word)) else word


def _addresses(picks: Sequence[str], changes: Sequence[Change]) -> tuple[str, ...] | Problem:
    """The addresses that words mean, in the plan's order; of outputs, none."""
    found: set[str] = set()
    for pick in picks:
        meant = list(_meant(pick, changes))
        if not meant:
            return Problem(trouble=Trouble.UNKNOWN, pick=pick, nearest=_nearest(pick, changes))
        resources = [change.address for change in meant if change.kind is Kind.RESOURCE]
        if not resources:
            return Problem(trouble=Trouble.OUTPUT, pick=pick)
        found.update(resources)
    return tuple(address for address in _resources(changes) if address in found)


def _meant(pick: str, changes: Sequence[Change]) -> Iterator[Change]:
    """The changes that one word means: by number, by range, or by address, also of what contains them."""
    match = _RANGE.fullmatch(pick)
    if match is not None:
        first, last = int(match[1]), int(match[2] or match[1])
        if 1 <= first <= last <= len(changes):
            yield from changes[first - 1 : last]
        return
    exactly = [change for change in changes if change.address == pick]
    inside = (f"{pick}.", f"{pick}[")
    yield from exactly or (
        change for change in changes if change.kind is Kind.RESOURCE and change.address.startswith(inside)
    )


def _nearest(pick: str, changes: Sequence[Change]) -> str:
    """The address that is most like the word; empty for a number, or when none is like it."""
    if _RANGE.fullmatch(pick) is not None:
        return ""
    addresses = [change.address for change in changes[:MAX_COMPARED] if change.kind is Kind.RESOURCE]
    close = difflib.get_close_matches(pick[:200], [address[:200] for address in addresses], 1, 0.6)
    return close[0] if close else ""


def _resources(changes: Sequence[Change]) -> tuple[str, ...]:
    """The addresses of resources that change, each once: a deposed object shares its resource's."""
    return tuple(dict.fromkeys(change.address for change in changes if change.kind is Kind.RESOURCE))


def _without(addresses: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    left_out = frozenset(others)
    return tuple(address for address in addresses if address not in left_out)


def _fits(targeting: Targeting) -> bool:
    """True when the engine's command line takes it, and the run's row does."""
    sizes = [len(text.encode()) for text in targeting.targets or targeting.excluded]
    return max(sizes, default=0) <= MAX_ADDRESS_BYTES and sum(sizes) <= MAX_TARGETS_BYTES
