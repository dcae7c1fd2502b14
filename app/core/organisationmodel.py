"""What an organisation's stacks.yml may hold, as one model: it validates, and its JSON Schema is generated from it.

Shares names, values and restraints with a repository's (`configmodel`); what can be no default of every stack is
refused with the place where it belongs.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainValidator, WithJsonSchema

from app.core.configbase import CLOSED, wrong
from app.core.configmodel import (
    MAX_ENTRIES,
    MAX_PATH,
    Attachment,
    ConfirmModel,
    Constraint,
    Label,
    Name,
    PolicyModel,
    Setting,
    Variable,
    VersionOne,
    is_texts,
)
from app.core.document import quoted

POLICY_FOLDER: Final = "policies/"
EVERY: Final = "*"
"""Every repository of the owner."""
MAX_REPOSITORIES: Final = 1_000
"""Repositories that a list or a mapping names."""
MAX_MODULES: Final = 100
"""Repositories that one entry of `module_repositories` names."""
REPOSITORY: Final = r"^[A-Za-z0-9._-]{1,100}$"
_REPOSITORY = re.compile(REPOSITORY)


def _repository(value: str) -> str:
    if _REPOSITORY.fullmatch(value) and value not in (".", ".."):
        return value
    owner, slash, name = value.partition("/")
    if slash and _REPOSITORY.fullmatch(owner) and _REPOSITORY.fullmatch(name):
        raise wrong(
            f"{quoted(value)} names an owner: only repositories of this file's own owner can be meant",
            f"write {quoted(name)}",
        )
    raise wrong(f"{quoted(value)} is no name of a repository", "write it as GitHub shows it, without its owner")


def _repository_or_every(value: str) -> str:
    return value if value == EVERY else _repository(value)


def _listed(value: Any) -> Any:
    """`"*"` as a list of itself, before the entries are looked at."""
    if value == EVERY:
        return [EVERY]
    if isinstance(value, str):
        raise wrong(f"{quoted(value)} is no list", f'write `[{value[:100]}]`, or `"*"` for every repository')
    if isinstance(value, list) and EVERY in value and len(value) > 1:
        raise wrong('`"*"` stands for every repository, so nothing can stand beside it', 'write `"*"` alone')
    return value


def _attachment(value: Any) -> Attachment:
    """The two forms of an organisation's `attach:`."""
    if value == EVERY:
        return Attachment(is_all=True)
    if isinstance(value, dict) and set(value) == {"labels"} and is_texts(value["labels"]):
        return Attachment(labels=tuple(value["labels"]))
    if is_texts(value):
        raise wrong(
            "an organisation's policy is attached to all stacks or by label: names are unique in one repository only",
            'write `{labels: [prod]}` or `"*"`',
        )
    raise wrong("`attach` has none of its two forms", 'write `{labels: [prod]}` or `"*"`')


def _policy_file(value: str) -> str:
    """A Rego file below policies/."""
    parts = value.split("/")
    if (
        not value.startswith(POLICY_FOLDER)
        or not value.endswith(".rego")
        or not value.isprintable()
        or len(value) > MAX_PATH
        or any(part in ("", ".", "..", ".git") for part in parts)
    ):
        raise wrong(f"{quoted(value)} is no policy of this repository", "name a `.rego` file below `policies/`")
    if value.endswith("_test.rego"):
        raise wrong(f"{quoted(value)} holds tests, not a policy", "name the policy that it tests")
    return value


def _no_deployments(value: Any) -> None:
    if value is False:
        return
    raise wrong(
        "one deployment environment for every stack would mix up what is deployed where",
        "name it at each stack, or write `false`: no deployments unless a stack names its environment",
    )


_ATTACH_SCHEMA: Final = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"labels": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
            "required": ["labels"],
            "additionalProperties": False,
        },
        {"const": EVERY},
    ]
}
_NAMES: Final = {"type": "string", "pattern": REPOSITORY}
RepositoryName = Annotated[str, AfterValidator(_repository), WithJsonSchema(_NAMES)]
RepositoryKey = Annotated[str, AfterValidator(_repository_or_every)]
_Entry = Annotated[str, AfterValidator(_repository_or_every)]
Modules = Annotated[
    list[_Entry],
    Field(max_length=MAX_MODULES),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"const": EVERY}, {"type": "array", "items": _NAMES, "maxItems": MAX_MODULES}]}),
]
Repositories = Annotated[
    list[_Entry],
    Field(max_length=MAX_REPOSITORIES),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"const": EVERY}, {"type": "array", "items": _NAMES, "maxItems": MAX_REPOSITORIES}]}),
]


class _Model(BaseModel):
    """Strict, closed, and documented by its own docstrings."""

    model_config = CLOSED


class DefaultsModel(_Model):
    """Settings of every stack of every repository of the owner, where its own entry does not say."""

    tool: Literal["terraform", "opentofu"] | None = None
    """The engine."""
    version: Constraint = ""
    """Version constraint, for stacks with the engine of these defaults."""
    autodeploy: bool | None = None
    """Apply plans without a person."""
    confirm: ConfirmModel | None = None
    """Who may confirm; an entry that has the key replaces the whole of it."""
    worker_pool: Name = ""
    """The pool whose workers run it."""
    labels: list[Label] = Field(default=[], max_length=MAX_ENTRIES)
    """Added to each stack's own; no stack can take one away."""
    environment: dict[Variable, Setting] = Field(default={}, max_length=MAX_ENTRIES)
    """Variables of every stack; one that a stack sets itself is the stack's."""
    github_environment: Annotated[
        None, PlainValidator(_no_deployments), WithJsonSchema({"const": False, "default": None})
    ] = None
    """`false`: no deployments, unless a stack names its environment."""


class OrganisationPolicyModel(PolicyModel):
    """One policy of the organisation: added to every stack that it speaks about."""

    name: Name
    """Unique in this file; shown as `.trackside/NAME`."""
    path: Annotated[str, AfterValidator(_policy_file), Field(json_schema_extra={"pattern": r"^policies/.+\.rego$"})]
    """Its Rego file, below policies/."""
    attach: Annotated[Attachment, PlainValidator(_attachment), WithJsonSchema(_ATTACH_SCHEMA)]
    """Stacks by label, or all."""


class OrganisationModel(_Model):
    """stacks.yml of the owner's repository `.trackside`"""

    version: VersionOne
    """Of this format."""
    defaults: DefaultsModel = DefaultsModel()
    """Settings of every stack, where its own entry does not say."""
    policies: list[OrganisationPolicyModel] = Field(default=[], max_length=MAX_ENTRIES)
    """The policies of the organisation."""
    module_repositories: dict[RepositoryKey, Modules] = Field(default={}, max_length=MAX_REPOSITORIES)
    """Repository, or `"*"` for each, to those that its runs may read as well."""
    pools: dict[Name, Repositories] | None = Field(default=None, max_length=MAX_ENTRIES)
    """Pool to the repositories that it serves; without this key every pool serves all."""
