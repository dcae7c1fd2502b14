"""What a parsed policy contains, read from OPA's syntax tree: its package, its rules, the functions that it calls.

Pure and iterative, so that no depth of nesting stops it. Source: the JSON that `rego.parse_module` returns.
"""

from collections.abc import Iterator
from typing import Any

from app.core.contract import FORBIDDEN

_FORBIDDEN_PATHS = tuple(tuple(name.split(".")) for name in FORBIDDEN)


def summarise(module: Any) -> dict[str, Any]:
    """Shape: package: [segment]; rules: [{name, kind, value, default, arity}]; calls: {name: arity}; forbidden: [name];
    data: [[segment]], what it refers to below `data`.

    kind: complete, set, map or function; value: the JSON type of a literal value, else empty.
    """
    rules = [_rule(each) for each in _all_rules(module.get("rules") or [])]
    own = {rule["name"] for rule in rules}
    calls: dict[str, int] = {}
    forbidden: list[str] = []
    data: dict[tuple[str, ...], None] = {}
    for path, arity in _references(module):
        for name in _FORBIDDEN_PATHS:
            is_named = path[: len(name)] == name and (len(name) > 1 or (arity is not None and name[0] not in own))
            if is_named and ".".join(name) not in forbidden:
                forbidden.append(".".join(name))
        if path[0] == "data" and len(path) > 1:
            data[path[1:]] = None
        if arity is not None and path[0] not in own and path[0] not in ("data", "input"):
            called = ".".join(path)
            calls[called] = min(calls.get(called, arity), arity)
    package = [str(part.get("value", "")) for part in module.get("package", {}).get("path", [])[1:]]
    return {"package": package, "rules": rules, "calls": calls, "forbidden": forbidden, "data": list(data)}


def _all_rules(rules: list[Any]) -> Iterator[Any]:
    for rule in rules:
        branch = rule
        while isinstance(branch, dict):
            yield branch
            branch = branch.get("else")


def _rule(rule: Any) -> dict[str, Any]:
    head = rule.get("head", {})
    reference = head.get("ref") or [{"value": head.get("name", "")}]
    value, arguments = head.get("value"), head.get("args") or []
    kind = "complete"
    if arguments:
        kind = "function"
    elif head.get("key") is not None and value is None:
        kind = "set"
    elif len(reference) > 1 or head.get("key") is not None:
        kind = "map"
    return {
        "name": str(reference[0].get("value", "")),
        "kind": kind,
        "value": str(value.get("type", "")) if isinstance(value, dict) else "",
        "default": bool(rule.get("default")),
        "arity": len(arguments),
    }


def _references(module: Any) -> Iterator[tuple[tuple[str, ...], int | None]]:
    """Every reference as far as it is literal, with the number of its arguments where it is called."""
    waiting: list[Any] = [module]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
            continue
        if not isinstance(node, dict):
            continue
        terms = node.get("terms") if isinstance(node.get("terms"), list) else None
        if node.get("type") == "call" and isinstance(node.get("value"), list):
            terms = node["value"]
        if terms and isinstance(terms[0], dict):
            yield _path(terms[0]), len(terms) - 1
        for replaced in node.get("with") or ():
            yield from ((_path(replaced[side]), 0) for side in ("target", "value") if _is_path(replaced.get(side)))
        if _is_path(node):
            yield _path(node), None
        waiting.extend(each for each in node.values() if isinstance(each, dict | list))


def _is_path(node: Any) -> bool:
    return isinstance(node, dict) and node.get("type") in ("ref", "var")


def _path(node: Any) -> tuple[str, ...]:
    value = node.get("value")
    if isinstance(value, str):
        return (value,)
    parts: list[str] = []
    for at, part in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(part, dict) or not isinstance(part.get("value"), str):
            break
        if at and part.get("type") != "string":
            break
        parts.append(part["value"])
    return tuple(parts) or ("",)
