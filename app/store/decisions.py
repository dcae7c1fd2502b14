"""Decisions as rows: from the core's values to columns and back.

Runs no SQL itself. What all stacks were asked about one event lies once, in `decision_inputs`.
"""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, Select, select

from app.core.decision import Answer, Decision, EventKind, PolicyOutcome, Verdict
from app.core.names import ConfigVersionId, OrganisationVersionId, Sha, StackId
from app.store.schema import decision_inputs, decisions
from app.store.wire import safe_json, safe_text


def select_decisions() -> Select[Any]:
    """Decisions with the part of their input that they share as `shared`; where and order are the caller's."""
    joined = decisions.outerjoin(decision_inputs, decision_inputs.c.guid == decisions.c.guid)
    return select(decisions, decision_inputs.c.document.label("shared")).select_from(joined)


def read_decision(row: Row[Any]) -> Decision:
    """The decision of a row of `select_decisions`."""
    return Decision(
        stack_id=StackId(row.stack_id),
        stack_name=row.stack_name,
        ref=row.ref,
        head_sha=Sha(row.head_sha),
        before=Sha(row.before),
        config_version_id=ConfigVersionId(row.config_version_id) if row.config_version_id else None,
        policy=row.policy,
        input={**(row.shared or {}), **row.input} if row.input else {},
        answer=Answer(verdict=Verdict(row.verdict), reason=row.reason, rules=row.rules),
        event=EventKind(row.event),
        action=row.action,
        pull_number=row.pull_number,
        policies=tuple(_outcome(raw) for raw in row.policies),
        elapsed_s=row.elapsed_s,
        is_sampled=row.is_sampled,
        note=row.note,
        organisation_version_id=OrganisationVersionId(row.organisation_version_id)
        if row.organisation_version_id
        else None,
    )


def decision_values(decision: Decision) -> dict[str, object]:
    """The columns of a decision, without its id and its delivery."""
    return {
        "stack_id": decision.stack_id,
        "stack_name": decision.stack_name,
        "ref": safe_text(decision.ref),
        "head_sha": decision.head_sha,
        "before": decision.before,
        "config_version_id": decision.config_version_id,
        "organisation_version_id": decision.organisation_version_id,
        "policy": safe_text(decision.policy),
        "input": safe_json(decision.input),
        "verdict": decision.answer.verdict.value,
        "reason": safe_text(decision.answer.reason),
        "rules": decision.answer.rules,
        "event": decision.event.value,
        "action": safe_text(decision.action),
        "pull_number": decision.pull_number,
        "policies": [safe_json(asdict(outcome)) for outcome in decision.policies],
        "elapsed_s": decision.elapsed_s,
        "is_sampled": decision.is_sampled,
        "note": safe_text(decision.note),
    }


def _outcome(raw: dict[str, Any]) -> PolicyOutcome:
    fired = tuple((str(rule), int(line)) for rule, line in raw.get("fired", ()))
    return PolicyOutcome(**(raw | {"fired": fired, "prints": tuple(raw.get("prints", ()))}))
