"""The protocol's description: what is served is what is committed, it is OpenAPI, and it says what the code does."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from starlette.routing import BaseRoute, Mount, Route

from app.core import protocol
from app.web.worker_openapi import CALLS, worker_openapi, worker_openapi_text
from tests.web.memory import POOL_TOKEN, World

FILE = Path(__file__).parent.parent.parent / "docs" / "worker-protocol.openapi.json"


def routes(world: World) -> set[tuple[str, str]]:
    """Every method and path of the worker's door, as the app serves it."""
    found: set[tuple[str, str]] = set()
    mounts: list[BaseRoute] = [one for one in world.app().routes if isinstance(one, Mount) and one.path == "/worker/v1"]
    for mount in mounts:
        assert isinstance(mount, Mount)
        for route in mount.routes:
            assert isinstance(route, Route)
            found |= {(method.lower(), f"/worker/v1{route.path}") for method in route.methods or () if method != "HEAD"}
    return found - {("get", "/worker/v1/openapi.json")}


def test_the_file_is_what_the_code_says() -> None:
    said = FILE.read_text(encoding="utf-8")
    assert said == worker_openapi_text(), f"python -m app.web.worker_openapi > docs/{FILE.name}"


def test_it_is_a_valid_openapi_document() -> None:
    validate(worker_openapi(), cls=OpenAPIV31SpecValidator)


def test_it_has_every_call_and_no_other(world: World) -> None:
    said = {(method, path) for path, calls in worker_openapi()["paths"].items() for method in calls}
    assert said == routes(world)


def test_everyone_may_read_it(world: World) -> None:
    answer = world.client(peer="203.0.113.9").get("/worker/v1/openapi.json")
    assert (answer.status_code, answer.text) == (200, worker_openapi_text())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_every_call_says_who_may_and_what_a_no_means(call: Any) -> None:
    said = worker_openapi()["paths"][f"/worker/v1{call.path}"][call.method]
    assert said["security"] == [{"pool" if call.path == "/claim" else "assignment": []}]
    assert {"400", "401"} <= set(said["responses"])
    for status, answer in said["responses"].items():
        if int(status) >= 400:
            schema = answer["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}


def test_what_a_claim_is_answered_with_is_what_the_description_says(world: World) -> None:
    world.work.waiting.append("default")
    asked = {"worker": "host/1", "wait_s": 0}
    headers = {"authorization": f"Bearer {POOL_TOKEN}"}
    answer = world.client().post("/worker/v1/claim", content=json.dumps(asked), headers=headers)
    require("ClaimRequest", asked)
    require("Assignment", answer.json())
    refused = world.client().post("/worker/v1/claim", content=json.dumps(asked))
    require("Problem", refused.json())
    with pytest.raises(AssertionError, match="'worker' is a required property"):
        require("ClaimRequest", {"wait_s": 0})


def test_it_names_the_version_of_the_protocol() -> None:
    assert worker_openapi()["info"]["version"] == str(protocol.VERSION)


def require(name: str, value: object) -> None:
    """The value has the shape of that name. Raises: AssertionError."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": worker_openapi()["components"]}
    errors = [error.message for error in OAS31Validator(schema).iter_errors(value)]
    assert not errors, errors
