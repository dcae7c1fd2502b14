"""What is attested after an apply: an in-toto statement of what was applied, from what, and on whose word. Values only.

docs/attestation.md describes the predicate for auditors; its words are kept, and new facts get new words.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from app.core.decision import Decision
from app.core.errors import UserError
from app.core.event import Repository
from app.core.names import DecisionId
from app.core.record import AssignmentRecord
from app.core.run import Confirmation, Plan, Run

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:trackside:apply:v1"
APPLIED: Final = "applied"
FAILED: Final = "failed"
UNKNOWN: Final = "unknown"
_CONFIRMED: Final = ("by", "how", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """Everything that a statement says."""

    run: Run
    plan: Plan
    repository: Repository
    decision: Decision | None
    """None for a run that a command made."""
    confirmation: Confirmation
    record: AssignmentRecord
    result: str
    """`applied`, `failed` or `unknown`."""
    started_at: datetime
    """When `applying` was committed."""
    ended_at: datetime


def apply_statement(applied: Applied, *, issuer: str) -> bytes:
    """The statement as canonical JSON. Its subjects are the commit and the plan file."""
    run, proof = applied.run, applied.confirmation
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": applied.repository.full_name, "digest": {"gitCommit": run.source_sha}},
            {"name": f"{run.id}/plan/{applied.plan.number}", "digest": {"sha256": applied.plan.digest}},
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "issuer": issuer,
            "repository": {"id": applied.repository.id, "name": applied.repository.full_name},
            "commit": run.source_sha,
            "headCommit": run.head_sha,
            "ref": run.ref,
            "stack": {"id": run.stack_id, "name": run.stack_name, "settingsDigest": run.stack_digest},
            "run": {
                "id": run.id,
                "type": run.type.value,
                "url": f"{issuer}/runs/{run.id}",
                "trigger": run.trigger.value,
                "triggeredBy": run.triggered_by,
            },
            "decision": _decision(run.decision_id, applied.decision),
            "plan": {
                "number": applied.plan.number,
                "digest": applied.plan.digest,
                "madeAt": _time(applied.plan.created_at),
            },
            "confirmation": {
                "by": proof.actor,
                "how": proof.source,
                "at": _time(proof.at),
                "planDigest": proof.plan_digest,
                "settingsDigest": proof.stack_digest,
            },
            "engine": applied.plan.engine,
            "worker": {"name": applied.record.worker, "pool": applied.record.pool},
            "result": applied.result,
            "startedAt": _time(applied.started_at),
            "endedAt": _time(applied.ended_at),
        },
    }
    return canonical(statement)


def decision_digest(decision: Decision) -> str:
    """SHA-256 of a decision's record without its input, which is let go of earlier than the record."""
    told = {name: value for name, value in asdict(decision).items() if name not in ("input", "elapsed_s")}
    for outcome in told["policies"]:
        del outcome["elapsed_s"]
    return hashlib.sha256(canonical(told)).hexdigest()


def read_statement(payload: bytes, *, issuer: str = "", commit: str = "") -> dict[str, Any]:
    """The statement of a verified envelope: whole, at one with itself, and of that issuer and commit, if named.

    Raises: UserError that says what differs.
    """
    about = "verifying the attestation"
    try:
        statement = json.loads(payload)
        predicate, subjects = statement["predicate"], statement["subject"]
        digests = [one["digest"] for one in subjects]
        kinds = (statement["_type"], statement["predicateType"])
        plan, proof = predicate["plan"]["digest"], predicate["confirmation"]
        bound = (proof["planDigest"], proof["settingsDigest"])
        expected = (plan, predicate["stack"]["settingsDigest"])
        applied, result = predicate["commit"], predicate["result"]
        said_by = predicate["issuer"]
        named = [predicate["repository"]["name"], predicate["stack"]["name"], *(proof[key] for key in _CONFIRMED)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{about}: what was signed is no statement of an apply") from error
    if not all(isinstance(text, str) for text in (plan, applied, *named)):
        raise UserError(f"{about}: what was signed is no statement of an apply")
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise UserError(f"{about}: what was signed is a {str(kinds[1])[:100]!r}, not {PREDICATE_TYPE}")
    if digests != [{"gitCommit": applied}, {"sha256": plan}]:
        raise UserError(f"{about}: its subjects are not the commit and the plan that it speaks of")
    if bound != expected:
        raise UserError(f"{about}: what was confirmed is not what was applied")
    if result not in (APPLIED, FAILED, UNKNOWN):
        raise UserError(f"{about}: {str(result)[:40]!r} is no result")
    if issuer and said_by != issuer:
        raise UserError(f"{about}: it is of {str(said_by)[:200]!r}, not of {issuer}")
    if commit and applied != commit:
        raise UserError(f"{about}: it is of commit {str(applied)[:40]}, not of {commit[:40]}")
    return dict(statement)


def statement_line(statement: Mapping[str, Any]) -> str:
    """What a verified statement proves, in a sentence."""
    told = statement["predicate"]
    words = {APPLIED: "was applied", FAILED: "failed while it was applied", UNKNOWN: "has an unknown outcome"}
    return (
        f"verified: plan {told['plan']['digest'][:12]} of stack {told['stack']['name']} at {told['commit'][:12]} "
        f"({told['repository']['name']}) {words[told['result']]}, confirmed by {told['confirmation']['by']} "
        f"({told['confirmation']['how'] or 'not noted how'}) at {told['confirmation']['at']}"
    )


def canonical(value: Mapping[str, object]) -> bytes:
    """JSON with sorted keys and no blanks; times as text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode()


def _decision(decision_id: DecisionId | None, decision: Decision | None) -> dict[str, str] | None:
    if decision_id is None or decision is None:
        return None
    return {"id": decision_id, "digest": decision_digest(decision)}


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
