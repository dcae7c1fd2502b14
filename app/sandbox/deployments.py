"""Deployments and their statuses, with the defaults that surprise: merging, all contexts required, others inactive.

Callers hold the mutex. Source: https://docs.github.com/rest/deployments/deployments
"""

from typing import Any, Final

from app.sandbox import checks, refs
from app.sandbox.bare import NewCommit
from app.sandbox.errors import ApiError, invalid, unprocessable
from app.sandbox.records import Deployment, DeploymentStatus, Repository, User
from app.sandbox.world import World

STATES: Final = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
LONGEST_DESCRIPTION: Final = 140

Json = dict[str, Any]


def create(world: World, repo: Repository, fields: Json, by: User) -> Deployment | str:
    """Make a deployment; a sentence instead when GitHub merged the default branch first (202).

    Raises: ApiError 422 for a ref that is not there, 409 for a conflict or for checks that have not succeeded.
    """
    ref = fields.get("ref")
    if not isinstance(ref, str) or not ref:
        raise unprocessable('"ref" wasn\'t supplied.')
    found = _resolve(repo, ref)
    if found is None:
        raise ApiError(422, f"No ref found for: {ref}")
    merged = _auto_merge(world, repo, ref, by) if fields.get("auto_merge", True) else None
    if merged:
        return merged
    _require_contexts(world, repo, ref, found, fields.get("required_contexts"))
    return _record(world, repo, found, fields, by)


def _record(world: World, repo: Repository, sha: str, fields: Json, by: User) -> Deployment:
    environment, now = fields.get("environment") or "production", world.now()
    deployment = Deployment(
        id=world.next_id(),
        sha=sha,
        ref=fields["ref"],
        task=fields.get("task") or "deploy",
        payload=fields.get("payload") or {},
        environment=environment,
        description=_described(fields),
        creator=by,
        by_app=by is world.app.bot,
        transient_environment=bool(fields.get("transient_environment", False)),
        production_environment=bool(fields.get("production_environment", environment == "production")),
        created_at=now,
        updated_at=now,
    )
    repo.deployments[deployment.id] = deployment
    return deployment


def _described(fields: Json) -> str | None:
    text = fields.get("description")
    if text is not None and not isinstance(text, str):
        raise unprocessable('"description" is not a string.')
    if text is not None and len(text) > LONGEST_DESCRIPTION:
        message = f"description is too long (maximum is {LONGEST_DESCRIPTION} characters)"
        raise invalid("Deployment", "description", "custom", message)
    return text


def _resolve(repo: Repository, ref: str) -> str | None:
    """A branch, a tag or a SHA; a full ref name too."""
    for candidate in (f"refs/heads/{ref}", f"refs/tags/{ref}", ref):
        if sha := repo.git.find(candidate):
            return sha
    return None


def _auto_merge(world: World, repo: Repository, ref: str, by: User) -> str | None:
    """Merge the default branch into a branch that is behind it; None when there is nothing to merge."""
    git, full = repo.git, f"refs/heads/{ref}"
    tip, base = git.find_ref(full), git.find_ref(f"refs/heads/{repo.default_branch}")
    if tip is None or base is None or git.is_ancestor(base, tip):
        return None
    tree = git.merge_tree(tip, base)
    if tree is None:
        raise ApiError(409, f"Conflict merging {repo.default_branch} into {ref}.")
    message = f"Auto-merged {repo.default_branch} into {ref} on deployment."
    made = git.write(full, [NewCommit(message, world.signature(by), tree=tree, parents=(tip, base))], start=None)[0]
    refs.announce(world, repo, [refs.RefChange(full, tip, made)], by)
    return message


def _require_contexts(world: World, repo: Repository, ref: str, sha: str, required: Any) -> None:
    if required is not None and not isinstance(required, list):
        raise unprocessable('"required_contexts" is not an array.')
    states = {run.name: run.conclusion or "pending" for run in checks.list_runs(world, repo, sha)}
    wanted = list(states) if required is None else required
    bad = [name for name in wanted if states.get(name, "pending") not in {"success", "neutral", "skipped"}]
    if bad:
        contexts = [{"context": name, "state": states.get(name, "pending")} for name in wanted]
        error = {"contexts": contexts, "resource": "Deployment", "field": "required_contexts", "code": "invalid"}
        raise ApiError(409, f"Conflict: Commit status checks failed for {ref}.", errors=[error])


def add_status(world: World, repo: Repository, deployment: Deployment, fields: Json, by: User) -> DeploymentStatus:
    """Add a status; a success makes earlier deployments of the environment inactive unless told otherwise."""
    state = fields.get("state")
    if state not in STATES:
        raise unprocessable(f'"state" is not one of {", ".join(STATES)}: {state!r}.')
    description = _described(fields) or ""
    environment = fields.get("environment") or deployment.environment
    status = DeploymentStatus(
        id=world.next_id(),
        state=state,
        description=description,
        environment=environment,
        environment_url=fields.get("environment_url") or "",
        log_url=fields.get("log_url") or fields.get("target_url") or "",
        creator=by,
        by_app=by is world.app.bot,
        created_at=world.now(),
    )
    deployment.statuses.append(status)
    deployment.environment, deployment.updated_at = environment, status.created_at
    if state == "success" and fields.get("auto_inactive", True):
        _retire_others(world, repo, deployment, by)
    return status


def _retire_others(world: World, repo: Repository, deployment: Deployment, by: User) -> None:
    for other in repo.deployments.values():
        same = other is not deployment and other.environment == deployment.environment
        if same and other.state == "success" and not (other.transient_environment or other.production_environment):
            add_status(world, repo, other, {"state": "inactive"}, by)
