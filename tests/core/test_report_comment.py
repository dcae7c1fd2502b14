"""The App's comment on a pull request, as it is said, within what GitHub takes."""

import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from app.core.changelist import change_list
from app.core.choice import Targeting
from app.core.markdown import size_bytes
from app.core.names import RunId, Sha, StackId
from app.core.plan import Action, Attribute, Change, Counts, Delta, Kind, PlanSummary
from app.core.report_comment import LIMIT, CommentRow, CommentView, boxed, comment_body, told_runs
from app.core.ruling import Approval, ApprovalRuling, PlanRuling
from app.core.run import Run, RunState, RunType
from app.core.stack import Comments
from app.core.ticks import compare, read_boxes
from tests.core.made import DELTA, DIGEST, NO_CHANGES, NOW, SUMMARY, WAITING, run_in, view_of

URL = "https://trackside.example/runs/01J"
PREVIEW = replace(run_in(RunState.FINISHED), type=RunType.PROPOSED, pull_number=3)


def row(run: Run, summary: PlanSummary | None = None, *, is_alone: bool = False) -> CommentRow:
    """A run in the comment, with all that is known of it."""
    return CommentRow(run=run, run_url=URL, view=None if is_alone else view_of(run, summary=summary))


def named(run: Run, name: str, at: int = 0) -> Run:
    """The run as that of another stack, made later."""
    made = NOW + timedelta(seconds=at)
    return replace(run, id=RunId(f"01{name}{at}"), stack_id=StackId(name), stack_name=name, created_at=made)


def ended(run: Run, at: int) -> Run:
    """The run, ended so many seconds after everything began."""
    return replace(run, updated_at=NOW + timedelta(seconds=at))


def test_the_comment_on_an_open_pull_request() -> None:
    quiet = replace(named(PREVIEW, "quiet"), plan=NO_CHANGES)
    under_way = named(replace(run_in(RunState.PLANNING), type=RunType.PROPOSED), "slow")
    body = comment_body(CommentView(rows=(row(PREVIEW), row(quiet), row(under_way))))
    folded = re.sub(r"(?s)</summary>.*?</details>", "</summary>…</details>", body)
    assert folded == snapshot("""\
### Trackside

What this pull request would change.

| stack | what happens | changes | commit |
| --- | --- | --- | --- |
| `network` | [planned](<https://trackside.example/runs/01J>) | +1 ~1 -1 · outputs ~1 | `3fa9c1d` |
| `quiet` | [planned](<https://trackside.example/runs/01J>) | none | `3fa9c1d` |
| `slow` | [planning](<https://trackside.example/runs/01J>) | - | `3fa9c1d` |

<details><summary><code>network</code>: +1 ~1 -1 · outputs ~1</summary>…</details>

Trackside keeps this comment true: ticks are read, and anything else that is changed in it is put back.\
""")
    assert change_list(SUMMARY, run_url=URL, limit_bytes=60_000) in body


def test_the_comment_on_a_merged_one_with_a_plan_that_waits() -> None:
    failed = replace(named(run_in(RunState.FAILED), "broken"), reason="Error: no such region")
    view = CommentView(
        rows=(row(failed), row(WAITING)), landed_sha=Sha("3fa9c1d2" * 5), ticks={f"{DIGEST[:16]} network": (2,)}
    )
    body = comment_body(view)
    assert re.sub(r"(?s)(\+1 ~1 -1[^<]*</summary>).*?</details>", r"\1…</details>", body) == snapshot("""\
### Trackside

Merged as `3fa9c1d`: what becomes of it.

| stack | what happens | changes | commit |
| --- | --- | --- | --- |
| `broken` | [failed](<https://trackside.example/runs/01J>) | - | `3fa9c1d` |
| `network` | [waiting for confirmation](<https://trackside.example/runs/01J>) | +1 ~1 -1 · outputs ~1 | `3fa9c1d` |

<details><summary><code>broken</code>: failed</summary>

```
Error: no such region
```

Nothing was applied. Push a fix: it makes the next run.

`/trackside retry 01broken0` makes it once more, of the same commit.

</details>

#### `network` · plan 1 · `1a2b3c4d5e6f7a8b`

`/trackside confirm network` applies exactly this plan. Write it here, as a comment on this pull request.

`/trackside discard network` turns it down, `/trackside replan network` makes another plan of the same commit.

**This plan destroys 1 resource.**

<details><summary>Plan a part of it</summary>

Tick changes, and last the box below them: the next plan is of these alone.

- [ ] **1. destroy** `terraform_data.bastion`
- [x] **2. update** `terraform_data.vpc`
- [ ] **3. create** `terraform_data.subnet["a"]`
- [ ] **Replan with the selection**

The output has no box: the engine's `-target` knows resources alone, and outputs follow what is chosen.

</details>

<details><summary><code>network</code>: +1 ~1 -1 · outputs ~1</summary>…</details>

Trackside keeps this comment true: ticks are read, and anything else that is changed in it is put back.\
""")
    assert read_boxes(body).numbers == {f"{DIGEST[:16]} network": {1: False, 2: True, 3: False}}, (
        "outputs cannot be chosen"
    )
    without = comment_body(replace(view, ticks={}))
    assert compare(without, body).ticked == {f"{DIGEST[:16]} network": frozenset({2})}
    assert not compare(without, body).is_other


def test_a_part_that_was_applied_is_told_as_a_part_with_what_is_pending() -> None:
    part = Targeting(of_plan=1, chosen=("terraform_data.vpc",))
    done = replace(WAITING, state=RunState.FINISHED, confirmed_digest=DIGEST, plan_number=2, targeting=part)
    shown = replace(view_of(done, summary=PlanSummary(changes=SUMMARY.changes[1:2])), whole=SUMMARY)
    body = comment_body(CommentView(rows=(CommentRow(run=done, run_url=URL, view=shown),)))
    assert "| `network` | [applied a part](<" in body
    assert "still pending" in body


def test_a_preview_that_waits_for_a_review_says_so_and_how_it_ends() -> None:
    waiting = replace(WAITING, type=RunType.PROPOSED, state=RunState.PENDING_REVIEW)
    body = comment_body(CommentView(rows=(row(waiting, SUMMARY),)))
    assert "this preview waits for a review" in body
    assert "**This plan destroys 1 resource.**" in body


def test_what_was_turned_down_is_not_called_a_failure() -> None:
    assert WAITING.plan is not None
    denied = replace(WAITING.plan, rulings=(PlanRuling(name="cost", digest="d", path="c.rego", denies=("no",)),))
    rejected = replace(
        WAITING.plan,
        approvals=(ApprovalRuling(name="eyes", digest="d", path="e.rego", decision=Approval.REJECTED),),
    )
    runs = [replace(WAITING, state=RunState.FAILED, plan=plan) for plan in (denied, rejected)]
    body = comment_body(CommentView(rows=tuple(row(named(run, f"s{at}")) for at, run in enumerate(runs))))
    assert "| `s0` | [denied](<" in body
    assert "| `s1` | [rejected](<" in body


def test_boxes_are_for_what_can_be_replanned_in_part() -> None:
    one = PlanSummary(delta=DELTA, changes=SUMMARY.changes[:1])
    assert "- [ ]" not in comment_body(CommentView(rows=(row(WAITING, one),))), "there is no part of one change"
    assert [boxed(run) for run in (WAITING, PREVIEW, run_in(RunState.CONFIRMED))] == [f"{DIGEST[:16]} network", "", ""]


def test_it_says_why_outputs_have_no_box_where_some_change() -> None:
    assert WAITING.plan is not None
    for outputs, said in ((Counts(), ""), (Counts(update=2), "The 2 outputs have no box: ")):
        waiting = replace(WAITING, plan=replace(WAITING.plan, delta=Delta(resources=DELTA.resources, outputs=outputs)))
        body = comment_body(CommentView(rows=(row(waiting, SUMMARY),)))
        assert "- [ ]" in body
        assert said in body
        assert ("no box" in body) is bool(said)


def test_a_crowd_is_a_table_alone_with_what_does_not_fit_counted() -> None:
    rows = tuple(row(named(PREVIEW, f"stack-{at:05}-{'x' * 60}"), is_alone=True) for at in range(1_000))
    body = comment_body(CommentView(rows=rows))
    shown = body.count("| [planned]")
    assert size_bytes(body) <= LIMIT
    assert 200 < shown < 1_000
    assert f"and {1_000 - shown:,} more" in body


def _large(count: int) -> PlanSummary:
    changes = tuple(
        Change(
            number=number,
            kind=Kind.RESOURCE,
            action=Action.CREATE,
            address=f"x.y{number}",
            attributes=(Attribute(name="a", after='"é```' + "z" * 300 + '"'),),
        )
        for number in range(1, count + 1)
    )
    return PlanSummary(delta=DELTA, changes=changes)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([1, 5, 60, 400]), min_size=1, max_size=20), st.booleans())
def test_any_plans_share_the_room_and_every_fold_is_closed(counts: list[int], is_waiting: bool) -> None:
    run = WAITING if is_waiting else PREVIEW
    rows = tuple(row(named(run, f"s{at}"), _large(count)) for at, count in enumerate(counts))
    body = comment_body(CommentView(rows=rows))
    assert size_bytes(body) <= LIMIT
    assert body.count("<details>") == body.count("</details>")
    assert all(f"<code>s{at}</code>" in body for at in range(len(counts))), "each has its share"


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([named(PREVIEW, "a"), named(PREVIEW, "b")], ["a", "b"]),
        ([named(PREVIEW, "a"), named(WAITING, "a", 1)], ["a1"]),
        ([named(WAITING, "a"), named(PREVIEW, "a", 1)], ["a0", "a1"]),
        ([named(run_in(RunState.FINISHED), "a"), named(PREVIEW, "a", 1)], ["a1"]),
        ([ended(named(run_in(RunState.FINISHED), "a"), 2), named(PREVIEW, "a", 1)], ["a0"]),
        (
            [ended(named(run_in(RunState.FINISHED), "a"), 2), replace(named(PREVIEW, "a", 1), head_sha=Sha("b" * 40))],
            ["a1"],
        ),
        ([named(PREVIEW, "off")], []),
        ([named(WAITING, "changes")], ["changes"]),
        ([replace(named(PREVIEW, "changes"), plan=NO_CHANGES)], []),
        ([named(run_in(RunState.PLANNING), "changes")], []),
        ([named(run_in(RunState.FAILED), "changes")], ["changes"]),
    ],
)
def test_it_tells_of_each_stack_what_counts_now_unless_it_is_switched_off(runs: list[Run], told: list[str]) -> None:
    switches = {"off": Comments.OFF, "changes": Comments.CHANGES}
    found = told_runs(runs, switches)
    assert all(run.id.startswith(f"01{name}") for run, name in zip(found, told, strict=True))
    assert all(one.created_at <= two.created_at for one, two in pairwise(found) if one.stack_id == two.stack_id)
