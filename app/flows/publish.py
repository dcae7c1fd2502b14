"""What should stand on GitHub, and does not yet: one report at a time, computed from the run, never from the event.

A report is a level, not an edge: jobs for the same one may come late, twice or in any order. Before a POST the row says
that one was begun, so that a crash between GitHub's work and our note is looked for and not repeated.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from app.core.errors import BrokenError
from app.core.event import Repository
from app.core.names import ReportId, RunId, Sha
from app.core.protocol import Output
from app.core.record import Remote, ReportKind, ReportRecord, RunFacts
from app.core.reply import CheckReport, CheckStatus, DeploymentReport, DeploymentState
from app.core.report import RunView, check_report, deployment_report
from app.core.report_summary import SummaryName, SummaryView, says_something, summary_report
from app.core.run import Run, RunState, Trigger
from app.flows.explain import Explain
from app.flows.ports import GitHub, Store
from app.flows.publish_notices import Notices
from app.flows.rehearse import Rehearse
from app.flows.replay import Wanted

FIRST_PROGRESS_S = 15.0
"""A check run that says "working" is not touched again before this, unless the run stops working."""
COALESCE_DEPLOYMENT_S = 3.0
"""How long a deployment's `in_progress` waits: an apply that ends sooner says success at once."""
COALESCE_APPLY_S = 2.0
"""How long after the plan's check run lost its buttons the apply's waits: one that ends sooner is made completed."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a REPLY report: words, a reaction, or both."""

    body: str = ""
    pull_number: int | None = None
    sha: str | None = None
    reaction: str = ""
    comment_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A report with what it is computed from."""

    record: ReportRecord
    repository: Repository
    run: Run | None
    view: RunView | None
    at: datetime
    """When it was looked at, by the database's clock."""

    def remote(self, external_id: str) -> Remote | None:
        """The remote of a segment, or None before its POST."""
        return next((remote for remote in self.record.remotes if remote.external_id == external_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """The use case of the `publish` job."""

    store: Store
    github: GitHub
    run_url: Callable[[RunId], str]
    prefix: str
    explain: Explain
    rehearse: Rehearse
    notices: Notices

    def publish(self, report_id: ReportId) -> None:
        """Make GitHub say what the report should say. Safe to run twice. Raises: RetryableError to be run again."""
        subject = self._look(report_id)
        if subject is None:
            return
        match subject.record.kind:
            case ReportKind.RUN_CHECK | ReportKind.DEPLOYMENT | ReportKind.CHECK if self._is_left_to_summary(subject):
                done = True
            case ReportKind.RUN_CHECK:
                done = self._check(subject, check_report(_of(subject.view)))
            case ReportKind.SUMMARY:
                done = self._summary(subject)
            case ReportKind.REHEARSAL:
                done = self._rehearsal(subject)
            case ReportKind.CHECK:
                document = msgspec.json.decode(subject.record.document, type=CheckReport)
                done = self._check(subject, document)
            case ReportKind.DEPLOYMENT:
                done = self._deployment(subject, deployment_report(_of(subject.view)))
            case ReportKind.REPLY:
                done = self._reply(subject, msgspec.json.decode(subject.record.document, type=Reply))
            case ReportKind.NOTICE:
                done = self.notices.publish(subject.record, subject.repository)
        if done:
            with self.store.begin() as tx:
                tx.finish_report(report_id, subject.record.wanted)

    def _look(self, report_id: ReportId) -> Subject | None:
        """The report and its run as they are now; None when there is nothing to say."""
        with self.store.begin() as tx:
            record = tx.find_report(report_id)
            if record is None or record.published >= record.wanted:
                return None
            repository = tx.find_repository(record.repository_id)
            if repository is None or not tx.may_publish(record.repository_id):
                return None  # it stays behind, and is looked at when the App may write there again
            run, at = tx.find_run(record.run_id) if record.run_id else None, tx.now()
            if run is None:
                return Subject(record=record, repository=repository, run=None, view=None, at=at)
            number = run.plan.number if run.plan else 0
            summary = tx.find_summary(run.id, number) if number else None
            facts = tx.get_run_facts(run)
            whole = tx.find_summary(run.id, run.targeting.of_plan) if run.targeting else None
            blocker = tx.find_run(facts.blocked_by) if facts.blocked_by else None
        view = make_view(run, facts, run_url=self.run_url(run.id), prefix=self.prefix)
        view = replace(view, summary=summary, whole=whole, blocked_by=blocker)
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
        if not self._check(subject, report):
            return False
        if view.is_crowded:
            self._mark_shown(view, report)
        return True

    def _rehearsal(self, subject: Subject) -> bool:
        """The `config` check of a pull request's head, if it edits the configuration."""
        sha = Sha(subject.record.subject.partition("/")[0])
        wanted = msgspec.json.decode(subject.record.document, type=Wanted)
        report = self.rehearse.rehearse(subject.repository, sha, wanted)
        return report is None or self._check(subject, report)

    def _mark_shown(self, view: SummaryView, report: CheckReport) -> None:
        """From now on a comment can mean the plans whose counts stand in the summary; a row that did not fit has no
        plan that anybody saw: `replan` gives its stack a check of its own."""
        runs = [line.run for line in view.affected if line.run is not None]
        waiting = [run for run in runs if run.state is RunState.UNCONFIRMED and f"<{run.url}>" in report.summary]
        with self.store.begin() as tx:
            for run in waiting:
                tx.mark_plan_published(run.id, run.plan_number)

    def _check(self, subject: Subject, report: CheckReport) -> bool:
        """Create or update the check run of the newest segment; False when it is too early to say more."""
        digest = _digest(report)
        remote = subject.remote(report.external_id)
        if remote is None:
            has_retired = self._retire_others(subject, report)
            wait_s = self._soon_applied(subject, has_retired=has_retired)
            if report.status is not CheckStatus.COMPLETED and wait_s > 0:
                self._defer(subject, wait_s)
                return False
            self._create_check(subject, report, digest)
        elif remote.remote_id is None:
            found = self.github.find_check(subject.repository, report.head_sha, report.name, report.external_id)
            if found is None:
                self._create_check(subject, report, digest)
            else:
                self._update_check(subject, report, digest, found)
        elif remote.published != digest:
            is_working = report.status is not CheckStatus.COMPLETED
            if is_working and remote.is_completed:
                return True  # a completed check run is never reopened; the next segment will be a new one
            if is_working and (wait_s := self._too_early(subject, remote)) > 0:
                self._defer(subject, wait_s)
                return False
            self._update_check(subject, report, digest, remote.remote_id)
        self._mark_published(subject)
        return True

    def _create_check(self, subject: Subject, report: CheckReport, digest: str) -> None:
        record = subject.record.id
        with self.store.begin() as tx:
            tx.save_remote(record, report.external_id, remote_id=None, published="", is_completed=False)
        made = self.github.create_check(subject.repository, report)
        self._note(subject, report, digest, made)

    def _update_check(self, subject: Subject, report: CheckReport, digest: str, check_run_id: int) -> None:
        self.github.update_check(subject.repository, check_run_id, report)
        self._note(subject, report, digest, check_run_id)

    def _note(self, subject: Subject, report: CheckReport, digest: str, check_run_id: int) -> None:
        is_completed = report.status is CheckStatus.COMPLETED
        with self.store.begin() as tx:
            tx.save_remote(
                subject.record.id,
                report.external_id,
                remote_id=check_run_id,
                published=digest,
                is_completed=is_completed,
            )

    def _mark_published(self, subject: Subject) -> None:
        """From now on a comment can mean this plan."""
        run = subject.run
        if (
            run is not None
            and run.plan is not None
            and run.state is RunState.UNCONFIRMED
            and run.plan.published_at is None
        ):
            with self.store.begin() as tx:
                tx.mark_plan_published(run.id, run.plan.number)

    def _too_early(self, subject: Subject, remote: Remote) -> float:
        """Seconds until a working check run may be touched again."""
        if remote.published_at is None:
            return 0.0
        return FIRST_PROGRESS_S - (subject.at - remote.published_at).total_seconds()

    def _soon_applied(self, subject: Subject, *, has_retired: bool) -> float:
        """Seconds until the check run of an apply that is under way is worth a request of its own."""
        if subject.run is None or subject.run.confirmed_digest is None:
            return 0.0
        if has_retired:
            return COALESCE_APPLY_S
        moments = [one.published_at for one in subject.record.remotes if one.published == RETIRED]
        retired_at = max((at for at in moments if at is not None), default=None)
        return COALESCE_APPLY_S - (subject.at - retired_at).total_seconds() if retired_at is not None else 0.0

    def _defer(self, subject: Subject, in_s: float) -> None:
        with self.store.begin() as tx:
            tx.defer_publish(subject.record.id, in_s=in_s)

    def _retire_others(self, subject: Subject, report: CheckReport) -> bool:
        """The check runs of older segments lose their buttons before the new one appears; True when one just did."""
        has_retired = False
        for remote in subject.record.remotes:
            if remote.external_id == report.external_id or remote.published == RETIRED:
                continue
            number = remote.remote_id
            if number is None:
                number = self.github.find_check(subject.repository, report.head_sha, report.name, remote.external_id)
            if number is not None:
                self.github.retire_check(subject.repository, number, retired_title(remote.external_id, subject.run))
            with self.store.begin() as tx:
                tx.save_remote(
                    subject.record.id, remote.external_id, remote_id=number, published=RETIRED, is_completed=True
                )
            has_retired = True
        return has_retired

    def _deployment(self, subject: Subject, report: DeploymentReport | None) -> bool:
        """Create the deployment of a run with changes, and say how it stands."""
        if report is None or subject.run is None:
            return True
        remote = subject.remote(_run(subject).id)
        if remote is None and report.state is DeploymentState.INACTIVE:
            return True  # it ended before anybody heard of it
        number = self._deployment_number(subject, report, remote)
        if remote is not None and remote.published == report.state.value:
            return True
        is_quick = report.state is DeploymentState.IN_PROGRESS and remote is not None
        if is_quick and (wait_s := self._quick(subject)) > 0:
            self._defer(subject, wait_s)
            return False
        self.github.add_deployment_status(subject.repository, number, report.state, report=report)
        self._note_deployment(subject, number, report.state)
        if report.state is DeploymentState.SUCCESS:
            self._retire_deployment(subject, report)
        return True

    def _quick(self, subject: Subject) -> float:
        """Seconds until `in_progress` is worth a request of its own."""
        return COALESCE_DEPLOYMENT_S - (subject.at - _run(subject).updated_at).total_seconds()

    def _deployment_number(self, subject: Subject, report: DeploymentReport, remote: Remote | None) -> int:
        if remote is not None and remote.remote_id is not None:
            return remote.remote_id
        known = self.github.find_deployment(subject.repository, report) if remote is not None else None
        if known is None:
            with self.store.begin() as tx:
                tx.save_remote(subject.record.id, _run(subject).id, remote_id=None, published="", is_completed=False)
            known = self.github.create_deployment(subject.repository, report)
        with self.store.begin() as tx:
            tx.save_remote(subject.record.id, _run(subject).id, remote_id=known, published="", is_completed=False)
        return known

    def _note_deployment(self, subject: Subject, number: int, state: DeploymentState) -> None:
        is_completed = state in (DeploymentState.SUCCESS, DeploymentState.FAILURE, DeploymentState.INACTIVE)
        with self.store.begin() as tx:
            tx.save_remote(
                subject.record.id, _run(subject).id, remote_id=number, published=state.value, is_completed=is_completed
            )

    def _retire_deployment(self, subject: Subject, report: DeploymentReport) -> None:
        """The stack's previous success becomes inactive: GitHub's own auto_inactive would touch other stacks' too."""
        with self.store.begin() as tx:
            previous = tx.find_previous_success(_run(subject).id)
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

    def _reply(self, subject: Subject, reply: Reply) -> bool:
        """Answer a person once."""
        said = subject.remote("reply")
        if reply.body and (said is None or said.remote_id is None):
            self._say(subject, reply, is_unsure=said is not None)
        if reply.reaction and reply.comment_id is not None:
            self.github.react(subject.repository, reply.comment_id, reply.reaction)
        return True

    def _say(self, subject: Subject, reply: Reply, *, is_unsure: bool) -> None:
        sha = Sha(reply.sha) if reply.sha else None
        number = None
        if is_unsure:
            number = self.github.find_comment(subject.repository, number=reply.pull_number, sha=sha, body=reply.body)
        if number is None:
            with self.store.begin() as tx:
                tx.save_remote(subject.record.id, "reply", remote_id=None, published="", is_completed=False)
            if reply.pull_number is not None:
                number = self.github.comment_on_pull(subject.repository, reply.pull_number, reply.body)
            elif sha is not None:
                number = self.github.comment_on_commit(subject.repository, sha, reply.body)
        with self.store.begin() as tx:
            tx.save_remote(subject.record.id, "reply", remote_id=number, published="said", is_completed=True)


RETIRED = "retired"
"""What `published` says of a check run whose segment is over."""


def make_view(run: Run, facts: RunFacts, *, run_url: str, prefix: str) -> RunView:
    """What a report or a page is computed from, without its plan's summary and its blocker."""
    return RunView(
        run=run,
        is_superseded=run.head_seq < facts.stack_head_seq,
        is_settings_changed=bool(facts.stack_digest) and facts.stack_digest != run.stack_digest,
        is_stale=facts.is_stale,
        quarantined=facts.quarantined,
        stack_hold=facts.stack_hold,
        waits_for=facts.waits_for,
        position=facts.position,
        failed_before=facts.failed_before or "",
        failed_before_sha=facts.failed_before_sha,
        lock_owner=facts.lock_owner,
        lock_note=facts.lock_note,
        is_promotion_allowed=facts.is_promotion_allowed,
        environment=facts.github_environment,
        is_production=is_production(facts.github_environment),
        prefix=prefix,
        run_url=run_url,
        outputs=msgspec.json.decode(facts.outputs, type=tuple[Output, ...]) if facts.outputs else (),
    )


def is_production(environment: str | None) -> bool:
    """GitHub's own guess for an environment of that name. Source: GitHub's deployments, `production_environment`."""
    return environment == "production"


def retired_title(external_id: str, run: Run | None) -> str:
    """What a check run says once another one of its name has taken its place."""
    if run is None or not external_id.startswith(f"{run.id}/"):
        return "replaced by a newer run of this commit"
    number = external_id.split("/")[1]
    if run.confirmed_digest is not None and run.plan is not None and number == str(run.plan.number):
        return f"plan {number}: confirmed by {run.decided_by}"
    return f"plan {number}: replaced by plan {run.plan_number}"


def _is_acted_on(run: Run) -> bool:
    """True for a run that a person decided about, or asked for: it has a check of its own on any commit."""
    return bool(run.decided_by) or run.trigger is Trigger.COMMAND


def _of(view: RunView | None) -> RunView:
    if view is None:
        raise BrokenError("computing a report: its run is gone")
    return view


def _run(subject: Subject) -> Run:
    if subject.run is None:
        raise BrokenError(f"publishing report {subject.record.id}: its run is gone")
    return subject.run


def _digest(report: CheckReport) -> str:
    return hashlib.sha256(msgspec.json.encode(report)).hexdigest()
