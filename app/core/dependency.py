"""What one stack takes from others of its repository, and the order that follows from it. Values only.

`core.config` reads `depends_on` into these; `flows.cascade` makes the runs below a run in this order.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Final

MAX_DEPENDENCIES: Final = 50
"""Of one stack."""
MAX_REFERENCES: Final = 100
"""Outputs that one stack takes, of all its dependencies together."""
MAX_VALUE_BYTES: Final = 128_000
"""Of one output, as JSON: what one variable of a process holds."""
MAX_TOTAL_BYTES: Final = 1024 * 1024
"""Of all outputs that one stack keeps, and of all variables that one run is passed."""
_OUTPUT = re.compile(r"[^\W\d][\w-]{0,199}")
"""As Terraform takes it. Source: https://developer.hashicorp.com/terraform/language/syntax/configuration#identifiers"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of `depends_on`."""

    stack: str
    """The stack above, by its name in the same repository."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Variable by output: `{vpc_id: TF_VAR_vpc_id}`. Empty: the order alone counts."""
    trigger_always: bool = False
    """Run whenever the stack above was deployed, also when no output that is taken has changed."""
    sensitive: bool = False
    """Sensitive outputs are kept and passed, too."""


Graph = Mapping[str, Collection[str]]
"""The stacks directly above, by the name of each stack."""


def is_output_name(text: str) -> bool:
    """True for what an output can be called."""
    return _OUTPUT.fullmatch(text) is not None


def find_cycle(above: Graph) -> tuple[str, ...]:
    """A way through the graph that comes back to where it began, `(a, b, a)`, each of what follows; empty: none."""
    try:
        TopologicalSorter(above).prepare()
    except CycleError as error:
        found: list[str] = list(error.args[1])
        smallest = min(range(len(found) - 1), key=lambda at: found[at])
        turned = found[smallest:-1] + found[:smallest]
        return (*turned, turned[0])[::-1]  # the sorter tells it from the one above to the one below
    return ()


def stacks_below(above: Graph, roots: Collection[str]) -> tuple[str, ...]:
    """Every stack below one of `roots`, transitively, each once and after all that are above it; roots that are below
    another root are among them."""
    below: dict[str, list[str]] = {}
    for name, uppers in above.items():
        for upper in uppers:
            below.setdefault(upper, []).append(name)
    reached: set[str] = set()
    ahead = list(roots)
    while ahead:
        for name in below.get(ahead.pop(), ()):
            if name not in reached:
                reached.add(name)
                ahead.append(name)
    inner = {name: sorted(upper for upper in above[name] if upper in reached) for name in sorted(reached)}
    try:
        return tuple(TopologicalSorter(inner).static_order())
    except CycleError:  # no configuration that was accepted has one
        return ()


def graph_of(depends_on: Mapping[str, Sequence[Dependency]]) -> dict[str, tuple[str, ...]]:
    """The graph of stacks by what each depends on."""
    return {name: tuple(one.stack for one in listed) for name, listed in depends_on.items() if listed}
