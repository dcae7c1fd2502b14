"""What stands on GitHub: every state as a check run and as a deployment, whatever the plan and its words."""

import re
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt

from app.core.choice import Targeting
from app.core.config import read_configuration, suggest_configuration
from app.core.markdown import MAX_BYTES, code, cut, fence, sentence, tail, visible
from app.core.names import RunId, Sha
from app.core.plan import MASK, Action, Attribute, Change, Counts, Delta, Kind, PlanSummary
from app.core.protocol import Output
from app.core.reply import CheckReport, CheckStatus, Conclusion, DeploymentState
from app.core.report import (
    ConfigView,
    RunView,
    check_report,
    config_report,
    deployment_report,
    failed_decision_report,
    segment,
)
from app.core.run import Run, RunState, RunType, Trigger
from app.core.stack import Problem
from app.core.statepoint import Obstacle
from tests.core.made import CONFIRMED, DELTA, NO_CHANGES, PLAN, RUN_ID, SUMMARY, WAITING, run_in, view_of

SHA = Sha("a" * 40)


def seen(report: CheckReport) -> tuple[str, str, str]:
    """Status, conclusion and title."""
    return report.status.value, report.conclusion.value if report.conclusion else "", report.title


def test_a_waiting_plan_reads_like_this() -> None:
    report = check_report(view_of(WAITING))
    assert (report.name, report.head_sha, report.external_id) == ("deploy/network", WAITING.head_sha, f"{RUN_ID}/1")
    assert seen(report) == ("completed", "action_required", "+1 ~1 -1 · outputs ~1 · waiting for confirmation")
    assert report.summary == snapshot("""\
`/trackside confirm network` applies exactly this plan. Write it as a comment on this commit or its pull request.

`/trackside discard network` turns it down, `/trackside replan network` makes another plan of the same commit.

**This plan destroys 1 resource.**

| | create + | update ~ | destroy - |
| --- | ---: | ---: | ---: |
| resources | 1 | 1 | 1 |
| outputs |  | 1 |  |

[Run 01JDV3F4K5M6N7P8Q9R0S1T2V3](<https://trackside.example/runs/01J>) · plan 1 `1a2b3c4d5e6f7a8b` by `terraform 1.11.4` · commit `3fa9c1d` `Move the VPC (#42)` · `push` by `alice`\
""")  # noqa: E501 - a sentence as it is said
    assert report.text == snapshot("""\
### Changes

**1. destroy** `terraform_data.bastion`: it is no longer in the configuration
```diff
- input = "t3.micro"
```

**2. update** `terraform_data.vpc`
```diff
- input = "10.0.0.0/16"
+ input = "10.1.0.0/16"
```

**3. create** `terraform_data.subnet["a"]`
```diff
+ id = (known after apply)
```

**4. update** output `vpc_id`
```diff
- value = "vpc-1"
+ value = (known after apply)
```\
""")


def test_a_waiting_plan_has_three_buttons_that_name_it() -> None:
    buttons = check_report(view_of(WAITING)).buttons
    assert [(button.label, button.description, button.identifier) for button in buttons] == [
        ("Confirm", "Apply exactly this plan", "c1a2b3c4d5e6f7a8b"),
        ("Discard", "Turn this plan down", "d1a2b3c4d5e6f7a8b"),
        ("Replan", "Make another plan of this commit", "r1a2b3c4d5e6f7a8b"),
    ]
    assert all(len(each.label) <= 20 and len(each.description) <= 40 and len(each.identifier) <= 20 for each in buttons)


def test_a_superseded_plan_has_no_confirm_button_and_says_both_ways_on() -> None:
    report = check_report(replace(view_of(WAITING), is_superseded=True))
    assert [button.label for button in report.buttons] == ["Discard", "Replan"]
    assert seen(report)[2] == "+1 ~1 -1 · outputs ~1 · superseded by a newer commit"
    assert report.summary.split("\n\n")[:2] == snapshot(
        [
            "Superseded: a newer commit of the stack has arrived. `/trackside discard 01JDV3F4K5M6N7P8Q9R0S1T2V3` makes way for it.",  # noqa: E501 - a sentence as it is said
            "To apply this older plan all the same: `/trackside confirm 01JDV3F4K5M6N7P8Q9R0S1T2V3 --even-if-superseded`",  # noqa: E501 - a sentence as it is said
        ]
    )


def test_a_plan_made_with_other_settings_cannot_be_confirmed() -> None:
    report = check_report(replace(view_of(WAITING), is_settings_changed=True))
    assert [button.label for button in report.buttons] == ["Discard", "Replan"]
    assert report.title.endswith(" · its settings changed since")
    assert report.summary.split("\n\n")[0] == snapshot(
        "The settings of the stack changed since this plan was made, so it can no longer be confirmed. `/trackside discard network` turns it down, `/trackside replan network` makes another plan of the same commit."  # noqa: E501 - a sentence as it is said
    )


def test_a_hold_is_said_beside_a_waiting_plan() -> None:
    report = check_report(replace(view_of(WAITING), stack_hold="the outcome of run X is not known"))
    assert "**The stack is on hold**: `the outcome of run X is not known`." in report.summary


@pytest.mark.parametrize("state", RunState)
def test_every_state_has_a_report_that_github_takes(state: RunState) -> None:
    report = check_report(view_of(run_in(state)))
    assert (report.conclusion is not None) is (report.status is CheckStatus.COMPLETED)
    assert 0 < len(report.title) <= 200
    assert report.summary
    assert bool(report.buttons) is (state in (RunState.UNCONFIRMED, RunState.FAILED))
    assert_inert(report)


def test_titles_by_state() -> None:
    assert {state.value: seen(check_report(view_of(run_in(state)))) for state in RunState} == snapshot(
        {
            "queued": ("queued", "", "queued"),
            "ready": ("queued", "", "ready: waits for a worker"),
            "preparing": ("in_progress", "", "preparing"),
            "initializing": ("in_progress", "", "initializing"),
            "planning": ("in_progress", "", "planning"),
            "pending_review": ("completed", "action_required", "+1 ~1 -1 · outputs ~1 · waiting for review"),
            "unconfirmed": ("completed", "action_required", "+1 ~1 -1 · outputs ~1 · waiting for confirmation"),
            "replan_requested": ("queued", "", "plan 1: waits for a worker"),
            "preparing_replan": ("in_progress", "", "preparing the next plan"),
            "confirmed": ("queued", "", "+1 ~1 -1 · outputs ~1 · confirmed"),
            "preparing_apply": ("in_progress", "", "preparing to apply +1 ~1 -1 · outputs ~1"),
            "applying": ("in_progress", "", "applying +1 ~1 -1 · outputs ~1"),
            "finished": ("completed", "success", "+1 ~1 -1 · outputs ~1"),
            "failed": ("completed", "failure", "plan failed"),
            "stopped": ("completed", "neutral", "stopped"),
            "canceled": ("completed", "neutral", "canceled"),
            "discarded": ("completed", "neutral", "discarded"),
            "skipped": ("completed", "neutral", "skipped"),
        }
    )


def test_a_queued_run_says_what_it_waits_for() -> None:
    waiting = replace(run_in(RunState.QUEUED), id=RunId("01JDV3F4K5M6N7P8Q9R0S1T2V9"))
    report = check_report(replace(view_of(waiting), blocked_by=WAITING))
    assert report.title == f"queued: waits for run {RUN_ID} (unconfirmed) of the commit 3fa9c1d"
    assert report.summary.split("\n\n")[:2] == snapshot(
        [
            "Waits for run `01JDV3F4K5M6N7P8Q9R0S1T2V3` (unconfirmed) of the commit `3fa9c1d`: `Move the VPC (#42)`",
            "That run waits for a person: `/trackside discard 01JDV3F4K5M6N7P8Q9R0S1T2V3` turns it down, `/trackside confirm 01JDV3F4K5M6N7P8Q9R0S1T2V3` applies it.",  # noqa: E501 - a sentence as it is said
        ]
    )
    newer = check_report(replace(view_of(replace(waiting, head_seq=2)), blocked_by=WAITING))
    assert f"`/trackside confirm {RUN_ID} --even-if-superseded` applies it." in newer.summary
    held = check_report(replace(view_of(waiting), stack_hold="outcome unknown"))
    assert held.title == "queued: the stack is on hold"


def test_a_failed_plan_says_the_reason_first_and_what_to_do() -> None:
    reason = "terraform plan exited 1:\nError: ```x``` @alice"
    report = check_report(view_of(replace(run_in(RunState.FAILED), reason=reason)))
    assert report.summary.split("\n\n")[:2] == snapshot(
        [
            """\
````
terraform plan exited 1:
Error: ```x``` @alice
````\
""",
            "Nothing was applied. Push a fix: it makes the next run.",
        ]
    )


def test_a_failed_apply_says_that_parts_may_stand() -> None:
    report = check_report(view_of(replace(CONFIRMED, state=RunState.FAILED, reason="terraform apply exited 1")))
    assert (report.title, report.external_id) == ("apply failed", f"{RUN_ID}/1/apply")
    assert report.summary.split("\n\n")[:2] == snapshot(
        [
            """\
```
terraform apply exited 1
```\
""",
            "Part of the plan may have been applied; the state records what was. Push a fix: the next run plans anew.",
        ]
    )


def test_a_lost_apply_says_that_nobody_knows() -> None:
    lost = replace(CONFIRMED, state=RunState.FAILED, is_outcome_unknown=True, reason="no heartbeat for 60 s")
    report = check_report(replace(view_of(lost), stack_hold="the outcome of the last apply is not known"))
    assert seen(report) == ("completed", "failure", "outcome unknown: the worker was lost while applying")
    assert report.summary.split("\n\n")[:4] == snapshot(
        [
            "**It is not known what was applied.** The worker was lost meanwhile, and an apply is never started twice.",
            """\
```
no heartbeat for 60 s
```\
""",
            (
                "Look at the infrastructure and at the stack's state before anything else. What the lost worker may "
                "have written is kept apart: on the server, `trackside state list 01JDV3F4K5M6N7P8Q9R0S1T2S1` shows "
                "it, `trackside state adopt 01JDV3F4K5M6N7P8Q9R0S1T2S1 VERSION` makes it the state, and "
                "`trackside state drop 01JDV3F4K5M6N7P8Q9R0S1T2S1 VERSION` lets it go."
            ),
            "**The stack is on hold**: `the outcome of the last apply is not known`. Nothing of it starts until a person has resolved that: `/trackside unlock network` takes the hold away.",  # noqa: E501 - a sentence as it is said
        ]
    )


def test_a_lost_apply_names_what_its_worker_still_wrote_and_no_hold_that_is_gone() -> None:
    lost = replace(CONFIRMED, state=RunState.FAILED, is_outcome_unknown=True, reason="no heartbeat for 60 s")
    report = check_report(replace(view_of(lost), quarantined=("01A", "01B")))
    assert "States that the lost worker still wrote is kept" not in report.summary
    assert "still wrote are kept apart, and are not the stack's current one: `01A`, `01B`." in report.summary
    assert "on hold" not in report.summary


@pytest.mark.parametrize(
    ("run", "obstacle", "title", "way_on"),
    [
        (
            CONFIRMED,
            Obstacle.STALE,
            "apply refused: the saved plan is stale",
            f"Nothing was applied. `/trackside retry {RUN_ID}` makes it once more, of the same commit.",
        ),
        (CONFIRMED, Obstacle.LOCKED, "apply failed: the state is locked", "Once the lock is free: `/trackside retry"),
        (WAITING, Obstacle.LOCKED, "plan failed: the state is locked", "Once the lock is free: `/trackside retry"),
    ],
)
def test_what_the_engine_met_before_it_began_is_no_half_apply(
    run: Run, obstacle: Obstacle, title: str, way_on: str
) -> None:
    failed = replace(run, state=RunState.FAILED, obstacle=obstacle, reason="terraform apply exited 1: its words")
    report = check_report(view_of(failed))
    assert seen(report) == ("completed", "failure", title)
    assert way_on in report.summary
    assert "its words" in report.summary
    assert "may have been applied" not in report.summary


def test_a_stale_plan_offers_a_replan_and_no_confirm() -> None:
    report = check_report(replace(view_of(WAITING), is_stale=True))
    assert report.title.endswith("the state moved since")
    assert [button.label for button in report.buttons] == ["Discard", "Replan"]
    assert report.summary.split("\n\n")[0] == snapshot(
        "The stack's state moved since this plan was made, so it can no longer be applied. `/trackside replan network` makes another plan of the same commit, from the state as it is; `/trackside discard network` turns it down."  # noqa: E501 - a sentence as it is said
    )


PART = Targeting(of_plan=1, chosen=("terraform_data.vpc",))
"""Of the plan of these tests: its second change was chosen, everything else came by itself."""


def part_in(state: RunState) -> RunView:
    """A part of the plan of these tests, as plan 2 of its run."""
    plan = replace(PLAN, number=2)
    run = replace(run_in(state), plan_number=2, targeting=PART, confirmed_digest=plan.digest, plan=plan)
    waiting = replace(run, confirmed_digest=None) if state is RunState.UNCONFIRMED else run
    view = view_of(waiting)
    return replace(view, whole=view.summary, summary=PlanSummary(delta=DELTA, changes=SUMMARY.changes[1:2]))


def test_a_part_says_what_was_chosen_and_what_was_pulled_in() -> None:
    view = part_in(RunState.UNCONFIRMED)
    quiet = check_report(view)
    assert "part of plan 1 · waiting for confirmation" in quiet.title
    assert "pulled in" not in quiet.summary
    report = check_report(replace(view, summary=SUMMARY))
    assert report.summary.split("\n\n")[1:5] == snapshot(
        [
            "`/trackside discard network` turns it down, `/trackside replan network` makes another plan of the whole commit.",  # noqa: E501 - a sentence as it is said
            "**This is a part of plan 1: one resource chosen.**",
            "**2 changes were pulled in beyond the choice**, because what was chosen depends on it:",
            """\
- **1. destroy** `terraform_data.bastion`
- **3. create** `terraform_data.subnet["a"]`\
""",
        ]
    )
    assert [button.label for button in report.buttons] == ["Confirm", "Discard", "Replan"]


def test_an_applied_part_says_what_is_still_pending() -> None:
    report = check_report(part_in(RunState.FINISHED))
    assert report.summary.split("\n\n")[1:4] == snapshot(
        [
            "**This is a part of plan 1: one resource chosen.**",
            "**Of plan 1, 3 changes are still pending.** `/trackside deploy network` makes the next run of it, and so does the stack's next push. By the numbers of plan 1:",  # noqa: E501 - a sentence as it is said
            """\
- **1. destroy** `terraform_data.bastion`
- **3. create** `terraform_data.subnet["a"]`
- **4. update** output `vpc_id`\
""",
        ]
    )
    done = replace(part_in(RunState.FINISHED), summary=SUMMARY)
    assert "Nothing of plan 1 is pending any more." in check_report(done).summary
    gone = replace(part_in(RunState.FINISHED), whole=None)
    assert "What of plan 1 is still pending is not kept." in check_report(gone).summary
    cut_off = replace(done, whole=msgspec.structs.replace(SUMMARY, changes_left_out=7))
    assert "Up to 7 more are not listed in it." in check_report(cut_off).summary


def test_a_part_that_was_planned_only_says_nothing_of_what_is_pending() -> None:
    view = part_in(RunState.FINISHED)
    report = check_report(replace(view, run=replace(view.run, confirmed_digest=None)))
    assert "planned only" in report.summary
    assert "pending" not in report.summary


def test_lists_of_a_part_stay_within_their_bounds() -> None:
    changes = tuple(
        Change(number=number, kind=Kind.RESOURCE, action=Action.CREATE, address=f'x.y["{"ü" * 400}{number}"]')
        for number in range(1, 5_001)
    )
    huge = PlanSummary(delta=Delta(resources=Counts(create=5_000)), changes=changes)
    view = replace(part_in(RunState.UNCONFIRMED), summary=huge)
    report = check_report(view)
    assert len(report.summary.encode()) < MAX_BYTES
    assert "5,000 changes were pulled in beyond the choice" in report.summary
    listed = report.summary.count("**. ") + report.summary.count("create** `x.y")
    assert f"- and {5_000 - listed:,} more" in report.summary


def test_a_discarded_plan_says_by_whom_and_why() -> None:
    report = check_report(
        view_of(replace(run_in(RunState.DISCARDED), decided_by="bob", reason="not before the freeze"))
    )
    assert seen(report) == ("completed", "neutral", "discarded by bob")
    assert report.summary.split("\n\n")[:2] == snapshot(
        [
            "Discarded by `bob`. Nothing of it was applied.",
            """\
```
not before the freeze
```\
""",
        ]
    )
    expired = check_report(view_of(replace(run_in(RunState.DISCARDED), reason="expired")))
    assert expired.summary.startswith("Discarded. Nothing of it was applied.\n\n```\nexpired\n```")


def test_an_applied_plan_shows_its_outputs_with_sensitive_ones_masked() -> None:
    done = replace(CONFIRMED, state=RunState.FINISHED)
    outputs = (Output(name="vpc_id", value='"vpc-1"'), Output(name="token", sensitive=True, value='"hunter2"'))
    report = check_report(replace(view_of(done), outputs=outputs))
    assert seen(report) == ("completed", "success", "applied: +1 ~1 -1 · outputs ~1")
    assert report.text.startswith('### Outputs\n\n```\nvpc_id = "vpc-1"\ntoken = (sensitive)\n```\n\n### Changes\n\n')
    assert "hunter2" not in report.text


def test_a_plan_without_changes_is_a_success_with_nothing_to_list() -> None:
    run = replace(run_in(RunState.FINISHED), plan=NO_CHANGES)
    report = check_report(view_of(run, summary=PlanSummary()))
    assert seen(report) == ("completed", "success", "no changes")
    assert report.text == ""
    assert "|" not in report.summary


def test_a_change_that_is_neither_resource_nor_output_is_still_a_change() -> None:
    run = replace(WAITING, plan=replace(PLAN, delta=Delta()))
    assert (
        check_report(view_of(run, summary=PlanSummary())).title
        == "changes outside resources · waiting for confirmation"
    )


def test_a_proposed_run_has_another_name_and_no_button_that_decides() -> None:
    run = replace(run_in(RunState.FINISHED), type=RunType.PROPOSED)
    report = check_report(view_of(run))
    labels = tuple(button.label for button in report.buttons)
    assert (report.name, report.title, labels) == ("plan/network", "+1 ~1 -1 · outputs ~1", ("Plan again",))
    assert check_report(view_of(replace(WAITING, type=RunType.PROPOSED))).buttons == ()


def test_a_proposed_run_says_which_commit_was_planned() -> None:
    run = replace(run_in(RunState.FINISHED), type=RunType.PROPOSED)
    told = check_report(view_of(run))
    assert (told.name, seen(told)) == ("plan/network", ("completed", "success", "+1 ~1 -1 · outputs ~1"))
    assert "### Changes" in told.text
    merge = replace(run, source_sha=Sha("b" * 40))
    noted = replace(merge, note="planned 3fa9c1d itself: GitHub has no merge of it with main at bbbbbbb")
    assert [check_report(view_of(each)).summary.split("\n\n")[:2] for each in (run, merge, noted)] == snapshot(
        [
            [
                "This is what the change would do once it has landed. Nothing was applied.",
                "Planned the commit `3fa9c1d` itself.",
            ],
            [
                "This is what the change would do once it has landed. Nothing was applied.",
                "Planned `bbbbbbb`, the merge of `3fa9c1d` with its base.",
            ],
            [
                "This is what the change would do once it has landed. Nothing was applied.",
                "Planned 3fa9c1d itself: GitHub has no merge of it with main at bbbbbbb.",
            ],
        ]
    )


def test_a_queued_run_says_what_outside_it_waits_for() -> None:
    view = replace(view_of(run_in(RunState.QUEUED)), waits_for="external: smoke-test @alice")
    told = check_report(view)
    assert seen(told) == ("queued", "", "queued: waits for external: smoke-test @alice")
    assert told.summary.startswith("Waits for `external: smoke-test @alice`.")


def test_a_tag_is_named_as_the_cause() -> None:
    report = check_report(view_of(replace(WAITING, ref="refs/tags/v1", trigger=Trigger.TAG)))
    assert "`tag v1` by `alice`" in report.summary


def test_each_plan_and_each_apply_is_a_segment_of_its_own() -> None:
    assert segment(WAITING) == f"{RUN_ID}/1"
    assert segment(replace(WAITING, plan_number=2, plan=None)) == f"{RUN_ID}/2"
    assert segment(CONFIRMED) == f"{RUN_ID}/1/apply"


# the list of changes


def change(number: int, **given: Any) -> Change:
    plain = Change(number=number, kind=Kind.RESOURCE, action=Action.UPDATE, address=f"a.b[{number}]")
    return msgspec.structs.replace(plain, **given)


def text_of(*changes: Change, left_out: int = 0) -> str:
    summary = PlanSummary(delta=DELTA, changes=changes, changes_left_out=left_out)
    return check_report(view_of(WAITING, summary=summary)).text


def test_long_values_are_cut_to_where_they_differ() -> None:
    before, after = '"' + "x" * 5000 + 'a"', '"' + "x" * 5000 + 'b"'
    text = text_of(change(1, attributes=(Attribute(name="policy", before=before, after=after),)))
    assert 'xxxa"  # 5,003 characters' in text
    assert 'xxxb"  # 5,003 characters' in text
    assert len(text) < 1000


def test_what_is_masked_on_both_sides_is_one_line() -> None:
    text = text_of(change(1, attributes=(Attribute(name="password", before=MASK, after=MASK),)))
    assert "! password = (sensitive)" in text


def test_moves_imports_and_reasons_are_said() -> None:
    text = text_of(
        change(1, action=Action.MOVE, previous_address="a.old"),
        change(2, action=Action.IMPORT, import_id="vpc-1"),
        change(3, action=Action.REPLACE, reason="replace_because_tainted"),
        change(4, action=Action.DELETE, reason="some_new_reason"),
    )
    assert text == snapshot("""\
### Changes

**1. move** `a.b[1]`, moved from `a.old`

**2. import** `a.b[2]`, imported from `vpc-1`

**3. replace** `a.b[3]`: it is tainted

**4. destroy** `a.b[4]`: `some_new_reason`\
""")


def test_attributes_beyond_the_bound_are_counted() -> None:
    many = tuple(Attribute(name=f"a{at}", after="1") for at in range(100))
    assert "… and 67 more attributes" in text_of(change(1, attributes=many, attributes_left_out=7))


@pytest.mark.parametrize("count", [1, 300, 3_000, 20_000])
def test_any_number_of_changes_fits_and_what_is_left_out_is_counted_exactly(count: int) -> None:
    attributes = tuple(Attribute(name=f"attribute_{at}", before='"ä"', after='"ö"') for at in range(5))
    changes = tuple(change(at + 1, attributes=attributes) for at in range(count))
    text = text_of(*changes, left_out=5)
    assert len(text.encode()) <= MAX_BYTES
    listed = len(re.findall(r"^\*\*\d+\. update\*\*", text, re.MULTILINE))
    detailed = text.count("```diff")
    assert f"**{count - listed + 5:,} more changes are not listed here" in text
    assert (f"; {listed - detailed:,} listed without details" in text) is (listed > detailed)
    assert text.endswith("The whole plan is on [the run's page](<https://trackside.example/runs/01J>).")


# words that mean harm

HOSTILE = "``` @alice #1 <script>alert(1)</script> ![x](http://e.example/i.png) [l](javascript:x) \u202e\x00\x1b[31m |\n# h\n```"  # noqa: E501 - a sentence as it is said
WORDS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="`~@#<>![]()*_|\\\n\r\t \u202e\u200b\ud800-:/ab1", max_size=60),
    st.just(HOSTILE),
)
ATTRIBUTES = st.builds(
    Attribute, name=WORDS, before=st.none() | WORDS, after=st.none() | WORDS, forces_replacement=st.booleans()
)
CHANGES = st.builds(
    Change,
    number=st.integers(1, 9),
    kind=st.sampled_from(Kind),
    action=st.sampled_from(Action),
    address=WORDS,
    previous_address=WORDS,
    import_id=WORDS,
    reason=WORDS,
    attributes=st.lists(ATTRIBUTES, max_size=3).map(tuple),
    attributes_left_out=st.integers(0, 9),
)
SUMMARIES = st.builds(
    PlanSummary,
    delta=st.builds(Delta, resources=st.builds(Counts, create=st.integers(0, 9), delete=st.integers(0, 9))),
    changes=st.lists(CHANGES, max_size=4).map(tuple),
    changes_left_out=st.integers(0, 9),
)


def assert_inert(report: CheckReport) -> None:
    """Within GitHub's limits; as GitHub reads it, nothing foreign stands outside code."""
    assert report.title.isprintable()
    for markdown in (report.summary, report.text):
        assert len(markdown.encode()) <= MAX_BYTES
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", markdown)
        tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
        for token in [*tokens, *(child for block in tokens for child in block.children or ())]:
            assert token.type not in ("html_block", "html_inline", "image", "blockquote_open", "hr", "code_block")
            if token.type == "text":
                assert not re.search(r"@\w|#\d|://|`|<|\b\w+@\w", token.content), token.content
            if token.type == "link_open":
                assert str(token.attrs["href"]).startswith("https://trackside.example/runs/")
            if token.type == "fence":
                assert token.content.strip()
                closing = markdown.splitlines()[token.map[1] - 1] if token.map else ""
                assert closing == token.markup


@settings(max_examples=150)
@given(st.sampled_from(RunState), SUMMARIES, WORDS, st.lists(st.tuples(WORDS, WORDS), max_size=3))
def test_no_word_of_a_plan_a_person_or_a_repository_does_anything(
    state: RunState, summary: PlanSummary, word: str, outputs: list[tuple[str, str]]
) -> None:
    run = replace(run_in(state), reason=word, message=word, triggered_by=word, decided_by=word, ref=f"refs/tags/{word}")
    view = RunView(
        run=replace(run, trigger=Trigger.TAG),
        summary=summary,
        blocked_by=replace(WAITING, message=word),
        stack_hold=word,
        run_url="https://trackside.example/runs/01J",
        outputs=tuple(Output(name=name, value=value) for name, value in outputs),
        environment="network",
    )
    report = check_report(view)
    assert_inert(report)
    deployment = deployment_report(view)
    if deployment is not None:
        assert len(deployment.description) <= 140
        assert len(deployment.state_description) <= 140
        assert (deployment.description + deployment.state_description).isprintable()


def test_the_largest_words_fit_too() -> None:
    huge = "é`\n" * 200_000
    run = replace(WAITING, state=RunState.FAILED, reason=huge, message=huge, triggered_by=huge)
    summary = PlanSummary(delta=DELTA, changes=(change(1, address=huge, reason=huge, import_id=huge),))
    assert_inert(check_report(replace(view_of(run, summary=summary), stack_hold=huge)))


# deployments


def test_a_deployment_follows_its_run() -> None:
    view = replace(view_of(WAITING), environment="production", is_production=True)
    report = deployment_report(view)
    assert report is not None
    assert (report.environment, report.sha, report.task) == ("production", WAITING.head_sha, "trackside:network")
    assert report.description == "network: +1 ~1 -1 · outputs ~1 at 3fa9c1d"
    assert report.payload == {"run": RUN_ID, "stack": "network", "tag": ""}
    assert report.is_production
    assert (report.state, report.state_description) == (DeploymentState.QUEUED, "waiting for confirmation")


def deployed(run: Run) -> tuple[str, str] | None:
    report = deployment_report(replace(view_of(run), environment="network"))
    return (report.state.value, report.state_description) if report else None


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (run_in(RunState.QUEUED), None),
        (run_in(RunState.PLANNING), None),
        (run_in(RunState.FAILED), None),
        (replace(run_in(RunState.FINISHED), plan=NO_CHANGES), None),
        (replace(WAITING, type=RunType.PROPOSED), None),
        (WAITING, ("queued", "waiting for confirmation")),
        (CONFIRMED, ("queued", "confirmed by bob")),
        (replace(CONFIRMED, state=RunState.APPLYING), ("in_progress", "applying +1 ~1 -1 · outputs ~1")),
        (replace(CONFIRMED, state=RunState.FINISHED), ("success", "applied: +1 ~1 -1 · outputs ~1")),
        (replace(CONFIRMED, state=RunState.FAILED, reason="a\nb"), ("failure", "a")),
        (
            replace(CONFIRMED, state=RunState.FAILED, is_outcome_unknown=True),
            ("failure", "outcome unknown: the worker was lost while applying"),
        ),
        (replace(WAITING, state=RunState.DISCARDED, decided_by="bob"), ("inactive", "discarded by bob")),
        (replace(WAITING, state=RunState.REPLAN_REQUESTED, plan=None, plan_number=2), ("queued", "replan requested")),
        (replace(WAITING, state=RunState.FAILED, plan=None, plan_number=2, reason="x"), ("failure", "x")),
        (
            replace(WAITING, state=RunState.FINISHED, plan=NO_CHANGES, plan_number=2),
            ("inactive", "no changes any more"),
        ),
        (replace(WAITING, state=RunState.FINISHED), ("inactive", "planned only: nothing was applied")),
    ],
)
def test_deployment_states(run: Run, expected: tuple[str, str] | None) -> None:
    assert deployed(run) == expected


def test_a_stack_without_an_environment_has_no_deployments() -> None:
    assert deployment_report(view_of(WAITING)) is None


# checks without a run


def test_the_config_check_lists_every_problem() -> None:
    text = b"version: 1\nstacks:\n  - name: network\n    projectroot: x\n    '@alice `#1`': x\n"
    found = read_configuration(text, default_branch="main")
    assert isinstance(found, tuple)
    report = config_report(ConfigView(head_sha=SHA, problems=found, has_last_good=True))
    assert (report.name, report.external_id) == ("config", f"config/{SHA}")
    assert seen(report) == ("completed", "failure", "2 problems in .trackside/stacks.yml")
    assert report.summary == "`.trackside/stacks.yml` is not valid. The last valid version stays in force."
    assert report.text == snapshot("""\
- **line 4**: unknown key `projectroot`: did you mean `project_root`?
- **line 5**: unknown key `@alice ?#1?`: take it away\
""")
    assert_inert(report)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=90), WORDS)
def test_no_word_of_a_problem_or_a_suggestion_does_anything(words: list[tuple[str, str]], suggestion: str) -> None:
    problems = tuple(Problem(line=1, message=message, remedy=remedy) for message, remedy in words)
    assert_inert(config_report(ConfigView(head_sha=SHA, problems=problems)))
    assert_inert(config_report(ConfigView(head_sha=SHA, suggestion=suggestion)))
    assert_inert(config_report(ConfigView(head_sha=SHA, suggestion=suggestion * 4000, new_file_url="javascript:x")))
    assert_inert(failed_decision_report("network", SHA, suggestion))


def test_a_valid_file_is_a_success_and_a_missing_one_is_offered() -> None:
    valid = config_report(ConfigView(head_sha=SHA, stack_names=("network", "dns")))
    assert seen(valid) == ("completed", "success", "valid: 2 stacks")
    url = "https://github.com/acme/infra/new/main?filename=.trackside%2Fstacks.yml&value=version"
    view = ConfigView(head_sha=SHA, suggestion=suggest_configuration(["main.tf"]), new_file_url=url)
    missing = config_report(view)
    assert missing.conclusion is Conclusion.NEUTRAL
    assert missing.summary == snapshot("""\
This repository has Terraform files, but no `.trackside/stacks.yml`: nothing is tracked yet.

[Make it on GitHub](<https://github.com/acme/infra/new/main?filename=.trackside%2Fstacks.yml&value=version>), filled in with the stacks that were found.\
""")  # noqa: E501 - a sentence as it is said
    assert missing.text == snapshot("""\
### Suggested `.trackside/stacks.yml`

```yaml
# What Trackside may run in this repository. Every folder below looked like a Terraform root.
version: 1
stacks:
  - name: main
```\
""")


def test_a_push_that_could_not_be_decided_is_visible() -> None:
    report = failed_decision_report("network", SHA, "policy only-tags: timed out after 10 s")
    assert report.name == "deploy/network"
    assert seen(report) == ("completed", "failure", "not decided: nothing was started")
    assert report.summary == snapshot("""\
What this push means for the stack could not be decided. Closed by default: no run was made.

```
policy only-tags: timed out after 10 s
```

Mend what is named above and push again.\
""")


# the tools


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "`plain`"),
        ("", "` `"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        (" a ", "`  a  `"),
        ("a\nb", "`a\\nb`"),
        ("\u202e", "`\\u202e`"),
        ("x" * 400, "`" + "x" * 299 + "…`"),
    ],
)
def test_code(text: str, shown: str) -> None:
    assert code(text) == shown


def test_fences_are_longer_than_what_they_hold_and_never_empty() -> None:
    assert fence("a") == "```\na\n```"
    assert fence("````") == "`````\n````\n`````"
    assert fence(" \n ") == ""


def test_visible_cut_tail_and_sentence() -> None:
    assert visible("a\tb\nc\u2066\U000e0041\ud800é日") == "a\\tb\\nc\\u2066\\U000e0041\\ud800é日"
    assert visible("a\r\n\tb", keep_lines=True) == "a\n    b"
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")
    assert tail("abcdef", 3) == "… the beginning of 6 characters is left out\ndef"
    assert tail("abc", 4) == "abc"
    assert sentence("unknown key `x`: see line 3") == "unknown key `x`: see line 3"
    assert sentence("hello @alice") == "`hello @alice`"
    assert sentence("see www.example.com") == "`see www.example.com`"
    assert sentence("odd ` tick") == "``odd ` tick``"
