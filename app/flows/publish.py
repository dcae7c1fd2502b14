"""What should stand on GitHub, and does not yet: one report at a time, computed from the run, never from the event.

A report is a level, not an edge: jobs for the same one may come late, twice or in any order. `publish_checks`,
`publish_deployments`, `publish_comment` and `publish_replies` put it there, each thing once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from app.core.budget import Lane
from app.core.drift import is_comparison, is_quiet
from app.core.errors import RetryableError
from app.core.names import ReportId, RunId, Sha
from app.core.record import ReportKind
from app.core.reply import CheckReport
from app.core.report import check_report, deployment_report
from app.core.report_summary import SummaryName, SummaryView, says_something, summary_report
from app.core.run import Run, RunState, Trigger
from app.flows.budget import room_in_s
from app.flows.explain import Explain
from app.flows.ports import Store
from app.flows.publish_checks import Checks
from app.flows.publish_comment import StatusComments
from app.flows.publish_deployments import Deployments
from app.flows.publish_notices import Notices
from app.flows.publish_replies import Replies, Reply
from app.flows.rehearse import Rehearse
from app.flows.replay import Wanted
from app.flows.report_subject import Subject, look_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """The use case of the `publish` job."""

    store: Store
    checks: Checks
    deployments: Deployments
    replies: Replies
    comments: StatusComments
    run_url: Callable[[RunId], str]
    prefix: str
    explain: Explain
    rehearse: Rehearse
    notices: Notices

    def publish(self, report_id: ReportId) -> None:
        """Make GitHub say what the report should say. Safe to run twice. Raises: RetryableError to be run again.

        Where the budget is spent, or GitHub has said when to come back, the report is looked at again then.
        """
        subject = self._look(report_id)
        if subject is None:
            return
        try:
            is_done = self._publish(subject)
        except RetryableError as error:
            if error.retry_after_s is None:
                raise
            with self.store.begin() as tx:
                tx.defer_publish(report_id, in_s=error.retry_after_s, lane=lane_of(subject.record.kind))
            return
        if is_done:
            with self.store.begin() as tx:
                tx.finish_report(report_id, subject.record.wanted)

    def _publish(self, subject: Subject) -> bool:
        """Put the report on GitHub; False when there will be more to say."""
        match subject.record.kind:
            case ReportKind.RUN_CHECK | ReportKind.DEPLOYMENT | ReportKind.CHECK if self._is_left_to_summary(subject):
                done = True
            case ReportKind.RUN_CHECK if _is_nothing_new(subject):
                done = True
            case ReportKind.RUN_CHECK:
                done = self.checks.publish(subject, check_report(subject.get_view()))
            case ReportKind.SUMMARY:
                done = self._summary(subject)
            case ReportKind.REHEARSAL:
                done = self._rehearsal(subject)
            case ReportKind.CHECK:
                document = msgspec.json.decode(subject.record.document, type=CheckReport)
                done = self.checks.publish(subject, document)
            case ReportKind.DEPLOYMENT:
                done = self.deployments.publish(subject, deployment_report(subject.get_view()))
            case ReportKind.COMMENT:
                done = self.comments.publish(subject)
            case ReportKind.REPLY:
                done = self.replies.publish(subject, msgspec.json.decode(subject.record.document, type=Reply))
            case ReportKind.NOTICE:
                done = self.notices.publish(subject.record, subject.repository)
        return done

    def _look(self, report_id: ReportId) -> Subject | None:
        """The report and its run as they are now; None when there is nothing to say."""
        with self.store.begin() as tx:
            record = tx.find_report(report_id)
            if record is None or record.published >= record.wanted:
                return None
            repository = tx.find_repository(record.repository_id)
            if repository is None or not tx.may_publish(record.repository_id):
                return None  # it stays behind, and is looked at when the App may write there again
            if (wait_s := room_in_s(tx, repository, lane_of(record.kind))) > 0:
                tx.defer_publish(report_id, in_s=wait_s, lane=lane_of(record.kind))
                return None  # what could not be written need not be looked for either
            run, at = tx.find_run(record.run_id) if record.run_id else None, tx.now()
            if run is None:
                return Subject(record=record, repository=repository, run=None, view=None, at=at)
            view = look_at(tx, run, run_url=self.run_url(run.id), prefix=self.prefix)
        return Subject(record=record, repository=repository, run=run, view=view, at=at)

    def _is_left_to_summary(self, subject: Subject) -> bool:
        """True on a crowded commit, for a stack that nobody has acted on: only the summary tells of it."""
        record, run = subject.record, subject.run
        if record.remotes or record.kind is ReportKind.SUMMARY or (run is not None and _is_acted_on(run)):
            return False
        if run is not None:
            return self.explain.is_crowded(
                run.repository_id, run.head_sha, is_state_changing=run.type.is_state_changing
            )
        sha, _, name = record.subject.partition("/")
        if record.kind is not ReportKind.CHECK or not name.startswith(("deploy/", "plan/")):
            return False
        is_tracked = name.startswith("deploy/")
        return self.explain.is_crowded(record.repository_id, Sha(sha), is_state_changing=is_tracked)

    def _summary(self, subject: Subject) -> bool:
        """The summary check of a commit, with as few requests as it takes."""
        sha, name = subject.record.subject.split("/", 1)
        what = SummaryName(name)
        repository_id = subject.repository.id
        if subject.record.remotes and self.explain.is_too_busy(repository_id, Sha(sha), what):
            return True  # each run that ends asks again
        view = self.explain.summary(repository_id, Sha(sha), what)
        if not says_something(view):
            return True
        report = summary_report(view)
        if not self.checks.publish(subject, report):
            return False
        if view.is_crowded:
            self._mark_shown(view, report)
        return True

    def _rehearsal(self, subject: Subject) -> bool:
        """The `config` check of a pull request's head, if it edits the configuration."""
        sha = Sha(subject.record.subject.partition("/")[0])
        wanted = msgspec.json.decode(subject.record.document, type=Wanted)
        report = self.rehearse.rehearse(subject.repository, sha, wanted)
        return report is None or self.checks.publish(subject, report)

    def _mark_shown(self, view: SummaryView, report: CheckReport) -> None:
        """From now on a comment can mean the plans whose counts stand in the summary; a row that did not fit has no
        plan that anybody saw: `replan` gives its stack a check of its own."""
        runs = [line.run for line in view.affected if line.run is not None]
        states = (RunState.UNCONFIRMED, RunState.PENDING_REVIEW)
        waiting = [run for run in runs if run.state in states and f"<{run.url}>" in report.summary]
        with self.store.begin() as tx:
            for run in waiting:
                tx.mark_plan_published(run.id, run.plan_number)


def lane_of(kind: ReportKind) -> Lane:
    """In which lane a report waits: answers to people go first, what a repository's policies say goes last."""
    return {ReportKind.REPLY: Lane.ANSWER, ReportKind.NOTICE: Lane.PROGRESS}.get(kind, Lane.CONCLUSION)


def _is_acted_on(run: Run) -> bool:
    """True for a run that a person decided about, or asked for, or drift: it has a check of its own on any commit."""
    return bool(run.decided_by) or run.trigger in (Trigger.COMMAND, Trigger.DRIFT)


def _is_nothing_new(subject: Subject) -> bool:
    """True for a drift run by schedule that has nothing to say: it found nothing, and no check says that there is."""
    run = subject.run
    return run is not None and is_quiet(run) and not (subject.record.remotes and is_comparison(run))
