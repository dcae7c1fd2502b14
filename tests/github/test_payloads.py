"""The wall where payloads stop: what becomes an event."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.core.event import (
    HANDLED_EVENTS,
    AccountRenamed,
    Click,
    Comment,
    CommentDeleted,
    CommentEdited,
    Ignored,
    InstallationChanged,
    Malformed,
    Push,
    RepositoriesChosen,
    Repository,
    RepositoryMoved,
    RepositoryStands,
    Rerequest,
    Standing,
)
from app.core.names import AccountId, InstallationId, RepositoryId, Sha
from app.github.payloads import make_reader
from app.sandbox import Repo, SandboxGitHub
from tests.github import payload_samples as samples
from tests.github.payload_samples import (
    APP_ID,
    CHECK_RUN,
    CHECK_SUITE,
    COMMIT_COMMENT,
    INSTALLATION,
    ISSUE_COMMENT,
    MERGE_GROUP,
    MISSING,
    OURS,
    PULL_REQUEST,
    PUSH,
    RENAMED,
    REVIEW,
    SHA_A,
    SHA_B,
    ZERO,
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


def push(**fields: Any) -> Push:
    """The sample push as an event, with other fields."""
    base: dict[str, Any] = {
        "repository": INFRA,
        "ref": "refs/heads/main",
        "before": Sha(SHA_A),
        "after": Sha(SHA_B),
        "is_forced": False,
        "is_deleted": False,
        "sender": "alice",
        "message": "Widen the net",
    }
    return Push(**base | fields)


def comment(**fields: Any) -> Comment:
    """The sample comment on a pull request as an event, with other fields."""
    base: dict[str, Any] = {
        "repository": INFRA,
        "comment_id": 492700400,
        "pull_number": 7,
        "sha": None,
        "body": "/trackside confirm net",
        "created_at": datetime(2026, 5, 15, 15, 20, 21, tzinfo=UTC),
        "sender": "alice",
        "is_bot": False,
        "is_pull_open": False,
    }
    return Comment(**base | fields)


PUSHES = {
    "a branch moves": ({}, push()),
    "a tag appears": ({"ref": "refs/tags/v1", "before": ZERO}, push(ref="refs/tags/v1", before=Sha(ZERO))),
    "a tag that is called main is no branch": ({"ref": "refs/tags/main"}, push(ref="refs/tags/main")),
    "a branch with slashes and umlauts": ({"ref": "refs/heads/a/ü"}, push(ref="refs/heads/a/ü")),
    "a branch goes": (
        {"after": ZERO, "deleted": True, "head_commit": None},
        push(after=Sha(ZERO), is_deleted=True, message=""),
    ),
    "a tag goes": (
        {"ref": "refs/tags/v1", "after": ZERO, "deleted": True, "head_commit": None},
        push(ref="refs/tags/v1", after=Sha(ZERO), is_deleted=True, message=""),
    ),
    "zeros alone say that it went": ({"after": ZERO}, push(after=Sha(ZERO), is_deleted=True)),
    "a forced push": ({"forced": True}, push(is_forced=True)),
    "flags may be null": ({"forced": None, "deleted": None, "created": None}, push()),
    "flags may be missing": ({"forced": MISSING, "deleted": MISSING}, push()),
    "no head commit": ({"head_commit": MISSING}, push(message="")),
    "no sender but a pusher": ({"sender": None}, push(sender="alice")),
    "neither sender nor pusher": ({"sender": MISSING, "pusher": MISSING}, push(sender="")),
    "a message with NUL, escapes and blank lines": (
        {"head_commit__message": "\n \n\x1b[31mred\0\tline\nsecond"},
        push(message="[31mredline"),
    ),
    "a message that never ends": ({"head_commit__message": "x" * 100_000}, push(message="x" * 300)),
    "unknown fields of any shape": ({"commits": {"not": "a list"}, "brand_new": [1]}, push()),
}


@pytest.mark.parametrize(("changes", "expected"), PUSHES.values(), ids=PUSHES.keys())
def test_a_push_becomes_an_event(changes: dict[str, Any], expected: Push) -> None:
    assert read("push", changed(PUSH, **changes)) == expected


CLICK = Click(
    repository=INFRA,
    check_run_id=128620228,
    identifier="c0123456789abcdef",
    head_sha=Sha(SHA_B),
    sender="alice",
    external_id="RUN/1",
)
AGAIN = Rerequest(
    repository=INFRA,
    head_sha=Sha(SHA_B),
    sender="alice",
    is_bot=False,
    check_name="deploy/net",
    external_id="RUN/1",
)
COMMENTS: dict[str, tuple[str, bytes, object]] = {
    "a click on our button": ("check_run", changed(CHECK_RUN), CLICK),
    "our check run, asked for again": ("check_run", changed(CHECK_RUN, action="rerequested"), AGAIN),
    "our check run, asked for again by an App": (
        "check_run",
        changed(CHECK_RUN, action="rerequested", sender__type="Bot"),
        replace(AGAIN, is_bot=True),
    ),
    "all our checks, asked for again": (
        "check_suite",
        changed(CHECK_SUITE),
        replace(AGAIN, check_name="", external_id=""),
    ),
    "a click by an App's account": (
        "check_run",
        changed(CHECK_RUN, sender__login="ci[bot]"),
        Click(
            repository=INFRA,
            check_run_id=128620228,
            identifier="c0123456789abcdef",
            head_sha=Sha(SHA_B),
            sender="ci[bot]",
            external_id="RUN/1",
        ),
    ),
    "a click on a check run that names no run": (
        "check_run",
        changed(CHECK_RUN, check_run__external_id=None),
        replace(CLICK, external_id=""),
    ),
    "a comment on a pull request": ("issue_comment", changed(ISSUE_COMMENT), comment()),
    "a comment on one that is open": (
        "issue_comment",
        changed(ISSUE_COMMENT, issue__state="open"),
        comment(is_pull_open=True),
    ),
    "a comment on one whose state nobody told": (
        "issue_comment",
        changed(ISSUE_COMMENT, issue__state=MISSING),
        comment(is_pull_open=None),
    ),
    "a comment by a bot account": (
        "issue_comment",
        changed(ISSUE_COMMENT, sender={"login": "dependabot[bot]", "type": "Bot"}),
        comment(sender="dependabot[bot]", is_bot=True),
    ),
    "a person's comment sent through an App": (
        "issue_comment",
        changed(ISSUE_COMMENT, comment__performed_via_github_app={"id": 5}),
        comment(is_bot=True),
    ),
    "a comment whose author is a bot, whoever sent it": (
        "issue_comment",
        changed(ISSUE_COMMENT, comment__user={"login": "x[bot]"}),
        comment(is_bot=True),
    ),
    "a comment of a ghost, without words": (
        "issue_comment",
        changed(ISSUE_COMMENT, comment__user=None, comment__body=None),
        comment(body=""),
    ),
    "a comment with NUL": (
        "issue_comment",
        changed(ISSUE_COMMENT, comment__body="/trackside\0"),
        comment(body="/trackside\ufffd"),
    ),
    "a comment of ours that somebody edited": (
        "issue_comment",
        changed(OURS, action="edited", changes={"body": {"from": "- [ ] one"}}, comment__body="- [x] one\0"),
        CommentEdited(
            repository=INFRA,
            comment_id=492700400,
            pull_number=7,
            old_body="- [ ] one",
            new_body="- [x] one\ufffd",
            edited_at=comment().created_at,
            sender="alice",
            is_bot=False,
        ),
    ),
    "a comment of ours that somebody deleted": (
        "issue_comment",
        changed(OURS, action="deleted"),
        CommentDeleted(repository=INFRA, comment_id=492700400, pull_number=7, sender="alice"),
    ),
    "a comment on a commit": (
        "commit_comment",
        changed(COMMIT_COMMENT),
        comment(
            comment_id=33548674,
            pull_number=None,
            sha=Sha(SHA_B),
            is_pull_open=None,
            body="/trackside why",
            created_at=datetime(2026, 5, 15, 13, 20, 39, tzinfo=UTC),
        ),
    ),
    "a repository renamed": ("repository", changed(RENAMED), RepositoryMoved(repository=INFRA)),
    "a repository transferred": (
        "repository",
        changed(RENAMED, action="transferred", changes={"owner": {"from": {"user": {"login": "old"}}}}),
        RepositoryMoved(repository=INFRA),
    ),
    "a repository made public": (
        "repository",
        changed(RENAMED, action="publicized", changes=MISSING),
        RepositoryMoved(repository=INFRA),
    ),
    "a default branch changed": (
        "repository",
        changed(RENAMED, action="edited", changes={"default_branch": {"from": "master"}}),
        RepositoryMoved(repository=INFRA),
    ),
    "the App installed": (
        "installation",
        changed(INSTALLATION),
        InstallationChanged(installation_id=InstallationId(42), account="acme", is_active=True),
    ),
    "the App removed": (
        "installation",
        changed(INSTALLATION, action="deleted"),
        InstallationChanged(installation_id=InstallationId(42), account="acme", is_active=False, is_gone=True),
    ),
    "repositories chosen": (
        "installation_repositories",
        changed(
            INSTALLATION, action="removed", repositories_added=[], repositories_removed=[{"id": 7, "name": "infra"}]
        ),
        RepositoriesChosen(installation_id=InstallationId(42), account="acme", added=(), removed=(RepositoryId(7),)),
    ),
    "the account renamed": (
        "installation_target",
        changed(
            INSTALLATION,
            action="renamed",
            account={"login": "acme-corp", "id": 9},
            changes={"login": {"from": "acme"}},
        ),
        AccountRenamed(installation_id=InstallationId(42), account="acme-corp", before="acme"),
    ),
    "a repository archived": (
        "repository",
        changed(RENAMED, action="archived"),
        RepositoryStands(repository=INFRA, standing=Standing.ARCHIVED),
    ),
    "a repository back from the archive": (
        "repository",
        changed(RENAMED, action="unarchived"),
        RepositoryStands(repository=INFRA, standing=Standing.HERE),
    ),
    "a repository deleted": (
        "repository",
        changed(RENAMED, action="deleted"),
        RepositoryStands(repository=INFRA, standing=Standing.DELETED),
    ),
    "the App suspended": (
        "installation",
        changed(INSTALLATION, action="suspend"),
        InstallationChanged(installation_id=InstallationId(42), account="acme", is_active=False),
    ),
    "the App back on an enterprise": (
        "installation",
        changed(INSTALLATION, action="unsuspend", installation__account={"slug": "acme-corp"}),
        InstallationChanged(installation_id=InstallationId(42), account="acme-corp", is_active=True),
    ),
    "the App installed on nobody": (
        "installation",
        changed(INSTALLATION, installation__account=None),
        InstallationChanged(installation_id=InstallationId(42), account="", is_active=True),
    ),
}


@pytest.mark.parametrize(("event", "body", "expected"), COMMENTS.values(), ids=COMMENTS.keys())
def test_the_other_payloads_become_events(event: str, body: bytes, expected: object) -> None:
    assert read(event, body) == expected


def test_every_event_that_is_stored_has_an_answer_other_than_not_handled() -> None:
    for event in HANDLED_EVENTS:
        found = read(event, b"{}")
        assert not isinstance(found, Ignored) or "not handled" not in found.reason


def test_the_sandbox_sends_what_the_reader_reads(sandbox: SandboxGitHub, repo: Repo) -> None:
    """A story in the sandbox, and what each of its deliveries becomes."""
    sandbox.webhook_url = "http://127.0.0.1:9/never-there"
    reader = make_reader(sandbox.app.id)
    sandbox.post.hold()
    sha = repo.push(files={"net/main.tf": "two\n"}, message="Two", author="alice")
    repo.tag("v1", by="alice")
    repo.delete_tag("v1", by="alice")
    repo.set_branch("topic", sha, by="alice")
    repo.push("topic", {"net/main.tf": "three\n"}, "Three", author="alice")
    number = repo.open_pull("topic", "main", "Three", author="alice")
    repo.comment_on_pull(number, "/trackside help", by="alice")
    repo.comment_on_commit(sha, "/trackside why", by="alice")
    sandbox.rename_repository("acme/infra", "infrastructure")
    sandbox.suspend("acme")
    sandbox.post.release()
    sandbox.wait_deliveries()
    found = [reader(one.event, one.body) for one in sandbox.deliveries]
    assert [one for one in found if isinstance(one, Malformed)] == []
    events = [one for one in found if not isinstance(one, Ignored | Malformed)]
    assert [type(one).__name__ for one in events] == [
        *["Push"] * 5,
        "PullChanged",
        *["Comment"] * 2,
        "RepositoryMoved",
        "InstallationChanged",
    ]
    assert [one.is_deleted for one in events if isinstance(one, Push)] == [False, False, True, False, False]
    assert [one.repository.name for one in events if isinstance(one, RepositoryMoved)] == ["infrastructure"]


def test_the_samples_are_whole() -> None:
    """Each sample, unchanged, is an event: so that each wrong one is wrong for its own reason."""
    for event, payload in (
        ("push", PUSH),
        ("check_run", CHECK_RUN),
        ("issue_comment", ISSUE_COMMENT),
        ("commit_comment", COMMIT_COMMENT),
        ("pull_request", PULL_REQUEST),
        ("pull_request_review", REVIEW),
        ("merge_group", MERGE_GROUP),
        ("repository", RENAMED),
        ("installation", samples.INSTALLATION),
    ):
        assert not isinstance(read(event, changed(payload)), Ignored | Malformed)
