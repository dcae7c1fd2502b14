"""What plan policies see of a plan: `resource_changes` of Terraform's JSON, with no value in clear that must not leave.

Runs on the worker. By default every string in before and after becomes the last 8 hex digits of its SHA-256, which
`sanitized(s)` in a policy compares with; what is marked sensitive, or known as a secret, always does.
Source: docs of plan policies, "String sanitization".
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from app.core.errors import UserError
from app.core.planmask import MIN_EQUAL_CHARS

MAX_RESOURCES_BYTES: Final = 24 * 1024 * 1024
"""JSON of all resource changes; policies of a larger plan cannot be asked, so it is denied."""
HASHED: Final = "hashed"
"""Every string is replaced."""
MARKED: Final = "marked"
"""Only what is sensitive is replaced."""
CLEAR_LABEL: Final = "feature:disable_resource_sanitization"
"""The label of a stack whose policies see values as they are, but for sensitive ones."""
Tree = Any
"""A JSON value: the plan's own, so any shape at all."""
_NULL: Final = msgspec.Raw(b"null")


class _Change(msgspec.Struct, frozen=True):
    actions: list[str] = []
    before: Tree = None
    after: Tree = None
    after_unknown: Tree = None
    before_sensitive: Tree = None
    after_sensitive: Tree = None
    replace_paths: Tree = None
    importing: Tree = None


class _Resource(msgspec.Struct, frozen=True):
    address: str
    change: _Change
    previous_address: str = ""
    module_address: str = ""
    mode: str = ""
    type: str = ""
    name: str = ""
    index: Tree = None
    provider_name: str = ""
    deposed: str = ""
    action_reason: str = ""


class _Document(msgspec.Struct, frozen=True):
    resource_changes: tuple[msgspec.Raw, ...] = ()


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """The resource changes for policies; or how large they are, when that is too much."""

    changes: msgspec.Raw = msgspec.field(default_factory=lambda: _NULL)
    """JSON: a list in the plan's order; null when they are too large, and of a worker that was not asked for them."""
    size_bytes: int = 0
    """Of what was left out; 0: nothing was."""


def read_resources(raw: bytes, *, mode: str, secrets: Iterable[str] = ()) -> Resources:
    """What policies see of `terraform show -json PLAN`. `secrets`: values known from elsewhere.

    Raises: UserError when the JSON is not a plan.
    """
    try:
        document = msgspec.json.decode(raw, type=_Document)
        hider = _Hider(is_all=mode != MARKED, secrets=secrets)
        parts, size = [], 2
        for each in document.resource_changes:
            parts.append(msgspec.json.encode(_hidden(msgspec.json.decode(each, type=_Resource), hider)))
            size += len(parts[-1]) + 1
            if size > MAX_RESOURCES_BYTES:
                return Resources(size_bytes=sum(map(len, document.resource_changes)))
    except (ValueError, RecursionError) as error:
        raise UserError(f"reading the plan for its policies: not the JSON of a plan: {error}") from error
    return Resources(changes=msgspec.Raw(b"[" + b",".join(parts) + b"]"))


def sanitized(text: str) -> str:
    """The last 8 hex digits of the text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[-8:]


def _hidden(resource: _Resource, hider: "_Hider") -> _Resource:
    change = resource.change
    importing = {"id": hider.text(str(change.importing.get("id", "")))} if isinstance(change.importing, dict) else None
    return msgspec.structs.replace(
        resource,
        change=msgspec.structs.replace(
            change,
            before=hider.value(change.before, change.before_sensitive),
            after=hider.value(change.after, change.after_sensitive),
            importing=importing,
        ),
    )


class _Hider:
    """Replaces what must not be seen."""

    def __init__(self, *, is_all: bool, secrets: Iterable[str]) -> None:
        known = (form for secret in secrets for form in (secret, secret.strip()))
        self._is_all = is_all
        self._secrets = tuple(sorted({text for text in known if len(text) >= MIN_EQUAL_CHARS}, key=len, reverse=True))

    def value(self, tree: Tree, marks: Tree) -> Tree:
        """The value with what its marks call sensitive, what holds a secret, and by default every string replaced."""
        if marks is True:
            return None if tree is None else sanitized(tree if isinstance(tree, str) else _text(tree))
        if isinstance(tree, str):
            return self.text(tree)
        if isinstance(tree, dict):
            parts = marks if isinstance(marks, dict) else {}
            return {self._key(name): self.value(part, parts.get(name)) for name, part in tree.items()}
        if isinstance(tree, list):
            return [self.value(part, mark) for part, mark in zip(tree, _marks(marks), strict=False)]
        return tree

    def text(self, text: str) -> str:
        """A string of a value."""
        return sanitized(text) if self._is_all or self._is_secret(text) else text

    def _key(self, name: str) -> str:
        return sanitized(name) if self._is_secret(name) else name

    def _is_secret(self, text: str) -> bool:
        return any(secret in text for secret in self._secrets)


def _marks(marks: Tree) -> Iterator[Tree]:
    """The marks of a list's parts, and no more after them."""
    yield from marks if isinstance(marks, list) else ()
    while True:
        yield None


def _text(tree: Tree) -> str:
    return msgspec.json.encode(tree).decode()
