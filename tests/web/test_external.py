"""CI marks what a run waits for: with the one token, in one of three words, or not at all."""

import pytest

from app.core.errors import UserError
from app.core.names import RunId, Secret
from app.core.run import ExternalState
from tests.web.memory import World

RUN = "01JD00000000000000000000R1"
TOKEN = "a-token-of-the-pipeline"
AUTHORISED = {"authorization": f"Bearer {TOKEN}"}


def marked(world: World) -> list[tuple[str, str, str]]:
    """Let marks in; what was marked."""
    seen: list[tuple[str, str, str]] = []

    def mark(run: RunId, name: str, state: ExternalState) -> str:
        if name == "unknown":
            raise UserError("marking unknown: it waits for nothing outside")
        seen.append((run, name, state.value))
        return "noted"

    world.settings |= {"external_token": Secret(TOKEN), "mark_external": mark}
    return seen


def test_ci_marks_a_dependency(world: World) -> None:
    seen = marked(world)
    answer = world.client().post(f"/external/{RUN}/images/app", json={"state": "finished"}, headers=AUTHORISED)
    assert (answer.status_code, answer.json()) == (200, {"said": "noted"})
    assert seen == [(RUN, "images/app", "finished")]


@pytest.mark.parametrize("header", ["", "Bearer wrong-token-of-the-pipeline", f"Basic {TOKEN}"])
def test_nobody_else_does(world: World, header: str) -> None:
    seen = marked(world)
    answer = world.client().post(
        f"/external/{RUN}/image", json={"state": "finished"}, headers={"authorization": header}
    )
    assert (answer.status_code, seen) == (401, [])


def test_without_a_token_in_the_settings_the_address_is_closed(world: World) -> None:
    for header in ({}, {"authorization": "Bearer "}):
        answer = world.client().post(f"/external/{RUN}/image", json={"state": "finished"}, headers=header)
        assert answer.status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"state": "pending"}', b'{"state": "done"}', b"[" * 3000])
def test_a_word_that_is_none_of_the_three_is_refused(world: World, body: bytes) -> None:
    seen = marked(world)
    answer = world.client().post(f"/external/{RUN}/image", content=body, headers=AUTHORISED)
    assert (answer.status_code, seen) == (400, [])


def test_what_the_run_does_not_wait_for_is_said(world: World) -> None:
    marked(world)
    answer = world.client().post(f"/external/{RUN}/unknown", json={"state": "failed"}, headers=AUTHORISED)
    assert (answer.status_code, answer.json()["error"]) == (422, "marking unknown: it waits for nothing outside")
    assert world.client().post("/external/no-run/image", json={}, headers=AUTHORISED).status_code == 404
    large = world.client().post(f"/external/{RUN}/image", content=b" " * 5000, headers=AUTHORISED)
    assert large.status_code == 413
