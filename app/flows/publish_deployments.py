"""A run with changes as a deployment, with a status for each thing that became of it."""

from dataclasses import dataclass

from app.core.record import Remote
from app.core.reply import DeploymentReport, DeploymentState
from app.flows.ports import GitHub, Store
from app.flows.report_subject import Subject, look_again

COALESCE_DEPLOYMENT_S = 3.0
"""How long a deployment's `in_progress` waits: an apply that ends sooner says success at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """Puts deployments on GitHub."""

    store: Store
    github: GitHub

    def publish(self, subject: Subject, report: DeploymentReport | None) -> bool:
        """Create the deployment of a run with changes, and say how it stands."""
        if report is None or subject.run is None:
            return True
        remote = subject.remote(subject.get_run().id)
        if remote is None and report.state is DeploymentState.INACTIVE:
            return True  # it ended before anybody heard of it
        number = self._deployment_number(subject, report, remote)
        if remote is not None and remote.published == report.state.value:
            return True
        is_quick = report.state is DeploymentState.IN_PROGRESS and remote is not None
        if is_quick and (wait_s := self._quick(subject)) > 0:
            look_again(self.store, subject, wait_s)
            return False
        self.github.add_deployment_status(subject.repository, number, report.state, report=report)
        self._note_deployment(subject, number, report.state)
        if report.state is DeploymentState.SUCCESS:
            self._retire_deployment(subject, report)
        return True

    def _quick(self, subject: Subject) -> float:
        """Seconds until `in_progress` is worth a request of its own."""
        return COALESCE_DEPLOYMENT_S - (subject.at - subject.get_run().updated_at).total_seconds()

    def _deployment_number(self, subject: Subject, report: DeploymentReport, remote: Remote | None) -> int:
        if remote is not None and remote.remote_id is not None:
            return remote.remote_id
        known = self.github.find_deployment(subject.repository, report) if remote is not None else None
        if known is None:
            with self.store.begin() as tx:
                tx.save_remote(
                    subject.record.id, subject.get_run().id, remote_id=None, published="", is_completed=False
                )
            known = self.github.create_deployment(subject.repository, report)
        with self.store.begin() as tx:
            tx.save_remote(subject.record.id, subject.get_run().id, remote_id=known, published="", is_completed=False)
        return known

    def _note_deployment(self, subject: Subject, number: int, state: DeploymentState) -> None:
        is_completed = state in (DeploymentState.SUCCESS, DeploymentState.FAILURE, DeploymentState.INACTIVE)
        with self.store.begin() as tx:
            tx.save_remote(
                subject.record.id,
                subject.get_run().id,
                remote_id=number,
                published=state.value,
                is_completed=is_completed,
            )

    def _retire_deployment(self, subject: Subject, report: DeploymentReport) -> None:
        """The stack's previous success becomes inactive: GitHub's own auto_inactive would touch other stacks' too."""
        with self.store.begin() as tx:
            previous = tx.find_previous_success(subject.get_run().id)
        if previous is None:
            return
        remote = previous.remotes[-1]
        if remote.remote_id is None:
            return
        self.github.add_deployment_status(subject.repository, remote.remote_id, DeploymentState.INACTIVE, report=report)
        with self.store.begin() as tx:
            tx.save_remote(
                previous.id,
                remote.external_id,
                remote_id=remote.remote_id,
                published=DeploymentState.INACTIVE.value,
                is_completed=True,
            )
