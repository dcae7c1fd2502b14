"""The input document of the trigger policy: a run that has ended, its stack, the stacks that can be triggered, and the
workflow.

Pure. Names and shapes are those of the policies that users bring along; every documented key is always there. Source:
the trigger policy's contract, docs/triggers.md.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.core.changeinput import made_run_part
from app.core.event import Repository
from app.core.notice import StateChange
from app.core.noticeinput import changes_part
from app.core.plan import PlanSummary
from app.core.pushinput import (
    CommitFacts,
    Document,
    EventAsked,
    PushAsked,
    StackAsked,
    nanoseconds,
    run_part,
    stack_id_of,
    stack_part,
)
from app.core.run import Run, RunState
from app.core.stack import Stack
from app.core.trigger import Member

MAX_SEEN: Final = 2_000
"""Stacks that a policy sees; any that exists can be triggered."""
MAX_QUEUED: Final = 20
"""Queued runs of a stack that a policy sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A stack that a policy can trigger, as it sees it."""

    stack: Stack
    repository: Repository
    state: RunState | None
    """Of its newest tracked run."""
    queued: Sequence[Run] = ()

    @property
    def id(self) -> str:
        """What policies see as its id."""
        return stack_id_of(self.stack, self.repository)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that has ended, with all that trigger policies are told of it."""

    run: Run
    seen: Seen
    """Its own stack."""
    summary: PlanSummary | None
    """Of its newest plan."""
    history: Sequence[StateChange]
    workflow: Sequence[tuple[str, Member]]
    """Every run of the workflow, oldest first, each with its stack's id for policies."""
    at: datetime
    web_url: str
    """Where GitHub's pages are."""


def shared_document(ended: Ended) -> Document:
    """What every policy of the stack is told."""
    event = _event(ended, ended.seen.repository)
    return {
        "run": _run(ended, event),
        "stack": _stack(ended, ended.seen),
        "workflow": [
            {
                "id": member.id,
                "stack_id": stack_id,
                "type": member.type.value.upper(),
                "state": (member.state if member.id == ended.run.id else member.seen_state).value.upper(),
            }
            for stack_id, member in ended.workflow
        ],
        "module": None,
        "request": {"timestamp_ns": nanoseconds(ended.at)},
        "spacelift": {"request": {"timestamp_ns": nanoseconds(ended.at)}},
    }


def own_document(ended: Ended, visible: Sequence[Seen]) -> Document:
    """What one policy is told besides: the stacks that it can trigger."""
    return {"stacks": [_stack(ended, one) for one in visible[:MAX_SEEN]]}


def by_ids(visible: Sequence[Seen]) -> tuple[Mapping[str, Seen], Collection[str]]:
    """Each stack by its id, and the ids that several have. An `id` of the stacks file is what a repository says of
    itself: it takes no `owner/repo/name` from the stack whose name that is, and what two say means neither."""
    named = {one.id: one for one in visible if not one.stack.policy_id}
    said = [one for one in visible if one.stack.policy_id and one.id not in named]
    times = Counter(one.id for one in said)
    return named | {one.id: one for one in said}, {each for each, count in times.items() if count > 1}


def _event(ended: Ended, repository: Repository) -> EventAsked:
    return EventAsked(
        repository=repository, push=PushAsked(commit=CommitFacts()), pull=None, at=ended.at, web_url=ended.web_url
    )


def _stack(ended: Ended, seen: Seen) -> Document:
    event = _event(ended, seen.repository)
    head = CommitFacts(sha=seen.stack.head_sha) if seen.stack.head_sha else None
    return {
        **stack_part(event, StackAsked(stack=seen.stack, state=seen.state, tracked=head)),
        "queued_runs": [run_part(event, run) for run in seen.queued[:MAX_QUEUED]],
    }


def _run(ended: Ended, event: EventAsked) -> Document:
    run = ended.run
    is_applied = run.state is RunState.FINISHED and run.confirmed_digest is not None
    return {
        **made_run_part(event, run),
        "changes": changes_part(ended.summary, is_applied=is_applied),
        "drift_detection": run.is_of_drift,
        "triggered_by": run.asked_by,
        "states_history": [
            {
                "state": change.state.value.upper(),
                "state_version": change.version,
                "username": change.by,
                "note": change.cause,
                "timestamp": nanoseconds(change.at),
            }
            for change in ended.history
        ],
    }
