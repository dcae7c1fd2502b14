"""What plan policies see of a plan: hashes by default, no sensitive value ever, all of it or nothing."""

import json
from typing import Any

import msgspec
import pytest

from app.core.errors import UserError
from app.core.planresources import HASHED, MARKED, MAX_RESOURCES_BYTES, Resources, read_resources, sanitized

CANARY = "hunter2-canary"


def plan(before: Any, after: Any, *, marks: Any = False, **more: Any) -> bytes:
    """`show -json` of a plan with one changed resource."""
    change = {"actions": ["update"], "before": before, "after": after, "after_sensitive": marks, "before_sensitive": {}}
    one = {"address": "a.b", "type": "a", "name": "b", "mode": "managed", "provider_name": "p", "change": change | more}
    return json.dumps({"format_version": "1.2", "resource_changes": [one]}).encode()


def change(raw: bytes, mode: str = HASHED, secrets: tuple[str, ...] = ()) -> dict[str, Any]:
    """The change of that resource, as policies see it."""
    (one,) = json.loads(bytes(read_resources(raw, mode=mode, secrets=secrets).changes))
    found: dict[str, Any] = one["change"]
    return found


def test_the_hash_is_the_one_that_policies_compare_with() -> None:
    assert (sanitized("exampledb"), sanitized("mysql")) == ("59832d41", "eae35047")


def test_by_default_every_string_is_a_hash_and_everything_else_stays() -> None:
    seen = change(plan(None, {"name": "mysql", "size": 3, "is_on": True, "tags": {"a": ["exampledb", None]}}))
    assert seen["before"] is None
    assert seen["after"] == {"name": "eae35047", "size": 3, "is_on": True, "tags": {"a": ["59832d41", None]}}
    assert seen["actions"] == ["update"]


def test_a_stack_that_asks_for_it_shows_values_but_never_what_is_sensitive_or_a_known_secret() -> None:
    marks = {"password": True, "port": True, "list": [False, True], "map": True, "none": True}
    after = {
        "name": "mysql",
        "password": CANARY,
        "port": 5432,
        "list": ["a", CANARY],
        "map": {CANARY: "x"},
        "none": None,
        "copy": f"postgres://u:{CANARY}@h",
        "keyed": {CANARY: "y"},
    }
    raw = plan(after, after, marks=marks, before_sensitive=marks)
    seen = change(raw, MARKED, secrets=(CANARY,))
    assert CANARY not in json.dumps(seen)
    assert seen["after"]["name"] == "mysql"
    assert seen["after"]["password"] == sanitized(CANARY)
    assert seen["after"]["port"] == sanitized("5432")
    assert seen["after"]["list"] == ["a", sanitized(CANARY)]
    assert seen["after"]["map"] == sanitized(json.dumps({CANARY: "x"}, separators=(",", ":")))
    assert seen["after"]["none"] is None
    assert CANARY not in json.dumps(change(raw, HASHED, secrets=(CANARY,)))


def test_no_resource_is_left_out_and_every_key_is_there() -> None:
    raw = json.dumps(
        {
            "resource_changes": [
                {"address": "a.b", "change": {"actions": ["no-op"], "importing": {"id": "i-1"}}},
                {"address": "c.d", "previous_address": "c.old", "change": {"actions": ["delete", "create"]}},
            ]
        }
    ).encode()
    first, second = json.loads(bytes(read_resources(raw, mode=HASHED).changes))
    assert first["change"]["importing"] == {"id": sanitized("i-1")}
    assert second["previous_address"] == "c.old"
    assert {"type", "name", "mode", "provider_name", "index", "module_address"} <= first.keys()
    assert {"before", "after", "after_unknown", "before_sensitive", "after_sensitive"} <= first["change"].keys()


def test_a_plan_beyond_the_bound_hands_in_nothing_but_its_size() -> None:
    large = "x" * MAX_RESOURCES_BYTES
    found = read_resources(plan(None, {"name": large}), mode=MARKED)
    assert found.size_bytes > MAX_RESOURCES_BYTES
    assert bytes(found.changes) == b"null"
    assert read_resources(plan(None, {"name": large}), mode=HASHED).size_bytes == 0, "what counts is what is handed in"


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"resource_changes": [{}]}', b"\xff"])
def test_what_is_no_plan_is_an_error_and_not_an_empty_one(raw: bytes) -> None:
    with pytest.raises(UserError, match="not the JSON of a plan"):
        read_resources(raw, mode=HASHED)


def test_it_travels_as_it_is() -> None:
    found = read_resources(plan(None, {"name": "mysql"}), mode=HASHED)
    again = msgspec.json.decode(msgspec.json.encode(found), type=Resources)
    assert bytes(again.changes) == bytes(found.changes)
