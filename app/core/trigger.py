"""What trigger policies ask for when a run has ended, and the bounds that keep them from going on for ever.

Pure values. A workflow is everything that trigger policies made, one after the other, of one first run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from app.core.names import RunId, StackId
from app.core.run import RunState, RunType

MAX_TRIGGERED: Final = 100
"""Stacks that one policy triggers when a run has ended."""
MAX_GENERATIONS: Final = 20
"""Runs of a workflow that follow each other: a policy that triggers its own stack is stopped by it."""
MAX_WORKFLOW: Final = 500
"""Runs of one workflow."""
MAX_NAME: Final = 300
"""Characters of a stack's id that are kept of what a policy asked for."""


class Triggered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stack that a trigger policy asked for, or one policy that gave no answer."""

    policy: str
    stack: str = ""
    """As the policy named it: hostile text; the stack's name, once a run was made. Empty: the policy gave no answer."""
    run_id: str = ""
    """The run that was made of it; empty: none."""
    reason: str = ""
    """Why there is none, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A run of a workflow."""

    id: RunId
    stack_id: StackId
    type: RunType
    state: RunState
    state_before: RunState | None
    """Set while the run has ended and its own trigger policies are still to be asked: the state before its last. To
    others it has not ended yet, so that of runs that end together exactly one, the one asked last, sees all ended."""

    @property
    def seen_state(self) -> RunState:
        """As other runs of the workflow see it."""
        return self.state if self.state_before is None else self.state_before

    @property
    def mark(self) -> tuple[RunId, RunState | None]:
        """What of it may not change while a policy is asked: that it is there, and how it ended. What a worker does
        with it meanwhile is news every few moments."""
        return self.id, self.seen_state if self.seen_state.is_terminal else None


def wanted(rules: Mapping[str, object]) -> tuple[tuple[str, ...], int]:
    """The ids that the rule `trigger` names, sorted; and how many more there are than MAX_TRIGGERED."""
    ids = sorted(set(_texts(rules.get("trigger"))))
    return tuple(ids[:MAX_TRIGGERED]), len(ids[MAX_TRIGGERED:])


def flags(rules: Mapping[str, object]) -> tuple[str, ...]:
    """The flags that the triggered runs begin with: those set, without those reset."""
    reset = set(_texts(rules.get("reset_flag")))
    return tuple(flag for flag in sorted(set(_texts(rules.get("flag")))) if flag not in reset)


def _texts(value: object) -> Iterable[str]:
    return (one for one in value if isinstance(one, str)) if isinstance(value, (list, tuple, set, frozenset)) else ()
