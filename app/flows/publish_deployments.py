"""A run with changes as a deployment, with a status for each thing that became of it."""

from dataclasses import dataclass, replace

from app.core.budget import Lane
from app.core.record import Remote
from app.core.reply import DeploymentReport, DeploymentState
from app.flows.budget import spend
from app.flows.ports import GitHub, Store
from app.flows.report_subject import Subject, look_again

UNSURE = "?"
"""Ends what `published` says of a status that was begun, and whose answer is not here yet."""
REPLACED = "a later run of the stack was deployed since"
_ENDS = frozenset((DeploymentState.SUCCESS.value, DeploymentState.FAILURE.value, DeploymentState.INACTIVE.value))
COALESCE_DEPLOYMENT_S = 3.0
"""How long a deployment's `in_progress` waits: an apply that ends sooner says success at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """Puts deployments on GitHub."""

    store: Store
    github: GitHub

    def publish(self, subject: Subject, report: DeploymentReport | None) -> bool:
        """Create the deployment of a run with changes, and say how it stands; False when it is too early to."""
        if report is None or subject.run is None:
            return True
        report = self._as_it_stands(subject, report)
        remote = subject.remote(subject.get_run().id)
        if remote is None and report.state is DeploymentState.INACTIVE:
            return True  # it ended before anybody heard of it
        if remote is None or remote.published != report.state.value:
            is_quick = report.state is DeploymentState.IN_PROGRESS and remote is not None
            if is_quick and (wait_s := self._quick(subject)) > 0:
                look_again(self.store, subject, wait_s)
                return False
            self._say(subject, report, remote)
        if report.state is DeploymentState.SUCCESS:
            self._retire_earlier(subject, report)
        return True

    def _as_it_stands(self, subject: Subject, report: DeploymentReport) -> DeploymentReport:
        """The report, unless what it says is old news: a success that is told after that of a later run."""
        if report.state is not DeploymentState.SUCCESS:
            return report
        with self.store.begin() as tx:
            is_passed = tx.has_later_success(subject.get_run().id)
        return replace(report, state=DeploymentState.INACTIVE, state_description=REPLACED) if is_passed else report

    def _quick(self, subject: Subject) -> float:
        """Seconds until `in_progress` is worth a request of its own."""
        return COALESCE_DEPLOYMENT_S - (subject.at - subject.get_run().updated_at).total_seconds()

    def _say(self, subject: Subject, report: DeploymentReport, remote: Remote | None) -> None:
        """Add the status, once: one whose answer never came is looked for first."""
        number = self._number(subject, report, remote)
        unsure = f"{report.state.value}{UNSURE}"
        was_begun = remote is not None and remote.published == unsure
        if not (was_begun and self.github.find_deployment_state(subject.repository, number) is report.state):
            self._note(subject, number, unsure, is_writing=True)
            if not self.github.add_deployment_status(subject.repository, number, report.state, report=report):
                number = self._create(subject, report)  # somebody deleted it
                self._note(subject, number, unsure, is_writing=True)
                self.github.add_deployment_status(subject.repository, number, report.state, report=report)
        self._note(subject, number, report.state.value)

    def _number(self, subject: Subject, report: DeploymentReport, remote: Remote | None) -> int:
        """The deployment's number; made when there is none."""
        if remote is not None and remote.remote_id is not None:
            return remote.remote_id
        known = self.github.find_deployment(subject.repository, report) if remote is not None else None
        return known if known is not None else self._create(subject, report)

    def _create(self, subject: Subject, report: DeploymentReport) -> int:
        self._note(subject, None, "", is_writing=True)
        made = self.github.create_deployment(subject.repository, report)
        self._note(subject, made, "")
        return made

    def _note(self, subject: Subject, number: int | None, published: str, *, is_writing: bool = False) -> None:
        """Note what stands on GitHub, or what is about to be written there."""
        with self.store.begin() as tx:
            if is_writing:
                spend(tx, subject.repository, Lane.CONCLUSION)
            tx.save_remote(
                subject.record.id,
                subject.get_run().id,
                remote_id=number,
                published=published,
                is_completed=published in _ENDS,
            )

    def _retire_earlier(self, subject: Subject, report: DeploymentReport) -> None:
        """The stack's successes before this become inactive: GitHub's own auto_inactive would touch other stacks'."""
        with self.store.begin() as tx:
            earlier = tx.list_earlier_successes(subject.get_run().id)
        inactive = replace(report, state=DeploymentState.INACTIVE, state_description=REPLACED)
        for one in earlier:
            remote = one.remotes[-1]
            if remote.remote_id is None:
                continue
            with self.store.begin() as tx:
                spend(tx, subject.repository, Lane.CONCLUSION)
            self.github.add_deployment_status(subject.repository, remote.remote_id, inactive.state, report=inactive)
            with self.store.begin() as tx:
                tx.save_remote(
                    one.id,
                    remote.external_id,
                    remote_id=remote.remote_id,
                    published=inactive.state.value,
                    is_completed=True,
                )
