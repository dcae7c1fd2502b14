"""The push policy's input: every documented key is always there, moments are nanoseconds, long lists are cut."""

from dataclasses import replace
from typing import Any

from app.core.names import Sha
from app.core.pushinput import (
    CommitFacts,
    PullAsked,
    StackAsked,
    event_document,
    recorded,
    stack_document,
    with_files,
)
from app.core.run import RunState
from tests.flows.made import AT, BASE, HEAD, case_of, stack

NANOSECONDS = 1772366400000005000
"""AT, by hand: 2026-03-01 12:00 UTC and five microseconds."""
EVENT = case_of([], ["a.tf"]).event
PULL = PullAsked(
    action="labeled",
    initiator="bob",
    number=7,
    title="Work",
    author="alice",
    base=CommitFacts(sha=BASE, branch="main"),
    head=CommitFacts(sha=HEAD, branch="work", pull_number=7),
    head_owner="acme",
    is_closed=False,
    is_draft=True,
    labels=("prod",),
    diff=tuple(f"f{number}.tf" for number in range(400)),
    is_approved=True,
)
COMMIT = {
    "author", "branch", "created_at", "hash", "message", "tag", "url", "pull_request_id", "exist_on_tracked_branch",
    "affected_files",
}  # fmt: skip


def test_a_push_has_no_pull_request_and_an_empty_tag() -> None:
    """`null != ""` would be true, and every push would be ignored by a policy that asks for a tag."""
    document: Any = with_files(event_document(EVENT), ["a.tf"])
    assert document["pull_request"] is None
    assert document["push"] == {
        "affected_files": ["a.tf"],
        "author": "alice",
        "branch": "main",
        "created_at": NANOSECONDS,
        "hash": HEAD,
        "message": "Change",
        "tag": "",
        "verified": False,
        "signer": "",
        "tag_verified": False,
    }
    assert document["vcs_integration"]["provider"] == "GITHUB"
    assert document["request"]["timestamp_ns"] == NANOSECONDS


def test_a_pull_request_has_every_documented_key() -> None:
    document: Any = event_document(replace(EVENT, pull=PULL))
    pull = document["pull_request"]
    assert set(pull) == {
        "action", "action_initiator", "approved", "author", "base", "closed", "comment", "diff", "draft", "head",
        "head_owner", "id", "labels", "mergeable", "title", "undiverged",
    }  # fmt: skip
    assert set(pull["head"]) == set(pull["base"]) == COMMIT
    assert (pull["id"], pull["draft"], pull["approved"], pull["mergeable"]) == (7, True, True, False)
    assert pull["head"]["url"] == f"https://github.com/acme/infra/commit/{HEAD}"


def test_a_stack_has_every_documented_key() -> None:
    head = Sha("c" * 40)
    asked = StackAsked(
        stack=replace(stack("app"), lock_key="PR_5", locked_by="policy locks", head_sha=head),
        state=RunState.UNCONFIRMED,
        tracked=CommitFacts(sha=head, created_at=AT),
    )
    document: Any = stack_document(EVENT, asked)
    assert set(document["stack"]) == {
        "id", "name", "namespace", "repository", "branch", "project_root", "additional_project_globs",
        "administrative", "roles", "autodeploy", "labels", "locked_by", "state", "space", "contexts",
        "terraform_version", "terraform_workflow_tool", "tracked_commit", "worker_pool",
    }  # fmt: skip
    assert document["stack"]["id"] == "acme/infra/app"
    assert document["stack"]["state"] == "UNCONFIRMED"
    assert document["stack"]["locked_by"] == "policy locks"
    assert set(document["stack"]["tracked_commit"]) == COMMIT
    assert document["in_progress"] == []
    fresh: Any = stack_document(EVENT, StackAsked(stack=stack(root=""), state=None, tracked=None))
    assert (fresh["stack"]["state"], fresh["stack"]["project_root"]) == ("NONE", "")
    assert (fresh["stack"]["tracked_commit"], fresh["stack"]["locked_by"]) == (None, None)


def test_a_record_cuts_long_lists_and_counts_them() -> None:
    whole = with_files(event_document(replace(EVENT, pull=PULL)), [f"f{number}" for number in range(301)])
    kept: Any = recorded(whole)
    assert (len(kept["push"]["affected_files"]), kept["push"]["affected_files_count"]) == (300, 301)
    assert (len(kept["pull_request"]["diff"]), kept["pull_request"]["diff_count"]) == (300, 400)
