"""/state: Terraform's http backend protocol, as Terraform speaks it."""

import base64
import hashlib
import json

import httpx
import pytest

from app.web.state import MAX_STATE_BYTES
from tests.web.memory import ASSIGNMENT, STACK, World, basic, served

AT = f"/state/{STACK}"
STATE = b'{"version": 4, "serial": 1, "lineage": "x", "resources": []}'


def info(lock_id: str = "6f1d3d0c-lock") -> bytes:
    """Lock info as Terraform sends it."""
    return json.dumps({"ID": lock_id, "Operation": "OperationTypePlan", "Who": "me@host", "Info": ""}).encode()


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_lock_write_read_unlock_through_a_real_server(world: World, http: str) -> None:
    with served(world.app(), http=http) as url, httpx.Client(base_url=url, auth=basic()) as terraform:
        assert terraform.get(AT).status_code == 204
        assert terraform.request("LOCK", AT, content=info()).status_code == 200
        refused = terraform.request("LOCK", AT, content=info("another"))
        assert (refused.status_code, refused.json()["ID"], refused.json()["Who"]) == (423, "6f1d3d0c-lock", "me@host")
        md5 = base64.b64encode(hashlib.md5(STATE, usedforsecurity=False).digest()).decode()
        written = terraform.post(f"{AT}?ID=6f1d3d0c-lock", content=STATE, headers={"content-md5": md5})
        assert written.status_code == 200
        assert terraform.get(AT).content == STATE
        assert terraform.request("UNLOCK", AT, content=info()).status_code == 200
        assert terraform.delete(AT).status_code == 200
        assert terraform.get(AT).status_code == 204


def test_a_write_past_somebody_elses_lock_shows_the_holder(world: World) -> None:
    client = world.client()
    client.send("LOCK", AT, content=info(), auth=basic())
    answer = client.post(f"{AT}?ID=another", content=STATE, auth=basic())
    assert (answer.status_code, answer.json()["ID"]) == (423, "6f1d3d0c-lock")
    assert world.states.data is None


def test_a_write_after_the_end_is_kept_apart(world: World) -> None:
    world.states.is_over = True
    answer = world.client().post(AT, content=STATE, auth=basic())
    assert (answer.status_code, list(answer.json())) == (409, ["error"])
    assert world.states.kept_apart == [STATE]


@pytest.mark.parametrize("method", ["GET", "LOCK", "UNLOCK", "DELETE"])
def test_everything_else_after_the_end_is_forbidden(world: World, method: str) -> None:
    world.states.is_over = True
    assert world.client().send(method, AT, content=info(), auth=basic()).status_code == 403


@pytest.mark.parametrize("method", ["POST", "LOCK"])
def test_read_only_credentials_change_nothing(world: World, method: str) -> None:
    world.states.is_read_only = True
    client = world.client()
    assert client.send(method, AT, content=STATE if method == "POST" else info(), auth=basic()).status_code == 403
    assert client.get(AT, auth=basic()).status_code == 204


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "LOCK", "UNLOCK"])
def test_wrong_credentials_are_401_whatever_is_wrong(world: World, method: str) -> None:
    client = world.client()
    for path, headers in (
        (AT, {}),
        (AT, authorised("wrong")),
        (AT, authorised("state-password", "01JD00000000000000000000A2")),
        (AT, authorised("state-password", "not an id")),
        (AT, authorised("")),
        (AT, {"authorization": "Basic !!!"}),
        (AT, {"authorization": "Basic " + "A" * 5000}),
        (AT, {"authorization": "Bearer state-password"}),
        ("/state/01JD0000000000000000000002", authorised("state-password")),
        ("/state/network", authorised("state-password")),
    ):
        answer = client.send(method, path, content=info(), headers=headers)
        assert (answer.status_code, list(answer.json())) == (401, ["error"]), (path, headers)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_state_that_is_no_object_is_400(world: World, body: bytes) -> None:
    assert world.client().post(AT, content=body, auth=basic()).status_code == 400
    assert world.states.data is None


def test_a_state_that_was_damaged_on_its_way_is_400(world: World) -> None:
    answer = world.client().post(AT, content=STATE, auth=basic(), headers={"content-md5": "AAAA"})
    assert (answer.status_code, "Content-MD5" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"ID": ""}', b'{"ID": 5}', b'{"ID": "a b"}'])
def test_a_lock_without_an_id_is_400(world: World, body: bytes) -> None:
    assert world.client().send("LOCK", AT, content=body, auth=basic()).status_code == 400


def test_a_forced_unlock_has_no_body(world: World) -> None:
    client = world.client()
    client.send("LOCK", AT, content=info(), auth=basic())
    assert client.send("UNLOCK", AT, auth=basic()).status_code == 200
    assert world.states.lock_id == ""


def test_bodies_are_bounded(world: World) -> None:
    client = world.client()
    said = {"content-length": str(MAX_STATE_BYTES + 1)}
    assert client.post(AT, content=b" ", auth=basic(), headers=said).status_code == 413
    assert client.send("LOCK", AT, content=b" " * 20_000, auth=basic()).status_code == 413
    assert client.get(f"{AT}?ID={'x' * 129}", auth=basic()).status_code == 400


def test_other_methods_are_refused(world: World) -> None:
    client = world.client()
    assert client.put(AT, content=STATE, auth=basic()).status_code == 405
    assert client.send("HEAD", AT, auth=basic()).status_code == 405


def authorised(password: str, name: str = ASSIGNMENT) -> dict[str, str]:
    """A Basic header."""
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
