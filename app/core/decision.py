"""The push policy's question and answer: what an event means for one stack, and the record that explains it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from app.core.names import ConfigVersionId, OrganisationVersionId, Sha, StackId

HELD_BACK: Final = "the pull request comes from a fork: its commits are validated only where somebody allows it"
"""Ends the reason of a decision about a fork's commit that made no run, and would have made one otherwise."""


class Verdict(StrEnum):
    """What a push means for a stack."""

    TRACK = "track"
    """The head moves and a tracked run is made."""
    PROPOSE = "propose"
    """A proposed run would be made."""
    IGNORE = "ignore"
    """Nothing happens; the reason says why."""
    FAIL = "fail"
    """The question could not be answered: nothing happens, and the commit says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushInput:
    """What the push policy is asked. Shape: one push, one stack."""

    branch: str
    """Empty for a tag."""
    tag: str
    """Empty for a branch; never null."""
    affected_files: tuple[str, ...] | None
    """Paths that changed; None: not known, so everything counts as changed."""
    project_root: str
    additional_project_globs: tuple[str, ...]
    stack_branch: str
    pull_files: tuple[str, ...] | None = ()
    """What the pull request of the event changes, all in all; empty for a push; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a push policy said: its rules, the verdict that they add up to, and the reason in words."""

    verdict: Verdict
    reason: str
    """For people: `outside infra/network`, `tag v1 ignored: no policy tracks tags`."""
    rules: dict[str, bool]
    """Shape: rule name (track, propose, ignore) to its value."""


class EventKind(StrEnum):
    """What was decided about."""

    PUSH = "push"
    TAG = "tag"
    PULL_REQUEST = "pull_request"
    REVIEW = "pull_request_review"
    COMMENT = "comment"
    MERGE_GROUP = "merge_group"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOutcome:
    """What one policy said to one question, as the record keeps it."""

    name: str
    """`default` for the built-in push policy."""
    rules: Mapping[str, object] = field(default_factory=dict)
    """Shape: rule name to its JSON value."""
    fired: tuple[tuple[str, int], ...] = ()
    """Rules that came out true or with members, with the line that made them so (0: not known)."""
    prints: tuple[str, ...] = ()
    failure: str = ""
    """Why it gave no answer; empty when it did."""
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One record per push and stack, also when the answer is no. Never changed once written."""

    stack_id: StackId
    stack_name: str
    ref: str
    head_sha: Sha
    before: Sha
    config_version_id: ConfigVersionId | None
    policy: str
    """`default`, or the name of the policy that decided."""
    input: dict[str, object]
    """What was asked, as JSON; file lists are cut at 300 with a count."""
    answer: Answer
    event: EventKind = EventKind.PUSH
    action: str = ""
    """Of a pull request, review, comment or merge group: `synchronize`, `approved`, `commented`, …"""
    pull_number: int | None = None
    policies: tuple[PolicyOutcome, ...] = ()
    elapsed_s: float = 0.0
    is_sampled: bool = False
    """A policy asked for it to be looked at (`sample`)."""
    organisation_version_id: OrganisationVersionId | None = None
    """The version of the organisation's settings that decided with it; None: there was none."""
    note: str = ""
    """What a reader must also know: `the base could not be had: everything counts as changed`; `duplicate of run …`."""
