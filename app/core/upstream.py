"""What a queued run waits for in the stacks above its own, and what follows when that has ended. Pure values."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from app.core.dependency import Dependency


class UpstreamState(StrEnum):
    """What is known of a run above, as the run below sees it."""

    WAITING = "waiting"
    """It has not ended."""
    NEWS = "news"
    """It was deployed, and the stack below is to run for it."""
    NO_NEWS = "no_news"
    """It ended well, or had nothing to do, and nothing that the stack below takes has changed."""
    BROKEN = "broken"
    """It ended so that nothing below it may run."""


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """A run above that a run waits for."""

    stack_id: str
    stack: str
    """Its stack's name, for people."""
    state: UpstreamState = UpstreamState.WAITING
    word: str = ""
    """How it ended, in a word: `failed`."""


Upstreams = Mapping[str, Upstream]
"""What a run waits for. Shape: the id of each run above to what is known of it."""


class Verdict(StrEnum):
    """What a run does that waits for the stacks above."""

    WAIT = "wait"
    GO = "go"
    SKIP = "skip"


_BROKEN: Final = frozenset({"failed", "discarded", "stopped", "canceled"})
"""How a run ends that lets nothing below it run."""


def ended(ending: str, dependency: Dependency | None, changed: Collection[str], *, is_broken: bool) -> UpstreamState:
    """What the end of a run means to a run below.

    `ending`: the state that it ended in, by its name. `dependency`: what the stack below takes from it by now; None:
    nothing any more. `changed`: the outputs that its apply created, changed or took away. `is_broken`: it was skipped
    because of a run above that had come to nothing.
    """
    if ending in _BROKEN or is_broken:
        return UpstreamState.BROKEN
    if ending != "finished" or dependency is None:
        return UpstreamState.NO_NEWS
    is_always = dependency.trigger_always or not dependency.outputs
    is_news = is_always or any(name in changed for name in dependency.outputs)
    return UpstreamState.NEWS if is_news else UpstreamState.NO_NEWS


def verdict(upstreams: Upstreams, *, is_own: bool) -> Verdict:
    """What the run does now. `is_own`: something else than a dependency made it, so it runs also without news."""
    states = [one.state for one in upstreams.values()]
    if UpstreamState.BROKEN in states:
        return Verdict.SKIP
    if UpstreamState.WAITING in states:
        return Verdict.WAIT
    return Verdict.GO if is_own or not states or UpstreamState.NEWS in states else Verdict.SKIP


def waited_for(upstreams: Upstreams) -> tuple[tuple[str, str], ...]:
    """Stack and run of each that has not ended, by stack."""
    return tuple(sorted((one.stack, run_id) for run_id, one in upstreams.items() if one.state is UpstreamState.WAITING))


def is_broken_above(upstreams: Upstreams) -> bool:
    """True when something above came to nothing."""
    return any(one.state is UpstreamState.BROKEN for one in upstreams.values())
