"""The wall where payloads stop: what is ignored and why, what is malformed and what it lacks."""

import pytest

from app.core.event import (
    Ignored,
    Malformed,
)
from app.github.payloads import make_reader
from tests.github.payload_samples import (
    APP_ID,
    CHECK_RUN,
    CHECK_SUITE,
    COMMIT_COMMENT,
    INSTALLATION,
    ISSUE_COMMENT,
    MISSING,
    OURS,
    PUSH,
    RENAMED,
    changed,
)

read = make_reader(APP_ID)
IGNORED: dict[str, tuple[str, bytes, str]] = {
    "a merge queue's branch": (
        "push",
        changed(PUSH, ref="refs/heads/gh-readonly-queue/main/pr-1-abc"),
        "push of a merge queue's branch: left to merge_group",
    ),
    "notes": ("push", changed(PUSH, ref="refs/notes/x"), "push to refs/notes/x: neither a branch nor a tag"),
    "a ref that only begins like one": (
        "push",
        changed(PUSH, ref="xrefs/heads/main"),
        "push to xrefs/heads/main: neither a branch nor a tag",
    ),
    "a branch without a name": (
        "push",
        changed(PUSH, ref="refs/heads/"),
        "push to refs/heads/: neither a branch nor a tag",
    ),
    "another App's click": ("check_run", changed(CHECK_RUN, check_run__app__id=1), "check run of another App"),
    "another App's odd check run": (
        "check_run",
        changed(CHECK_RUN, check_run={"app": {"id": 1}}, action="completed"),
        "check run of another App",
    ),
    "a check run of no App": ("check_run", changed(CHECK_RUN, check_run__app=None), "check run of another App"),
    "our own check run": ("check_run", changed(CHECK_RUN, action="created"), "check run created: not a click"),
    "an edited comment": (
        "issue_comment",
        changed(ISSUE_COMMENT, action="edited"),
        "comment edited: only new comments are read",
    ),
    "a deleted comment": (
        "issue_comment",
        changed(ISSUE_COMMENT, action="deleted"),
        "comment deleted: only new comments are read",
    ),
    "another App's comment, edited": (
        "issue_comment",
        changed(ISSUE_COMMENT, action="edited", comment__performed_via_github_app={"id": APP_ID + 1}),
        "comment edited: only new comments are read",
    ),
    "a comment of ours, edited by ourselves": (
        "issue_comment",
        changed(OURS, action="edited", sender={"login": "trackside[bot]", "type": "Bot"}),
        "a comment of our own, edited by ourselves",
    ),
    "a comment of ours, edited without another text": (
        "issue_comment",
        changed(OURS, action="edited", changes={}),
        "comment edited: its text stayed what it was",
    ),
    "a comment of ours, pinned": (
        "issue_comment",
        changed(OURS, action="pinned"),
        "comment pinned: only new comments are read",
    ),
    "a comment on an issue": (
        "issue_comment",
        changed(ISSUE_COMMENT, issue__pull_request=MISSING),
        "comment on an issue that is not a pull request",
    ),
    "an edited commit comment": (
        "commit_comment",
        changed(COMMIT_COMMENT, action="edited"),
        "commit comment edited: only new comments are read",
    ),
    "an edited description": (
        "repository",
        changed(RENAMED, action="edited", changes={"description": {"from": None}}),
        "repository edited: nothing that is kept changed",
    ),
    "an edit that names nothing": (
        "repository",
        changed(RENAMED, action="edited", changes=None),
        "repository edited: nothing that is kept changed",
    ),
    "a new repository": (
        "repository",
        changed(RENAMED, action="created", changes=MISSING),
        "repository created: nothing that is kept changed",
    ),
    "new permissions": (
        "installation",
        changed(INSTALLATION, action="new_permissions_accepted"),
        "installation new_permissions_accepted: nothing that is kept changed",
    ),
    "our own check suite": (
        "check_suite",
        changed(CHECK_SUITE, action="requested"),
        "check suite requested: nothing is asked for",
    ),
    "another App's check suite": (
        "check_suite",
        changed(CHECK_SUITE, check_suite__app__id=1),
        "check suite of another App",
    ),
    "a ping": ("ping", b'{"zen": "Design for failure."}', "ping"),
    "something else": ("star", b"{}", "star events are not handled"),
    "a hostile name": ("x\x1b]0;" + "y" * 99, b"{}", "x]0;" + "y" * 36 + " events are not handled"),
    "no name": ("", b"{}", "unnamed events are not handled"),
}


@pytest.mark.parametrize(("event", "body", "reason"), IGNORED.values(), ids=IGNORED.keys())
def test_what_is_none_of_our_business_is_ignored_with_a_reason(event: str, body: bytes, reason: str) -> None:
    assert read(event, body) == Ignored(reason)


MALFORMED: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("push", b"", "push: the body is not JSON: Input data was truncated"),
    "no JSON": ("push", b"payload=%7B%7D", "push: the body is not JSON: JSON is malformed: invalid character (byte 0)"),
    "a list": ("push", b"[]", "push: the body: expected `object`, got `array`"),
    "null": ("push", b"null", "push: the body is null"),
    "broken UTF-8": ("push", b'{"ref": "\xff"}', "push: the body is not JSON: 'utf-8' codec can't decode byte 0xff"),
    "half a surrogate": ("push", b'{"ref": "\\ud800"}', "push: the body is not JSON: Input data was truncated"),
    "an abyss": ("push", b'{"ref": "refs/heads/main", "x": ' + b"[" * 200_000, "push: the body is nested too deeply"),
    "no ref": ("push", changed(PUSH, ref=MISSING), "push: ref is missing"),
    "no repository": ("push", changed(PUSH, repository=MISSING), "push: repository is missing"),
    "no repository id": ("push", changed(PUSH, repository__id=MISSING), "push: repository.id is missing"),
    "a null id": ("push", changed(PUSH, repository__id=None), "push: repository.id is null"),
    "an id of text": ("push", changed(PUSH, repository__id="1"), "push: repository.id: expected `int`, got `str`"),
    "an id of 70 bits": ("push", changed(PUSH, repository__id=2**70), "push: repository.id: "),
    "an id below one": ("push", changed(PUSH, repository__id=0), "push: repository.id: expected `int` >= 1"),
    "no owner": ("push", changed(PUSH, repository__owner__login=MISSING), "push: repository.owner.login is missing"),
    "an owner with a way out": (
        "push",
        changed(PUSH, repository__owner__login="../x"),
        "push: repository.owner.login: expected `str` matching regex",
    ),
    "a name with a way out": ("push", changed(PUSH, repository__name=".."), "push: repository.name: expected `str`"),
    "no installation": ("push", changed(PUSH, installation=MISSING), "push: installation is missing"),
    "no installation id": ("push", changed(PUSH, installation={}), "push: installation.id is missing"),
    "a short SHA": ("push", changed(PUSH, after="abc"), "push: after: expected `str` matching regex"),
    "a SHA in capitals": ("push", changed(PUSH, before="A" * 40), "push: before: expected `str` matching regex"),
    "a ref with a line in it": ("push", changed(PUSH, ref="refs/heads/a\nb"), "push: ref: expected `str` matching"),
    "an endless ref": ("push", changed(PUSH, ref="refs/heads/" + "x" * 2000), "push: ref: expected `str` of length"),
    "a click without identifier": (
        "check_run",
        changed(CHECK_RUN, requested_action=MISSING),
        "check_run: requested_action is missing",
    ),
    "a click with a long identifier": (
        "check_run",
        changed(CHECK_RUN, requested_action__identifier="x" * 21),
        "check_run: requested_action.identifier: expected `str` of length <= 20",
    ),
    "a click by nobody": ("check_run", changed(CHECK_RUN, sender=MISSING), "check_run: sender is missing"),
    "a click without action": ("check_run", changed(CHECK_RUN, action=MISSING), "check_run: action is missing"),
    "a comment without number": (
        "issue_comment",
        changed(ISSUE_COMMENT, issue__number=MISSING),
        "issue_comment: issue.number is missing",
    ),
    "a comment at no time": (
        "issue_comment",
        changed(ISSUE_COMMENT, comment__created_at=MISSING),
        "issue_comment: comment.created_at is missing",
    ),
    "a comment at a vague time": (
        "issue_comment",
        changed(ISSUE_COMMENT, comment__created_at="2026-05-15T15:20:21"),
        "issue_comment: comment.created_at: expected `datetime` with a timezone component",
    ),
    "a comment on no commit": (
        "commit_comment",
        changed(COMMIT_COMMENT, comment__commit_id=MISSING),
        "commit_comment: comment.commit_id is missing",
    ),
    "a rename of nothing": ("repository", changed(RENAMED, repository=None), "repository: repository is null"),
    "an installation of nothing": (
        "installation",
        changed(INSTALLATION, installation=MISSING),
        "installation: installation is missing",
    ),
}


@pytest.mark.parametrize(("event", "body", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_lacks_something_is_malformed_and_says_what(event: str, body: bytes, reason: str) -> None:
    found = read(event, body)
    assert isinstance(found, Malformed)
    assert found.reason.startswith(reason)
    assert len(found.reason) <= 300
