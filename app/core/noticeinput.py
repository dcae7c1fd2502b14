"""The input document of the notification policy: one change of a run's state, and the endpoints that there are.

Pure. Names and shapes are those of the policies that users bring along; every documented key is always there, and every
moment is in Unix nanoseconds. Source: the notification policy's contract, docs/notifications.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from app.core.changeinput import WORDS, entity_part, made_run_part, type_and_name
from app.core.decision import Decision
from app.core.event import Repository
from app.core.notice import Endpoint, StateChange
from app.core.plan import Change, PlanSummary
from app.core.pushinput import CommitFacts, Document, EventAsked, PushAsked, StackAsked, stack_part
from app.core.ruling import PlanRuling
from app.core.run import Run, RunState
from app.core.stack import Stack

MAX_CHANGES: Final = 1_000
"""Changes of a plan that a policy sees; the counts are in `run.delta`."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTold:
    """A run as it is told of: what policies are asked, and what messages are made of."""

    run: Run
    """As it is now: it may have moved on since the change that is told."""
    stack: Stack
    stack_state: RunState | None
    """Of the stack's newest tracked run."""
    repository: Repository
    summary: PlanSummary | None
    decision: Decision | None
    """What made the run, when an event did."""
    url: str
    """Of the run's page."""
    web_url: str
    """Where GitHub's pages are."""

    @property
    def branch(self) -> str:
        """Of the event that made the run; else the stack's own."""
        ref = self.run.ref
        return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else self.stack.settings.branch


def shared_document(repository: Repository, endpoints: Sequence[Endpoint]) -> Document:
    """The part of the document that every change of a run has."""
    return {
        "account": {"name": repository.owner},
        "webhook_endpoints": [
            {"id": one.name, "labels": list(one.labels)} for one in endpoints if one.is_on and not one.is_slack
        ],
        "module_version": None,
    }


def change_document(told: RunTold, change: StateChange) -> Document:
    """The part of the document that is one change's own."""
    event = EventAsked(
        repository=told.repository,
        push=PushAsked(commit=CommitFacts()),
        pull=None,
        at=change.at,
        web_url=told.web_url,
    )
    head = CommitFacts(sha=told.stack.head_sha) if told.stack.head_sha else None
    return {
        "run_updated": {
            "state": change.state.value.upper(),
            "username": change.by,
            "note": change.cause or told.run.note,
            "plan_policy_decision": {
                "deny": [message for one in _rulings(told) for message in one.denies],
                "warn": [message for one in _rulings(told) for message in one.warns],
            },
            "policy_receipts": [*_receipts(told.decision), *(_plan_receipt(one) for one in _rulings(told))],
            "run": _run(told, event, change),
            "stack": stack_part(event, StackAsked(stack=told.stack, state=told.stack_state, tracked=head)),
            "timing": [
                {"state": state.value.upper(), "duration": int(seconds * 1e9)} for state, seconds in change.since
            ],
            "urls": {"run": told.url},
        },
        "internal_error": _internal_error(told.run, change),
    }


def _internal_error(run: Run, change: StateChange) -> Document | None:
    """What went wrong with the run on our side; None at every change but the one that failed it so."""
    if change.state is not RunState.FAILED or not run.is_failed_by_us:
        return None
    error = "outcome unknown" if run.is_outcome_unknown else "run not carried out"
    return {"error": error, "message": change.cause or run.reason, "severity": "ERROR"}


def delta_document(told: RunTold) -> Document:
    """How many resources the plan adds, changes and deletes; a replacement counts as added and deleted."""
    plan = told.run.plan
    counts = plan.delta.resources if plan is not None else None
    return {
        "added": counts.create + counts.replace if counts else 0,
        "changed": counts.update if counts else 0,
        "deleted": counts.delete + counts.replace if counts else 0,
        "resources": 0,
    }


def seconds(moment: datetime) -> int:
    """Unix seconds, rounded down."""
    delta = moment - _EPOCH
    return delta.days * 86_400 + delta.seconds


def _run(told: RunTold, event: EventAsked, change: StateChange) -> Document:
    """The run, in the state that is told."""
    run = told.run
    return {
        **made_run_part(event, run),
        "state": change.state.value.upper(),
        "state_version": change.version,
        "changes": changes_part(told.summary, is_applied=_is_applied(run, change)),
        "delta": delta_document(told),
        "drift_detection": run.is_of_drift,
        "triggered_by": run.asked_by,
    }


def _is_applied(run: Run, change: StateChange) -> bool:
    """True when the changes of the plan are what was done, and not what would be."""
    return change.state is RunState.FINISHED and run.confirmed_digest is not None


def changes_part(summary: PlanSummary | None, *, is_applied: bool) -> list[Document]:
    """`run.changes`: those of the plan that are listed, at most MAX_CHANGES."""
    listed = summary.changes if summary is not None else ()
    shown = [one for one in listed if one.action in WORDS][:MAX_CHANGES]
    return [_change(one, "apply" if is_applied else "plan") for one in shown]


def _change(change: Change, phase: str) -> Document:
    entity = entity_part(change.address, type_and_name(change), change.kind)
    return {
        "action": WORDS[change.action],
        "phase": phase,
        "moved": bool(change.previous_address),
        "entity": {
            **entity,
            "previous_address": change.previous_address,
            "data": {"values": {one.name: one.after for one in change.attributes}},
        },
    }


def _receipts(decision: Decision | None) -> list[Document]:
    """What the policies said that were asked before the run was made."""
    return [
        {
            "name": outcome.name,
            "type": "push",
            "outcome": "failure" if outcome.failure else decision.answer.verdict.value if decision else "",
            "flags": _flags(outcome.rules),
        }
        for outcome in (decision.policies if decision is not None else ())
    ]


def _rulings(told: RunTold) -> tuple[PlanRuling, ...]:
    """What the plan policies said of the run's newest plan."""
    return told.run.plan.rulings if told.run.plan is not None else ()


def _plan_receipt(ruling: PlanRuling) -> Document:
    outcome = "deny" if ruling.denies else "warn" if ruling.warns else "allow"
    return {"name": ruling.name, "type": "plan", "outcome": "failure" if ruling.failure else outcome, "flags": []}


def _flags(rules: Mapping[str, object]) -> list[object]:
    flags = rules.get("flag")
    return list(flags) if isinstance(flags, (list, tuple)) else []
