"""The input document of the push policy: everything that one is asked about one event and one stack.

Pure. Names and shapes are those of the policies that users bring along; every documented key is always there, and
every moment is in Unix nanoseconds. Source: the push policy's contract, docs/policies.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from app.core.event import Repository
from app.core.names import Sha
from app.core.run import Run, RunState
from app.core.stack import Stack

MAX_RECORDED_FILES: Final = 300
"""Files of a list that a decision's record keeps; the rest is counted."""
Document = dict[str, object]
"""JSON, as a policy sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitFacts:
    """A commit as policies see one."""

    sha: str = ""
    author: str = ""
    """A login where an event names one, else the author's name in git."""
    branch: str = ""
    tag: str = ""
    message: str = ""
    created_at: datetime | None = None
    pull_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullAsked:
    """A pull request as policies see one, at the moment of the event."""

    action: str
    """opened, reopened, closed, merged, edited, labeled, unlabeled, synchronize, commented, approved, …"""
    initiator: str
    number: int
    title: str
    author: str
    base: CommitFacts
    head: CommitFacts
    head_owner: str
    is_closed: bool
    is_draft: bool
    labels: tuple[str, ...]
    diff: tuple[str, ...] | None
    """Files between the merge base and the head; None: not known."""
    comment: str = ""
    is_approved: bool = False
    is_mergeable: bool = False
    is_undiverged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAsked:
    """What was pushed: of a pull request its head commit, or its merge commit once merged."""

    commit: CommitFacts
    is_verified: bool = False
    signer: str = ""
    is_tag_verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAsked:
    """One event, as all stacks of the repository are asked about it."""

    repository: Repository
    push: PushAsked
    pull: PullAsked | None
    at: datetime
    web_url: str
    """Where GitHub's pages are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackAsked:
    """One stack, as it is when the event is decided."""

    stack: Stack
    state: RunState | None
    """Of its newest tracked run; None: it never had one."""
    tracked: CommitFacts | None
    """Its head; None before the first."""
    in_progress: tuple[Run, ...] = ()
    """Its runs that are queued, ready or unconfirmed."""


def event_document(asked: EventAsked) -> Document:
    """The part of the document that is the same for every stack; `push.affected_files` is not in it yet."""
    moment = nanoseconds(asked.at)
    return {
        "pull_request": _pull(asked) if asked.pull is not None else None,
        "push": _push(asked.push),
        "vcs_integration": _integration(asked),
        "spacelift": {"request": {"timestamp_ns": moment}},
        "request": {"timestamp_ns": moment},
        "module": None,
    }


def stack_document(event: EventAsked, asked: StackAsked) -> Document:
    """The part of the document that is the stack's own."""
    return {
        "stack": stack_part(event, asked),
        "in_progress": [run_part(event, run) for run in asked.in_progress],
    }


def with_files(document: Document, files: Sequence[str] | None) -> Document:
    """The document with the push's changed files; not known: every path counts, and `affected_files` is empty."""
    push = document["push"]
    listed = list(files) if files is not None else []
    return document | {"push": {**(push if isinstance(push, dict) else {}), "affected_files": listed}}


def recorded(document: Document) -> Document:
    """The document as a decision's record keeps it: long lists of files are cut, and counted beside."""
    kept: Document = {}
    for key, value in document.items():
        match value:
            case dict():
                kept[key] = recorded(value)
            case list() if key in ("affected_files", "diff"):
                kept[f"{key}_count"] = len(value)
                kept[key] = value[:MAX_RECORDED_FILES]
            case _:
                kept[key] = value
    return kept


def stack_id_of(stack: Stack, repository: Repository) -> str:
    """What policies see as `stack.id`."""
    return stack.policy_id or f"{repository.full_name}/{stack.name}"


def nanoseconds(moment: datetime | None) -> int:
    """Unix nanoseconds; 0 for a moment that nobody knows."""
    if moment is None:
        return 0
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def _push(push: PushAsked) -> Document:
    commit = push.commit
    return {
        "affected_files": [],
        "author": commit.author,
        "branch": commit.branch,
        "created_at": nanoseconds(commit.created_at),
        "hash": commit.sha,
        "message": commit.message,
        "tag": commit.tag,
        "verified": push.is_verified,
        "signer": push.signer,
        "tag_verified": push.is_tag_verified,
    }


def commit_part(event: EventAsked, commit: CommitFacts | None, *, is_on_tracked: bool = False) -> Document:
    """A commit, as every type of policy sees one."""
    known = commit or CommitFacts()
    repository = event.repository
    return {
        "author": known.author,
        "branch": known.branch,
        "created_at": nanoseconds(known.created_at),
        "hash": known.sha,
        "message": known.message,
        "tag": known.tag,
        "url": f"{event.web_url}/{repository.full_name}/commit/{known.sha}" if known.sha else "",
        "pull_request_id": known.pull_number,
        "exist_on_tracked_branch": is_on_tracked,
        "affected_files": [],
    }


def _pull(event: EventAsked) -> Document:
    pull = event.pull
    if pull is None:
        raise ValueError("the event has no pull request")
    return {
        "action": pull.action,
        "action_initiator": pull.initiator,
        "approved": pull.is_approved,
        "author": pull.author,
        "base": commit_part(event, pull.base),
        "closed": pull.is_closed,
        "comment": pull.comment,
        "diff": list(pull.diff) if pull.diff is not None else [],
        "draft": pull.is_draft,
        "head": commit_part(event, pull.head),
        "head_owner": pull.head_owner,
        "id": pull.number,
        "labels": list(pull.labels),
        "mergeable": pull.is_mergeable,
        "title": pull.title,
        "undiverged": pull.is_undiverged,
    }


def _integration(event: EventAsked) -> Document:
    """The one integration that there is: this App's installation on the account."""
    is_cloud = event.web_url == "https://github.com"
    return {
        "id": str(event.repository.installation_id),
        "name": event.repository.owner,
        "description": "",
        "provider": "GITHUB" if is_cloud else "GITHUB_ENTERPRISE",
        "is_default": True,
        "labels": [],
        "space": _SPACE,
        "created_at": 0,
        "updated_at": 0,
    }


_SPACE: Final[Document] = {"id": "root", "name": "root", "labels": []}
"""There are no spaces here; policies that look find the one of everything."""


def stack_part(event: EventAsked, asked: StackAsked) -> Document:
    """A stack, as every type of policy sees one."""
    stack, settings = asked.stack, asked.stack.settings
    return {
        "id": stack_id_of(stack, event.repository),
        "name": stack.name,
        "namespace": event.repository.owner,
        "repository": event.repository.name,
        "branch": settings.branch,
        "project_root": settings.project_root,
        "additional_project_globs": list(settings.additional_project_globs),
        "administrative": False,
        "roles": [],
        "autodeploy": settings.autodeploy,
        "labels": list(settings.labels),
        "locked_by": stack.lock_owner or stack.locked_by or None,
        "state": asked.state.value.upper() if asked.state is not None else "NONE",
        "space": _SPACE,
        "contexts": [],
        "terraform_version": settings.version or None,
        "terraform_workflow_tool": "OPEN_TOFU" if settings.tool.value == "opentofu" else "TERRAFORM_FOSS",
        "tracked_commit": commit_part(event, asked.tracked, is_on_tracked=True) if asked.tracked is not None else None,
        "worker_pool": {
            "id": settings.worker_pool,
            "name": settings.worker_pool,
            "public": settings.worker_pool == "default",
            "labels": [],
        },
    }


def run_part(event: EventAsked, run: Run) -> Document:
    """A run, as every type of policy sees one."""
    branch = run.ref.removeprefix("refs/heads/") if run.ref.startswith("refs/heads/") else ""
    commit = CommitFacts(
        sha=Sha(run.head_sha),
        author=run.triggered_by,
        branch=branch,
        tag=run.tag,
        message=run.message,
        pull_number=run.pull_number,
    )
    return {
        "id": run.id,
        "type": run.type.value.upper(),
        "state": run.state.value.upper(),
        "branch": branch,
        "based_on_local_workspace": False,
        "command": None,
        "commit": commit_part(event, commit),
        "created_at": nanoseconds(run.created_at),
        "updated_at": nanoseconds(run.updated_at),
        "drift_detection": run.is_of_drift,
        "flags": list(run.flags),
        "triggered_by": run.asked_by,
        "user_provided_metadata": [],
    }
