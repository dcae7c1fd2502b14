"""The input documents of plan and approval policies: everything that one is asked about one plan.

Pure. Names and shapes are those of the policies that users bring along; every documented key is always there. What
lies under `spacelift` lies under `trackside` as well. Source: the policies' contracts, docs/policies.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from app.core.changeinput import WORDS, entity_part, made_run_part, type_and_name
from app.core.event import Repository
from app.core.plan import Kind, PlanSummary
from app.core.pushinput import (
    CommitFacts,
    Document,
    EventAsked,
    PushAsked,
    StackAsked,
    commit_part,
    nanoseconds,
    stack_part,
)
from app.core.review import PlanReview, current, newest
from app.core.run import Run, RunState
from app.core.stack import Stack

MAX_RESOURCES: Final = 200_000
"""Resource changes of one plan that policies are asked about."""
_OF_ACTIONS: Final = {
    ("create",): "added",
    ("update",): "changed",
    ("delete",): "deleted",
    ("delete", "create"): "destroy-Before-create-replaced",
    ("create", "delete"): "create-Before-destroy-replaced",
    ("forget",): "forget",
    ("create", "forget"): "create-Before-destroy-replaced",
    ("forget", "create"): "destroy-Before-create-replaced",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAsked:
    """One plan, as policies are asked about it."""

    repository: Repository
    web_url: str
    """Of GitHub."""
    at: datetime
    stack: Stack
    state: RunState | None
    """Of the stack's newest tracked run."""
    run: Run
    summary: PlanSummary | None
    previous: Run | None = None
    """The stack's state-changing run before; None: there was none."""
    previous_summary: PlanSummary | None = None


class _ChangeHead(msgspec.Struct, frozen=True):
    actions: tuple[str, ...] = ()
    importing: msgspec.Raw = msgspec.Raw(b"null")


class _ResourceHead(msgspec.Struct, frozen=True):
    address: str
    change: _ChangeHead
    previous_address: str = ""
    type: str = ""
    name: str = ""


def plan_document(asked: PlanAsked, resources: msgspec.Raw, terraform_version: str) -> Document:
    """The input of a plan policy. `resources`: the JSON that a worker handed in.

    Raises: ValueError when that is no list of resource changes: a worker's word is as hostile as any.
    """
    heads = msgspec.json.decode(resources, type=list[_ResourceHead])
    if len(heads) > MAX_RESOURCES:
        raise ValueError(f"more than {MAX_RESOURCES:,} resource changes")
    event = _event(asked)
    part: Document = {
        "commit": _commit(event, asked.run),
        "request": {"timestamp_ns": nanoseconds(asked.at)},
        "run": _run(event, asked.run, [one for head in heads if (one := _of_head(head)) is not None]),
        "stack": _stack(event, asked),
    }
    if asked.previous is not None:
        part["previous_run"] = _run(event, asked.previous, _changes(asked.previous_summary))
    return {
        "spacelift": part,
        "trackside": part,
        "terraform": {"terraform_version": terraform_version, "resource_changes": resources},
        "third_party_metadata": {},
    }


def approval_document(asked: PlanAsked, reviews: Sequence[PlanReview]) -> Document:
    """The input of an approval policy. `reviews`: all of the run, oldest first."""
    event, run = _event(asked), asked.run
    now = current(reviews, plan_number=run.plan_number, state=run.state)
    older = newest(one for one in reviews if one.plan_number != run.plan_number or one.state is not run.state)
    moment: Document = {"timestamp_ns": nanoseconds(asked.at)}
    return {
        "request": moment,
        "spacelift": {"request": moment},
        "trackside": {"request": moment},
        "reviews": {"current": _by_word(now), "older": _by_word(older)},
        "run": _run(event, run, _changes(asked.summary)),
        "stack": _stack(event, asked),
    }


def _event(asked: PlanAsked) -> EventAsked:
    return EventAsked(
        repository=asked.repository,
        push=PushAsked(commit=CommitFacts()),
        pull=None,
        at=asked.at,
        web_url=asked.web_url,
    )


def _commit(event: EventAsked, run: Run) -> Document:
    branch = run.ref.removeprefix("refs/heads/") if run.ref.startswith("refs/heads/") else ""
    return commit_part(
        event,
        CommitFacts(
            sha=run.head_sha,
            author=run.triggered_by,
            branch=branch,
            tag=run.tag,
            message=run.message,
            pull_number=run.pull_number,
        ),
        is_on_tracked=run.type.is_state_changing,
    )


def _stack(event: EventAsked, asked: PlanAsked) -> Document:
    head = CommitFacts(sha=asked.stack.head_sha) if asked.stack.head_sha else None
    return stack_part(event, StackAsked(stack=asked.stack, state=asked.state, tracked=head))


def _run(event: EventAsked, run: Run, changes: Sequence[Document]) -> Document:
    return {**made_run_part(event, run), "changes": list(changes), "repository_runtime_config_changed": False}


def _of_head(head: _ResourceHead) -> Document | None:
    """One of `run.changes`; None for a resource to which nothing happens, or that is only read."""
    actions, is_moved = head.change.actions, bool(head.previous_address)
    is_imported = bytes(head.change.importing) != b"null"
    if actions == ("no-op",):
        word = "import" if is_imported else "no-op" if is_moved else ""
    else:
        word = _OF_ACTIONS.get(actions, "")
    return _change(word, head.address, (head.type, head.name), is_moved=is_moved) if word else None


def _changes(summary: PlanSummary | None) -> list[Document]:
    """The changes of a plan that was handed in before, as far as they are kept."""
    listed = summary.changes if summary is not None else ()
    return [
        _change(WORDS[change.action], change.address, type_and_name(change), is_moved=bool(change.previous_address))
        for change in listed
        if change.kind is Kind.RESOURCE and change.action in WORDS
    ]


def _change(action: str, address: str, named: tuple[str, str], *, is_moved: bool) -> Document:
    return {"action": action, "phase": "plan", "moved": is_moved, "entity": entity_part(address, named)}


def _by_word(reviews: Sequence[PlanReview]) -> Document:
    return {
        "approvals": [_review(one) for one in reviews if one.is_approval],
        "rejections": [_review(one) for one in reviews if not one.is_approval],
    }


def _review(review: PlanReview) -> Document:
    return {
        "author": review.author,
        "author_roles": [review.role] if review.role else [],
        "note": review.note,
        "request": {"remote_ip": "", "timestamp_ns": nanoseconds(review.at)},
        "session": {
            "admin": review.role == "admin",
            "creator_ip": "",
            "login": review.author,
            "name": review.author,
            "teams": list(review.teams),
            "machine": False,
        },
        "state": review.state.value.upper(),
        "state_version": review.plan_number,
    }
