"""What `trackside runs` and `trackside stacks` print: for a person in columns, for a program as one document; and which
of the stacks a word on the command line means.

Pure. A person reads the words of the checks; a program gets those of the table (`unconfirmed`) as well.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from app.core.drift import DriftSeen
from app.core.event import Repository
from app.core.markdown import code, cut, shortened
from app.core.names import StackId
from app.core.report_check import check_name
from app.core.run import Run
from app.core.runview import short
from app.core.stack import Stack
from app.core.table import table_lines
from app.core.words_drift import drift_words
from app.core.words_run import part_word, run_line, word_of

MAX_WHY = 120
"""Characters of a reason that a line shows."""
MAX_CALLED = 10
"""Stacks of one name that a message lists."""
NO_RUNS = "no runs yet: push a change to a stack's project root"
NO_STACKS = "no stacks yet: push .trackside/stacks.yml to a default branch"
_RUNS = ("RUN", "CHECK", "COMMIT", "STATE", "CHANGES", "WHY")
_STACKS = ("ID", "REPOSITORY", "STACK", "HEAD", "ROOT", "DRIFT", "KEPT BY")


def run_lines(runs: Sequence[Run]) -> list[str]:
    """The table of runs; empty without any."""
    return table_lines(_RUNS, (_run_row(run) for run in runs))


def run_document(run: Run) -> dict[str, object]:
    """One run for programs."""
    return {
        "id": run.id,
        "stack_id": run.stack_id,
        "stack": run.stack_name,
        "repository_id": run.repository_id,
        "type": run.type.value,
        "check": check_name(run),
        "state": run.state.value,
        "word": word_of(run),
        "head_sha": run.head_sha,
        "ref": run.ref,
        "pull_number": run.pull_number,
        "triggered_by": run.triggered_by,
        "decided_by": run.decided_by or None,
        "plan": _plan_document(run),
        "is_outcome_unknown": run.is_outcome_unknown,
        "reason": run.reason,
        "created_at": run.created_at.isoformat(),
        "updated_at": run.updated_at.isoformat(),
    }


def stack_lines(stacks: Sequence[tuple[Stack, Repository | None]], drift: Mapping[StackId, DriftSeen]) -> list[str]:
    """The table of stacks, with what is known of their drift; empty without any."""
    rows = (_stack_row(stack, repository, drift.get(stack.id)) for stack, repository in stacks)
    return table_lines(_STACKS, rows)


def stacks_called(word: str, stacks: Sequence[tuple[Stack, Repository | None]]) -> dict[StackId, str]:
    """The stacks that have that name, plainly or as OWNER/REPO/NAME, each with its full name. Within a repository,
    detached ones count only where no other has the name."""
    found: dict[str, list[Stack]] = {}
    for stack, repository in stacks:
        full = f"{repository.full_name}/{stack.name}" if repository is not None else stack.name
        if word == stack.name or word.lower() == full.lower():
            found.setdefault(full, []).append(stack)
    called: dict[StackId, str] = {}
    for full, namesakes in found.items():
        attached = [stack for stack in namesakes if not stack.is_detached]
        called |= {stack.id: full for stack in attached or namesakes}
    return called


def several_called(word: str, called: Mapping[StackId, str]) -> str:
    """A name that several stacks have. One that two of a repository have had is told by their ids."""
    names = Counter(called.values())
    listed = sorted(full if names[full] == 1 else f"{stack_id} ({full})" for stack_id, full in called.items())
    shown = ", ".join(code(name) for name in listed[:MAX_CALLED])
    more = f" and {len(listed) - MAX_CALLED:,} more" if len(listed) > MAX_CALLED else ""
    return f"looking up stack {shortened(word, 80)}: several are called that; write one of {shown}{more}"


def stack_document(stack: Stack, repository: Repository | None, drift: DriftSeen | None) -> dict[str, object]:
    """One stack for programs."""
    return {
        "id": stack.id,
        "repository": repository.full_name if repository is not None else None,
        "repository_id": stack.repository_id,
        "name": stack.name,
        "branch": stack.settings.branch,
        "project_root": stack.settings.project_root,
        "labels": list(stack.settings.labels),
        "worker_pool": stack.settings.worker_pool,
        "head_sha": stack.head_sha,
        "state_mode": stack.state_mode.value if stack.state_mode is not None else None,
        "is_detached": stack.is_detached,
        "hold_reason": stack.hold_reason or None,
        "lock_owner": stack.lock_owner or None,
        "lock_note": stack.lock_note or None,
        "lock_key": stack.lock_key or None,
        "drift": _drift_document(stack, drift or DriftSeen()),
    }


def _run_row(run: Run) -> tuple[str, ...]:
    counts = run_line(run).counts if run.plan is not None and run.plan.has_changes else "-"
    reason = " ".join(line.strip() for line in run.reason.strip().splitlines()[:2])
    why = "; ".join(part for part in (part_word(run), cut(reason, MAX_WHY)) if part)
    return run.id, check_name(run), short(run.head_sha), word_of(run), counts, why


def _plan_document(run: Run) -> dict[str, object] | None:
    """The newest plan, with the counts of its resources."""
    plan = run.plan
    if plan is None:
        return None
    part, rest = run.targeting, plan.rest
    return {
        "number": plan.number,
        "digest": plan.digest,
        "has_changes": plan.has_changes,
        "counts": run_line(run).counts if plan.has_changes else None,
        "verdict": plan.verdict.value,
        "approval": plan.approval.value,
        "part_of": part.of_plan if part is not None else None,
        "still_pending": {"least": rest.least, "most": rest.most} if rest is not None else None,
    }


def _drift_document(stack: Stack, seen: DriftSeen) -> dict[str, object] | None:
    """When drift is looked for next, and what is known of it; None for a stack without schedule and finding."""
    turn, found = seen.turn, seen.found
    if turn.due_at is None and found is None and not turn.told:
        return None
    return {
        "schedules": list(stack.settings.drift_schedules),
        "timezone": stack.settings.drift_timezone or "UTC",
        "due_at": turn.due_at.isoformat() if turn.due_at is not None else None,
        "told": turn.told or None,
        "has_drift": found.has_drift if found is not None else None,
        "compared_at": found.at.isoformat() if found is not None else None,
        "run_id": found.run_id if found is not None else None,
        "resources": found.resources if found is not None else None,
    }


def _stack_row(stack: Stack, repository: Repository | None, drift: DriftSeen | None) -> tuple[str, ...]:
    name = repository.full_name if repository is not None else "?"
    head = short(stack.head_sha) if stack.head_sha else "-"
    return (
        stack.id,
        name,
        stack.name,
        head,
        stack.settings.project_root or ".",
        drift_words(drift or DriftSeen()),
        _kept_by(stack),
    )


def _kept_by(stack: Stack) -> str:
    """What keeps its runs from starting."""
    told = []
    if stack.is_detached:
        told.append("detached")
    if stack.hold_reason:
        told.append(f"on hold: {stack.hold_reason}")
    if stack.lock_owner:
        told.append(f"locked by {stack.lock_owner}")
    if stack.lock_key:
        told.append(f"locked with the key {stack.lock_key}")
    return "; ".join(told)
