"""The changes of a plan as Markdown: what of each is shown, how it fits, what is said to be left out."""

import re
from typing import Any

import msgspec
import pytest
from inline_snapshot import snapshot

from app.core.changelist import change_list
from app.core.markdown import MAX_BYTES
from app.core.plan import MASK, Action, Attribute, Change, Kind, PlanSummary
from app.core.report import (
    check_report,
)
from tests.core.inert import assert_markdown_inert
from tests.core.made import DELTA, WAITING, view_of


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

**1. move** `a.b[1]` from `a.old`

**2. import** `a.b[2]` from `vpc-1`

**3. replace** `a.b[3]`: it is tainted

**4. destroy** `a.b[4]`: `some_new_reason`\
""")


def test_attributes_beyond_the_bound_are_counted() -> None:
    many = tuple(Attribute(name=f"a{at}", after="1") for at in range(100))
    assert "… and 67 more values" in text_of(change(1, attributes=many, attributes_left_out=7))


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


@pytest.mark.parametrize("limit_bytes", range(1_000, 3_000, 100))
def test_the_fence_that_backticks_need_is_part_of_what_has_to_fit(limit_bytes: int) -> None:
    ticks = tuple(Attribute(name="`" * 90, before="`" * 350, after=f"{at}") for at in range(3))
    summary = PlanSummary(changes=tuple(change(at, attributes=ticks) for at in range(1, 9)))
    shown = change_list(summary, run_url="https://trackside.example/runs/01J", limit_bytes=limit_bytes)
    assert_markdown_inert(shown, limit_bytes=limit_bytes)


def test_a_plan_that_is_too_long_to_list_still_shows_the_details_of_its_first_changes() -> None:
    attributes = tuple(Attribute(name=f"attribute_{at}", before='"ä"', after='"ö"') for at in range(5))
    text = text_of(*(change(at + 1, attributes=attributes) for at in range(5_000)))
    assert text.count("```diff") > 20
    assert text.index("```diff") < text.index("**2. update**")


def test_one_change_does_not_take_the_room_of_the_others() -> None:
    wide = tuple(Attribute(name=f"a{at}", before="x" * 390, after="y" * 390) for at in range(40))
    text = text_of(change(1, attributes=wide), *(change(at, attributes=wide[:1]) for at in range(2, 40)))
    assert "more values" in text
    assert text.count("```diff") == 39
