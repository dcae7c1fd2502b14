"""What a check run offers beside its state: buttons, commands ready to copy, queue, locks, expiry, types of runs."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from inline_snapshot import snapshot

from app.core.command import Verb, parse_identifier
from app.core.names import RunId, Sha
from app.core.report_check import check_name, check_report
from app.core.retry import run_mark
from app.core.run import Run, RunState, RunType
from app.core.runview import RunView
from tests.core.made import CONFIRMED, DIGEST, NO_CHANGES, RUN_ID, WAITING, run_in, view_of

OLDER = RunId("01JDV3F4K5M6N7P8Q9R0S1T2V1")


def preview(**changes: object) -> RunView:
    """A finished proposed run of a pull request, on a stack that allows promotion."""
    run = replace(run_in(RunState.FINISHED), type=RunType.PROPOSED, pull_number=7)
    return replace(view_of(run), **({"is_promotion_allowed": True} | changes))  # type: ignore[arg-type]


def labels(view: RunView) -> list[str]:
    """The buttons of a run, by label."""
    return [button.label for button in check_report(view).buttons]


def said(view: RunView) -> tuple[str, list[str]]:
    """Title, and the paragraphs of the summary without its counts and its footer."""
    report = check_report(view)
    return report.title, [part for part in report.summary.split("\n\n")[:-1] if not part.startswith(("|", "🟥"))]


def typed(kind: RunType, state: RunState) -> Run:
    """A run of that type in that state."""
    return replace(run_in(state), type=kind)


def test_a_preview_can_be_planned_again_and_deployed_where_the_stack_allows_it() -> None:
    assert labels(preview()) == ["Deploy", "Plan again"]
    assert labels(preview(is_promotion_allowed=False)) == ["Plan again"]
    assert labels(preview(run=replace(preview().run, pull_number=None))) == ["Plan again"], "nothing to merge"
    assert labels(preview(run=replace(preview().run, plan=NO_CHANGES), summary=None)) == ["Plan again"]
    buttons = check_report(preview()).buttons
    assert [parse_identifier(button.identifier) for button in buttons] == [
        (Verb.DEPLOY, DIGEST[:16]),
        (Verb.PLAN, DIGEST[:16]),
    ]
    assert "`/trackside deploy network` deploys this commit before it is merged: it plans anew." in said(preview())[1]
    assert not any("deploy" in line for line in said(preview(is_promotion_allowed=False))[1])


@pytest.mark.parametrize("kind", RunType)
def test_a_failure_can_be_retried_as_long_as_nothing_newer_has_its_place(kind: RunType) -> None:
    view = view_of(typed(kind, RunState.FAILED))
    (button,) = check_report(view).buttons
    assert (button.label, parse_identifier(button.identifier)) == ("Retry", (Verb.RETRY, run_mark(RUN_ID)[:16]))
    assert f"`/trackside retry {RUN_ID}` makes it once more, of the same commit." in said(view)[1]
    passed = replace(view, is_superseded=True)
    assert labels(passed) == ([] if kind.is_state_changing else ["Retry"])
    assert labels(replace(view, run=replace(view.run, is_outcome_unknown=True))) == []


@pytest.mark.parametrize("state", RunState)
def test_no_other_state_has_these_buttons(state: RunState) -> None:
    has_any = state in (RunState.UNCONFIRMED, RunState.FAILED)
    assert bool(labels(view_of(run_in(state)))) is has_any
    assert set(labels(view_of(typed(RunType.PROPOSED, state)))) <= {"Plan again", "Retry"}
    for button in check_report(view_of(run_in(state))).buttons:
        assert len(button.label) <= 20
        assert len(button.description) <= 40
        assert len(button.identifier) <= 20


def test_a_waiting_run_says_its_place_and_how_it_is_withdrawn() -> None:
    queued = run_in(RunState.QUEUED)
    blocker = replace(WAITING, id=OLDER, head_sha=Sha("b" * 40), state=RunState.PLANNING, plan=None)
    assert {
        "alone": said(view_of(queued)),
        "third": said(replace(view_of(queued), blocked_by=blocker, position=3)),
        "passed": said(replace(view_of(queued), blocked_by=blocker, position=1, is_superseded=True)),
        "locked": said(replace(view_of(queued), waits_for="bob, who has locked the stack", position=1)),
        "ready": said(view_of(run_in(RunState.READY))),
        "planning": said(view_of(run_in(RunState.PLANNING))),
        "replan": said(view_of(run_in(RunState.PREPARING_REPLAN))),
        "applying": said(view_of(run_in(RunState.APPLYING))),
    } == snapshot(
        {
            "alone": (
                "queued",
                ["Waits for its turn.", "`/trackside cancel 01JDV3F4K5M6N7P8Q9R0S1T2V3` withdraws it."],
            ),
            "third": (
                "queued: waits for run 01JDV3F4K5M6N7P8Q9R0S1T2V1 (planning) of the commit bbbbbbb",
                [
                    "Waits for run `01JDV3F4K5M6N7P8Q9R0S1T2V1` (planning) of the commit `bbbbbbb`: `Move the VPC (#42)`",  # noqa: E501 - a sentence as it is said
                    "Number 3 in the queue of `network`.",
                    "`/trackside cancel 01JDV3F4K5M6N7P8Q9R0S1T2V3` withdraws it.",
                ],
            ),
            "passed": (
                "queued: waits for run 01JDV3F4K5M6N7P8Q9R0S1T2V1 (planning) of the commit bbbbbbb",
                [
                    "Waits for run `01JDV3F4K5M6N7P8Q9R0S1T2V1` (planning) of the commit `bbbbbbb`: `Move the VPC (#42)`",  # noqa: E501 - a sentence as it is said
                    "Number 1 in the queue of `network`.",
                    "Superseded: a newer commit of the stack has arrived behind it.",
                    "`/trackside cancel 01JDV3F4K5M6N7P8Q9R0S1T2V3` withdraws it.",
                ],
            ),
            "locked": (
                "queued: waits for bob, who has locked the stack",
                [
                    "Waits for bob, who has locked the stack.",
                    "Number 1 in the queue of `network`.",
                    "`/trackside cancel 01JDV3F4K5M6N7P8Q9R0S1T2V3` withdraws it.",
                ],
            ),
            "ready": (
                "ready: waits for a worker",
                ["Waits for a worker. `/trackside cancel 01JDV3F4K5M6N7P8Q9R0S1T2V3` withdraws it."],
            ),
            "planning": (
                "planning",
                [
                    "The engine compares the configuration with what exists.",
                    "`/trackside stop 01JDV3F4K5M6N7P8Q9R0S1T2V3` stops it.",
                ],
            ),
            "replan": (
                "preparing the next plan",
                [
                    "A worker fetches the commit for another plan.",
                    "`/trackside stop 01JDV3F4K5M6N7P8Q9R0S1T2V3` stops it.",
                ],
            ),
            "applying": (
                "applying +1 ~1 -1 · outputs ~1",
                ["The engine applies the confirmed plan; this cannot be interrupted from here.", "Confirmed by `bob`."],
            ),
        }
    )


def test_the_run_after_a_failed_one_says_so_until_it_is_over() -> None:
    behind = {"failed_before": OLDER, "failed_before_sha": "b" * 40}
    line = f"The run before, `{OLDER}` of the commit `bbbbbbb`, failed."
    for state in RunState:
        view = replace(view_of(run_in(state)), **behind)  # type: ignore[arg-type]
        assert (line in said(view)[1]) is not state.is_terminal


def test_a_waiting_plan_says_who_has_the_stack_and_when_it_expires() -> None:
    soon = replace(WAITING, expires_at=datetime(2025, 1, 9, 3, 4, tzinfo=UTC))
    assert said(replace(view_of(soon), lock_owner="bob", lock_note="until @noon"))[1] == snapshot(
        [
            "`/trackside confirm network` applies exactly this plan. Write it as a comment on this commit or its pull request.",  # noqa: E501 - a sentence as it is said
            "`/trackside discard network` turns it down, `/trackside replan network` makes another plan of the same commit.",  # noqa: E501 - a sentence as it is said
            "**Nobody has decided yet: this plan expires, and is discarded, at 2025-01-09 03:04 UTC.**",
            "`bob` has locked the stack (`until @noon`): only their runs go ahead.",
            "**This plan destroys 1 resource.**",
        ]
    )
    ended = said(view_of(replace(soon, state=RunState.DISCARDED, reason="expired: nobody decided within 7 days")))
    assert ended == snapshot(
        (
            "discarded",
            [
                "Discarded. Nothing of it was applied.",
                """\
```
expired: nobody decided within 7 days
```\
""",
                "`/trackside retry 01JDV3F4K5M6N7P8Q9R0S1T2V3` makes it once more, of the same commit.",
            ],
        )
    )


def test_a_retry_names_the_run_that_it_makes_once_more() -> None:
    assert f"Makes run `{OLDER}` once more." in said(view_of(replace(run_in(RunState.READY), retry_of=OLDER)))[1]


def test_who_stopped_or_canceled_a_run_is_said() -> None:
    by = {"decided_by": "bob", "reason": "wrong branch"}
    assert {
        state.value: said(view_of(replace(run_in(state), **by)))  # type: ignore[arg-type]
        for state in (RunState.STOPPED, RunState.CANCELED, RunState.DISCARDED)
    } == snapshot(
        {
            "stopped": (
                "stopped by bob",
                [
                    "Stopped by `bob`. Nothing of it was applied.",
                    """\
```
wrong branch
```\
""",
                    "`/trackside retry 01JDV3F4K5M6N7P8Q9R0S1T2V3` makes it once more, of the same commit.",
                ],
            ),
            "canceled": (
                "canceled by bob",
                [
                    "Canceled by `bob`. Nothing of it was applied.",
                    """\
```
wrong branch
```\
""",
                    "`/trackside retry 01JDV3F4K5M6N7P8Q9R0S1T2V3` makes it once more, of the same commit.",
                ],
            ),
            "discarded": (
                "discarded by bob",
                [
                    "Discarded by `bob`. Nothing of it was applied.",
                    """\
```
wrong branch
```\
""",
                    "`/trackside retry 01JDV3F4K5M6N7P8Q9R0S1T2V3` makes it once more, of the same commit.",
                ],
            ),
        }
    )


def test_every_type_has_a_check_of_its_own_name() -> None:
    assert [check_name(replace(WAITING, type=kind)) for kind in RunType] == [
        "deploy/network",
        "plan/network",
        "destroy/network",
        "drift/network",
    ]


def test_a_destroy_run_is_loud_and_is_confirmed_by_its_id_alone() -> None:
    done = replace(CONFIRMED, type=RunType.DESTROY, state=RunState.FINISHED)
    assert {
        "waiting": said(view_of(replace(WAITING, type=RunType.DESTROY))),
        "finished": said(view_of(done)),
    } == snapshot(
        {
            "waiting": (
                "+1 ~1 -1 · outputs ~1 · waiting for confirmation",
                [
                    "`/trackside confirm 01JDV3F4K5M6N7P8Q9R0S1T2V3` destroys what this plan names. Write it as a comment on this commit or its pull request.",  # noqa: E501 - a sentence as it is said
                    "`/trackside discard 01JDV3F4K5M6N7P8Q9R0S1T2V3` turns it down, `/trackside replan 01JDV3F4K5M6N7P8Q9R0S1T2V3` makes another plan of the same commit.",  # noqa: E501 - a sentence as it is said
                    "**This plan destroys the stack: all that its state holds, 1 resource.**",
                ],
            ),
            "finished": ("destroyed: +1 ~1 -1 · outputs ~1", ["Destroyed exactly as planned. Confirmed by `bob`."]),
        }
    )


def test_a_drift_run_says_what_it_found_and_the_way_back() -> None:
    found = typed(RunType.DRIFT, RunState.FINISHED)
    none = replace(found, plan=NO_CHANGES)
    assert {"drift": said(view_of(found)), "none": said(replace(view_of(none), summary=None))} == snapshot(
        {
            "drift": (
                "drift: +1 ~1 -1 · outputs ~1",
                [
                    "What exists is not what the stack has deployed. On this commit, `/trackside deploy network` plans to bring it back."  # noqa: E501 - a sentence as it is said
                ],
            ),
            "none": ("no drift", ["What exists is what the stack has deployed."]),
        }
    )
    assert check_report(view_of(found)).conclusion == "neutral"
    assert labels(view_of(found)) == []
