"""The documents of plan and approval policies: every documented key is there, whatever is known."""

import json
from dataclasses import replace

import msgspec
import pytest

from app.core.planinput import PlanAsked, approval_document, plan_document
from app.core.pushinput import Document
from app.core.review import PlanReview
from app.core.run import Run, RunState
from tests.core.made import NOW, RUN_ID, SUMMARY, WAITING
from tests.flows.made import REPOSITORY, stack

RUN_KEYS = {
    *("id", "type", "state", "branch", "commit", "created_at", "updated_at", "drift_detection", "flags", "changes"),
    *("triggered_by", "user_provided_metadata", "based_on_local_workspace", "command", "creator_session"),
    *("repository_runtime_config_changed", "runtime_config"),
}
RESOURCES = msgspec.Raw(
    json.dumps(
        [
            {
                "address": "a.b",
                "type": "a",
                "name": "b",
                "change": {"actions": ["create", "delete"], "after": {"x": 1}},
            },
            {"address": "a.c", "type": "a", "name": "c", "change": {"actions": ["no-op"]}},
            {"address": "a.d", "type": "a", "name": "d", "previous_address": "a.o", "change": {"actions": ["no-op"]}},
            {"address": "data.a.e", "type": "a", "name": "e", "change": {"actions": ["read"]}},
            {"address": "a.f", "type": "a", "name": "f", "change": {"actions": ["no-op"], "importing": {"id": "i"}}},
        ]
    ).encode()
)


def asked(run: Run = WAITING, **more: object) -> PlanAsked:
    """A plan of a stack that never ran before."""
    given: dict[str, object] = {
        "repository": REPOSITORY,
        "web_url": "https://github.com",
        "at": NOW,
        "stack": stack("app"),
        "state": None,
        "run": run,
        "summary": SUMMARY,
    }
    return PlanAsked(**(given | more))  # type: ignore[arg-type]  # a fixture's dictionary


def plain(document: Document) -> dict[str, dict[str, object]]:
    """As OPA reads it."""
    found: dict[str, dict[str, object]] = json.loads(msgspec.json.encode(document))
    return found


def test_a_plan_policy_finds_every_documented_key_under_both_names() -> None:
    document = json.loads(msgspec.json.encode(plan_document(asked(), RESOURCES, "1.11.4")))
    part = document["spacelift"]
    assert document["trackside"] == part
    assert set(part) == {"commit", "request", "run", "stack"}, "previous_run is absent the first time"
    assert set(part["run"]) == RUN_KEYS
    assert part["commit"]["hash"] == WAITING.head_sha
    assert part["request"]["timestamp_ns"] == 1_735_787_045_000_000_000
    assert document["terraform"]["terraform_version"] == "1.11.4"
    assert document["terraform"]["resource_changes"][0]["change"]["after"] == {"x": 1}
    assert document["third_party_metadata"] == {}
    assert [(one["action"], one["moved"], one["entity"]["address"]) for one in part["run"]["changes"]] == [
        ("create-Before-destroy-replaced", False, "a.b"),
        ("no-op", True, "a.d"),
        ("import", False, "a.f"),
    ]
    assert set(part["run"]["changes"][0]["entity"]) == {
        *("address", "name", "type", "entity_vendor", "entity_type", "data")
    }


def test_the_run_before_is_there_once_there_was_one_with_what_it_changed() -> None:
    before = replace(WAITING, state=RunState.FINISHED)
    document = json.loads(
        msgspec.json.encode(plan_document(asked(previous=before, previous_summary=SUMMARY), RESOURCES, ""))
    )
    previous = document["spacelift"]["previous_run"]
    assert set(previous) == RUN_KEYS
    assert [(one["action"], one["entity"]["type"], one["entity"]["name"]) for one in previous["changes"]] == [
        ("deleted", "terraform_data", "bastion"),
        ("changed", "terraform_data", "vpc"),
        ("added", "terraform_data", "subnet"),
    ]


@pytest.mark.parametrize("raw", [b"null", b"{}", b"[1]", b'[{"address": "a"}]', b"[", b'[{"change": {"actions": 1}}]'])
def test_a_workers_word_that_is_no_list_of_changes_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's own words, each another
        plan_document(asked(), msgspec.Raw(raw), "1.11.4")


def test_an_approval_policy_finds_reviews_of_this_plan_apart_from_older_ones() -> None:
    now = PlanReview(
        run_id=RUN_ID,
        plan_number=1,
        state=RunState.UNCONFIRMED,
        author="alice",
        is_approval=True,
        note="fine",
        at=NOW,
        role="maintain",
        teams=("platform",),
    )
    older = replace(now, author="bob", is_approval=False, plan_number=2)
    document = plain(approval_document(asked(), [older, now]))
    assert set(document) == {"request", "spacelift", "trackside", "reviews", "run", "stack"}
    assert set(document["run"]) == RUN_KEYS
    assert document["run"]["state"] == "UNCONFIRMED"
    reviews = json.loads(json.dumps(document["reviews"]))
    assert (len(reviews["current"]["approvals"]), reviews["current"]["rejections"]) == (1, [])
    assert [one["author"] for one in reviews["older"]["rejections"]] == ["bob"]
    (one,) = reviews["current"]["approvals"]
    assert one["author_roles"] == ["maintain"]
    assert one["session"]["teams"] == ["platform"]
    assert (one["state"], one["state_version"], one["note"]) == ("UNCONFIRMED", 1, "fine")
    assert set(one["request"]) == {"remote_ip", "timestamp_ns"}
