"""Pull requests, reviews and merge groups at the wall: each action told apart, forks and gone accounts included."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.event import Ignored, Malformed, MergeGroup, PullChanged, PullReviewed, Repository
from app.core.names import AccountId, InstallationId, RepositoryId, Sha
from app.core.pull import MergeGroupAction, PullAction, PullFacts, ReviewAction, ReviewState
from app.github.payloads import make_reader
from app.sandbox import Repo, SandboxGitHub
from tests.github.payload_samples import (
    APP_ID,
    MERGE_GROUP,
    MISSING,
    PULL_REQUEST,
    REVIEW,
    SHA_A,
    SHA_B,
    SHA_C,
    changed,
)

read = make_reader(APP_ID)
INFRA = Repository(
    id=RepositoryId(186853002),
    owner="acme",
    name="infra",
    default_branch="main",
    is_private=True,
    installation_id=InstallationId(42),
    owner_id=AccountId(21031067),
)
FACTS = PullFacts(
    number=7,
    title="Widen the net",
    author="bob",
    head_sha=Sha(SHA_B),
    head_ref="topic",
    head_owner="acme",
    head_repository_id=INFRA.id,
    base_sha=Sha(SHA_A),
    base_ref="main",
    is_draft=False,
    is_closed=False,
    is_merged=False,
    potential_merge_sha=Sha(SHA_C),
    labels=("prod",),
)
OPENED = PullChanged(repository=INFRA, action=PullAction.OPENED, number=7, pull=FACTS, sender="alice")
FORK = {"id": 99, "name": "infra", "owner": {"login": "mallory"}, "fork": True}
MERGED = {"state": "closed", "merged": True, "merged_at": "2026-05-15T15:20:38Z"}


@pytest.mark.parametrize(
    "action",
    [
        "opened",
        "reopened",
        "synchronize",
        "labeled",
        "unlabeled",
        "edited",
        "ready_for_review",
        "converted_to_draft",
    ],
)
def test_a_pull_request_changes_in_eight_ways_and_ends_in_two(action: str) -> None:
    found = read("pull_request", changed(PULL_REQUEST, action=action))
    assert found == replace(OPENED, action=PullAction(action))


def test_closed_and_merged_are_told_apart() -> None:
    closed = read("pull_request", changed(PULL_REQUEST, action="closed", pull_request__state="closed"))
    assert closed == replace(OPENED, action=PullAction.CLOSED, pull=replace(FACTS, is_closed=True))
    shape = PULL_REQUEST["pull_request"] | MERGED
    merged = read("pull_request", changed(PULL_REQUEST, action="closed", pull_request=shape))
    facts = replace(FACTS, is_closed=True, is_merged=True, merge_commit_sha=Sha(SHA_C), potential_merge_sha=None)
    assert merged == replace(OPENED, action=PullAction.MERGED, pull=facts)


PULLS: dict[str, tuple[dict[str, Any], PullFacts]] = {
    "from a fork": (
        {"pull_request__head__repo": FORK},
        replace(FACTS, head_owner="mallory", head_repository_id=RepositoryId(99)),
    ),
    "from a fork that is gone": (
        {"pull_request__head__repo": None, "pull_request__head__user": None},
        replace(FACTS, head_owner="", head_repository_id=None),
    ),
    "by an account that is gone": ({"pull_request__user": None}, replace(FACTS, author="")),
    "a draft": ({"pull_request__draft": True}, replace(FACTS, is_draft=True)),
    "nothing tried yet": ({"pull_request__merge_commit_sha": None}, replace(FACTS, potential_merge_sha=None)),
    "without what later versions dropped": (
        {"pull_request__merge_commit_sha": MISSING, "pull_request__merged": MISSING, "pull_request__draft": MISSING},
        replace(FACTS, potential_merge_sha=None),
    ),
    "labels in order, odd ones left out": (
        {"pull_request__labels": [{"name": "b"}, {"name": None}, {"name": "a\0" + "x" * 200}, {}]},
        replace(FACTS, labels=("b", "a\ufffd" + "x" * 98)),
    ),
    "no labels": ({"pull_request__labels": None}, replace(FACTS, labels=())),
    "a hostile title": (
        {"pull_request__title": "\x1b[31m" + "x" * 1000 + "\nmore"},
        replace(FACTS, title="[31m" + "x" * 295),
    ),
}


@pytest.mark.parametrize(("changes", "facts"), PULLS.values(), ids=PULLS.keys())
def test_what_a_pull_request_says_of_itself(changes: dict[str, Any], facts: PullFacts) -> None:
    assert read("pull_request", changed(PULL_REQUEST, **changes)) == replace(OPENED, pull=facts)


def test_a_head_elsewhere_or_nowhere_is_a_fork() -> None:
    assert not FACTS.is_from_fork(INFRA.id)
    assert replace(FACTS, head_repository_id=RepositoryId(99)).is_from_fork(INFRA.id)
    assert replace(FACTS, head_repository_id=None).is_from_fork(INFRA.id)


REVIEWED = PullReviewed(
    repository=INFRA,
    pull=FACTS,
    action=ReviewAction.SUBMITTED,
    review_state=ReviewState.APPROVED,
    reviewer="carol",
    sender="alice",
)
REVIEWS: dict[str, tuple[dict[str, Any], PullReviewed]] = {
    "an approval": ({}, REVIEWED),
    "changes requested": (
        {"review__state": "changes_requested"},
        replace(REVIEWED, review_state=ReviewState.CHANGES_REQUESTED),
    ),
    "a comment, edited": (
        {"action": "edited", "review__state": "COMMENTED"},
        replace(REVIEWED, action=ReviewAction.EDITED, review_state=ReviewState.COMMENTED),
    ),
    "a dismissal": (
        {"action": "dismissed", "review__state": "dismissed"},
        replace(REVIEWED, action=ReviewAction.DISMISSED, review_state=ReviewState.DISMISSED),
    ),
    "by an account that is gone": ({"review__user": None}, replace(REVIEWED, reviewer="")),
}


@pytest.mark.parametrize(("changes", "expected"), REVIEWS.values(), ids=REVIEWS.keys())
def test_a_review_becomes_an_event(changes: dict[str, Any], expected: PullReviewed) -> None:
    assert read("pull_request_review", changed(REVIEW, **changes)) == expected


GROUP = MergeGroup(
    repository=INFRA,
    action=MergeGroupAction.CHECKS_REQUESTED,
    head_sha=Sha(SHA_B),
    head_ref=f"refs/heads/gh-readonly-queue/main/pr-7-{SHA_A}",
    base_sha=Sha(SHA_A),
    base_ref="refs/heads/main",
    sender="alice",
)


def test_a_merge_group_comes_and_goes() -> None:
    assert read("merge_group", changed(MERGE_GROUP)) == GROUP
    assert GROUP.base_branch == "main"
    gone = read("merge_group", changed(MERGE_GROUP, action="destroyed", reason="dequeued", sender=MISSING))
    assert gone == replace(GROUP, action=MergeGroupAction.DESTROYED, reason="dequeued", sender="")


IGNORED: dict[str, tuple[str, bytes, str]] = {
    "assigned": ("pull_request", b'{"action": "assigned"}', "pull request assigned: not seen by policies"),
    "merged is no action of GitHub's": (
        "pull_request",
        b'{"action": "merged"}',
        "pull request merged: not seen by policies",
    ),
    "a hostile action": ("pull_request", b'{"action": "x\\ny"}', "pull request x: not seen by policies"),
    "an unknown review": (
        "pull_request_review",
        changed(REVIEW, action="praised"),
        "review praised: not seen by policies",
    ),
    "a review of an unknown kind": (
        "pull_request_review",
        changed(REVIEW, review__state="pondered"),
        "review that is pondered: not seen by policies",
    ),
    "an unknown turn of a group": (
        "merge_group",
        changed(MERGE_GROUP, action="paused"),
        "merge group paused: not seen by policies",
    ),
}


@pytest.mark.parametrize(("event", "body", "reason"), IGNORED.values(), ids=IGNORED.keys())
def test_what_policies_do_not_see_is_ignored_by_name(event: str, body: bytes, reason: str) -> None:
    assert read(event, body) == Ignored(reason)


MALFORMED: dict[str, tuple[str, bytes, str]] = {
    "no action": ("pull_request", b"{}", "pull_request: action is missing"),
    "no pull request": (
        "pull_request",
        changed(PULL_REQUEST, pull_request=MISSING),
        "pull_request: pull_request is missing",
    ),
    "a short head": (
        "pull_request",
        changed(PULL_REQUEST, pull_request__head__sha="abc"),
        "pull_request: pull_request.head.sha: expected `str`",
    ),
    "a head without a branch": (
        "pull_request",
        changed(PULL_REQUEST, pull_request__head__ref=""),
        "pull_request: pull_request.head.ref: expected `str`",
    ),
    "a fork of a hostile owner": (
        "pull_request",
        changed(PULL_REQUEST, pull_request__head__repo={"id": 1, "owner": {"login": "../x"}}),
        "pull_request: pull_request.head.repo.owner.login: expected `str`",
    ),
    "endless labels": (
        "pull_request",
        changed(PULL_REQUEST, pull_request__labels=[{"name": "x"}] * 1001),
        "pull_request: pull_request.labels: expected `array` of length <= 1000",
    ),
    "number zero": (
        "pull_request",
        changed(PULL_REQUEST, pull_request__number=0),
        "pull_request: pull_request.number: expected `int` >= 1",
    ),
    "a review of nothing": (
        "pull_request_review",
        changed(REVIEW, review=MISSING),
        "pull_request_review: review is missing",
    ),
    "a review by nobody": (
        "pull_request_review",
        changed(REVIEW, sender=MISSING),
        "pull_request_review: sender is missing",
    ),
    "a group without a head": (
        "merge_group",
        changed(MERGE_GROUP, merge_group__head_sha=MISSING),
        "merge_group: merge_group.head_sha is missing",
    ),
}


@pytest.mark.parametrize(("event", "body", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_lacks_something_is_malformed_and_says_what(event: str, body: bytes, reason: str) -> None:
    found = read(event, body)
    assert isinstance(found, Malformed)
    assert found.reason.startswith(reason)


def test_the_sandbox_sends_what_the_reader_reads(sandbox: SandboxGitHub, repo: Repo) -> None:
    """The life of a fork's pull request, through the merge queue, as the events that it becomes."""
    sandbox.webhook_url = "http://127.0.0.1:9/never-there"
    sandbox.post.hold()
    repo.set_permission("mallory", "read")
    fork = sandbox.fork_repository("acme/infra", "mallory")
    fork.push("topic", {"net/main.tf": "two\n"}, author="mallory")
    number = repo.open_pull("mallory:topic", author="mallory", draft=True)
    fork.push("topic", {"net/main.tf": "three\n"}, author="mallory")
    repo.mark_ready(number, by="mallory")
    repo.add_labels(number, "prod", by="alice")
    repo.dismiss_review(number, repo.approve(number, by="alice"), by="alice")
    group = repo.enqueue_pull(number, by="alice")
    repo.land_group(group, by="alice")
    sandbox.post.release()
    sandbox.wait_deliveries()
    reader = make_reader(sandbox.app.id)
    found = [reader(one.event, one.body) for one in sandbox.deliveries]
    assert [one for one in found if isinstance(one, Malformed)] == []
    pulls = [one for one in found if isinstance(one, PullChanged)]
    assert [one.action.value for one in pulls] == ["opened", "synchronize", "ready_for_review", "labeled", "merged"]
    assert all(one.pull.is_from_fork(one.repository.id) for one in pulls)
    assert [one.pull.head_owner for one in pulls] == ["mallory"] * 5
    assert pulls[-1].pull.merge_commit_sha == group.head_sha
    reviews = [one.review_state.value for one in found if isinstance(one, PullReviewed)]
    assert reviews == ["approved", "dismissed"]
    groups = [(one.action.value, one.head_sha, one.reason) for one in found if isinstance(one, MergeGroup)]
    assert groups == [("checks_requested", group.head_sha, ""), ("destroyed", group.head_sha, "merged")]
