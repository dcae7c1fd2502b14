"""A run and its changes in the documents that policies of several types are asked with: the parts that all share.

Pure. Names and shapes are those of the policies that users bring along. Source: docs/policies.md.
"""

import re
from collections.abc import Mapping
from typing import Final

from app.core.plan import Action, Change, Kind
from app.core.pushinput import Document, EventAsked, run_part
from app.core.run import BY_POLICY, BY_STACK, Run, Trigger

WORDS: Final[Mapping[Action, str]] = {
    Action.CREATE: "added",
    Action.UPDATE: "changed",
    Action.DELETE: "deleted",
    Action.REPLACE: "destroy-Before-create-replaced",
    Action.IMPORT: "import",
    Action.FORGET: "forget",
    Action.MOVE: "no-op",
}
"""Of `run.changes[].action`. What is only read is no change."""
_TYPE_AND_NAME: Final = re.compile(r"(?:^|\.)([A-Za-z_][\w-]*)\.([A-Za-z_][\w-]*)(?:\[.*\])?$", re.DOTALL)


def made_run_part(event: EventAsked, run: Run) -> Document:
    """The run, with who asked for it."""
    by = run.triggered_by.removeprefix(BY_POLICY).removeprefix(BY_STACK)
    return {
        **run_part(event, run),
        "creator_session": {
            "admin": False,
            "creator_ip": "",
            "login": by,
            "name": by,
            "teams": [],
            "machine": by.endswith("[bot]") or run.trigger in (Trigger.POLICY, Trigger.DEPENDENCY),
        },
        "runtime_config": {"before_init": list[str](), "environment": dict[str, str]()},
    }


def entity_part(address: str, named: tuple[str, str], kind: Kind = Kind.RESOURCE) -> Document:
    """What a change is about. `named`: its type and its name."""
    return {
        "address": address,
        "name": named[1],
        "type": named[0],
        "entity_vendor": "terraform",
        "entity_type": kind.value,
        "data": {},
    }


def type_and_name(change: Change) -> tuple[str, str]:
    """`("aws_vpc", "main")` of an address; of an output `output` and its name; empty where an address has none."""
    if change.kind is Kind.OUTPUT:
        return "output", change.address
    found = _TYPE_AND_NAME.search(change.address)
    return (found[1], found[2]) if found else ("", "")
