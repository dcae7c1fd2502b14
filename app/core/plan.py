"""What a plan says: its changes, numbered, and their counts. `app.core.planjson` reads Terraform's JSON into them.

Everything here is safe to store and to show once escaped: sensitive values were masked when the JSON was read.
"""

from enum import StrEnum
from typing import Final

import msgspec

MASK: Final = "(sensitive)"
UNKNOWN: Final = "(known after apply)"


class Action(StrEnum):
    """What happens to one resource or output."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    READ = "read"
    IMPORT = "import"
    FORGET = "forget"
    MOVE = "move"


class Kind(StrEnum):
    """What a change is about."""

    RESOURCE = "resource"
    OUTPUT = "output"


class Attribute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value that changes. Values are JSON text, masked where the plan or its schema marks them sensitive."""

    name: str
    """Where it is, as the configuration would write it: `ports[0].number`, `jsondecode(policy).Statement[0].Effect`;
    an output's begins with `value`."""
    before: str | None = None
    """JSON text, MASK, or None when there was none."""
    after: str | None = None
    """JSON text, MASK, UNKNOWN, or None when there is none."""
    forces_replacement: bool = False
    lines: tuple[str, ...] = ()
    """A text of several lines, instead of both values: each of its lines begins with `-`, `+` or a blank; `@12` says
    that what follows begins at line 12, `…5` that five lines are left out."""
    lines_left_out: int = 0
    """How many more lines this diff has than are listed."""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One numbered change of a plan."""

    number: int
    """1, 2, 3… in the order of the report; valid for this plan only."""
    kind: Kind
    action: Action
    address: str
    """As Terraform writes it, verbatim: `module.app["a"].terraform_data.x`; an output's name for an output."""
    previous_address: str = ""
    """Set when the resource moves."""
    import_id: str = ""
    """Set when the resource is imported; may also be updated at once."""
    reason: str = ""
    """Terraform's `action_reason`, verbatim: `replace_because_cannot_update`; empty when it gave none."""
    attributes: tuple[Attribute, ...] = ()
    attributes_left_out: int = 0
    """How many more values change than are listed; where none is listed, how many attributes of the resource."""
    hidden: int = 0
    """How many of the values that change are sensitive, and masked."""


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many of each action. A resource counts once, by its action; one that is imported and updated is an update."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    read: int = 0
    import_: int = msgspec.field(default=0, name="import")
    forget: int = 0
    move: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return (
            self.create + self.update + self.replace + self.delete + self.read + self.import_ + self.forget + self.move
        )


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The counts of a plan: resources and outputs apart."""

    resources: Counts = Counts()
    outputs: Counts = Counts()


class ModuleCounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resources of one module, counted."""

    module: str = ""
    """Its address, keys included; empty for the root module."""
    counts: Counts = Counts()


class Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the configuration describes something: the lines of a block of HCL, at the commit."""

    address: str
    """Without keys of count and for_each; an output's is `output.NAME`."""
    path: str
    """From the repository's root."""
    start_line: int
    end_line: int


class Remark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error or a warning of the engine: plain text, redacted, hostile."""

    is_error: bool = False
    summary: str
    detail: str = ""
    address: str = ""
    path: str = ""
    """From the repository's root; empty when it is of no file of the commit."""
    line: int = 0


class PlanSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole plan, as the worker sends it and the store keeps it."""

    delta: Delta = Delta()
    changes: tuple[Change, ...] = ()
    """Destroys and replaces first, then by address; outputs last."""
    changes_left_out: int = 0
    """How many more changes the plan has than are listed (a bound on size, never on counts)."""
    moves_left_out: int = 0
    """How many of those change address: a plan of a part of this one would have to name them."""
    terraform_version: str = ""
    modules: tuple[ModuleCounts, ...] = ()
    """The resources by module, the most dangerous first; empty when all are in the root module."""
    modules_left_out: int = 0
    """How many more modules change than are counted one by one."""
    blocks: tuple[Block, ...] = ()
    """Where the configuration describes what changes, as far as that was found."""
    remarks: tuple[Remark, ...] = ()
    """What the engine warned of."""
    remarks_left_out: int = 0
