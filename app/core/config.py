"""stacks.yml: its bytes read into stacks and policies, or into every mistake at once, each with line and remedy.

Pure: flows fetch the file and keep what comes out; `document` reads the YAML, `configmodel` says what it may hold.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.core.configdepends import dependency_problems
from app.core.configdrift import DriftModel
from app.core.configmodel import (
    ConfirmModel,
    DependencyModel,
    FileModel,
    GitModel,
    HooksModel,
    OidcModel,
    PolicyModel,
    StackModel,
    plain_of,
    secrets_of,
)
from app.core.dependency import Dependency
from app.core.document import Document, Path, quoted, read_document
from app.core.stack import (
    DEFAULTABLE,
    HOOK_MOMENTS,
    MAX_CONFIG_BYTES,
    Comments,
    Configuration,
    Permission,
    PolicySpec,
    Problem,
    StackSettings,
    StackSpec,
    StateMode,
    Tool,
)
from app.core.suggestion import suggest_configuration

__all__ = ["json_schema", "read_configuration", "suggest_configuration"]

MAX_PROBLEMS: Final = 200
"""Problems that one reading gives, by line; who has more mends these first."""
MAX_SHOWN: Final = 6
"""Known keys that a remedy lists; a longer list helps nobody."""
_REMEDIES: Final = {
    "version": "begin the file with `version: 1`",
    "stacks": "list at least one stack, or write `stacks: []`",
    "name": "give it a name that is unique in this file",
    "type": "write `type: push`, or `plan`, `approval`, `trigger`, `notification`",
    "path": "name its Rego file",
    "stack": "name the stack that comes before",
    "schedule": 'say when: `schedule: "0 6 * * *"` is every day at six',
    "attach": 'write `[network, dns]`, `{labels: [prod]}` or `"*"`',
}
"""What to do when a key is missing."""
UnknownKey = Callable[[str], tuple[str, str] | None]
"""What is wrong with a key that a model does not have, and the way out; None: nothing special."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a file may hold, for words about its mistakes."""

    model_at: Callable[[Path], type[BaseModel]]
    """The model of the mapping at a path."""
    remedies: Mapping[str, str]
    """What to do when a key is missing."""
    unknown: Mapping[type[BaseModel], UnknownKey]
    """What is said of keys that only look as if they belonged there."""


_KINDS: Final = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


def read_configuration(text: bytes, *, default_branch: str) -> Configuration | tuple[Problem, ...]:
    """The configuration that a stacks.yml holds, its defaults filled in; or its mistakes, by line."""
    document = read_document(text, max_bytes=MAX_CONFIG_BYTES)
    if not isinstance(document, Document):
        return document
    problems = [*document.problems, *_cross_checks(document)]
    try:
        model = FileModel.model_validate(document.data)
    except ValidationError as error:
        problems.extend(problem_of(document, details, _FORM) for details in error.errors(include_url=False))
        model = None
    if problems or model is None:
        return tuple(sorted(problems, key=lambda problem: problem.line)[:MAX_PROBLEMS])
    return Configuration(
        stacks=tuple(
            replace(
                _stack(stack, default_branch, document.line_of(("stacks", at))),
                pool_line=document.line_of(("stacks", at, "worker_pool")),
            )
            for at, stack in enumerate(model.stacks)
        ),
        policies=tuple(
            policy_of(policy, document.line_of(("policies", at))) for at, policy in enumerate(model.policies)
        ),
    )


def json_schema() -> dict[str, object]:
    """The JSON Schema of stacks.yml, for editors. Shape: JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **FileModel.model_json_schema(),
        "title": "Trackside stacks",
    }


def _stack(model: StackModel, default_branch: str, line: int) -> StackSpec:
    settings = StackSettings(
        name=model.name,
        project_root=model.project_root,
        branch=model.branch or default_branch,
        additional_project_globs=tuple(model.additional_project_globs),
        labels=tuple(model.labels),
        tool=Tool(model.tool),
        version=model.version,
        workspace=model.workspace,
        var_files=tuple(model.var_files),
        backend_config=tuple(model.backend_config),
        state=StateMode(model.state) if model.state else None,
        autodeploy=model.autodeploy,
        allow_promotion=model.allow_promotion,
        comments=Comments(model.comments),
        environment=plain_of(model.environment),
        secrets=secrets_of(model.environment),
        confirm_permission=Permission(model.confirm.permission),
        github_environment=model.name if model.github_environment == "" else model.github_environment,
        worker_pool=model.worker_pool,
        hooks={moment: tuple(lines) for moment in HOOK_MOMENTS if (lines := getattr(model.hooks, moment))},
        oidc_audience=tuple(model.oidc.audience),
        submodules=model.git.submodules,
        lfs=model.git.lfs,
        confirm_roles=tuple(dict.fromkeys(model.confirm.roles)),
        confirm_teams=tuple(dict.fromkeys(model.confirm.teams)),
        confirm_not_author=model.confirm.not_author,
        public_plans=model.public_plans,
        depends_on=tuple(
            Dependency(
                stack=each.stack,
                outputs=dict(each.outputs),
                trigger_always=each.trigger_always,
                sensitive=each.sensitive,
            )
            for each in model.depends_on
        ),
        **_drift(model.drift),
    )
    return StackSpec(
        settings=settings,
        policy_id=model.id,
        renamed_from=model.renamed_from,
        line=line,
        given=frozenset(model.model_fields_set & DEFAULTABLE),
    )


def _drift(model: DriftModel | None) -> dict[str, Any]:
    """The settings of `drift`; none without it."""
    if model is None:
        return {}
    return {
        "drift_schedules": tuple(model.schedule),
        "drift_timezone": "" if model.timezone == "UTC" else model.timezone,
        "drift_reconcile": model.reconcile,
        "drift_ignore_state": model.ignore_state,
    }


def policy_of(model: PolicyModel, line: int) -> PolicySpec:
    """The policy of an entry."""
    return PolicySpec(
        name=model.name,
        type=model.type,
        path=model.path,
        attach_names=model.attach.names,
        attach_labels=model.attach.labels,
        attach_all=model.attach.is_all,
        dialect=model.dialect,
        line=line,
    )


def _cross_checks(document: Document) -> Iterator[Problem]:
    """Mistakes between entries. Read from the raw data, so that they show beside the mistakes of single entries."""
    stacks, policies = _entries(document, "stacks"), _entries(document, "policies")
    names = {entry["name"] for entry in stacks.values() if isinstance(entry.get("name"), str)}
    yield from twice(document, "stacks", "name", "two stacks are called")
    yield from twice(document, "stacks", "id", "two stacks have the id")
    yield from twice(document, "stacks", "renamed_from", "two stacks were renamed from")
    yield from twice(document, "policies", "name", "two policies are called")
    for at, stack in stacks.items():
        before = stack.get("renamed_from")
        if isinstance(before, str) and before in names:
            message = f"{quoted(before)} is still a stack of this file, so nothing can have been renamed from it"
            yield problem_at(document, ("stacks", at, "renamed_from"), message, "take `renamed_from` away")
        yield from _prefixed_twice(document, at, stack.get("environment"))
    yield from dependency_problems(document, stacks)
    for at, policy in policies.items():
        attach = policy.get("attach")
        for name in attach if isinstance(attach, list) else ():
            if isinstance(name, str) and name not in names:
                message = f"the policy is attached to {quoted(name)}, which is no stack of this file"
                yield problem_at(document, ("policies", at, "attach"), message, nearest(name, names, "take it away"))


def twice(document: Document, section: str, key: str, message: str) -> Iterator[Problem]:
    """Entries of a section that share the value of a key with an earlier one."""
    first: dict[str, int] = {}
    for at, entry in _entries(document, section).items():
        value = entry.get(key)
        if not isinstance(value, str):
            continue
        line = document.line_of((section, at, key))
        if value in first:
            yield Problem(
                line=line,
                message=f"{message} {quoted(value)}, the first in line {first[value]}",
                remedy="change one of them",
            )
        first.setdefault(value, line)


def _prefixed_twice(document: Document, at: int, environment: object) -> Iterator[Problem]:
    """Variables that stand there plainly and with a prefix as well."""
    if not isinstance(environment, dict):
        return
    for name in environment:
        plain = name[3:] if name.startswith(("ro_", "wo_")) else ""
        if plain and plain in environment:
            message = f"{quoted(plain)} reaches every phase already, so {quoted(name)} contradicts it"
            yield problem_at(
                document, ("stacks", at, "environment", name), message, "keep one, or use `ro_` and `wo_` together"
            )


def _entries(document: Document, section: str) -> dict[int, dict[str, Any]]:
    """The entries of a list that are mappings, by position; also when the rest of the file is wrong."""
    data = document.data
    listed = data.get(section) if isinstance(data, dict) else None
    return {at: each for at, each in enumerate(listed) if isinstance(each, dict)} if isinstance(listed, list) else {}


def problem_of(document: Document, details: ErrorDetails, form: Form) -> Problem:
    """One error of a file's model in our words."""
    path: Path = tuple(part for part in details["loc"] if part != "[key]")
    message, remedy = _explain(details, path, form)
    return problem_at(document, path, message, remedy)


def _explain(details: ErrorDetails, path: Path, form: Form) -> tuple[str, str]:
    """What is wrong, and the way out."""
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    context: Mapping[str, Any] = details.get("ctx", {})
    value = details.get("input")
    what = ("an entry of " if isinstance(path[-1], int) else "") + quoted(key) if path else "the file"
    match details["type"]:
        case "trackside":
            return _with_key(str(context["message"]), key, what), str(context["remedy"])
        case "extra_forbidden":
            return _unknown(key, path, form)
        case "missing":
            return f"the key `{key}` is missing", form.remedies.get(key, "add it")
        case "literal_error":
            expected = str(context.get("expected", "")).replace("'", "`")
            choices = [str(each).strip("'") for each in expected.replace("`", "").replace(" or ", ", ").split(", ")]
            return f"`{key}` must be {expected}, not {quoted(value)}", nearest(
                str(value), choices, "choose one of them"
            )
        case "too_long":
            return f"`{key}` has too many entries: at most {context.get('max_length')}", "shorten it"
        case "string_type" if isinstance(value, int | float):
            return f"{what} must be text, not {_kind(value)}", "put the value in quotes"
        case "string_type":
            return f"{what} must be text, not {_kind(value)}", "write one value"
        case "bool_type":
            return f"{what} must be true or false, not {_kind(value)}", "write `true` or `false`"
        case "list_type":
            return f"{what} must be a list, not {_kind(value)}", "write its entries as `[one, two]`"
        case "dict_type" | "model_type":
            return f"{what} must be a mapping, not {_kind(value)}", "write `key: value` below it"
        case _:
            return f"{what} cannot be read: {quoted(details['msg'])}", "see the documentation of this key"


def _with_key(message: str, key: str, what: str) -> str:
    """The message, with the key that it is about, where it does not name it."""
    is_named = not key or re.search(rf"\b{re.escape(key)}\b", message) is not None
    return message if is_named else f"{what}: {message}"


def _unknown(key: str, path: Path, form: Form) -> tuple[str, str]:
    """A key that the model does not have."""
    model = form.model_at(path[:-1])
    special = form.unknown.get(model)
    said = special(key) if special is not None else None
    if said is not None:
        return said
    known = model.model_fields
    otherwise = "take it away" if len(known) > MAX_SHOWN else f"known here: {', '.join(f'`{each}`' for each in known)}"
    return f"unknown key {quoted(key)}", nearest(key, known, otherwise)


def _model_at(path: Path) -> type[BaseModel]:
    """The model of the mapping at a path."""
    match [part for part in path if isinstance(part, str)]:
        case ["stacks"]:
            return StackModel
        case ["stacks", "confirm"]:
            return ConfirmModel
        case ["stacks", "drift"]:
            return DriftModel
        case ["stacks", "git"]:
            return GitModel
        case ["stacks", "hooks"]:
            return HooksModel
        case ["stacks", "oidc"]:
            return OidcModel
        case ["stacks", "depends_on"]:
            return DependencyModel
        case ["policies"]:
            return PolicyModel
        case _:
            return FileModel


_FORM: Final = Form(model_at=_model_at, remedies=_REMEDIES, unknown={})


def nearest(word: str, known: Any, otherwise: str) -> str:
    """`did you mean …?`, or what else to do."""
    by_form = {str(each).lower(): str(each) for each in known}
    close = difflib.get_close_matches(word.lower()[:80], by_form, 1, 0.6)
    return f"did you mean {quoted(by_form[close[0]])}?" if close else otherwise


def _kind(value: object) -> str:
    """What a value is, in words."""
    return "nothing" if value is None else _KINDS.get(type(value), "that")


def problem_at(document: Document, path: Path, message: str, remedy: str) -> Problem:
    """A mistake at a place of the document."""
    return Problem(line=document.line_of(path), message=message, remedy=remedy)
