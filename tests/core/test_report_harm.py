"""Words that mean harm: no plan, person or repository makes a report do anything."""

import json
from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.changelist import change_list
from app.core.errors import UserError
from app.core.plan import Action, Change, Kind, PlanSummary, Remark
from app.core.planjson import read_plan
from app.core.protocol import Output
from app.core.report import (
    RunView,
    check_report,
    deployment_report,
)
from app.core.report_policy import policy_lines
from app.core.report_remark import remark_lines
from app.core.ruling import PlanRuling
from app.core.run import RunState, Trigger
from tests.core.inert import REMARKS, SUMMARIES, WORDS, assert_inert, assert_markdown_inert
from tests.core.made import DELTA, WAITING, run_in, view_of


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
    summary = PlanSummary(
        delta=DELTA,
        changes=(
            Change(number=1, kind=Kind.RESOURCE, action=Action.IMPORT, address=huge, reason=huge, import_id=huge),
        ),
    )
    assert_inert(check_report(replace(view_of(run, summary=summary), stack_hold=huge)))


@given(SUMMARIES, st.integers(600, 4_000))
def test_the_list_of_changes_fits_into_any_room(summary: PlanSummary, limit_bytes: int) -> None:
    shown = change_list(summary, run_url="https://trackside.example/runs/01J", limit_bytes=limit_bytes)
    assert_markdown_inert(shown, limit_bytes=limit_bytes)


TOLD = st.lists(st.tuples(WORDS, WORDS), max_size=60)


@settings(max_examples=30)
@given(TOLD, TOLD, st.lists(REMARKS, max_size=60))
def test_whatever_policies_and_engines_say_stays_text(
    denials: list[tuple[str, str]], warnings: list[tuple[str, str]], remarks: list[Remark]
) -> None:
    said = [PlanRuling(name=name, digest="d", path=text, denies=(text,)) for name, text in denials]
    said += [PlanRuling(name=name, digest="d", path=text, warns=(text,), failure=name) for name, text in warnings]
    for lines in (policy_lines(said), remark_lines(remarks)):
        assert_markdown_inert("\n\n".join(lines))


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
MARKS = st.recursive(
    st.booleans(), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2), max_leaves=4
)
SIDES = st.none() | st.dictionaries(st.sampled_from(["a", "b", "c`"]), TREES, max_size=3)


@settings(max_examples=150)
@given(SIDES, SIDES, MARKS, MARKS)
def test_any_value_that_an_engine_can_have_is_compared_and_shown(
    before: object, after: object, marks: object, unknown: object
) -> None:
    diff = {"actions": ["update"], "before": before, "after": after, "after_unknown": unknown, "after_sensitive": marks}
    document = {"format_version": "1.2", "resource_changes": [{"address": "a.b", "change": diff}]}
    try:
        summary = read_plan(json.dumps(document).encode())
    except UserError:
        return  # a surrogate alone is no text
    assert msgspec.json.decode(msgspec.json.encode(summary), type=PlanSummary) == summary
    assert_inert(check_report(view_of(WAITING, summary=summary)))
