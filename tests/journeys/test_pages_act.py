"""People log in to the pages with GitHub and decide there: the same commands, the same answers, one audit log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.run import RunState
from app.sandbox import AppSettings
from tests.browser import Browser, form_of
from tests.driver import World, open_world

FILES = {
    ".trackside/stacks.yml": "version: 1\nstacks:\n  - name: app\n    project_root: app\n",
    "app/main.tf": 'resource "terraform_data" "web" { input = "one" }\nresource "terraform_data" "db" {}\n',
}
APP = AppSettings()
CLIENT = {"GITHUB_CLIENT_ID": APP.client_id, "GITHUB_CLIENT_SECRET": APP.client_secret}


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """A world to whose pages people log in, and see nothing before."""
    with open_world(tmp_path, database_url, PAGES_ACCESS="login", **CLIENT) as made:
        yield made


def test_a_plan_is_confirmed_on_its_page_by_somebody_who_has_logged_in(world: World) -> None:
    """From the check's link by GitHub's login to the page; a part is chosen by ticks, confirmed there, applied; who did
    it, and that it was on a page, is in the audit log. An older page, a reader and a stranger confirm nothing."""
    repo = world.repository()
    _, sha = world.land(repo, FILES, "First stack")
    check = world.expect_check(repo, sha, "deploy/app", "action_required")
    run, page = world.the_run(), f"/runs/{world.the_run().id}"
    assert check.details_url == f"{world.url}{page}"

    alice = Browser(world.url)
    assert alice.look(page).headers["location"] == f"/login?back={page}"
    whole = alice.log_in("alice", back=page)
    assert str(whole.url) == f"{world.url}{page}"
    assert "terraform_data.web" in whole.text
    assert not world.github.user_tokens, "a person's token ends with the question who they are"

    part = alice.send(
        "POST",
        f"{page}/replan",
        data={**form_of(whole.text, "replan")[1], "part": "ticked", "change": ["2"]},
        headers={"origin": world.url},
    )
    assert part.headers["location"] == page
    world.expect_state(RunState.UNCONFIRMED)
    assert "only 2" in str(world.sql("SELECT command FROM audit"))

    old = alice.press(whole, "confirm")
    assert "has changed since" in old.text
    assert world.the_run().state is RunState.UNCONFIRMED

    bob = Browser(world.url)
    seen = bob.log_in("bob", back=page)
    assert "bob has read permission" in bob.press(seen, "confirm").text
    mallory = Browser(world.url)
    world.github.create_user("mallory")
    nothing = mallory.log_in("mallory", back=page)
    assert (nothing.status_code, nothing.text) == (404, mallory.get("/runs/01JD0000000000000000000000").text)
    assert "acme" not in mallory.get("/").text

    done = alice.press(alice.get(page), "confirm")
    assert "confirmed" in done.text.lower()
    world.expect_state(RunState.FINISHED)
    assert world.sql("SELECT actor, source, command, is_allowed FROM audit ORDER BY at") == [
        ("alice", "page", f"replan {run.id} only 2", True),
        ("alice", "page", f"confirm {run.id}", False),
        ("bob", "page", f"confirm {run.id}", False),
        ("alice", "page", f"confirm {run.id}", True),
    ]
    assert world.sql("SELECT source FROM confirmations") == [("page",)]

    alice.press(alice.get(page), "logout")
    assert alice.look(page).status_code == 303
