"""Where a Terraform state was when a plan was made, and whether it has moved since: then the plan cannot be applied.

Pure; the rule is the engine's own, so that the App says before the apply what the engine would say in it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePoint:
    """One version of a state: its line of descent, and how many writes it is old."""

    serial: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    lineage: Annotated[str, msgspec.Meta(max_length=100)]
    """Empty before the first write."""


class Obstacle(StrEnum):
    """What an engine can meet before it does anything: nothing was changed then, and the same run can be had again."""

    STALE = "stale"
    """The state moved since the plan was made."""
    LOCKED = "locked"
    """Somebody else holds the state's lock."""


NO_STATE = StatePoint(serial=0, lineage="")
"""Before the first write."""


def has_moved(planned: StatePoint, current: StatePoint | None) -> bool:
    """True when a plan made at `planned` is refused at `current` (None: there is no state).

    Source: internal/backend/local/backend_apply.go and backend_local.go in Terraform and OpenTofu: lineage and serial
    have to be equal; a plan of nothing has no lineage yet, and its serial alone is compared.
    """
    now = current or NO_STATE
    if planned == NO_STATE:
        return now.serial != 0
    return planned != now
