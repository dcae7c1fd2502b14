"""A report of the outbox with what it is computed from: the run, its facts, the repository."""

from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from app.core.errors import BrokenError
from app.core.event import Repository
from app.core.plan import Remark
from app.core.protocol import Output
from app.core.record import Remote, ReportRecord, RunFacts
from app.core.report import RunView
from app.core.run import Run
from app.flows.ports import Store, Transaction


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

    def get_run(self) -> Run:
        """The run that the report is about. Raises: BrokenError when it is gone."""
        if self.run is None:
            raise BrokenError(f"publishing report {self.record.id}: its run is gone")
        return self.run

    def get_view(self) -> RunView:
        """What is known of that run. Raises: BrokenError when it is gone."""
        if self.view is None:
            raise BrokenError(f"publishing report {self.record.id}: its run is gone")
        return self.view


def look_again(store: Store, subject: Subject, in_s: float) -> None:
    """Have the report looked at again later: it is too early to say more."""
    with store.begin() as tx:
        tx.defer_publish(subject.record.id, in_s=in_s)


def look_at(tx: Transaction, run: Run, *, run_url: str, prefix: str) -> RunView:
    """All that is known of a run as it is now: its facts, its newest plan, the plan that it is a part of."""
    number = run.plan.number if run.plan else 0
    facts = tx.get_run_facts(run)
    return replace(
        make_view(run, facts, run_url=run_url, prefix=prefix),
        summary=tx.find_summary(run.id, number) if number else None,
        whole=tx.find_summary(run.id, run.targeting.of_plan) if run.targeting else None,
        blocked_by=tx.find_run(facts.blocked_by) if facts.blocked_by else None,
    )


def make_view(run: Run, facts: RunFacts, *, run_url: str, prefix: str) -> RunView:
    """What a report or a page is computed from, without its plan's summary and its blocker."""
    return RunView(
        run=run,
        is_superseded=run.head_seq < facts.stack_head_seq,
        is_settings_changed=bool(facts.stack_digest) and facts.stack_digest != run.stack_digest,
        is_stale=facts.is_stale,
        is_drift_over=facts.is_drift_over,
        is_reconciled=facts.is_reconciled,
        quarantined=facts.quarantined,
        done=facts.done,
        in_state_s=facts.in_state_s,
        stack_hold=facts.stack_hold,
        waits_for=facts.waits_for,
        position=facts.position,
        failed_before=facts.failed_before or "",
        failed_before_sha=facts.failed_before_sha,
        lock_owner=facts.lock_owner,
        lock_note=facts.lock_note,
        is_promotion_allowed=facts.is_promotion_allowed,
        confirm_rules=facts.confirm_rules,
        owner=facts.owner,
        is_veiled=facts.is_veiled,
        unjudged=facts.unjudged,
        triggered=facts.triggered,
        below=facts.below,
        environment=facts.github_environment,
        is_production=is_production(facts.github_environment),
        prefix=prefix,
        run_url=run_url,
        outputs=msgspec.json.decode(facts.outputs, type=tuple[Output, ...]) if facts.outputs else (),
        remarks=msgspec.json.decode(facts.remarks, type=tuple[Remark, ...]) if facts.remarks else (),
    )


def is_production(environment: str | None) -> bool:
    """GitHub's own guess for an environment of that name. Source: GitHub's deployments, `production_environment`."""
    return environment == "production"
