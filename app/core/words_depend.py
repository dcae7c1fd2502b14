"""What is said of runs that wait for the stacks above theirs, and of the outputs that they are passed."""

from collections.abc import Iterable, Sequence
from typing import Final

from app.core.dependency import Dependency
from app.core.markdown import code, sentence, shortened
from app.core.upstream import Upstreams, UpstreamState

MAX_NAMED: Final = 5
"""Stacks that one sentence names; the rest is counted."""
MAX_BELOW: Final = 20
"""Runs that one check names."""


def waits_for(waited: Sequence[tuple[str, str]]) -> str:
    """What a queued run waits for: `vpc (run 01J…)`."""
    return _few([f"{stack} (run {run_id})" for stack, run_id in waited])


def runs_after(below: Sequence[tuple[str, str]]) -> str:
    """Which runs wait for a run, for its check; empty: none."""
    named = [f"{code(stack, limit=100)} (run {code(run_id)})" for stack, run_id in below[:MAX_BELOW]]
    more = f" and {len(below) - MAX_BELOW:,} more" if len(below) > MAX_BELOW else ""
    return f"After it, by their dependencies: {', '.join(named)}{more}." if named else ""


def made_for(stack: str, run_id: str, note: str) -> str:
    """What made a run, and of which commit it is, for its check."""
    return f"Made because {code(stack, limit=100)} runs, in run {code(run_id)}: {sentence(note)}."


def comes_after(uppers: Sequence[str]) -> str:
    """Why a stack that an event did not touch gets a run, behind the reason of its decision."""
    one = len(uppers) == 1
    return f"{_few(uppers)} {'runs' if one else 'run'}, so it runs after {'it' if one else 'them'}"


def waits_in_order(uppers: Sequence[str]) -> str:
    """That the run of a stack that an event did touch comes after others of the event."""
    return f"it runs after {_few(uppers)}"


def has_no_commit(upper: str, branch: str) -> str:
    """Why a stack that was never tracked gets no run."""
    return (
        f"{upper} runs, but no commit of this stack was tracked yet, and this one is not of its branch {branch}: "
        "it does not run after"
    )


def too_many(most: int) -> str:
    """Why a stack far below gets no run."""
    return f"one event makes {most} runs at most below its own: it does not run after"


def was_promoted() -> str:
    """The same: its head was never merged."""
    return "its newest commit was promoted from a pull request, which it does not allow any more: it does not run after"


def own_commit(stack: str) -> str:
    """Which commit a run of a dependency is of."""
    return f"it is of the newest commit that was tracked for {stack}"


def events_commit() -> str:
    """The same, of a stack that was never tracked."""
    return "no commit was tracked before, so it is of the same one"


def skipped(upstreams: Upstreams, taken: Iterable[Dependency]) -> str:
    """Why a run is skipped whose runs above have ended."""
    broken = sorted((one.stack, one.word) for one in upstreams.values() if one.state is UpstreamState.BROKEN)
    if broken:
        return f"{_few([f'{stack} was {word}' if word != 'failed' else f'{stack} failed' for stack, word in broken])}"
    there = {one.stack for one in upstreams.values() if one.word == "finished"}
    idle = sorted(one.stack for one in upstreams.values() if one.word != "finished")
    outputs = [f"{each.stack}.{name}" for each in taken if each.stack in there for name in each.outputs]
    parts = []
    if outputs:
        parts.append(f"nothing that it takes has changed: {_few(outputs)}")
    elif there:
        parts.append(f"it does not depend on {_few(sorted(there))} any more")
    if idle:
        parts.append(f"{_few(idle)} had nothing to run for")
    return "; ".join(parts)


def missing(inputs: Sequence[tuple[str, str, str]]) -> str:
    """Outputs that no apply has brought. Shape: stack, output, variable."""
    named = _few([f"{stack}.{output} => {variable}" for stack, output, variable in inputs])
    stacks = sorted({stack for stack, _, _ in inputs})
    return (
        f"these inputs are missing: {named}. Outputs are kept when a tracked run is applied: deploy {_few(stacks)} "
        "once, and see that it has outputs of these names"
    )


def is_sensitive(stack: str, output: str) -> str:
    """An output that may not be passed."""
    return (
        f"the output {output} of {stack} is sensitive, and is not passed: say `sensitive: true` beside "
        f"`stack: {stack}` in `depends_on`, and deploy {stack} once more"
    )


def was_not_kept(name: str, stack: str) -> str:
    """A sensitive output that nobody asked for when it was last applied."""
    return f"the sensitive output {name} was not kept when it was applied: deploy {stack} once more"


def too_long(name: str) -> str:
    """An output that no variable can hold."""
    return f"the output {name} is too long to be passed: 128 kB a value, and 1 MB for all of a stack, are the most"


def too_much() -> str:
    """Outputs that are too long together."""
    return "the outputs that are passed are longer than 1 MB together, which is the most"


def too_short(name: str) -> str:
    """A sensitive output that could not be kept secret."""
    return f"the sensitive output {name} is so short that it could not be kept out of logs"


def has_nul(name: str) -> str:
    """An output that no variable can hold."""
    return f"the output {name} has a NUL, which no variable can hold"


def _few(words: Sequence[str]) -> str:
    """At most MAX_NAMED of them in a row, the rest counted."""
    shown = [shortened(each, 200) for each in words[:MAX_NAMED]]
    more = [f"{len(words) - MAX_NAMED:,} more"] if len(words) > MAX_NAMED else []
    named = [*shown, *more]
    return " and ".join(part for part in (", ".join(named[:-1]), named[-1]) if part) if named else ""
