"""What stacks.yml may hold, as one model: it validates, and the JSON Schema for editors is generated from it.

A key that the model does not have is an error: none is accepted and ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticKnownError

from app.core.configbase import CLOSED, wrong
from app.core.configdrift import DriftModel
from app.core.dependency import MAX_DEPENDENCIES, MAX_REFERENCES, is_output_name
from app.core.document import quoted
from app.core.globs import MAX_GLOB, compile_glob
from app.core.secret import NAME_FORM, is_secret_name
from app.core.stack import MAX_STACKS

MAX_NAME: Final = 80
MAX_PATH: Final = 500
MAX_ENTRIES: Final = 100
"""Entries of any list but the list of stacks, and variables of one stack."""
MAX_RULES: Final = 20
"""Roles, or teams, of one stack's `confirm`: each team is a question to GitHub."""
MAX_HOOK: Final = 8_192
"""Characters of one line of a hook."""
MAX_HOOKS: Final = 50
"""Lines of one moment."""
MAX_AUDIENCE: Final = 250
"""Characters of one audience."""
MAX_AUDIENCES: Final = 10
MAX_VALUE: Final = 32_768
"""Characters of one variable of the environment."""
NAME: Final = r"^[a-z0-9]+(?:(?:[-_]+|[./])[a-z0-9]+)*$"
_NAME = re.compile(NAME)
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_WORKSPACE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,89}")
_ROLE = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_TEAM = re.compile(r"[a-z0-9_-]{1,100}")
_TERM: Final = r"\s*(?:=|!=|>=|<=|>|<|~>)?\s*v?[0-9]{1,9}(?:\.[0-9]{1,9}){0,2}(?:[-+][0-9A-Za-z.+-]{1,64})?\s*"
_CONSTRAINT = re.compile(rf"(?=.{{1,100}}\Z){_TERM}(?:,{_TERM})*")
"""As app.engine.version reads it: what it could not, no worker would find a tool for."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_SWITCHES: Final = frozenset({"SKIP_APPLYING", "SPACELIFT_SKIP_APPLYING"})
_BAD_REF = re.compile(
    r"^refs/(?:heads|tags|remotes)/|\.\.|@\{|//|[\x00-\x20\x7f~^:?*\[\\]|^[-/.]|/\.|[/.]$|\.lock(?:/|$)"
)
_REFUSED: Final = (
    (re.compile(r"PATH|HOME|TF_INPUT|TF_IN_AUTOMATION"), "the worker sets it", "take it away"),
    (re.compile(r"LD_.*|DYLD_.*|BASH_ENV|ENV"), "it loads foreign code into the engine", "take it away"),
    (re.compile(r"TF_CLI_.*"), "it changes the engine's arguments or configuration behind the plan", "take it away"),
    (re.compile(r"TF_DATA_DIR"), "the worker keeps the engine's data outside the checkout", "take it away"),
    (re.compile(r"TF_HTTP_.*"), "the worker passes the address and credentials of the state in it", "use `state:`"),
    (re.compile(r"TF_LOG.*"), "the engine would log secrets", "take it away"),
    (re.compile(r"TF_WORKSPACE"), "the workspace has a key of its own", "use `workspace:`"),
    (
        re.compile(r"TF_(REATTACH_PROVIDERS|PLUGIN_CACHE).*"),
        "it replaces the providers that were locked",
        "take it away",
    ),
    (re.compile(r"GIT_.*"), "the worker configures git with it", "take it away"),
    (re.compile(r"TRACKSIDE_.*"), "the worker sets it", "take it away"),
)
"""Variables that a stack must not set, why, and what to do."""


def _name(value: str) -> str:
    if _NAME.fullmatch(value) and len(value) <= MAX_NAME:
        return value
    near = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:MAX_NAME].strip("-") or "network"
    raise wrong(
        f"the name {quoted(value)} does not fit: lowercase letters and digits, between them `-`, `_`, `.` or `/`, "
        f"at most {MAX_NAME} characters",
        f"try {quoted(near)}",
    )


def _identifier(value: str) -> str:
    if _IDENTIFIER.fullmatch(value):
        return value
    raise wrong(f"the id {quoted(value)} does not fit", "use letters, digits and `. _ / -`, at most 200")


def _path(value: str) -> str:
    """A path inside the repository, without slashes at its ends."""
    parts = value.split("/")
    if value.startswith("/") or re.match(r"[A-Za-z]:", value):
        raise wrong(f"the path {quoted(value)} is absolute", "write it from the repository's root or the project root")
    if ".." in parts:
        raise wrong(f"the path {quoted(value)} leaves the repository with `..`", "write a path inside it")
    if "\\" in value or not value.isprintable() or len(value) > MAX_PATH or ".git" in parts:
        raise wrong(
            f"the path {quoted(value)} cannot be used", f"at most {MAX_PATH} plain characters, with `/` between"
        )
    return "/".join(part for part in parts if part not in ("", "."))


def _file(value: str) -> str:
    path = _path(value)
    if not path or value.endswith("/"):
        raise wrong(f"{quoted(value)} names no file", "write the path of a file")
    if "=" in path:
        raise wrong(f"{quoted(value)} is a setting, not a file", "put it into a file and name the file")
    return path


def _glob(value: str) -> str:
    try:
        compile_glob(value)
    except ValueError as error:
        raise wrong(f"the glob {quoted(value)} cannot be used: {error}", 'write one like `"modules/**"`') from error
    return value


def _branch(value: str) -> str:
    if not value or (len(value) <= 250 and not _BAD_REF.search(value) and value != "@"):
        return value
    near = value.removeprefix("refs/heads/")
    if near != value and near and not _BAD_REF.search(near):
        remedy = f"try {quoted(near)}, without `refs/heads/`"
    else:
        remedy = "write it as `git branch` shows it"
    raise wrong(f"{quoted(value)} is no name of a branch", remedy)


def _label(value: str) -> str:
    if value and len(value) <= 100 and value.isprintable():
        return value
    raise wrong(f"the label {quoted(value)} does not fit", "use 1 to 100 visible characters")


def _constraint(value: str) -> str:
    if not value or _CONSTRAINT.fullmatch(value):
        return value
    raise wrong(f"{quoted(value)} is no version constraint", 'write one like `"~> 1.9"`')


def _role(value: str) -> str:
    if value.strip() and _ROLE.fullmatch(value):
        return value
    raise wrong(f"{quoted(value)} is no name of a role", "write it as GitHub shows it: `maintain`, or a custom role")


def _team(value: str) -> str:
    """A team's slug."""
    if _TEAM.fullmatch(value):
        return value
    near = re.sub(r"[^a-z0-9_]+", "-", value.rpartition("/")[2].lower()).strip("-")[:100] or "platform"
    raise wrong(
        f"{quoted(value)} is no team of this repository's owner: a team is named as in its page's address",
        f"try {quoted(near)}",
    )


def _workspace(value: str) -> str:
    if _WORKSPACE.fullmatch(value):
        return value
    raise wrong(f"{quoted(value)} is no name of a workspace", "use letters, digits and `- _ .`, at most 90")


def _variable(value: str) -> str:
    """The name of a variable, as written."""
    if not _VARIABLE.fullmatch(value):
        raise wrong(f"{quoted(value)} is no name of a variable", "use letters, digits and `_`")
    if value.startswith("wo_TF_VAR_"):
        raise wrong(f"{quoted(value)} would do nothing: an apply keeps the variables of its plan", "drop the `wo_`")
    name = re.sub(r"^(ro|wo)_", "", value)
    if not _VARIABLE.fullmatch(name):
        raise wrong(f"{quoted(value)} is no name of a variable: `{value[:3]}` is taken off", "write a name after it")
    for pattern, reason, remedy in _REFUSED:
        if pattern.fullmatch(name):
            raise wrong(f"the variable {quoted(value)} must not be set: {reason}", remedy)
    return value


def _input(value: str) -> str:
    """The name of a variable that gets an output's value."""
    if value.startswith(("ro_", "wo_")):
        raise wrong(f"{quoted(value)} has a prefix, and an apply keeps the values of its plan", "write it without")
    if value in _SWITCHES:
        raise wrong(f"the variable {quoted(value)} is a setting of the stack", "set it in `environment`")
    if value.startswith(("TF_VAR_trackside_", "TF_VAR_spacelift_")):
        raise wrong(f"the variable {quoted(value)} tells about the run: the worker sets it", "choose another name")
    return _variable(value)


def _output(value: str) -> str:
    if is_output_name(value):
        return value
    raise wrong(f"{quoted(value)} is no name of an output", "write it as its `output` block does")


@dataclass(frozen=True, slots=True)
class SecretReference:
    """The value of a variable that is kept as a secret."""

    name: str


def _setting(value: Any) -> str | SecretReference:
    """The value of a variable: text, or `{secret: NAME}`."""
    if isinstance(value, dict):
        name = value.get("secret")
        if set(value) != {"secret"} or not isinstance(name, str):
            raise wrong("a value that is a mapping is `{secret: NAME}`", "write text, or `{secret: NAME}`")
        if not is_secret_name(name):
            raise wrong(f"{quoted(name)} is no name of a secret", "use letters, digits and `_`, as `secret set` does")
        return SecretReference(name)
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    if "\x00" in value:
        raise wrong("the value has a NUL, which no variable can hold", "take it away")
    if len(value) > MAX_VALUE:
        raise wrong(f"the value is longer than {MAX_VALUE:,} characters", "put it into a file of the repository")
    return value


def _hook_line(value: str) -> str:
    if value.strip() and len(value) <= MAX_HOOK and "\x00" not in value:
        return value
    raise wrong(f"a hook is 1 to {MAX_HOOK:,} characters of shell", "put more into a script, and name the script")


def plain_of(environment: Mapping[str, str | SecretReference]) -> dict[str, str]:
    """The variables whose values stand there."""
    return {name: value for name, value in environment.items() if isinstance(value, str)}


def secrets_of(environment: Mapping[str, str | SecretReference]) -> dict[str, str]:
    """The variables whose values are secrets, to the secrets' names."""
    return {name: value.name for name, value in environment.items() if isinstance(value, SecretReference)}


def _audience(value: str) -> str:
    if 0 < len(value) <= MAX_AUDIENCE and value.isascii() and value.isprintable() and " " not in value:
        return value
    raise wrong(f"{quoted(value)} is no audience", f"write 1 to {MAX_AUDIENCE} visible characters, as the cloud has it")


def _switch(value: Any) -> Any:
    """A switch as it is written: YAML makes truths of `on` and `off`."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _deployment_environment(value: Any) -> str | None:
    """The name of the deployment environment; None for `false`."""
    if value is False:
        return None
    if isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable():
        return value
    raise wrong("`github_environment` is a name, or false", "name the environment, or write `false` for no deployments")


def _one(value: Any) -> int:
    if type(value) is int and value == 1:
        return 1
    given = f"the text {quoted(value)}" if isinstance(value, str) else quoted(value)
    raise wrong(f"`version` must be the number 1, not {given}", "begin the file with `version: 1`")


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a policy speaks about."""

    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    is_all: bool = False


def _attachment(value: Any) -> Attachment:
    """The three forms of `attach:`."""
    if value == "*":
        return Attachment(is_all=True)
    if is_texts(value):
        return Attachment(names=tuple(value))
    if isinstance(value, dict) and set(value) == {"labels"} and is_texts(value["labels"]):
        return Attachment(labels=tuple(value["labels"]))
    raise wrong("`attach` has none of its three forms", 'write `[network, dns]`, `{labels: [prod]}` or `"*"`')


def is_texts(value: Any) -> bool:
    """True for a list of texts with something in it."""
    return isinstance(value, list) and 0 < len(value) <= MAX_STACKS and all(isinstance(each, str) for each in value)


_ATTACH_SCHEMA: Final = {
    "anyOf": [
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {
            "type": "object",
            "properties": {"labels": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
            "required": ["labels"],
            "additionalProperties": False,
        },
        {"const": "*"},
    ]
}
_ENVIRONMENT_SCHEMA: Final = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"const": False}]}
HookLine = Annotated[str, AfterValidator(_hook_line), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_HOOK})]
Lines = Annotated[list[HookLine], Field(max_length=MAX_HOOKS)]
Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": NAME, "maxLength": MAX_NAME})]
File = Annotated[str, AfterValidator(_file), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_PATH})]
GlobText = Annotated[str, AfterValidator(_glob), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_GLOB})]
Label = Annotated[str, AfterValidator(_label), Field(json_schema_extra={"minLength": 1, "maxLength": 100})]
Constraint = Annotated[str, AfterValidator(_constraint)]
Role = Annotated[str, AfterValidator(_role), Field(json_schema_extra={"minLength": 1, "maxLength": 100})]
Team = Annotated[str, AfterValidator(_team), Field(json_schema_extra={"pattern": "^[a-z0-9_-]{1,100}$"})]
Variable = Annotated[str, AfterValidator(_variable)]
Input = Annotated[str, AfterValidator(_input), Field(json_schema_extra={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})]
OutputName = Annotated[str, AfterValidator(_output)]
VersionOne = Annotated[int, PlainValidator(_one), WithJsonSchema({"const": 1})]
_SETTING_SCHEMA: Final = {
    "anyOf": [
        {"type": "string", "maxLength": MAX_VALUE},
        {
            "type": "object",
            "properties": {"secret": {"type": "string", "pattern": f"^{NAME_FORM}$"}},
            "required": ["secret"],
            "additionalProperties": False,
        },
    ]
}
Setting = Annotated[str | SecretReference, PlainValidator(_setting), WithJsonSchema(_SETTING_SCHEMA)]
Audience = Annotated[
    str, AfterValidator(_audience), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_AUDIENCE})
]


class _Model(BaseModel):
    model_config = CLOSED


class ConfirmModel(_Model):
    """Who may confirm: whoever fulfils every key."""

    permission: Literal["write", "admin"] = "write"
    """The least repository permission that confirms, discards, replans and deploys."""
    roles: list[Role] = Field(default=[], max_length=MAX_RULES)
    """One of these roles on the repository, custom ones included, each by its own name."""
    teams: list[Team] = Field(default=[], max_length=MAX_RULES)
    """Active member of one of these teams of the owner, by slug."""
    not_author: bool = False
    """Nobody who made the change: the commit, its pull request, the run."""


class HooksModel(_Model):
    """Lines of shell of the repository's own, run by the worker in the project root."""

    before_init: Lines = []
    """Before init; one that fails ends the run."""
    after_init: Lines = []
    """After an init that went well."""
    before_plan: Lines = []
    """Before plan; one that fails ends the run."""
    after_plan: Lines = []
    """After a plan that went well; the plan file can be read."""
    before_apply: Lines = []
    """Before the confirmed plan is applied; one that fails ends the run."""
    after_apply: Lines = []
    """After an apply that went well."""
    after_run: Lines = []
    """When the run has ended on a worker, however it ended."""


class GitModel(_Model):
    """How the commit is fetched."""

    submodules: bool = False
    """Check submodules out, and theirs."""
    lfs: bool = False
    """Put the files that Git LFS keeps in place of their pointers."""


class OidcModel(_Model):
    """The identity token of its runs."""

    audience: list[Audience] = Field(default=[], max_length=MAX_AUDIENCES)
    """Whom it is for; default: the host of the installation's public address."""


class DependencyModel(_Model):
    """A stack of the same repository that this one comes after."""

    stack: Name
    """Its name."""
    outputs: dict[OutputName, Input] = Field(default={}, max_length=MAX_REFERENCES)
    """The variable that each of its outputs is passed in: `{vpc_id: TF_VAR_vpc_id}`."""
    trigger_always: bool = False
    """Run after each of its deployments, also when none of these outputs has changed."""
    sensitive: bool = False
    """Keep and pass these outputs also when they are sensitive."""


class StackModel(_Model):
    """One Terraform or OpenTofu root."""

    name: Name
    """Unique in the repository; the check is called `deploy/<name>`."""
    id: Annotated[str, AfterValidator(_identifier)] = ""
    """What policies see as input.stack.id; default owner/repo/name."""
    renamed_from: Name = ""
    """The name before: keeps the stack and its managed state."""
    project_root: Annotated[str, AfterValidator(_path)] = ""
    """Folder from the repository's root; default: the root itself."""
    branch: Annotated[str, AfterValidator(_branch)] = ""
    """Tracked branch; default: the repository's default branch."""
    additional_project_globs: list[GlobText] = Field(default=[], max_length=MAX_ENTRIES)
    """Files elsewhere that count as the stack's own, from the repository's root."""
    labels: list[Label] = Field(default=[], max_length=MAX_ENTRIES)
    """Words that policies attach to."""
    tool: Literal["terraform", "opentofu"] = "terraform"
    """The engine."""
    version: Constraint = ""
    """Version constraint; default: required_version, else what the worker has."""
    workspace: Annotated[str, AfterValidator(_workspace)] = "default"
    """CLI workspace."""
    var_files: list[File] = Field(default=[], max_length=MAX_ENTRIES)
    """Variable files, from the project root."""
    backend_config: list[File] = Field(default=[], max_length=MAX_ENTRIES)
    """Files of backend settings, from the project root."""
    state: Literal["managed", "external"] | None = None
    """Where the state lives; default: external where the configuration has a backend or cloud block."""
    autodeploy: bool = False
    """Apply plans without a person."""
    allow_promotion: bool = False
    """Let `deploy` plan and apply the head of a pull request that is not merged yet."""
    environment: dict[Variable, Setting] = Field(default={}, max_length=MAX_ENTRIES)
    """Variables, as text or `{secret: NAME}`; `ro_NAME` reaches every phase but apply, `wo_NAME` only apply."""
    depends_on: list[DependencyModel] = Field(default=[], max_length=MAX_DEPENDENCIES)
    """The stacks that it comes after, and which of their outputs it takes."""
    hooks: HooksModel = HooksModel()
    """Lines of shell around init, plan and apply, and after the run."""
    confirm: ConfirmModel = ConfirmModel()
    """Who may confirm."""
    github_environment: Annotated[
        str | None, PlainValidator(_deployment_environment), WithJsonSchema(_ENVIRONMENT_SCHEMA)
    ] = ""
    """Deployment environment; default the stack's name; false: no deployments."""
    worker_pool: Name = "default"
    """The pool whose workers run it."""
    comments: Annotated[Literal["on", "off", "changes"], BeforeValidator(_switch)] = "on"
    """Whether its runs are in the App's comment on a pull request: `on`, `off`, or only with `changes` or a failure."""
    git: GitModel = GitModel()
    """How the commit is fetched."""
    drift: DriftModel | None = None
    """When drift is looked for; default: never."""
    oidc: OidcModel = OidcModel()
    """The identity token that its runs show to clouds."""
    public_plans: bool = False
    """On a public repository: show the plan's changes and outputs in checks and comments, for everybody."""


class PolicyModel(_Model):
    """One policy and what it speaks about."""

    name: Name
    """Unique in the repository."""
    type: Literal["push", "plan", "approval", "trigger", "notification"]
    """What it decides."""
    path: File
    """Its Rego file, from the repository's root."""
    attach: Annotated[Attachment, PlainValidator(_attachment), WithJsonSchema(_ATTACH_SCHEMA)]
    """Stacks by name, by label, or all."""
    dialect: Literal["auto", "v0", "v1"] = "auto"
    """Of the Rego text."""


class FileModel(_Model):
    """.trackside/stacks.yml"""

    version: VersionOne
    """Of this format."""
    stacks: list[StackModel] = Field(max_length=MAX_STACKS)
    """The stacks of the repository."""
    policies: list[PolicyModel] = Field(default=[], max_length=MAX_ENTRIES)
    """The policies of the repository."""
