"""Deployments and their statuses.

Source: https://docs.github.com/rest/deployments/deployments
"""

from typing import Annotated, Any, Final

import msgspec

from app.core.event import Repository
from app.core.reply import DeploymentReport, DeploymentState
from app.github.api import Ask, of_repository, read_answer
from app.github.caller import Caller
from app.github.checks import CreatedShape
from app.github.refusals import NotFoundError
from app.github.shapes import Number

DEPLOYMENTS: Final = "/repos/{owner}/{repo}/deployments"
STATUSES: Final = DEPLOYMENTS + "/{deployment}/statuses"
WRITE: Final = "deployments: write"
MAX_DESCRIPTION: Final = 140
PAGE: Final = 100


class _App(msgspec.Struct, frozen=True):
    id: Number


class _Creator(msgspec.Struct, frozen=True):
    type: str | None = None


class _Deployment(msgspec.Struct, frozen=True):
    id: Number
    payload: Any = None
    creator: _Creator | None = None
    performed_via_github_app: _App | None = None

    def is_ours(self, app_id: int) -> bool:
        """By the App where GitHub names it; a person's deployment is never ours."""
        if self.performed_via_github_app is not None:
            return self.performed_via_github_app.id == app_id
        return self.creator is not None and self.creator.type == "Bot"

    def run(self) -> object:
        """The run in the payload, which GitHub gives back as an object or as its text."""
        payload = self.payload
        if isinstance(payload, str):
            try:
                payload = msgspec.json.decode(payload)
            except (msgspec.DecodeError, RecursionError):
                return None
        return payload.get("run") if isinstance(payload, dict) else None


class _Status(msgspec.Struct, frozen=True):
    state: str | None = None


_Statuses = Annotated[list[_Status], msgspec.Meta(max_length=PAGE)]
_Deployments = Annotated[list[_Deployment], msgspec.Meta(max_length=PAGE)]


def create(caller: Caller, repository: Repository, report: DeploymentReport) -> int:
    """Make a deployment of the SHA itself; its number. Nothing is merged for it and no context has to be green first:
    our own waiting check would be in the way.
    """
    ask = Ask(
        doing=f"creating the deployment of {report.environment} on {repository.full_name}",
        method="POST",
        route=DEPLOYMENTS,
        values=of_repository(repository),
        body={
            "ref": report.sha,
            "task": report.task,
            "auto_merge": False,
            "required_contexts": [],
            "payload": dict(report.payload),
            "environment": report.environment,
            "description": report.description[:MAX_DESCRIPTION],
            "transient_environment": False,
            "production_environment": report.is_production,
        },
        needs=WRITE,
    )
    return read_answer(ask, caller.as_installation(repository, ask), CreatedShape).id


def find(caller: Caller, repository: Repository, report: DeploymentReport) -> int | None:
    """The number of our newest deployment of that run, or None."""
    ask = Ask(
        doing=f"looking for the deployment of {report.environment} on {repository.full_name}",
        method="GET",
        route=DEPLOYMENTS,
        values=of_repository(repository),
        query={"sha": report.sha, "task": report.task, "environment": report.environment, "per_page": PAGE},
        needs="deployments: read",
    )
    found = read_answer(ask, caller.as_installation(repository, ask), _Deployments)
    wanted = report.payload.get("run")
    ours = [one.id for one in found if wanted and one.is_ours(caller.app_id) and one.run() == wanted]
    return max(ours, default=None)


def add_status(
    caller: Caller, repository: Repository, deployment_id: int, state: DeploymentState, report: DeploymentReport
) -> bool:
    """Add a status, in the environment that the deployment has. Other deployments of it stay as they are: which of them
    ended, we know better. False when the deployment is not there any more."""
    ask = Ask(
        doing=f"setting deployment {deployment_id} on {repository.full_name} to {state.value}",
        method="POST",
        route=STATUSES,
        values=of_repository(repository, deployment=deployment_id),
        body={
            "state": state.value,
            "log_url": report.log_url,
            "description": report.state_description[:MAX_DESCRIPTION],
            "auto_inactive": False,
        },
        needs=WRITE,
    )
    try:
        caller.as_installation(repository, ask)
    except NotFoundError:
        return False
    return True


def find_state(caller: Caller, repository: Repository, deployment_id: int) -> DeploymentState | None:
    """What the newest status says; None when there is none, or one that we never send."""
    ask = Ask(
        doing=f"looking for the status of deployment {deployment_id} on {repository.full_name}",
        method="GET",
        route=STATUSES,
        values=of_repository(repository, deployment=deployment_id),
        query={"per_page": 1},
        needs="deployments: read",
    )
    try:
        found = read_answer(ask, caller.as_installation(repository, ask), _Statuses)
    except NotFoundError:
        return None
    said = found[0].state if found else None
    return next((state for state in DeploymentState if state.value == said), None)
