"""Reads `terraform show -json PLAN` (and OpenTofu's) into a PlanSummary: actions, counts, numbered and masked changes.

Knows nothing of engines, files or GitHub. Stands between the worker's `show` and its plan report: what leaves here was
masked by the plan's own sensitivity marks and by value, because marks miss copies.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from app.core.address import module_of, natural
from app.core.errors import UserError
from app.core.plan import Action, Change, Counts, Delta, Kind, ModuleCounts, PlanSummary
from app.core.plandiff import MAX_ATTRIBUTES, MAX_VALUE_CHARS, Rows, Spot, cut_text
from app.core.planmask import Masker, collect, marked_tree

MAX_CHANGES: Final = 5_000
"""How many changes are listed; the counts of a delta have no bound."""
MAX_MODULES: Final = 200
"""How many modules are counted one by one."""
MAX_TEXT_BYTES: Final = 8_000_000
"""How much text all listed changes have together: half of it with details, as much again and more by addresses alone.
JSON at most doubles it, so the summary fits into a body of the worker protocol."""

_ROW_BYTES: Final = 16
"""What JSON needs around each text."""
_NULL: Final = msgspec.Raw(b"null")
_TRUE: Final = msgspec.Raw(b"true")
_FALSE: Final = msgspec.Raw(b"false")
_ACTIONS: Final = {
    ("create",): Action.CREATE,
    ("read",): Action.READ,
    ("update",): Action.UPDATE,
    ("delete",): Action.DELETE,
    ("delete", "create"): Action.REPLACE,
    ("create", "delete"): Action.REPLACE,
    ("forget",): Action.FORGET,
    ("create", "forget"): Action.REPLACE,
    ("forget", "create"): Action.REPLACE,
}
"""Source: internal/command/jsonplan in Terraform, internal/plans in OpenTofu; `no-op` is handled apart."""
_RANK: Final = {Action.DELETE: 0, Action.REPLACE: 1}


class _Importing(msgspec.Struct, frozen=True):
    id: str = ""


class _Diff(msgspec.Struct, frozen=True):
    actions: tuple[str, ...] = ()
    before: msgspec.Raw = _NULL
    after: msgspec.Raw = _NULL
    after_unknown: msgspec.Raw = _NULL
    before_sensitive: msgspec.Raw = _NULL
    after_sensitive: msgspec.Raw = _NULL
    replace_paths: msgspec.Raw = _NULL
    importing: _Importing | None = None


class _Resource(msgspec.Struct, frozen=True):
    address: str
    change: _Diff
    previous_address: str = ""
    action_reason: str = ""
    deposed: str = ""


class _Variable(msgspec.Struct, frozen=True):
    value: msgspec.Raw = _NULL


class _VariableConfig(msgspec.Struct, frozen=True):
    sensitive: bool = False


class _ConfigModule(msgspec.Struct, frozen=True):
    variables: dict[str, _VariableConfig] = {}


class _Config(msgspec.Struct, frozen=True):
    root_module: _ConfigModule = _ConfigModule()


class _StateResource(msgspec.Struct, frozen=True):
    values: msgspec.Raw = _NULL
    sensitive_values: msgspec.Raw = _NULL


class _StateModule(msgspec.Struct, frozen=True):
    resources: tuple[_StateResource, ...] = ()
    child_modules: "tuple[_StateModule, ...]" = ()


class _StateOutput(msgspec.Struct, frozen=True):
    sensitive: bool = False
    value: msgspec.Raw = _NULL


class _StateValues(msgspec.Struct, frozen=True):
    outputs: dict[str, _StateOutput] = {}
    root_module: _StateModule = _StateModule()


class _State(msgspec.Struct, frozen=True):
    values: _StateValues | None = None


class _Document(msgspec.Struct, frozen=True):
    format_version: str
    terraform_version: str = ""
    variables: dict[str, _Variable] = {}
    resource_changes: tuple[_Resource, ...] = ()
    output_changes: dict[str, _Diff] = {}
    prior_state: _State | None = None
    configuration: _Config = _Config()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One change before it is numbered and read in depth."""

    kind: Kind
    action: Action
    address: str
    diff: _Diff
    resource: _Resource | None = None

    def order(self) -> tuple[int, list[int | str], str]:
        """Outputs last; destroys, then replaces, then the rest; by address, numbers in it by value."""
        rank = 3 if self.kind is Kind.OUTPUT else _RANK.get(self.action, 2)
        return rank, natural(self.address), self.address


def read_plan(raw: bytes, *, secrets: Iterable[str] = ()) -> PlanSummary:
    """What the plan does: every action counted, changes ordered, numbered, masked and cut to size.

    `secrets` are values known from elsewhere (the stack's secret variables); they are masked wherever they occur.
    Raises: UserError when the JSON is not a plan, or holds an action that this version does not know.
    """
    try:
        document = msgspec.json.decode(raw, type=_Document)
        masker = Masker([*secrets, *_sensitive_values(document)])
        entries = sorted(_entries(document), key=_Entry.order)
        changes = tuple(_list(entries, masker))
        modules = _by_module(entries)
    except (ValueError, RecursionError) as error:
        raise UserError(f"reading the plan: not the JSON of a plan: {error}") from error
    return PlanSummary(
        delta=Delta(resources=_count(entries, Kind.RESOURCE), outputs=_count(entries, Kind.OUTPUT)),
        changes=changes,
        changes_left_out=len(entries) - len(changes),
        moves_left_out=sum(
            1 for entry in entries[len(changes) :] if entry.resource and entry.resource.previous_address
        ),
        terraform_version=document.terraform_version[:100],
        modules=tuple(modules[:MAX_MODULES]),
        modules_left_out=len(modules[MAX_MODULES:]),
    )


def _entries(document: _Document) -> Iterable[_Entry]:
    for resource in document.resource_changes:
        action = _resource_action(resource)
        if action is not None:
            yield _Entry(Kind.RESOURCE, action, resource.address, resource.change, resource)
    for name, diff in document.output_changes.items():
        if diff.actions != ("no-op",):
            yield _Entry(Kind.OUTPUT, _known_action(diff.actions, name), name, diff)


def _resource_action(resource: _Resource) -> Action | None:
    """The one action that a resource counts as; None when nothing happens to it."""
    if resource.change.actions != ("no-op",):
        return _known_action(resource.change.actions, resource.address)
    if resource.change.importing is not None:
        return Action.IMPORT
    return Action.MOVE if resource.previous_address else None


def _known_action(actions: tuple[str, ...], address: str) -> Action:
    action = _ACTIONS.get(actions)
    if action is None:
        raise UserError(f"reading the plan: {address[:200]}: unknown actions {', '.join(actions)[:200] or '(none)'}")
    return action


def _count(entries: Iterable[_Entry], kind: Kind) -> Counts:
    return _counts(Counter(entry.action for entry in entries if entry.kind is kind))


def _counts(counted: Counter[Action]) -> Counts:
    return Counts(**{("import_" if action is Action.IMPORT else action.value): n for action, n in counted.items()})


def _by_module(entries: Iterable[_Entry]) -> list[ModuleCounts]:
    """The resources by module: what destroys and replaces most first, then by name. None when there is one alone."""
    counted: dict[str, Counter[Action]] = {}
    for entry in entries:
        if entry.kind is Kind.RESOURCE:
            counted.setdefault(module_of(entry.address), Counter())[entry.action] += 1
    if counted.keys() <= {""}:
        return []
    found = [ModuleCounts(module=module, counts=_counts(by_action)) for module, by_action in counted.items()]
    return sorted(found, key=lambda one: (-(one.counts.delete + one.counts.replace), natural(one.module)))


def _list(entries: Sequence[_Entry], masker: Masker) -> Iterable[Change]:
    """The first changes in depth, until their number or their text reaches its bound."""
    budget = MAX_TEXT_BYTES
    for number, entry in enumerate(entries[:MAX_CHANGES], start=1):
        change = _change(number, entry, masker, with_attributes=budget > MAX_TEXT_BYTES // 2)
        budget -= _size(change)
        if budget < -MAX_TEXT_BYTES:
            return
        yield change


def _size(change: Change) -> int:
    """Bytes of the change's text in UTF-8."""
    texts = [change.address, change.previous_address, change.import_id]
    for attribute in change.attributes:
        texts += (attribute.name, attribute.before or "", attribute.after or "", *attribute.lines)
    return len("".join(texts).encode("utf-8", "replace")) + _ROW_BYTES * len(texts)


def _change(number: int, entry: _Entry, masker: Masker, *, with_attributes: bool) -> Change:
    rows = _find_rows(entry, masker, MAX_ATTRIBUTES if with_attributes else 0)
    resource = entry.resource
    importing = entry.diff.importing
    return Change(
        number=number,
        kind=entry.kind,
        action=entry.action,
        address=entry.address,
        previous_address=resource.previous_address if resource else "",
        import_id=cut_text(masker.within(importing.id), MAX_VALUE_CHARS) if importing else "",
        reason=(resource.action_reason or ("deposed" if resource.deposed else "")) if resource else "",
        attributes=tuple(rows.found),
        attributes_left_out=rows.left_out,
        hidden=rows.hidden,
    )


def _find_rows(entry: _Entry, masker: Masker, limit: int) -> Rows:
    """What changes, forcing attributes first, then by name; masked by mark and by value."""
    diff = entry.diff
    rows = Rows(masker=masker, forcing=_forcing(diff.replace_paths), limit=limit)
    if entry.kind is Kind.OUTPUT:
        before = marked_tree(diff.before, diff.before_sensitive)
        after = marked_tree(diff.after, diff.after_sensitive, diff.after_unknown)
        rows.compare(Spot("value", ()), before, after)
        return rows
    if entry.action in (Action.IMPORT, Action.MOVE, Action.FORGET):
        return rows
    before_parts, after_parts = _object(diff.before), _object(diff.after)
    before_marks, after_marks = _marks(diff.before_sensitive), _marks(diff.after_sensitive)
    unknown, first = _marks(diff.after_unknown), {path[0] for path in rows.forcing if path}
    names = before_parts.keys() | after_parts.keys() | (unknown.keys() if isinstance(unknown, dict) else set())
    for name in sorted(names, key=lambda name: (name not in first, name)):
        old, new, mystery = before_parts.get(name, _NULL), after_parts.get(name, _NULL), _part(unknown, name)
        marks = _part(before_marks, name), _part(after_marks, name)
        is_marked = marks != (_FALSE, _FALSE)
        if old == new and b"true" not in bytes(mystery) and (not is_marked or _same_marks(*marks)):
            continue
        if limit:
            rows.compare(Spot(name, (name,)), marked_tree(old, marks[0]), marked_tree(new, marks[1], mystery))
        else:
            rows.left_out += old != _NULL or new != _NULL or mystery == _TRUE
    return rows


def _object(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | None) or {}


def _marks(raw: msgspec.Raw) -> dict[str, msgspec.Raw] | bool:
    """Marks of an object: one for all of it, or one for each attribute; most have none, and are not even decoded."""
    if b"true" not in bytes(raw):
        return False
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | bool | None) or {}


def _part(marks: dict[str, msgspec.Raw] | bool, name: str) -> msgspec.Raw:
    if isinstance(marks, bool):
        return _TRUE if marks else _FALSE
    return marks.get(name, _FALSE)


def _same_marks(before: msgspec.Raw, after: msgspec.Raw) -> bool:
    return bytes(before) == bytes(after) or not (b"true" in bytes(before) or b"true" in bytes(after))


def _forcing(raw: msgspec.Raw) -> tuple[tuple[str | int, ...], ...]:
    """Paths of what forces a replacement; a step that is neither a name nor an index (an element of a set) ends one."""
    if raw is _NULL:
        return ()
    paths = msgspec.json.decode(raw, type=list[list[Any]] | None) or []
    known = (tuple(itertools.takewhile(lambda step: isinstance(step, str | int), path)) for path in paths)
    return tuple(path for path in known if path)


def _sensitive_values(document: _Document) -> Iterable[str]:
    """Every string that the plan marks as sensitive anywhere: changes, outputs, variables, and the state before."""
    for diff in [*(resource.change for resource in document.resource_changes), *document.output_changes.values()]:
        yield from collect(diff.before, diff.before_sensitive)
        yield from collect(diff.after, diff.after_sensitive)
    whole = msgspec.Raw(b"true")
    for name, config in document.configuration.root_module.variables.items():
        if config.sensitive and name in document.variables:
            yield from collect(document.variables[name].value, whole)
    state = document.prior_state.values if document.prior_state else None
    if state is None:
        return
    for output in state.outputs.values():
        if output.sensitive:
            yield from collect(output.value, whole)
    modules = [state.root_module]
    while modules:
        module = modules.pop()
        modules.extend(module.child_modules)
        for resource in module.resources:
            yield from collect(resource.values, resource.sensitive_values)
