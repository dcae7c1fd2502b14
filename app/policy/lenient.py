"""OPA's own treatment of failing built-in functions, where the engine at hand only knows the strict one.

By default OPA makes the expression in which a built-in function fails undefined. The embedded engine stops instead; a
rule that stopped is asked again with every such function replaced by one that is undefined where the real one fails.
"""

from collections.abc import Mapping
from typing import Final

from app.policy.lexer import Edit, TokenKind, edited, tokens_of

SHIM_MODULE: Final = "lenient.rego"
SHIM_PACKAGE: Final = "trackside_lenient"

_NEVER_FAIL: Final = frozenset(
    {
        *("assign", "eq", "equal", "neq", "lt", "lte", "gt", "gte", "print", "walk", "sprintf", "type_name"),
        *("internal.member_2", "internal.member_3", "internal.print", "trackside.is_fine"),
        *("is_null", "is_number", "is_string", "is_boolean", "is_array", "is_object", "is_set"),
        *("json.marshal", "json.is_valid", "yaml.is_valid", "regex.is_valid", "base64.is_valid"),
    }
)
_S, _N, _A, _O, _C = "string", "number", "array", "object", ("array", "object", "set", "string")
_TYPES: Final[Mapping[str, tuple[str | tuple[str, ...], ...]]] = {
    **dict.fromkeys(("lower", "upper", "trim_space", "crypto.sha256", "base64.encode"), (_S,)),
    **dict.fromkeys(("startswith", "endswith", "contains", "split"), (_S, _S)),
    **dict.fromkeys(("trim", "trim_left", "trim_right", "trim_prefix", "trim_suffix"), (_S, _S)),
    **dict.fromkeys(("plus", "mul"), (_N, _N)),
    **dict.fromkeys(("abs", "round", "ceil", "floor"), (_N,)),
    **dict.fromkeys(("and", "or"), ("set", "set")),
    "replace": (_S, _S, _S),
    "count": (_C,),
    "array.concat": (_A, _A),
    "array.reverse": (_A,),
    "object.keys": (_O,),
}
"""Functions that fail for the types of their arguments alone: no need to try them out."""


def lenient_text(text: str) -> str:
    """The policy with its calls of `contains` going through the shim: the keyword cannot be replaced by `with`."""
    tokens, edits = tokens_of(text), []
    for at, token in enumerate(tokens[:-1]):
        is_call = token.text == "contains" and token.kind is TokenKind.NAME and tokens[at + 1].start == token.end
        if not is_call or tokens[at + 1].text != "(":
            continue
        before = tokens[at - 1] if at else None
        if before is not None and before.kind is TokenKind.NAME and before.text not in ("if", "not", "in", "else"):
            continue
        edits.append(Edit(token.start, token.end, f"data.{SHIM_PACKAGE}.{_shim('contains')}"))
    return edited(text, edits)


def shim(calls: Mapping[str, int]) -> str:
    """The module of replacements for the functions that a policy calls. Shape: calls: name to number of arguments."""
    lines = [f"package {SHIM_PACKAGE}", ""]
    for name, arity in sorted(_replaced(calls).items()):
        names = [f"a{at}" for at in range(arity)]
        arguments = ", ".join(names)
        lines.append(f"{_shim(name)}({arguments}) := {name}({arguments}) if {_condition(name, names)}")
    return "\n".join(lines) + "\n"


def replacements(calls: Mapping[str, int]) -> str:
    """The `with` modifiers of a query that replace those functions; empty when there are none."""
    names = sorted(name for name in _replaced(calls) if name != "contains")
    return "".join(f" with {name} as data.{SHIM_PACKAGE}.{_shim(name)}" for name in names)


def _replaced(calls: Mapping[str, int]) -> dict[str, int]:
    return {name: arity for name, arity in calls.items() if arity and name not in _NEVER_FAIL}


def _condition(name: str, names: list[str]) -> str:
    types = _TYPES.get(name, ())
    if len(types) != len(names):
        return f'trackside.is_fine("{name}", sprintf("%v", [[{", ".join(names)}]]))'
    tests = []
    for argument, wanted in zip(names, types, strict=True):
        allowed = (wanted,) if isinstance(wanted, str) else wanted
        tests.append(f"type_name({argument}) in {{{', '.join(f'{chr(34)}{each}{chr(34)}' for each in allowed)}}}")
    return "{ " + "; ".join(tests) + " }"


def _shim(name: str) -> str:
    return "try_" + name.replace(".", "__")
