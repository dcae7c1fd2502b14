"""The App's comment on a pull request: made once, edited in place, made again after a person deleted it.

Known by its stored number. What was published is remembered together with the count of other people's edits that were
read, so that an edit that was not read yet never counts as ours (`tick`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.core.budget import Lane
from app.core.errors import BrokenError
from app.core.names import RunId, StackId
from app.core.record import Remote
from app.core.report_comment import CommentRow, CommentView, boxed, comment_body, is_crowded, told_runs
from app.core.report_summary import is_under_way
from app.core.run import Run, RunState
from app.core.stack import Comments
from app.core.ticks import normalised
from app.flows.budget import spend
from app.flows.explain import FEW
from app.flows.ports import GitHub, Store, Transaction
from app.flows.report_subject import Subject, look_again, look_at

COMMENT: Final = "comment"
"""The external id of the one thing that such a report makes."""
REPLANNING: Final = (RunState.REPLAN_REQUESTED, RunState.PREPARING_REPLAN)
HOLD_S: Final = 15.0
"""How long it is not told that a run has begun: mostly it has ended by then, and that is told."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A pull request as the comment is to show it."""

    view: CommentView
    edits: int
    under_way: tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusComments:
    """Puts the App's comments on GitHub."""

    store: Store
    github: GitHub
    run_url: Callable[[RunId], str]
    prefix: str
    every_s: float
    """A comment is not edited again before this; what happens meanwhile is told in one edit."""

    def publish(self, subject: Subject) -> bool:
        """Make or edit the comment; False when it is too early to say more."""
        number, remote = pull_number_of(subject), subject.remote(COMMENT)
        found = self._look(subject, number, is_there=remote is not None and remote.remote_id is not None)
        if found is None or not found.view.rows:
            return True
        body = comment_body(found.view)
        digest = digest_of(body, found.edits)
        if remote is not None and remote.remote_id is not None and remote.published == digest:
            self._note_standing(subject, found, remote)
            return True
        wait_s = self._too_early(subject.at, remote, found.under_way)
        if wait_s > 0:
            look_again(self.store, subject, wait_s)
            return False
        known = self._find_lost(subject, number, remote, found.edits)
        if known is None:
            self._make(subject, number, body, digest)
        else:
            self._edit(subject, number, known, body, digest)
        self._note_shown(subject, found, remote)
        return True

    def _note_standing(self, subject: Subject, found: _Found, remote: Remote) -> None:
        """The comment showed a plan before its check did: what stands in it is as new as the check."""
        if remote.remote_id is not None and any(is_behind(row.run, remote) for row in found.view.rows):
            self._note(subject, remote.remote_id, remote.published)

    def _note_shown(self, subject: Subject, found: _Found, remote: Remote | None) -> None:
        """Commands can mean the plans that took another's place in the comment from now on."""
        newer = [row.run for row in found.view.rows if is_behind(row.run, remote)]
        if newer:
            with self.store.begin() as tx:
                for run in newer:
                    tx.mark_plan_shown(run.id, run.plan_number, subject.record.id)

    def _look(self, subject: Subject, number: int, *, is_there: bool) -> _Found | None:
        """The pull request's runs as they are now, with what is told of each; None while a comment that is there would
        change with every run that goes on: each that ends asks again."""
        repository_id = subject.repository.id
        with self.store.begin() as tx:
            pull, runs = tx.find_pull(repository_id, number), tx.list_pull_runs(repository_id, number)
            if is_there and sum(is_under_way(run.state) for run in runs) > FEW:
                return None
            told = told_runs(runs, _switches(tx, runs))
            rows = tuple(self._row(tx, run, is_alone=is_crowded(told)) for run in told)
        view = CommentView(rows=rows, landed_sha=pull.landed_sha, ticks=pull.ticks, prefix=self.prefix)
        return _Found(view, pull.edits, tuple(run for run in told if is_under_way(run.state)))

    def _row(self, tx: Transaction, run: Run, *, is_alone: bool) -> CommentRow:
        url = self.run_url(run.id)
        view = None if is_alone else look_at(tx, run, run_url=url, prefix=self.prefix)
        return CommentRow(run=run, run_url=url, view=view)

    def _too_early(self, at: datetime, remote: Remote | None, under_way: tuple[Run, ...]) -> float:
        """Seconds until there is something to say that will not be otherwise in a moment."""
        if any(run.plan_number > 1 and run.state in REPLANNING for run in under_way):
            return 0.0  # the plan that the comment shows is gone: nobody must confirm by it
        held = min((HOLD_S - (at - _began_at(run)).total_seconds() for run in under_way), default=0.0)
        since = remote.published_at if remote is not None and remote.remote_id is not None else None
        quiet = self.every_s - (at - since).total_seconds() if since is not None else 0.0
        return max(quiet, held, 0.0)

    def _find_lost(self, subject: Subject, number: int, remote: Remote | None, edits: int) -> int | None:
        """GitHub's number of the comment, also of one whose POST was never answered; None when there is none."""
        if remote is None or remote.remote_id is not None:
            return remote.remote_id if remote is not None else None
        ours = self.github.list_own_comments(subject.repository, number)
        return next((one.id for one in ours[::-1] if digest_of(one.body, edits) == remote.published), None)

    def _make(self, subject: Subject, number: int, body: str, digest: str) -> None:
        with self.store.begin() as tx:
            spend(tx, subject.repository, Lane.CONCLUSION)
            tx.save_remote(subject.record.id, COMMENT, remote_id=None, published=digest, is_completed=False)
        made = self.github.comment_on_pull(subject.repository, number, body)
        self._note(subject, made, digest)

    def _edit(self, subject: Subject, number: int, comment_id: int, body: str, digest: str) -> None:
        with self.store.begin() as tx:
            spend(tx, subject.repository, Lane.CONCLUSION)
        if self.github.edit_comment(subject.repository, comment_id, body):
            self._note(subject, comment_id, digest)
        else:  # a person deleted it
            self._make(subject, number, body, digest)

    def _note(self, subject: Subject, comment_id: int, digest: str) -> None:
        with self.store.begin() as tx:
            tx.save_remote(subject.record.id, COMMENT, remote_id=comment_id, published=digest, is_completed=True)


def is_behind(run: Run, remote: Remote | None) -> bool:
    """True when the comment was written before the run's waiting plan took another one's place: whoever reads it reads
    of a plan that is gone."""
    shown_at = remote.published_at if remote is not None and remote.remote_id is not None else None
    plan = run.plan if boxed(run) else None
    if shown_at is None or plan is None or plan.number == 1 or plan.published_at is None:
        return False
    return shown_at < plan.published_at


def _began_at(run: Run) -> datetime:
    """Since when it goes on: a new one since it was made, one that somebody decided about since its last step."""
    return run.updated_at if run.decided_by else run.created_at


def digest_of(body: str, edits: int) -> str:
    """What is remembered of a body that was published when so many edits of others had been read."""
    return hashlib.sha256(f"{edits}\n{normalised(body)}".encode()).hexdigest()


def pull_number_of(subject: Subject) -> int:
    """The pull request that the report is about. Raises: BrokenError when its subject is no number."""
    text = subject.record.subject
    if not (text.isascii() and text.isdecimal()):
        raise BrokenError(f"publishing report {subject.record.id}: {text[:40]!r} is no pull request")
    return int(text)


def _switches(tx: Transaction, runs: list[Run]) -> dict[str, Comments]:
    """What each stack's settings say of comments, by stack id."""
    stacks = (tx.find_stack(StackId(stack_id)) for stack_id in sorted({run.stack_id for run in runs}))
    return {stack.id: stack.settings.comments for stack in stacks if stack is not None}
