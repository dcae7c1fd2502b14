"""What flows ask of GitHub about people and environments, and of the store about reviews, as Protocols."""

from collections.abc import Sequence
from typing import Protocol

from app.core.environment import Environment
from app.core.event import Repository
from app.core.names import RunId
from app.core.permit import Access, Stretch
from app.core.review import PlanReview
from app.core.ruling import ApprovalRuling
from app.core.stack import Permission


class People(Protocol):
    """What GitHub knows of people, at this moment. Each call may raise RetryableError or UserError."""

    def ask_permission(self, repository: Repository, login: str) -> Permission: ...

    def ask_access(self, repository: Repository, login: str) -> Access:
        """The permission with the role behind it, and whether a person or a machine has it."""
        ...

    def is_team_member(self, repository: Repository, team: str, login: str) -> bool:
        """True for an active member of the owner's team, by its slug; false for a pending one, or without such a
        team."""
        ...

    def list_teams(self, repository: Repository, login: str) -> tuple[str, ...]:
        """The slugs of the owner's teams that the person is in (at most 100); none where a person owns it."""
        ...

    def list_authors(self, repository: Repository, stretches: Sequence[Stretch]) -> tuple[str, ...]:
        """Who made the commits: authors, committers, who opened their pull requests and who made the commits of these.
        UserError also where these are too many to be known, or some have no account."""
        ...

    def find_environment(self, repository: Repository, name: str) -> Environment | None:
        """The protection rules of an environment; None when there is none of that name."""
        ...

    def is_branch_protected(self, repository: Repository, branch: str) -> bool: ...


class ReviewRows(Protocol):
    """What people and policies said of plans."""

    def add_review(self, review: PlanReview) -> None:
        """Keep a person's word, for ever. Call it with the run's stack locked."""
        ...

    def list_reviews(self, run_id: RunId) -> list[PlanReview]:
        """The newest word of each person about each plan of a run, oldest first (the newest 1,000)."""
        ...

    def count_reviews(self, run_id: RunId) -> int:
        """How many there ever were of a run."""
        ...

    def save_approvals(self, run_id: RunId, plan_number: int, approvals: Sequence[ApprovalRuling]) -> None:
        """Keep what the approval policies said last of a plan. Call it with the run's stack locked."""
        ...
