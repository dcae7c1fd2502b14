"""The summary checks: every stack of a commit with verdict and reason, within the limits for any number of them."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt

from app.core.decision import Verdict
from app.core.markdown import MAX_BYTES, size_bytes
from app.core.names import RunId, Sha
from app.core.plan import Counts, Delta
from app.core.reply import CheckReport
from app.core.report_summary import (
    CROWD,
    StackLine,
    SummaryName,
    SummaryView,
    says_something,
    summary_report,
)
from app.core.run import RunState, RunType
from app.core.words_run import RunLine

SHA = Sha("a" * 40)
DELTA = Delta(resources=Counts(create=3, update=1))
PLANNED = RunLine(
    id=RunId("01JDV3F4K5M6N7P8Q9R0S1T2V3"),
    type=RunType.PROPOSED,
    state=RunState.FINISHED,
    delta=DELTA,
    has_changes=True,
    url="https://trackside.example/runs/01J",
)
TRACKED = replace(PLANNED, type=RunType.TRACKED, state=RunState.UNCONFIRMED)
NETWORK = StackLine(stack_name="network", verdict=Verdict.PROPOSE, reason="infra/network/main.tf changed", run=PLANNED)
DNS = StackLine(stack_name="dns", verdict=Verdict.IGNORE, reason="outside infra/dns")
TAGGED = StackLine(stack_name="dns", verdict=Verdict.IGNORE, reason="tag v1 ignored: no policy tracks tags", tag="v1")


def of_pull(*lines: StackLine) -> SummaryView:
    return SummaryView(name=SummaryName.PROPOSED, head_sha=SHA, lines=lines)


def of_push(*lines: StackLine) -> SummaryView:
    return SummaryView(name=SummaryName.DEPLOY, head_sha=SHA, lines=lines)


def in_state(state: RunState, *, name: str = "network") -> StackLine:
    delta = DELTA if state is RunState.FINISHED else None
    return replace(NETWORK, stack_name=name, run=replace(PLANNED, state=state, delta=delta))


def seen(report: CheckReport) -> tuple[str, str, str]:
    return report.status.value, report.conclusion.value if report.conclusion else "", report.title


def test_a_pull_request_that_was_planned_reads_like_this() -> None:
    report = summary_report(of_pull(DNS, NETWORK))
    assert (report.name, report.external_id) == ("trackside", f"summary/{PLANNED.id}")
    assert seen(report) == ("completed", "success", "1 of 2 stacks affected: 1 planned")
    assert report.buttons == ()
    assert report.summary == snapshot("""\
| stack | what happens | why |
| --- | --- | --- |
| `network` | [planned +3 ~1](<https://trackside.example/runs/01J>) | infra/network/main.tf changed |

Planned only: nothing is applied before the change has landed.\
""")
    assert report.text == snapshot("""\
### Not affected: 1

- `dns`: outside infra/dns\
""")


def test_what_is_held_back_is_not_told_as_not_affected() -> None:
    held = replace(DNS, stack_name="app", reason="app/main.tf changed", is_held_back=True)
    report = summary_report(of_pull(DNS, held))
    assert report.title == "1 of 2 stacks held back: a fork's commit"
    assert report.text == snapshot("""\
### Held back: 1

- `app`: app/main.tf changed

### Not affected: 1

- `dns`: outside infra/dns\
""")


def test_a_pull_request_that_touches_nothing_passes_at_once() -> None:
    report = summary_report(of_pull(DNS))
    assert seen(report) == ("completed", "success", "the one stack is not affected")
    assert report.external_id == "summary/-"
    assert report.summary == snapshot("Nothing is to be done for any stack.")
    two = summary_report(of_pull(DNS, replace(DNS, stack_name="app")))
    assert two.title == "none of 2 stacks is affected"
    none = summary_report(of_pull())
    assert seen(none) == ("completed", "success", "no stack is configured")
    assert says_something(of_pull())


@pytest.mark.parametrize("state", list(RunState))
def test_the_check_of_a_pull_request_ends_when_its_plans_have_ended(state: RunState) -> None:
    """Closed by default: a stack whose plan failed, was stopped or withdrawn does not pass."""
    status, conclusion, _ = seen(summary_report(of_pull(DNS, in_state(state), in_state(RunState.FINISHED, name="app"))))
    if not state.is_terminal:
        assert (status, conclusion) == ("in_progress", "")
    else:
        assert (status, conclusion) == ("completed", "success" if state is RunState.FINISHED else "failure")


def test_it_never_waits_for_a_tracked_run() -> None:
    lines = (replace(NETWORK, verdict=Verdict.TRACK, run=TRACKED), in_state(RunState.FINISHED, name="app"))
    assert seen(summary_report(of_pull(*lines)))[:2] == ("completed", "success")


def test_a_stack_that_could_not_be_decided_fails_the_check_and_comes_first() -> None:
    broken = StackLine(stack_name="zone", verdict=Verdict.FAIL, reason="policy slow: no answer within 10 s")
    report = summary_report(of_pull(NETWORK, broken))
    assert seen(report) == ("completed", "failure", "2 of 2 stacks affected: 1 not decided, 1 planned")
    assert report.summary.splitlines()[2] == "| `zone` | not decided | policy slow: no answer within 10 s |"


def test_a_push_to_a_tracked_branch_reads_like_this() -> None:
    tracked = StackLine(
        stack_name="network", verdict=Verdict.TRACK, reason="infra/network/main.tf changed", run=TRACKED
    )
    report = summary_report(of_push(tracked, DNS, TAGGED))
    assert (report.name, report.external_id) == ("trackside/deploy", "summary")
    assert seen(report) == ("completed", "success", "1 of 2 stacks affected: 1 tracked")
    assert report.summary == snapshot("""\
| stack | what happens | why |
| --- | --- | --- |
| `network` | [tracked](<https://trackside.example/runs/01J>) | infra/network/main.tf changed |

`trackside/deploy` tells what was decided. It never fails and never blocks.\
""")
    assert report.text == snapshot("""\
### Not affected: 1

- `dns`: outside infra/dns
- `dns` (tag `v1`): tag v1 ignored: no policy tracks tags\
""")


def test_the_check_of_a_push_says_the_same_however_its_runs_go_on() -> None:
    """Each stack's own check follows its run: repeating that would cost a request each time."""
    first, second = (
        summary_report(of_push(DNS, replace(NETWORK, verdict=Verdict.TRACK, run=replace(TRACKED, state=state))))
        for state in (RunState.QUEUED, RunState.FAILED)
    )
    assert first == second


def test_the_check_of_a_push_that_could_not_be_decided_does_not_pass_as_a_success() -> None:
    assert seen(summary_report(of_push(replace(DNS, verdict=Verdict.FAIL))))[:2] == ("completed", "neutral")


def test_a_single_tracked_run_needs_no_summary_beside_its_own_check() -> None:
    single = replace(NETWORK, verdict=Verdict.TRACK, run=TRACKED)
    assert not says_something(of_push(single))
    assert not says_something(of_push())
    assert says_something(of_push(single, DNS))
    assert says_something(of_push(DNS))
    assert says_something(of_push(replace(single, run=None, reason="policy later: the head moves without a run")))


def test_many_affected_stacks_have_this_check_alone_so_it_says_how_each_stands() -> None:
    lines = [
        replace(NETWORK, stack_name=f"s{number:02}", verdict=Verdict.TRACK, run=TRACKED) for number in range(CROWD + 1)
    ]
    view = of_push(*lines, replace(lines[0], stack_name="broken", run=replace(TRACKED, state=RunState.FAILED)))
    assert view.is_crowded
    report = summary_report(view)
    assert report.title == "22 of 22 stacks affected: 21 waiting for confirmation, 1 failed"
    rows = report.summary.splitlines()
    assert rows[2].startswith("| `broken` | [failed +3 ~1]")
    assert rows[3].startswith("| `s00` | [waiting for confirmation +3 ~1]")
    assert not of_push(*lines[:CROWD]).is_crowded


def test_a_plan_without_changes_says_so() -> None:
    quiet = replace(NETWORK, run=replace(PLANNED, delta=Delta(), has_changes=False))
    assert "[planned: no changes]" in summary_report(of_pull(quiet)).summary


def test_runs_under_way_are_those_that_go_on_by_themselves() -> None:
    states = (RunState.QUEUED, RunState.UNCONFIRMED, RunState.PLANNING, RunState.READY, RunState.FINISHED)
    assert of_push(*(in_state(state, name=state.value) for state in states)).under_way == 2


HOSTILE = st.one_of(
    st.text(max_size=400),
    st.sampled_from(
        ["a | b", "a\\| b", "`|`", "@alice", "<script>", "![x](http://x)", "\n\n# head", "a_b_ #1", "www.evil.example"]
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            StackLine,
            stack_name=HOSTILE,
            verdict=st.sampled_from(Verdict),
            reason=HOSTILE,
            tag=HOSTILE,
            run=st.one_of(st.none(), st.builds(lambda state: replace(PLANNED, state=state), st.sampled_from(RunState))),
        ),
        max_size=12,
    ),
    st.sampled_from(SummaryName),
    st.integers(0, 5_000),
)
def test_any_words_stay_in_their_cells_and_say_nothing_of_their_own(
    lines: list[StackLine], name: SummaryName, left_out: int
) -> None:
    report = summary_report(SummaryView(name=name, head_sha=SHA, lines=tuple(lines), left_out=left_out))
    parser = MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(report.summary)
    rows = sum(token.type == "tr_open" for token in tokens)
    cells = sum(token.type in ("td_open", "th_open") for token in tokens)
    affected = sum(line.is_affected for line in lines)
    assert (rows, cells) == ((affected + 1, 3 * (affected + 1)) if affected else (0, 0))
    assert len(report.title) <= 200
    for inline in (child for token in tokens + parser.parse(report.text) for child in token.children or []):
        assert inline.type not in ("image", "html_inline")
        if inline.type == "text":
            assert not re.search(r"@\w|#\d|www\.|://", inline.content)


@pytest.mark.parametrize("count", [1, 21, 400, 10_000])
@pytest.mark.parametrize("name", list(SummaryName))
def test_any_number_of_stacks_fits_and_the_rest_is_counted_exactly(count: int, name: SummaryName) -> None:
    half = [replace(NETWORK, stack_name=f"stack-{number:05}", reason="é" * 250) for number in range(count)]
    rest = [replace(DNS, stack_name=f"other-{number:05}", reason="ö" * 250) for number in range(count)]
    report = summary_report(SummaryView(name=name, head_sha=SHA, lines=(*half, *rest), left_out=7))
    assert size_bytes(report.summary) <= MAX_BYTES
    assert size_bytes(report.text) <= MAX_BYTES
    assert len(report.title) <= 200
    shown = report.summary.count("| `stack-")
    more = re.search(r"and ([0-9,]+) more affected", report.summary)
    assert shown + (int(more[1].replace(",", "")) if more else 0) == count
    listed = report.text.count("- `other-")
    unlisted = re.search(r"- and ([0-9,]+) more", report.text)
    assert listed + (int(unlisted[1].replace(",", "")) if unlisted else 0) == count + 7
    assert f"### Not affected: {count + 7:,}" in report.text
