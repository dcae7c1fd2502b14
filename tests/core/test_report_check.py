"""A run as a check run: what every state says, in words, with buttons."""

from dataclasses import replace

import msgspec
import pytest
from inline_snapshot import snapshot

from app.core.choice import Targeting
from app.core.markdown import MAX_BYTES
from app.core.names import RunId, Sha
from app.core.plan import Action, Change, Counts, Delta, Kind, PlanSummary, Remark
from app.core.protocol import Output
from app.core.reply import CheckStatus
from app.core.report import (
    RunView,
    check_report,
    segment,
)
from app.core.run import Run, RunState, RunType, Trigger
from app.core.statepoint import Obstacle
from tests.core.inert import assert_inert, seen
from tests.core.made import CONFIRMED, DELTA, NO_CHANGES, PLAN, RUN_ID, SUMMARY, WAITING, run_in, view_of


def test_a_waiting_plan_reads_like_this() -> None:
    report = check_report(view_of(WAITING))
    assert (report.name, report.head_sha, report.external_id) == ("deploy/network", WAITING.head_sha, f"{RUN_ID}/1")
    assert seen(report) == ("completed", "action_required", "+1 ~1 -1 · outputs ~1 · waiting for confirmation")
    assert report.summary == snapshot("""\
`/trackside confirm network` applies exactly this plan. Write it as a comment on this commit or its pull request.

`/trackside discard network` turns it down, `/trackside replan network` makes another plan of the same commit.

**This plan destroys 1 resource.**

🟥🟨🟩 3 resources · 🟨 1 output

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
    assert report.title == f"queued: waits for run {RUN_ID} (waiting for confirmation) of the commit 3fa9c1d"
    assert report.summary.split("\n\n")[:2] == snapshot(
        [
            "Waits for run `01JDV3F4K5M6N7P8Q9R0S1T2V3` (waiting for confirmation) of the commit `3fa9c1d`: `Move the VPC (#42)`",  # noqa: E501 - a sentence as it is said
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


def test_the_engines_own_warning_about_parts_is_left_out_of_a_part_alone() -> None:
    warned = Remark(summary="Resource targeting is in effect", detail="not for routine use")
    part = part_in(RunState.UNCONFIRMED)
    summary = PlanSummary(delta=DELTA, changes=SUMMARY.changes[1:2], remarks=(warned, Remark(summary="Deprecated")))
    said = check_report(replace(part, summary=summary)).summary
    assert "Deprecated" in said
    assert "Resource targeting" not in said
    assert "Resource targeting" in check_report(view_of(WAITING, summary=summary)).summary


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
    preview = check_report(view_of(replace(run_in(RunState.DISCARDED), type=RunType.PROPOSED)))
    assert preview.conclusion == "failure", "it was to be reviewed, and was not: GitHub would let `neutral` pass"


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
