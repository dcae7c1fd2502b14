"""What flows ask of a transaction about reports and the budget they are written within."""

from typing import Protocol

from app.core.budget import Budget, Lane
from app.core.names import (
    InstallationId,
    ReportId,
    RepositoryId,
    RunId,
    Sha,
)
from app.core.record import (
    AuditLine,
    ReportKind,
    ReportRecord,
)
from app.core.run import Run


class ReportRows(Protocol):
    """The outbox, and the audit log."""

    def want_report(
        self, kind: ReportKind, repository_id: RepositoryId, subject: str, *, run_id: RunId | None, document: bytes
    ) -> ReportId:
        """Insert or update the row, count `wanted` up, and defer its publish job in this transaction."""
        ...

    def want_summary(self, repository_id: RepositoryId, sha: Sha, name: str) -> None:
        """Want the summary check of that name on a commit, from now on whenever a run that it lists has moved."""
        ...

    def want_comment(self, repository_id: RepositoryId, number: int) -> None:
        """Want the App's comment on the pull request, or want it again."""
        ...

    def want_comment_of(self, run: Run) -> None:
        """Want the App's comment on the run's pull request, and on the one that became its commit."""
        ...

    def find_report(self, report_id: ReportId) -> ReportRecord | None: ...

    def save_remote(
        self, report_id: ReportId, external_id: str, *, remote_id: int | None, published: str, is_completed: bool
    ) -> None:
        """Insert or update the remote of that external id; `published_at` is now if `published` is set."""
        ...

    def finish_report(self, report_id: ReportId, wanted: int) -> None:
        """Note that everything up to `wanted` stands on GitHub."""
        ...

    def defer_publish(self, report_id: ReportId, *, in_s: float, lane: Lane = Lane.PROGRESS) -> None:
        """Look at the report again later, unless somebody does before."""
        ...

    def renew_checks(self) -> int:
        """Want the reports again whose check run works for so long that GitHub is about to call it stale; how many."""
        ...

    def mark_plan_published(self, run_id: RunId, number: int) -> None:
        """Note when the plan's check run stood on GitHub, once: a comment from before cannot mean it."""
        ...

    def mark_plan_shown(self, run_id: RunId, number: int, report_id: ReportId) -> None:
        """Note that another text, which showed the plan before it, shows this one since that report was published
        last."""
        ...

    def list_earlier_successes(self, run_id: RunId) -> list[ReportRecord]:
        """The deployment reports of the stack's earlier runs that stand as success, newest first; bounded."""
        ...

    def has_later_success(self, run_id: RunId) -> bool:
        """True when the deployment of a later run of the stack stands as success."""
        ...

    def add_audit(self, line: AuditLine) -> None: ...


class BudgetRows(Protocol):
    """What each installation writes to GitHub."""

    def lock_budget(self, installation_id: InstallationId) -> Budget:
        """What it has written and been told, under its row's lock."""
        ...

    def find_budget(self, installation_id: InstallationId) -> Budget:
        """The same, as it is at this moment."""
        ...

    def save_budget(self, installation_id: InstallationId, budget: Budget) -> None:
        """Save a locked one."""
        ...

    def count_working(self, installation_id: InstallationId) -> int:
        """How many runs of the installation go on without anybody's doing."""
        ...
