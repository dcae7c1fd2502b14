"""Notifications: what a policy is asked, what it may ask for, what messages say; hostile text stays inert in all."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from inline_snapshot import snapshot

from app.core.contract import RuleValue
from app.core.event import Repository
from app.core.names import ConfigVersionId, InstallationId, RepositoryId, Secret, StackId
from app.core.notice import (
    Endpoint,
    StateChange,
    is_endpoint_name,
    is_fit_address,
    is_over,
    next_try_s,
    shown_url,
    slack_keys,
)
from app.core.noticeask import (
    CommentWish,
    InboxWish,
    SlackWish,
    Unreadable,
    WebhookWish,
    read_wishes,
)
from app.core.noticeinput import RunTold, change_document, shared_document
from app.core.noticetext import (
    MAX_COMMENT,
    MAX_LOG,
    Told,
    comment_body,
    inbox_text,
    run_payload,
    slack_body,
    split_log,
    webhook_body,
)
from app.core.ruling import PlanRuling
from app.core.run import PATIENCE, Run, RunState
from app.core.stack import Stack, StackSettings
from app.core.words_notice import endpoint_lines, endpoint_off, run_line
from tests.core.made import CONFIRMED, NOW, SUMMARY, WAITING, run_in

REPOSITORY = Repository(
    id=RepositoryId(7),
    owner="acme",
    name="infra",
    default_branch="main",
    is_private=True,
    installation_id=InstallationId(5),
)
STACK = Stack(
    id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S1"),
    repository_id=RepositoryId(7),
    settings=StackSettings(name="network", branch="main", labels=("prod",)),
    policies=(),
    config_version_id=ConfigVersionId("01JDV3F4K5M6N7P8Q9R0S1T2C1"),
    is_detached=False,
    state_mode=None,
    head_sha=None,
    head_seq=1,
)
CHANGE = StateChange(
    step_id=6,
    version=6,
    state=RunState.UNCONFIRMED,
    by="worker w/1",
    at=NOW + timedelta(seconds=90),
    since=((RunState.QUEUED, 1.5), (RunState.READY, 2.0)),
)


def asked(run: Run = WAITING) -> RunTold:
    """A run as it is told of."""
    return RunTold(
        run=run,
        stack=STACK,
        stack_state=RunState.UNCONFIRMED,
        repository=REPOSITORY,
        summary=SUMMARY,
        decision=None,
        url="https://trackside.example/runs/01J",
        web_url="https://github.com",
    )


def nested(depth: int) -> object:
    """So many lists within each other."""
    found: list[object] = []
    for _ in range(depth - 1):
        found = [found]
    return found


def told(**logs: str) -> Told:
    """The same, with the change that is told and the run's logs."""
    return Told(run=asked(), change=CHANGE, logs=logs)


# what a policy is asked


def test_what_plan_policies_said_is_told() -> None:
    assert WAITING.plan is not None
    said = PlanRuling(name="cost", digest="d", path="cost.rego", denies=("too dear",), warns=("look",))
    told = asked(replace(WAITING, plan=replace(WAITING.plan, rulings=(said,))))
    updated = change_document(told, CHANGE)["run_updated"]
    assert isinstance(updated, dict)
    assert updated["plan_policy_decision"] == {"deny": ["too dear"], "warn": ["look"]}
    assert updated["policy_receipts"] == [{"name": "cost", "type": "plan", "outcome": "deny", "flags": []}]


@pytest.mark.parametrize(
    ("run", "error"),
    [
        ({"is_outcome_unknown": True}, "outcome unknown"),
        ({"attempts": PATIENCE}, "run not carried out"),
        ({"attempts": PATIENCE - 1}, None),
    ],
)
def test_a_run_that_failed_on_our_side_is_an_internal_error(run: dict[str, Any], error: str | None) -> None:
    failed = replace(CHANGE, state=RunState.FAILED, cause="worker w/1 was not heard of any more")
    run_told = asked(replace(run_in(RunState.FAILED), **run))
    wanted = {"error": error, "message": "worker w/1 was not heard of any more", "severity": "ERROR"}
    assert change_document(run_told, failed)["internal_error"] == (wanted if error else None)
    assert change_document(run_told, CHANGE)["internal_error"] is None, "said once, at the change that is its end"
    going_on = asked(replace(run_in(RunState.PLANNING), **run))
    assert change_document(going_on, failed)["internal_error"] is None


def test_every_documented_key_is_always_there() -> None:
    endpoints = [
        Endpoint(name="ci", labels=("prod",)),
        Endpoint(name="off", is_on=False),
        Endpoint(name="slack"),
    ]
    document = shared_document(REPOSITORY, endpoints) | change_document(asked(), CHANGE)
    assert {key: value for key, value in document.items() if key != "run_updated"} == {
        "account": {"name": "acme"},
        "webhook_endpoints": [{"id": "ci", "labels": ["prod"]}],
        "module_version": None,
        "internal_error": None,
    }
    updated = document["run_updated"]
    assert isinstance(updated, dict)
    assert {key: updated[key] for key in ("state", "username", "note", "timing", "urls")} == {
        "state": "UNCONFIRMED",
        "username": "worker w/1",
        "note": "",
        "timing": [{"state": "QUEUED", "duration": 1_500_000_000}, {"state": "READY", "duration": 2_000_000_000}],
        "urls": {"run": "https://trackside.example/runs/01J"},
    }
    assert sorted(updated) == snapshot(
        [
            "note",
            "plan_policy_decision",
            "policy_receipts",
            "run",
            "stack",
            "state",
            "timing",
            "urls",
            "username",
        ]
    )
    assert sorted(updated["run"]) == snapshot(
        [
            "based_on_local_workspace",
            "branch",
            "changes",
            "command",
            "commit",
            "created_at",
            "creator_session",
            "delta",
            "drift_detection",
            "flags",
            "id",
            "runtime_config",
            "state",
            "state_version",
            "triggered_by",
            "type",
            "updated_at",
            "user_provided_metadata",
        ]
    )
    assert json.loads(json.dumps(document)) == document


def test_the_state_that_is_told_is_that_of_the_change_and_not_of_now() -> None:
    document = change_document(asked(run_in(RunState.FINISHED)), CHANGE)["run_updated"]
    assert isinstance(document, dict)
    assert (document["state"], document["run"]["state"]) == ("UNCONFIRMED", "UNCONFIRMED")


def test_changes_say_what_they_are_about_and_in_which_phase() -> None:
    document = change_document(asked(), CHANGE)["run_updated"]
    assert isinstance(document, dict)
    first = document["run"]["changes"][0]
    assert (first["action"], first["phase"], first["moved"]) == ("deleted", "plan", False)
    assert first["entity"] == {
        "address": "terraform_data.bastion",
        "previous_address": "",
        "type": "terraform_data",
        "name": "bastion",
        "entity_vendor": "terraform",
        "entity_type": "resource",
        "data": {"values": {"input": None}},
    }
    applied = asked(replace(CONFIRMED, state=RunState.FINISHED))
    after = change_document(applied, replace(CHANGE, state=RunState.FINISHED))["run_updated"]
    assert isinstance(after, dict)
    assert {one["phase"] for one in after["run"]["changes"]} == {"apply"}


# what a policy may ask for


@pytest.mark.parametrize(
    ("rule", "given", "reason"),
    [
        ("slack", {"text": "x"}, "`text` is no key of it; the keys are channel_id, message, mention_users"),
        ("slack", {"message": 5}, "`message` is not a text"),
        ("slack", {"mention_users": ["<!channel>"]}, "`mention_users` holds `<!channel>`, which is no id of Slack's"),
        ("slack", {"mention_groups": ["U1"]}, "`mention_groups` holds `U1`, which is no id of Slack's"),
        ("slack", {"mention_users": ["U1"] * 21}, "`mention_users` is a list of at most 20 ids"),
        ("webhook", {}, "`endpoint_id` is missing"),
        ("webhook", {"endpoint_id": "a", "url": "http://169.254.169.254"}, "`url` is no key of it"),
        ("webhook", {"endpoint_id": "a", "method": "TRACE"}, "the method `TRACE` is not sent; POST, PUT, PATCH are"),
        ("webhook", {"endpoint_id": "a", "headers": {"Host": "b"}}, "the header `Host` cannot be set by a policy"),
        ("webhook", {"endpoint_id": "a", "headers": {"x-signature-256": "b"}}, "the header `x-signature-256` cannot"),
        ("webhook", {"endpoint_id": "a", "headers": {"X-Trackside-Order": "1"}}, "the header `X-Trackside-Order` can"),
        ("webhook", {"endpoint_id": "a", "headers": {"Transfer-Encoding": "x"}}, "the header `Transfer-Encoding` can"),
        ("webhook", {"endpoint_id": "a", "headers": {"a b": "c"}}, "`a b` is no name of a header"),
        ("webhook", {"endpoint_id": "a", "headers": {"a": "b\r\nHost: c"}}, "the header `a` is not at most 1,000"),
        ("webhook", {"endpoint_id": "a", "headers": {"a": 1}}, "the header `a` is not at most 1,000 visible ASCII"),
        ("webhook", {"endpoint_id": "a", "payload": "x" * 300_000}, "the payload is larger than 262,144 bytes"),
        ("webhook", {"endpoint_id": "a", "payload": nested(101)}, "the payload is nested deeper than 100"),
        ("webhook", {"endpoint_id": "a", "payload": nested(5_000)}, "the payload is nested deeper than 100"),
        ("pull_request", {"id": 7}, "`body` is missing"),
        ("pull_request", {"body": "x"}, "none of `id`, `commit` and `branch` names the pull request"),
        ("pull_request", {"body": "x", "id": -1}, "`id` is no number of a pull request"),
        ("pull_request", {"body": "x", "id": True}, "`id` is no number of a pull request"),
        ("pull_request", {"body": "x", "commit": "abc"}, "`commit` is `abc`, which is no full SHA"),
        ("pull_request", {"body": "x", "id": 7, "deduplication_key": "k" * 201}, "`deduplication_key` is longer"),
        ("inbox", {"severity": "loud"}, "the severity `LOUD` is none of INFO, WARNING, ERROR"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(rule: str, given: dict[str, object], reason: str) -> None:
    (found,) = read_wishes({rule: [given]})
    assert isinstance(found, Unreadable)
    assert found.reason.startswith(reason)
    assert found.channel.value == rule


def test_what_can_be_done_is_read() -> None:
    rules: dict[str, RuleValue] = {
        "slack": [{"channel_id": "C1", "message": "m", "mention_users": ["U1"], "mention_groups": ["S1"]}],
        "webhook": [{"endpoint_id": "ci", "payload": {"a": 1}, "method": "put", "headers": {"Authorization": "x"}}],
        "pull_request": [{"id": "7", "body": "a\\nb", "deduplication_key": "k", "mentions": True}],
        "inbox": [{"title": "t"}],
    }
    assert read_wishes(rules) == [
        SlackWish(message="m", channel_id="C1", users=("U1",), groups=("S1",)),
        WebhookWish(endpoint="ci", payload={"a": 1}, method="PUT", headers={"Authorization": "x"}),
        CommentWish(number=7, body="a\nb", key="k", may_mention=True),
        InboxWish(title="t"),
    ]


def test_a_policy_may_ask_for_twenty_messages_and_the_rest_is_counted() -> None:
    found = read_wishes({"inbox": [{"title": str(number)} for number in range(25)]})
    assert len(found) == 21
    assert isinstance(found[-1], Unreadable)
    assert found[-1].reason.startswith("5 more messages are left out")


# what messages say


def test_slack_mentions_whom_the_policy_names_alone() -> None:
    hostile = "<!channel> & <@U9> <https://evil.example|click>"
    body = slack_body(SlackWish(message=hostile, users=("U1",), groups=("S1",)), told())
    assert json.loads(body) == {
        "text": "<@U1> <!subteam^S1> &lt;!channel&gt; &amp; &lt;@U9&gt; &lt;https://evil.example|click&gt; "
        "<https://trackside.example/runs/01J|network>",
        "unfurl_links": False,
        "unfurl_media": False,
    }


def test_slack_without_words_says_where_the_run_is() -> None:
    assert json.loads(slack_body(SlackWish(), told()))["text"] == (
        "deploy of network (acme/infra) waits for confirmation: +1 ~1 -1 · outputs ~1 "
        "<https://trackside.example/runs/01J|network>"
    )
    failed = replace(run_in(RunState.FAILED), reason="terraform exited 1")
    assert run_line(failed, replace(CHANGE, state=RunState.FAILED), "acme/infra") == (
        "deploy of network (acme/infra) has failed: terraform exited 1"
    )


def test_a_log_in_slack_cannot_leave_its_code() -> None:
    text = json.loads(slack_body(SlackWish(message="spacelift::logs::planning"), told(planning="a\n``` <!here>")))
    assert text["text"].startswith("```\na\n''' &lt;!here&gt;\n```")


def test_the_payload_of_a_webhook_is_the_one_that_receivers_know() -> None:
    assert run_payload(told()) == snapshot(
        {
            "account": "acme",
            "state": "UNCONFIRMED",
            "stateVersion": 6,
            "timestamp": 1735787135,
            "run": {
                "id": "01JDV3F4K5M6N7P8Q9R0S1T2V3",
                "branch": "main",
                "commit": {
                    "authorLogin": "alice",
                    "authorName": "alice",
                    "hash": "3fa9c1d23fa9c1d23fa9c1d23fa9c1d23fa9c1d2",
                    "message": "Move the VPC (#42)",
                    "timestamp": 1735787045,
                    "url": "https://github.com/acme/infra/commit/3fa9c1d23fa9c1d23fa9c1d23fa9c1d23fa9c1d2",
                },
                "createdAt": 1735787045,
                "delta": {"added": 1, "changed": 1, "deleted": 1, "resources": 0},
                "triggeredBy": None,
                "type": "TRACKED",
                "url": "https://trackside.example/runs/01J",
            },
            "stack": {"id": "acme/infra/network", "name": "network", "description": "", "labels": ["prod"]},
        }
    )
    ours = json.loads(webhook_body(WebhookWish(endpoint="ci"), told(), number=3, message_id="01J"))
    assert (ours["order"], ours["delivery"]) == (3, "01J")


def test_a_payload_of_the_policy_is_sent_as_it_is_with_its_logs() -> None:
    wish = WebhookWish(endpoint="ci", payload={"a": ["trackside::logs::applying", 1, None], "b": "x" * 10})
    sent = json.loads(webhook_body(wish, told(applying="done"), number=1, message_id="01J"))
    assert sent == {"a": ["done", 1, None], "b": "x" * 10}


def test_the_deepest_payload_is_filled() -> None:
    (wish,) = read_wishes({"webhook": [{"endpoint_id": "a", "payload": nested(100)}]})
    assert isinstance(wish, WebhookWish)
    body = webhook_body(wish, told(), number=1, message_id="m")
    assert body == b"[" * 100 + b"]" * 100


def test_a_payload_has_places_for_few_logs() -> None:
    wish = WebhookWish(endpoint="ci", payload=["spacelift::logs::planning"] * 1_000)
    body = webhook_body(wish, told(planning="x" * 2 * MAX_LOG), number=1, message_id="01J")
    assert len(body) < 5 * MAX_LOG


def test_a_comment_mentions_nobody_unless_its_policy_says_so() -> None:
    wish = CommentWish(number=1, body="@alice, see a@b.example and `@acme/team`")
    assert "@alice" not in comment_body(wish, told())
    assert comment_body(wish, told()).replace("\u200b", "") == wish.body
    assert comment_body(replace(wish, may_mention=True), told()) == wish.body


def test_a_log_in_a_comment_stays_in_its_fence() -> None:
    hostile = "one\n```\n# free @alice\n````\nend"
    outside = comment_body(CommentWish(number=1, body="log: spacelift::logs::planning!"), told(planning=hostile))
    assert outside == "log: \n\n```\none\n'''\n# free @\u200balice\n'''`\nend\n```\n\n!"
    inside = comment_body(CommentWish(number=1, body="```\nspacelift::logs::planning\n```"), told(planning=hostile))
    assert inside == "```\none\n'''\n# free @\u200balice\n'''`\nend\n```"


@pytest.mark.parametrize("opening", ["```", "~~~~ text", "  ```hcl"])
def test_what_is_cut_off_takes_no_fence_along(opening: str) -> None:
    body = comment_body(CommentWish(number=1, body=f"a\n{opening}\n" + "x\n" * MAX_COMMENT), told())
    mark = opening.strip().split(" ")[0].removesuffix("hcl")
    assert body.endswith(f"\n{mark}")
    assert len(body) <= MAX_COMMENT + 10


def test_four_logs_and_a_long_text_fit_into_a_comment() -> None:
    body = " ".join(f"spacelift::logs::{name}" for name in ("initializing", "preparing", "planning", "applying"))
    for hostile in ("`", "@a", "é\n"):
        logs = dict.fromkeys(("initializing", "preparing", "planning", "applying"), hostile * 3 * MAX_LOG)
        assert len(comment_body(CommentWish(number=1, body=body + "@y" * MAX_COMMENT), told(**logs))) < 65_536


def test_a_log_is_split_by_what_the_run_was_doing() -> None:
    planned = (
        "── fetch ──\nf\n── before_init ──\nh\n── init ──\ni\n── init: 0.1 s, exited 0 ──\n── plan ──\np\n── show ──\ns"
    )
    assert split_log(planned, "── restore ──\n── apply ──\na") == {
        "preparing": "── fetch ──\nf",
        "initializing": "── before_init ──\nh\n── init ──\ni\n── init: 0.1 s, exited 0 ──",
        "planning": "── plan ──\np\n── show ──\ns",
        "applying": "── restore ──\n── apply ──\na",
    }
    at_once = split_log("── plan ──\np\n── apply ──\na", "")
    assert (at_once["planning"], at_once["applying"]) == ("── plan ──\np", "── apply ──\na")


def test_a_remark_on_the_page_is_bounded() -> None:
    wish = InboxWish(title="t", body="spacelift::logs::planning")
    assert len(inbox_text(wish, told(planning="x" * 100_000))) <= 4_000


# endpoints


@pytest.mark.parametrize(
    ("url", "is_fit"),
    [
        ("https://hooks.example/x?y=z", True),
        ("http://localhost:8080/x", True),
        ("http://127.0.0.1/x", True),
        ("http://[::1]/x", True),
        ("http://hooks.example/x", False),
        ("http://169.254.169.254/latest", False),
        ("http://localhost.evil.example/", False),
        ("https://user:pass@hooks.example/", False),
        ("https://hooks.example/#x", False),
        ("https://", False),
        ("https://hooks.example:99999/", False),
        ("file:///etc/passwd", False),
        ("gopher://127.0.0.1/", False),
        ("https://a b/", False),
        ("https://hooks.example/\n", False),
        ("", False),
    ],
)
def test_messages_go_over_https_or_stay_on_this_machine(url: str, *, is_fit: bool) -> None:
    assert is_fit_address(url) is is_fit


def test_an_address_is_shown_without_what_may_be_a_token() -> None:
    assert shown_url(Secret("https://hooks.example:8443/T0/token?key=1")) == "https://hooks.example:8443"


def test_slacks_names_are_its_own() -> None:
    names = ("ci", "a-b_c", "slack", "slack:C1", "", "A", "-a")
    assert [name for name in names if is_endpoint_name(name)] == ["ci", "a-b_c"]


def test_an_endpoint_takes_messages_of_its_accounts_alone() -> None:
    """One that was set up for the only account of then takes none once there are several."""
    ours, anybodys = Endpoint(name="ci", accounts=("acme",)), Endpoint(name="ci")
    assert [ours.takes(owner, is_shared=True) for owner in ("Acme", "globex", "")] == [True, False, False]
    assert not ours.takes("globex", is_shared=False)
    assert [anybodys.takes("acme", is_shared=shared) for shared in (False, True)] == [True, False]


def test_no_channel_that_a_policy_names_is_another_accounts_entry() -> None:
    assert slack_keys("Acme", "C1") == ("acme/C1", "C1", "acme/", "")
    for odd in ("", "globex/C1", "globex/", "general"):
        assert slack_keys("acme", odd) == ("acme/", "")


def test_a_message_is_tried_three_times_more_and_waits_longer_each_time() -> None:
    assert [is_over(tries) for tries in range(1, 6)] == [False, False, False, True, True]
    assert [next_try_s(tries, None) for tries in (1, 2, 3)] == [2.0, 15.0, 60.0]
    assert [next_try_s(1, asked_s) for asked_s in (30.0, 1.0, 9e9)] == [30.0, 2.0, 600.0]


def test_the_list_of_endpoints_shows_no_secret_and_what_is_wrong() -> None:
    rows = [
        Endpoint(
            name="ci",
            labels=("prod", "audit"),
            accounts=("acme", "globex"),
            url=Secret("https://hooks.example/token"),
            signing=Secret("hidden-hidden-hidden"),
            number=12,
        ),
        Endpoint(name="slack", is_on=False, failures=10, number=10, problem="it answers 404"),
    ]
    assert endpoint_lines(rows) == snapshot(
        [
            "NAME   STATE  FAILURES  NEWEST  WHERE                  ACCOUNTS     LABELS      PROBLEM",
            "ci     on     0         12      https://hooks.example  acme,globex  prod,audit  -",
            "slack  off    10        10      SLACK_WEBHOOK_URL      -            -           it answers 404",
        ]
    )
    assert endpoint_lines([]) == []
    assert endpoint_off(rows[1]) == snapshot(
        "slack is switched off after 10 failed messages in a row (it answers 404): mend it, then `trackside webhook "
        "enable slack`"
    )
