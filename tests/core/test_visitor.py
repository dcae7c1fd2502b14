"""Who sees what, how long GitHub's word is believed, and where a page may lead back to."""

from datetime import UTC, datetime, timedelta

import pytest

from app.core.names import RepositoryId
from app.core.stack import Permission, StackSettings
from app.core.visitor import MAX_SEEN, SEEN_FOR, Account, LoginProblem, Session, may_see, problem_of, way_back

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN = "01JD00000000000000000000R1"
SESSION = Session(account=Account(id=1, login="alice"), csrf="x")
PRIVATE, PUBLIC, SHOWN = (True, False), (False, False), (False, True)
"""Whether the repository is private, and whether the stack has `public_plans`."""


@pytest.mark.parametrize(
    ("permission", "seen"),
    [
        (None, []),
        (Permission.NONE, []),
        (Permission.READ, [PRIVATE, SHOWN]),
        (Permission.WRITE, [PRIVATE, PUBLIC, SHOWN]),
        (Permission.ADMIN, [PRIVATE, PUBLIC, SHOWN]),
    ],
)
def test_a_stack_is_for_those_who_read_a_private_repository_and_write_a_public_one(
    permission: Permission | None, seen: list[tuple[bool, bool]]
) -> None:
    found = [
        (is_private, public_plans)
        for is_private, public_plans in (PRIVATE, PUBLIC, SHOWN)
        if may_see(
            permission,
            is_veiled=StackSettings(name="app", public_plans=public_plans).veils(is_private=is_private),
        )
    ]
    assert found == seen


@pytest.mark.parametrize(
    "path",
    ["/", f"/runs/{RUN}", f"/runs/{RUN}/log", f"/runs/{RUN}/changes?page=3", f"/stacks/{RUN}", f"/runs/{RUN}/changes"],
)
def test_a_login_leads_back_to_pages_of_ours(path: str) -> None:
    assert way_back(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//evil.example.org",
        "/\\evil.example.org",
        "https://evil.example.org/",
        "javascript:alert(1)",
        f"/runs/{RUN}\n",
        f"/runs/{RUN}@evil.example.org",
        f"/runs/{RUN}/../../logout",
        f"/runs/{RUN}?next=//evil",
        f"/runs/{RUN.lower()}",
        "/logout",
        "/login/callback?code=x",
        " /",
    ],
)
def test_a_login_leads_nowhere_else(path: str) -> None:
    assert way_back(path) == "/"


def test_what_github_said_is_believed_for_five_minutes_and_no_longer() -> None:
    one = RepositoryId(7)
    session = SESSION.with_seen({one: Permission.READ}, NOW)
    assert session.find_seen(one, NOW) is Permission.READ
    assert session.find_seen(one, NOW + SEEN_FOR - timedelta(seconds=1)) is Permission.READ
    assert session.find_seen(one, NOW + SEEN_FOR) is None
    assert session.find_seen(one, NOW - timedelta(seconds=1)) is None, "told by a clock that went backwards"
    assert session.find_seen(RepositoryId(8), NOW) is None
    later = session.with_seen({RepositoryId(8): Permission.NONE}, NOW + SEEN_FOR)
    assert list(later.seen) == [RepositoryId(8)], "what is not believed any more is not kept"


def test_a_session_remembers_so_many_repositories_the_newest_answers() -> None:
    many = {RepositoryId(number): Permission.READ for number in range(1, MAX_SEEN + 11)}
    session = SESSION.with_seen(many, NOW)
    assert len(session.seen) == MAX_SEEN
    assert session.find_seen(RepositoryId(MAX_SEEN + 10), NOW) is Permission.READ


def test_githubs_words_for_errors_are_known_and_others_are_others() -> None:
    assert problem_of("access_denied") is LoginProblem.DENIED
    assert problem_of("redirect_uri_mismatch") is LoginProblem.CALLBACK
    assert problem_of("<script>") is LoginProblem.OTHER
