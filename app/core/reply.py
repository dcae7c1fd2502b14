"""What the App is about to put on GitHub, as values: check runs, deployments, replies. `app.core.report` makes them.

Every text is complete and escaped for where it goes; the github room only carries it.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.core.names import Sha


class CheckStatus(StrEnum):
    """GitHub's check run status."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(StrEnum):
    """GitHub's check run conclusion, those that we use."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    ACTION_REQUIRED = "action_required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One action of a check run. Label at most 20, description 40, identifier 20 characters; at most three a run."""

    label: str
    description: str
    identifier: str


class AnnotationLevel(StrEnum):
    """GitHub's levels, those that we use."""

    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A remark on a line of a file of the commit. Plain text: GitHub renders no Markdown in it."""

    path: str
    line: int
    """1 for the first."""
    level: AnnotationLevel
    title: str
    """At most 255 characters."""
    message: str
    """At most 64 KB."""


MAX_ANNOTATIONS = 50
"""Of one request. Source: https://docs.github.com/rest/checks/runs"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What one check run should say now."""

    name: str
    head_sha: Sha
    external_id: str
    """`RUN/PLAN` for a plan, `RUN/PLAN/apply` for an apply: another value is another check run of the same name."""
    status: CheckStatus
    conclusion: Conclusion | None
    """Set exactly when completed."""
    title: str
    summary: str
    """Markdown, at most 65,535 characters."""
    text: str
    """Markdown, at most 65,535 characters; may be empty."""
    details_url: str
    buttons: tuple[Button, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    """Sent once, when the check run is made: GitHub appends those of every update. At most MAX_ANNOTATIONS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnComment:
    """A comment of the App's that stands on GitHub."""

    id: int
    body: str


class DeploymentState(StrEnum):
    """GitHub's deployment status states, those that we use."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentReport:
    """What one deployment should say now."""

    environment: str
    sha: Sha
    task: str
    """`trackside:<stack>`."""
    description: str
    """At most 140 characters, of the deployment."""
    payload: dict[str, str]
    """Shape: run, stack, tag (empty when no tag caused it)."""
    is_production: bool
    state: DeploymentState
    state_description: str
    """At most 140 characters, of the status."""
    log_url: str
