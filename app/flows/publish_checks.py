"""One check run for each segment of a report, made once, kept true, and never reopened.

Before a POST the row says that one was begun, so that a crash between GitHub's work and our note is looked for.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec

from app.core.budget import Lane
from app.core.record import Remote
from app.core.reply import CheckReport, CheckStatus
from app.core.run import Run, RunState
from app.flows.budget import spend
from app.flows.ports import GitHub, Store
from app.flows.report_subject import Subject, look_again

LATER_PROGRESS = 2
"""How many times longer it is left alone, once it has told of progress."""
FEW_WORKING = 5
"""While more runs of an installation work than this, none of their check runs tells of progress."""
RENEWED_AFTER = timedelta(days=12)
"""How old a check run that works may become: GitHub calls it stale after 14 days."""
AGAIN = "/again"
"""Follows the external id of a check run that took the place of one that had become too old."""
COALESCE_APPLY_S = 2.0
"""How long after the plan's check run lost its buttons the apply's waits: one that ends sooner is made completed."""
TOO_OLD = "replaced by a newer check run: this one had worked for too long"
MARKING = "marking"
"""What `published` says of a check run while annotations are on their way to it."""
RETIRED = "retired"
"""What `published` says of a check run whose segment is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Puts check runs on GitHub."""

    store: Store
    github: GitHub
    progress_after_s: float
    """A check run that says "working" is not touched again before this, unless the run stops working."""

    def publish(self, subject: Subject, report: CheckReport) -> bool:
        """Create or update the check run of the newest segment; False when it is too early to say more."""
        report = _in_time(subject, report)
        digest = _digest(report)
        remote = subject.remote(report.external_id)
        if remote is None:
            has_retired = subject.run is not None and self._retire_others(subject, report)
            wait_s = self._soon_applied(subject, has_retired=has_retired)
            if report.status is not CheckStatus.COMPLETED and wait_s > 0:
                look_again(self.store, subject, wait_s)
                return False
            self._create_check(subject, report, digest)
        elif remote.remote_id is None:
            found = self.github.find_check(subject.repository, report.head_sha, report.name, report.external_id)
            if found is None:
                self._create_check(subject, report, digest)
            else:
                self._update_check(subject, report, digest, remote, found)
        elif remote.published != digest:
            is_working = report.status is not CheckStatus.COMPLETED
            if is_working and (remote.is_completed or self._is_busy(subject)):
                return True  # a completed check run is never reopened; the next segment will be a new one
            if is_working and (wait_s := self._too_early(subject, remote)) > 0:
                look_again(self.store, subject, wait_s)
                return False
            self._update_check(subject, report, digest, remote, remote.remote_id)
        if subject.run is None:  # a check that may be required must never be neutral before the next one is there
            self._retire_others(subject, report)
        self._mark_published(subject)
        return True

    def _create_check(self, subject: Subject, report: CheckReport, digest: str) -> None:
        record = subject.record.id
        with self.store.begin() as tx:
            spend(tx, subject.repository, Lane.CONCLUSION)
            tx.save_remote(record, report.external_id, remote_id=None, published="", is_completed=False)
        made = self.github.create_check(subject.repository, report)
        self._note(subject, report, digest, made)

    def _update_check(self, subject: Subject, report: CheckReport, digest: str, remote: Remote, number: int) -> None:
        """Make the check run say what the report says. `remote` is how it is noted: it may not have its number yet."""
        is_working = report.status is not CheckStatus.COMPLETED
        with self.store.begin() as tx:
            spend(tx, subject.repository, Lane.PROGRESS if is_working else Lane.CONCLUSION)
        if self.github.update_check(subject.repository, number, self._once_marked(subject, report, remote, number)):
            self._note(subject, report, digest, number)
        else:  # somebody, or GitHub, deleted it
            self._create_check(subject, report, digest)

    def _once_marked(self, subject: Subject, report: CheckReport, remote: Remote, number: int) -> CheckReport:
        """The report; with annotations only where it completes the check run. GitHub appends them and never takes one
        back: one that may have got them already is asked first."""
        plain = replace(report, annotations=())
        if not report.annotations or report.status is not CheckStatus.COMPLETED or remote.is_completed:
            return plain
        is_unsure = remote.remote_id is None or remote.published == MARKING
        if is_unsure and self.github.has_annotations(subject.repository, number):
            return plain
        with self.store.begin() as tx:
            tx.save_remote(
                subject.record.id, report.external_id, remote_id=number, published=MARKING, is_completed=False
            )
        return report

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
            and run.state in (RunState.UNCONFIRMED, RunState.PENDING_REVIEW)
            and run.plan.published_at is None
        ):
            with self.store.begin() as tx:
                tx.mark_plan_published(run.id, run.plan.number)
                if run.plan.number > 1:  # the comment may show it already, or still the one before
                    tx.want_comment_of(run)

    def _is_busy(self, subject: Subject) -> bool:
        """True while so many runs work that telling of each would take what conclusions need."""
        if subject.run is None:
            return False
        with self.store.begin() as tx:
            return tx.count_working(subject.repository.installation_id) > FEW_WORKING

    def _too_early(self, subject: Subject, remote: Remote) -> float:
        """Seconds until a working check run may be touched again."""
        if remote.published_at is None:
            return 0.0
        pause_s = self.progress_after_s * (1 if remote.updates < 2 else LATER_PROGRESS)
        return pause_s - (subject.at - remote.published_at).total_seconds()

    def _soon_applied(self, subject: Subject, *, has_retired: bool) -> float:
        """Seconds until the check run of an apply that is under way is worth a request of its own."""
        if subject.run is None or subject.run.confirmed_digest is None:
            return 0.0
        if has_retired:
            return COALESCE_APPLY_S
        moments = [one.published_at for one in subject.record.remotes if one.published == RETIRED]
        retired_at = max((at for at in moments if at is not None), default=None)
        return COALESCE_APPLY_S - (subject.at - retired_at).total_seconds() if retired_at is not None else 0.0

    def _retire_others(self, subject: Subject, report: CheckReport) -> bool:
        """The check runs of older segments are over, and their buttons gone; True when one just was."""
        has_retired = False
        for remote in subject.record.remotes:
            if remote.external_id == report.external_id or remote.published == RETIRED:
                continue
            number = remote.remote_id
            if number is None:
                number = self.github.find_check(subject.repository, report.head_sha, report.name, remote.external_id)
            if number is not None:
                with self.store.begin() as tx:
                    spend(tx, subject.repository, Lane.CONCLUSION)
                is_same = report.external_id.startswith(f"{remote.external_id.partition(AGAIN)[0]}{AGAIN}")
                title = TOO_OLD if is_same else retired_title(remote.external_id, subject.run)
                self.github.retire_check(subject.repository, number, title)
            with self.store.begin() as tx:
                tx.save_remote(
                    subject.record.id, remote.external_id, remote_id=number, published=RETIRED, is_completed=True
                )
            has_retired = True
        return has_retired


def _in_time(subject: Subject, report: CheckReport) -> CheckReport:
    """The report for the check run that stands for its segment now: the one that was made for it, or one of those that
    took its place, each time that it had worked for too long."""
    first = report.external_id
    made = [one for one in subject.record.remotes if one.external_id == first or _is_again(one.external_id, first)]
    if not made:
        return report
    newest = made[-1]
    is_old = newest.made_at is not None and subject.at - newest.made_at > RENEWED_AFTER
    if report.status is CheckStatus.COMPLETED or newest.is_completed or not is_old:
        return replace(report, external_id=newest.external_id)
    return replace(report, external_id=f"{first}{AGAIN}{len(made)}")


def _is_again(external_id: str, first: str) -> bool:
    return external_id.startswith(f"{first}{AGAIN}")


def retired_title(external_id: str, run: Run | None) -> str:
    """What a check run says once another one of its name has taken its place."""
    if run is None or not external_id.startswith(f"{run.id}/"):
        return "replaced by a newer run of this commit"
    number = external_id.split("/")[1]
    if run.confirmed_digest is not None and run.plan is not None and number == str(run.plan.number):
        return f"plan {number}: confirmed by {run.decided_by}"
    return f"plan {number}: replaced by plan {run.plan_number}"


def _digest(report: CheckReport) -> str:
    return hashlib.sha256(msgspec.json.encode(report)).hexdigest()
