"""An organisation's stacks.yml: its bytes read into settings, or into every mistake at once, each with line and remedy.

Pure, as `config` is, whose words it uses.
"""

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel, ValidationError

from app.core.config import MAX_PROBLEMS, Form, policy_of, problem_at, problem_of, twice
from app.core.configmodel import ConfirmModel, StackModel, plain_of, secrets_of
from app.core.document import Document, Path, quoted, read_document
from app.core.organisation import Defaults, Organisation, organisation_policy_name
from app.core.organisationmodel import DefaultsModel, OrganisationModel, OrganisationPolicyModel
from app.core.stack import MAX_CONFIG_BYTES, Permission, PolicySpec, Problem, Tool

_REMEDIES: Final = {
    "version": "begin the file with `version: 1`",
    "name": "give it a name that is unique in this file",
    "type": "write `type: push`, or `plan`, `approval`, `trigger`, `notification`",
    "path": "name its Rego file below `policies/`",
    "attach": 'write `{labels: [prod]}` or `"*"`',
}


def read_organisation(text: bytes) -> Organisation | tuple[Problem, ...]:
    """The settings that an organisation's stacks.yml holds; or its mistakes, by line. Policies have no digests yet."""
    document = read_document(text, max_bytes=MAX_CONFIG_BYTES)
    if not isinstance(document, Document):
        return document
    problems = [*document.problems, *_cross_checks(document)]
    try:
        model = OrganisationModel.model_validate(document.data)
    except ValidationError as error:
        problems.extend(problem_of(document, details, _FORM) for details in error.errors(include_url=False))
        model = None
    if problems or model is None:
        return tuple(sorted(problems, key=lambda problem: problem.line)[:MAX_PROBLEMS])
    return Organisation(
        defaults=_defaults(model.defaults),
        policies=tuple(_policy(each, document.line_of(("policies", at))) for at, each in enumerate(model.policies)),
        module_repositories={name.lower(): _lowered(listed) for name, listed in model.module_repositories.items()},
        pools=None if model.pools is None else {pool: _lowered(served) for pool, served in model.pools.items()},
    )


def organisation_schema() -> dict[str, object]:
    """The JSON Schema of an organisation's stacks.yml, for editors. Shape: JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **OrganisationModel.model_json_schema(),
        "title": "Trackside organisation",
    }


def _defaults(model: DefaultsModel) -> Defaults:
    return Defaults(
        tool=Tool(model.tool) if model.tool else None,
        version=model.version,
        autodeploy=model.autodeploy,
        confirm_permission=Permission(model.confirm.permission) if model.confirm is not None else None,
        confirm_roles=tuple(dict.fromkeys(model.confirm.roles)) if model.confirm is not None else (),
        confirm_teams=tuple(dict.fromkeys(model.confirm.teams)) if model.confirm is not None else (),
        confirm_not_author=model.confirm is not None and model.confirm.not_author,
        worker_pool=model.worker_pool,
        labels=tuple(model.labels),
        environment=plain_of(model.environment),
        secrets=secrets_of(model.environment),
        has_no_deployments="github_environment" in model.model_fields_set,
    )


def _policy(model: OrganisationPolicyModel, line: int) -> PolicySpec:
    named = model.model_copy(update={"name": organisation_policy_name(model.name)})
    return policy_of(named, line)


def _lowered(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in names))


def _cross_checks(document: Document) -> Iterator[Problem]:
    """Mistakes between entries."""
    yield from twice(document, "policies", "name", "two policies are called")
    data = document.data if isinstance(document.data, dict) else {}
    listed: object = data.get("module_repositories")
    seen: dict[str, str] = {}
    for name in listed if isinstance(listed, dict) else ():
        before = seen.setdefault(str(name).lower(), str(name))
        if before != name:
            message = f"{quoted(before)} and {quoted(name)} are the same repository: GitHub's names ignore case"
            yield problem_at(document, ("module_repositories", name), message, "keep one of them")
    defaults = data.get("defaults")
    found = defaults.get("environment") if isinstance(defaults, dict) else None
    environment = found if isinstance(found, dict) else {}
    for name in environment:
        if isinstance(name, str) and name.startswith(("ro_", "wo_")) and name[3:] in environment:
            message = f"{quoted(name[3:])} reaches every phase already, so {quoted(name)} contradicts it"
            remedy = "keep one, or use `ro_` and `wo_` together"
            yield problem_at(document, ("defaults", "environment", name), message, remedy)


def _model_at(path: Path) -> type[BaseModel]:
    """The model of the mapping at a path."""
    match [part for part in path if isinstance(part, str)]:
        case ["defaults"]:
            return DefaultsModel
        case ["defaults", "confirm"]:
            return ConfirmModel
        case ["policies"]:
            return OrganisationPolicyModel
        case _:
            return OrganisationModel


def _no_default(key: str) -> tuple[str, str] | None:
    """A key of a stack that cannot be the same for all."""
    if key not in StackModel.model_fields:
        return None
    return f"`{key}` can be no default of every stack", "write it at each stack, in its repository's stacks.yml"


def _elsewhere(key: str) -> tuple[str, str] | None:
    """A key that belongs somewhere else."""
    if key == "stacks":
        return "the organisation's file has no stacks", "list them in each repository's `.trackside/stacks.yml`"
    if key in DefaultsModel.model_fields:
        return f"`{key}` stands at the top of the file", "write it below `defaults:`"
    return None


_FORM: Final = Form(
    model_at=_model_at,
    remedies=_REMEDIES,
    unknown={DefaultsModel: _no_default, OrganisationModel: _elsewhere},
)
